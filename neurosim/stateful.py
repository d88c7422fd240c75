"""Layers with memory: by the chunk, for those that have a kernel, and by the frame, for those that users write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._errors import StateError
from ._output import EVENTS, Events
from ._state import fields, fitted, is_state, mapped
from .layer import Layer


class ChunkLayer(Layer, ABC):
    """A layer with memory: fill in `initial_state(x)` and `chunk(x, state) -> (y, state)`.

    Arguments, shape and errors as for `Layer`.

    >>> from typing import NamedTuple
    >>> import neurosim, torch
    >>> class SumState(NamedTuple):
    ...     total: torch.Tensor
    >>> class RunningSum(neurosim.ChunkLayer):
    ...     axes = neurosim.SIGNAL
    ...     def initial_state(self, x):
    ...         return SumState(torch.zeros_like(x[:, :1]))
    ...     def chunk(self, x, state):
    ...         y = state.total + x.cumsum(1)
    ...         return y, SumState(y[:, -1:])
    >>> RunningSum().run([1.0, 2.0, 3.0], dt=2)[0].flatten()
    tensor([1., 3., 6.])
    """

    @property
    def remembers_input(self) -> bool:
        """Whether the state is what came in, whatever the parameters are; a fit then need not compute it again.

        >>> import neurosim
        >>> neurosim.filters.Conv3d().remembers_input, neurosim.filters.TemporalLowPass().remembers_input
        (True, False)
        """
        return False

    @abstractmethod
    def initial_state(self, x: Tensor) -> Any:
        """The state at rest, a NamedTuple of tensors, for chunks like `x` (which has at least one frame)."""

    @abstractmethod
    def chunk(self, x: Tensor, state: Any) -> tuple[Any, Any]:
        """The output for a chunk, and the state after it; `state` is replaced, never written into.

        A layer that names in `takes` what may come with a chunk has it as further arguments.
        """

    def _initial(self, x: Tensor) -> Any:
        return self.initial_state(x)

    def _chunk(self, x: Tensor, state: Any, **given: Any) -> tuple[Any, Any]:
        return self.chunk(x, state, **given)

    def forward(self, x: Tensor, **given: Any) -> Any:
        """The output for one chunk; the state is replaced by the next. Raises StateError."""
        time = self.axes.time
        if x.shape[time] == 0:  # what one frame would give, without the frame; the state stays
            shape = (*x.shape[:time], 1, *x.shape[time + 1:])
            with torch.no_grad():
                frame = x.new_zeros(shape)
                y, _ = self._chunk(frame, self._initial(frame))
            for name, value in (self._taps or {}).items():
                if isinstance(value, Events):
                    self._tap(name, value.first(0))
                elif value is not None:
                    self._tap(name, value.narrow(time, 0, 0))
            return y.narrow(time, 0, 0)
        frames = (self.axes.frame_shape(x), x.dtype, x.device)
        state = self.state
        if not (torch.compiler.is_compiling() or torch.is_inference_mode_enabled()) and any(
                x.is_inference() for x in fields(state).values()):
            state = mapped(state, torch.clone)  # left by a run under inference_mode: autograd would refuse it
        if state is None:
            state = self._initial(x)
        elif self._left_by is not None:
            if self._left_by != frames:
                left, came = self._left_by, frames
                raise StateError(f"{type(self).__name__}: the state was left by frames of shape {left[0]} ({left[1]} on "
                                 f"{left[2]}), the new chunk has {came[0]} ({came[1]} on {came[2]}). Call "
                                 "clear_state() before a new recording.")
        else:  # put there by hand, or moved
            state = fitted(state, self._initial(x), type(self).__name__)
        y, state = self._chunk(x, state, **given)
        if not is_state(state):
            raise StateError(f"{type(self).__name__}: a state must be a NamedTuple of tensors, in initial_state and as the "
                             f"second thing that a step or chunk returns (got {type(state).__name__})")
        self.state, self._left_by = state, frames
        return y


class FrameLayer(ChunkLayer, ABC):
    """A layer with memory, frame by frame: fill in `initial_state(frame)` and `step(state, frame) -> (y, state)`.

    Arguments, shape and errors as for `Layer`.

    >>> from typing import NamedTuple
    >>> import neurosim, torch
    >>> class LeakyState(NamedTuple):
    ...     v: torch.Tensor
    >>> class Leaky(neurosim.FrameLayer):
    ...     tau = neurosim.Param(0.01, unit="s", above=0.0, doc="time constant")
    ...     def initial_state(self, frame):
    ...         return LeakyState(torch.zeros_like(frame))
    ...     def step(self, state, frame):
    ...         decay = torch.exp(-self.resolution.frame / self.tau)
    ...         v = decay * state.v + (1 - decay) * frame
    ...         return v, LeakyState(v)
    >>> Leaky(tau=0.02).run(torch.ones(50, 4, 4), dt=7)[0].shape
    torch.Size([1, 1, 50, 4, 4])
    """

    @abstractmethod
    def initial_state(self, x: Tensor) -> Any:
        """The state at rest, a NamedTuple of tensors, for frames like `x`, (batch, channel, y, x)."""

    @abstractmethod
    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """The output for one frame, and the state after it."""

    def _initial(self, x: Tensor) -> Any:
        return self.initial_state(x.select(self.axes.time, 0))

    def chunk(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scan of `step` over the frames of a chunk; what it emits frame by frame is put together."""
        names = [name for name in self.signals if self.wants(name)]
        if not names:
            return scan(self.step, state, x, self.axes.time)
        heard: dict[str, list[Any]] = {name: [] for name in names}

        def step(state: Any, frame: Tensor) -> tuple[Tensor, Any]:
            for name in names:
                self._tap(name, None)
            result = self.step(state, frame)
            for name in names:
                heard[name].append(self._taps[name] if self._taps else None)
            return result

        y, state = scan(step, state, x, self.axes.time)
        for name, values in heard.items():
            if any(value is None for value in values):
                self._tap(name, None)
            else:
                self._tap(name, Events.joined(values) if name == EVENTS else torch.stack(values, self.axes.time))
        return y, state


def scan(step: Callable[[Any, Tensor], tuple[Tensor, Any]], state: Any, x: Tensor, time: int) -> tuple[Tensor, Any]:
    """Walks `step` over the frames of `x`; the one loop over frames outside the kernels.

    Args:
        step: `step(state, frame) -> (y, state)`.
        state: before the first frame.
        x: chunk with at least one frame.
        time: its time axis.
    Returns: outputs stacked over time, last state.
    Raises: StateError when the step does not return two things.

    >>> scan(lambda total, frame: (total + frame, total + frame), 0.0, torch.tensor([[1.0, 2.0, 3.0]]), time=1)
    (tensor([[1., 3., 6.]]), tensor([6.]))
    """
    ys = []
    for frame in x.unbind(time):
        result = step(state, frame)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise StateError(f"step: must return the output and the next state, (y, state) (got {type(result).__name__})")
        y, state = result
        ys.append(y)
    return torch.stack(ys, time), state
