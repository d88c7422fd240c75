"""The loop that fits a layer: one step of an optimizer per chunk."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from .._errors import InputError, ParameterError, StateError
from .._param import Parameter
from .._stacks import Remembering
from .._tree import Shown
from ..streams.base import whole
from . import fitting
from .goals import Loss, as_goal, loss_between, loss_function, pairs, penalties, rewind, sources_of
from .history import History
from .penalties import Penalty
from .processes import Processes
from .ranges import project, ranged
from .selector import OptimizerSelector, made


class Fitting(Remembering):
    """The part of a layer that fits its parameters to a goal; every `Layer` is one.

    Shape: as the layer's; goals have that of its first output.

    >>> import neurosim, torch
    >>> layer = neurosim.filters.TemporalLowPass(neurosim.SIGNAL, tau=0.02)
    >>> isinstance(layer, neurosim.optim.Fitting)
    True
    >>> x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> goal = neurosim.filters.TemporalLowPass(neurosim.SIGNAL, tau=0.01).run(x)[0]
    >>> layer.set_optimizer.Adam(lr=1e-3)
    >>> before = layer.compute_loss(x, goal)
    >>> losses = layer.optimize(x, goal, dt=50)  # one step per chunk
    >>> len(losses), layer.compute_loss(x, goal) < before
    (4, True)
    """

    run: Any

    set_optimizer = Shown(OptimizerSelector, "Chooses the optimizer: `layer.set_optimizer.Adam(lr=0.01)`.")

    def optimize(self, x: Any, y: Any, *, dt: int | None = None, optimizer: Any = None, loss_fn: Loss | str | None = None,
                 t_skip: int = 0, window: int | None = None, penalty: Mapping[str, Penalty] | None = None,
                 clip: float | None = None, distributed: bool = False) -> list[float]:
        """One step of the optimizer per chunk.

        The step's closure runs the chunk from the same state however often the optimizer asks; the state carried on
        is the one under the accepted parameters. After each step (and within it, wherever the loss is evaluated) parameters
        are projected into their declared ranges.

        Args:
            x: input, as for `run`.
            y: goal, what the (first) output should be: array, tensor, `Output` or source with as many frames as the input; or a
                dict of such by the name of an output, whose losses are added. A source of another rate or start is aligned by
                time. Where the layer gives no output (first frames without `time_pad`) the goal does not count.
            dt: frames per chunk, through which gradients go; None for one chunk.
            optimizer: instead of the one chosen by `set_optimizer`: an optimizer, its class or its name.
            loss_fn: `loss_fn(output, goal)`, a scalar, or a name in `neurosim.analysis.LOSSES`; None: mean squared error.
            t_skip: so many first frames of the input do not count in the loss.
            window: gradients go back through so many frames, the chunk's own included; None: through the chunk.
            penalty: what is added to the loss, by the path of a parameter: `{"conv.weight": neurosim.optim.Smooth(1e-2)}`.
            clip: largest norm of the gradient.
            distributed: the processes of `torch.distributed`, each with a recording of its own, take every step together, on
                the mean of their losses and gradients, from the parameters of the first process.
        Returns: the loss of every chunk before its step, without penalties.
        Raises: ParameterError, InputError, StateError, UnknownName; state and parameters are then those of the last good chunk.
        """
        where = type(self).__name__
        optimizer = self.optimizer if optimizer is None else made(self, optimizer)
        if optimizer is None:
            raise ParameterError(where, "optimize", "has no optimizer; choose one first, such as "
                                 "layer.set_optimizer.Adam(lr=0.01), or pass optimizer=")
        if clip is not None and not clip > 0:
            raise ParameterError(where, "clip", "must be above 0", clip)
        if torch.is_inference_mode_enabled():
            raise StateError(f"{where}.optimize: there are no gradients under torch.inference_mode(); leave it first")
        processes = Processes(f"{where}.optimize", distributed)
        step = _Step(self, optimizer, loss_function(where, loss_fn), penalties(self, penalty), clip, window, processes)
        processes.same_start([*self.parameters(), *self.buffers()])
        losses = []
        for part, goals, skip, _ in processes.together(pairs(self, x, y, dt, t_skip), step.values[0]):
            if (loss := step(part, goals, skip)) is not None:
                losses.append(loss)
        return losses

    def compute_loss(self, x: Any, y: Any, *, dt: int | None = None, loss_fn: Loss | str | None = None,
                     t_skip: int = 0) -> float:
        """The loss over the whole input, from the present state; without side effects.

        Sources that can seek are afterwards where they were.

        Args:
            x, y, dt, loss_fn, t_skip: as for `optimize`.
        Returns: the mean of the chunks' losses, weighted by their frames.
        Raises: as `optimize`; InputError when `t_skip` leaves nothing to score.
        """
        before = self._snapshot()
        sources = [(source, source.position) for source in sources_of(x, y) if source.seekable]
        function = loss_function(type(self).__name__, loss_fn)
        total, counted = 0.0, 0
        try:
            with torch.no_grad():
                for part, goals, skip, frames in pairs(self, x, y, dt, t_skip):
                    out = self(part)
                    if frames > skip:
                        ready = {name: (as_goal(self, goal), axes) for name, (goal, axes) in goals.items()}
                        loss, scored = loss_between(self, out, ready, 0, skip, function)
                        total += scored * float(loss)
                        counted += scored
        finally:
            self._restore(before)
            rewind(sources)
        if not counted:
            raise InputError(f"{type(self).__name__}.compute_loss: no frame is left to score; t_skip={t_skip}")
        return total / counted

    def fit(self, x: Any, y: Any, **options: Any) -> History:
        return fitting.fit(self, x, y, **options)

    fit.__doc__ = fitting.fit.__doc__
    fit.__signature__ = fitting.signature  # type: ignore[attr-defined]


class _Step:
    """One step of an optimizer on a chunk, with the frames before it that the gradient goes through."""

    def __init__(self, layer: Any, optimizer: torch.optim.Optimizer, loss_fn: Loss,
                 penalized: list[tuple[Callable[[], Tensor], Penalty]], clip: float | None, window: int | None,
                 processes: Processes) -> None:
        self.processes = processes
        self.layer, self.optimizer, self.loss_fn, self.penalized, self.clip = layer, optimizer, loss_fn, penalized, clip
        self.window = None if window is None else whole(type(layer).__name__, "window", window, 1)
        self.earlier: deque[tuple[Any, Any]] = deque()  # chunks before this one, and the state before each
        self.values: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        self.ranged = ranged(self.values)
        self.backward = getattr(optimizer, "needs_gradient", True)
        mine = {id(p) for p in layer.parameters()}
        self.foreign = [p for p in self.values if p.requires_grad and id(p) not in mine]
        if self.backward and not any(p.requires_grad for p in self.values):
            raise ParameterError(type(layer).__name__, "optimize", "none of the optimizer's parameters requires a gradient any "
                                 "more; call requires_grad_(True) on those to fit")
        if not self.backward:
            self.refuse(self.foreign)
        follow(optimizer)
        self.whole_input: Tensor | None = None
        self.fed: dict[Any, bool] = {}  # of layers that remember what came in: whether that was the input itself, not more

    def watched(self) -> ExitStack:
        """While it is open, which layers get the input itself is noted."""
        def note(layer: Any, args: tuple[Any, ...]) -> None:
            self.fed[layer] = self.fed.get(layer, True) and args[0] is self.whole_input

        watching = ExitStack()
        for layer in self.layer._leaves().values():
            if getattr(layer, "remembers_input", False):
                watching.callback(layer.register_forward_pre_hook(note).remove)
        return watching

    def refuse(self, strangers: Sequence[Tensor]) -> None:
        """Raises StateError when there are any: parameters of the optimizer that are not of the layer, and do nothing."""
        if strangers:
            one = strangers[0]
            name = one.spec.name if isinstance(one, Parameter) else "a tensor"
            raise StateError(f"{type(self.layer).__name__}.optimize: the optimizer holds {name} of shape {tuple(one.shape)}, "
                             "which is not a parameter of the layer (any more: a kernel of another size is another parameter) "
                             "and has no influence on the loss; choose the optimizer anew, such as "
                             f"layer.set_optimizer.{type(self.optimizer).__name__}(...)")

    def __call__(self, part: Any, goals: dict[Any, Any], skip: int) -> float | None:
        """The loss before the step; None where no frame counts."""
        layer, time = self.layer, self.layer.axes.time
        frames = part.shape[time]
        ready = {name: (as_goal(layer, goal), axes) for name, (goal, axes) in goals.items()}
        now = layer._snapshot()
        lead = sum(earlier.shape[time] for earlier, _ in self.earlier)
        loss = None
        if skip >= frames:  # nothing counts yet: only the state goes on
            with torch.no_grad():
                layer(part)
        else:
            loss = self.step(part, ready, lead, skip)
        self.remember(part, now, frames)
        return loss

    def remember(self, part: Any, state_before: Any, frames: int) -> None:
        """Keeps the chunks that the next step goes back through."""
        if self.window is None:
            return
        self.earlier.append((part, state_before))
        time = self.layer.axes.time
        kept = sum(earlier.shape[time] for earlier, _ in self.earlier)
        while self.earlier and kept - self.earlier[0][0].shape[time] >= self.window - frames > 0:
            kept -= self.earlier.popleft()[0].shape[time]
        if self.window <= frames:
            self.earlier.clear()

    def step(self, part: Any, goals: dict[Any, Any], lead: int, skip: int) -> float:
        layer, optimizer = self.layer, self.optimizer
        now = layer._snapshot()
        chunks = [earlier for earlier, _ in self.earlier] + [layer._door(part)]
        begin = self.earlier[0][1] if self.earlier else now
        self.whole_input = chunks[0]
        if self.earlier:
            self.whole_input = torch.cat([layer._door(chunk) for chunk in chunks], layer.axes.time)
        good = [p.detach().clone() for p in self.values]
        inside = [before for (_, spec), before in zip(self.ranged, self._good_of_ranged(good), strict=True)]
        losses: list[float] = []
        backward, forgiving = self.backward, getattr(optimizer, "accepts_lost_loss", False)

        def closure() -> Tensor:
            project(self.ranged, inside)
            layer._restore(begin)
            optimizer.zero_grad()
            with torch.set_grad_enabled(backward):
                loss, _ = loss_between(layer, layer(self.whole_input), goals, lead, skip, self.loss_fn)
                losses.append(self.processes.mean(loss.item(), loss))
                if not math.isfinite(losses[-1]) and (len(losses) == 1 or not forgiving):
                    raise StateError(f"{type(layer).__name__}.optimize: the loss became {losses[-1]}; parameters are back at "
                                     "their last good values. Try a smaller learning rate.")
                for value, penalty in self.penalized:
                    loss = loss + penalty(value())
                if backward:
                    self.differentiate(loss)
            return self.processes.shared(loss)

        try:
            with torch.enable_grad(), self.watched():
                optimizer.step(closure)  # type: ignore[arg-type]
            project(self.ranged, inside)
            self.check_finite()
            self.carry_on(now, part)
        except BaseException:
            layer._restore(now)
            with torch.no_grad():
                for p, old in zip(self.values, good, strict=True):
                    p.copy_(old)
            raise
        return losses[0]

    def _good_of_ranged(self, good: list[Tensor]) -> list[Tensor]:
        by_id = {id(p): old for p, old in zip(self.values, good, strict=True)}
        return [by_id[id(p)] for p, _ in self.ranged]

    def differentiate(self, loss: Tensor) -> None:
        if not loss.requires_grad:
            raise ParameterError(type(self.layer).__name__, "optimize", "no gradient reaches the parameters that are fitted; "
                                 "use layer.set_optimizer.FiniteDifference(lr=...), or a layer with surrogate gradients")
        loss.backward(inputs=[p for p in self.values if p.requires_grad])
        self.refuse([p for p in self.foreign if p.grad is None])
        self.processes.mean_gradients(self.values)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.values, self.clip)

    def check_finite(self) -> None:
        for p in self.values:
            if not bool(torch.isfinite(p.detach()).all()):
                raise StateError(f"{type(self.layer).__name__}.optimize: a step made parameters that are not finite; they are "
                                 "back at their last good values. Try a smaller learning rate.")

    def carry_on(self, now: Any, part: Any) -> None:
        """The state after the chunk under the accepted parameters; with a window, from its beginning on."""
        layer = self.layer
        if not self.earlier and all(self.fed.get(one, False) for one in layer._leaves().values() if one.state is not None):
            return  # it is the input, and no parameter has a say in it
        with torch.no_grad():
            if not self.earlier:
                layer._restore(now)
            else:
                layer._restore(self.earlier[0][1])
                for index, (earlier, _) in enumerate(list(self.earlier)):
                    self.earlier[index] = (earlier, layer._snapshot())
                    layer(earlier)
            layer(part)


def follow(optimizer: torch.optim.Optimizer) -> None:
    """Moments in the dtype and on the device of their parameters, which may have changed since."""
    for p, moments in optimizer.state.items():
        if any(isinstance(x, Tensor) and x.is_floating_point() and name != "step" and (x.dtype, x.device) != (p.dtype, p.device)
               for name, x in moments.items()):
            optimizer.load_state_dict(optimizer.state_dict())  # torch casts them
            return
