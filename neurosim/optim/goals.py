"""Chunks of input and goal side by side, and the loss between an output and its goal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from .._axes import VIDEO, Axes, to_tensor
from .._drive import Feed
from .._errors import InputError, ParameterError, UnknownName
from .._output import Output
from .._tree import Parameters, Tree
from ..streams.base import Source, whole
from ..streams.resample import align
from .penalties import Penalty

Loss = Callable[[Tensor, Tensor], Tensor]
Goals = dict[str | int, Tensor]


def loss_function(where: str, loss_fn: Any) -> Loss:
    """`loss_fn(output, goal)` from a function, a name in `neurosim.analysis.LOSSES`, or None for the mean squared error.

    Raises: UnknownName, ParameterError.
    """
    from ..analysis import LOSSES

    if loss_fn is None:
        return LOSSES["mse"]
    if isinstance(loss_fn, str):
        if loss_fn not in LOSSES:
            raise UnknownName(f"{where}.loss_fn", loss_fn, list(LOSSES))
        return LOSSES[loss_fn]
    if not callable(loss_fn):
        raise ParameterError(where, "loss_fn", f"must be a function loss_fn(output, goal) or one of {list(LOSSES)}", loss_fn)
    return loss_fn


def penalties(layer: Any, penalty: Mapping[str, Penalty] | None) -> list[tuple[Callable[[], Tensor], Penalty]]:
    """How to get each penalized value, and its penalty. Raises UnknownName for a path that no parameter has."""
    found: list[tuple[Callable[[], Tensor], Penalty]] = []
    tree, flat = Tree(layer, Parameters()), Tree(layer, Parameters(), "_")
    for path, one in (penalty or {}).items():
        at = tree if path in tree else flat
        if path not in at:
            raise UnknownName(f"{type(layer).__name__}: penalty", path, tree.keys())
        if not callable(one):
            raise ParameterError(type(layer).__name__, f"penalty[{path!r}]", "must be a function of the parameter, such as "
                                 "neurosim.optim.Smooth(1e-2)", one)
        found.append((functools.partial(value_of, at, path), one))
    return found


def value_of(tree: Tree, path: str) -> Tensor:
    """The parameter as it is now, a constrained one with its graph."""
    value = tree[path]
    return getattr(value, "value", value)


def is_list_of_recordings(x: Any) -> bool:
    """Whether it is a list of arrays, sources or paths rather than a list of numbers."""
    return isinstance(x, list | tuple) and len(x) > 0 and not isinstance(x[0], int | float)


def sources_of(x: Any, y: Any) -> list[Source]:
    """Every source among an input and its goals."""
    return [one for one in (x, *(y.values() if isinstance(y, Mapping) else (y,))) if isinstance(one, Source)]


def rewind(sources: Sequence[tuple[Source, int]]) -> None:
    """Every source to where it was."""
    for source, position in sources:
        if source.position != position:
            source.seek(position)


def as_chunk(goal: Any, axes: Axes) -> Any:
    """A goal with axes that `Feed` takes: (time,) is the course of one pixel of a video."""
    if axes == VIDEO and not isinstance(goal, Source | Output | str) and getattr(goal, "ndim", 0) == 1:
        return goal[None, None, :, None, None]
    return goal


def pairs(layer: Any, x: Any, y: Any, dt: int | None, t_skip: int) -> Iterator[tuple[Any, dict[Any, Any], int, int]]:
    """Chunks of the input, of the goals by name, how many first frames of them do not count, and the chunk's frames.

    Raises: InputError, ParameterError, StreamError.
    """
    where = type(layer).__name__
    whole(where, "t_skip", t_skip)
    named = dict(y) if isinstance(y, Mapping) else {0: y}
    if isinstance(y, Output) and len(y) > 1:
        named = dict(y.items())
    if isinstance(x, Source) and len(named) == 1 and isinstance(goal := next(iter(named.values())), Source) \
            and None not in (x.frame_rate, goal.frame_rate) and (x.frame_rate, x.time) != (goal.frame_rate, goal.time):
        x, goal = align(x, goal)
        named = {next(iter(named)): goal}
    with ExitStack() as opened:
        inputs = Feed(x, layer.axes, dt, None, where, frame=layer.resolution.frame)
        opened.callback(inputs.close)
        chunks = iter(inputs)
        goals: dict[Any, tuple[Iterator[Any], Axes]] | None = None
        start = 0
        while True:
            part = next(chunks, None)
            if goals is None and part is not None:
                goals = {}
                for name, goal in named.items():
                    axes = output_axes(layer, part, goal)
                    feed = Feed(as_chunk(goal, axes), axes, inputs.dt, None, f"{where}: the goal", endless=True)
                    opened.callback(feed.close)
                    if feed.total not in (inputs.total, None):
                        raise InputError(f"{where}: input and goal must have the same number of frames (got {inputs.total} "
                                         f"and {feed.total})")
                    goals[name] = (iter(feed), axes)
            if part is None:
                return
            frames = part.shape[layer.axes.time]
            found = {}
            for name, (going, axes) in (goals or {}).items():
                chunk = next(going, None)
                came = 0 if chunk is None else chunk.shape[axes.time]
                if came != frames:
                    raise InputError(f"{where}: input and goal must have the same number of frames (the goal ended with frame "
                                     f"{start + came}, the input goes on)")
                found[name] = (chunk, axes)
            yield part, found, min(max(t_skip - start, 0), frames), frames
            start += frames


def output_axes(layer: Any, part: Any, goal: Any) -> Axes:
    """The axes of an output; a model that holds others may change them, which its goal or a look at one frame tells."""
    if isinstance(goal, Output):
        goal.first_for(layer.axes, f"{type(layer).__name__}: the goal")
        return goal.axes
    if len(layer._leaves()) == 1:
        return layer.axes
    if len(getattr(goal, "shape", ())) == 5:  # only a video has so many
        return VIDEO
    time = layer.axes.time
    with torch.no_grad():
        y, _ = layer.advance(part[(slice(None),) * time + (slice(0, 1),)])
    return y.axes if isinstance(y, Output) else layer.axes


def as_goal(layer: Any, goal: Any) -> Tensor:
    """A chunk of a goal as a tensor like the layer's. Raises InputError when it is not finite."""
    some = next(iter(layer.parameters()), None)
    dtype, device = (torch.get_default_dtype(), None) if some is None else (some.dtype, some.device)
    target = to_tensor(goal, dtype, device, f"{type(layer).__name__}: the goal").detach()
    if not (torch.isfinite(target.sum()) or torch.isfinite(target).all()):  # the sum is one quick pass
        raise InputError(f"{type(layer).__name__}: the goal holds NaN or infinite values; leave those frames out "
                         "(t_skip) or replace them")
    return target


def loss_between(layer: Any, output: Any, goals: Mapping[Any, tuple[Tensor, Axes]], lead: int, skip: int,
                 loss_fn: Loss) -> tuple[Tensor, int]:
    """The sum of the losses of all goals, and over how many frames.

    Args:
        output: what the layer gave for `lead` earlier frames and those of the goals. One that starts with fewer frames (a
            convolution that waits for its whole history) is compared with the last frames of the goal.
        goals: by name or number of the output.
        skip: so many first frames of the goals do not count.
    Raises: InputError, UnknownName.
    """
    total, counted = None, 0
    for name, (goal, axes) in goals.items():
        out = output[name] if isinstance(output, Output) else output
        time, frames = axes.time, goal.shape[axes.time]
        if lead:  # the last frames; an output that starts late lacks earlier ones
            given = min(out.shape[time], frames)
            out = out.narrow(time, out.shape[time] - given, given)
        given = out.shape[time]
        skip = max(skip, frames - given)
        if out.narrow(time, 0, 0).shape != goal.narrow(time, 0, 0).shape or given > frames:
            raise InputError(f"{type(layer).__name__}: the goal must have the shape of the output, {tuple(out.shape)} "
                             f"(got {tuple(goal.shape)})")
        counted = frames - skip
        if not counted:
            raise InputError(f"{type(layer).__name__}: gives no output for the first {frames} frames, so there is nothing to "
                             "compare with the goal; give more frames per chunk (dt), or leave them out (t_skip)")
        if out.shape[time] != counted:
            out = out.narrow(time, out.shape[time] - counted, counted)
        if counted != frames:
            goal = goal.narrow(time, skip, counted)
        loss = loss_fn(out, goal)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ParameterError(type(layer).__name__, "loss_fn", "must return a tensor with one element", loss)
        total = loss if total is None else total + loss
    assert total is not None
    return total, counted


def recordings(where: str, x: Any, y: Any) -> list[tuple[Any, Any]]:
    """Input and goal of each recording. Raises InputError when there are not as many goals as inputs."""
    if not is_list_of_recordings(x):
        return [(x, y)]
    if not is_list_of_recordings(y) or len(x) != len(y):
        raise InputError(f"{where}: as many goals as inputs are needed, a list of each (got {len(x)} inputs and "
                         f"{len(y) if isinstance(y, Sequence) else type(y).__name__} goals)")
    return list(zip(x, y, strict=True))
