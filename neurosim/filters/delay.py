"""Delays by whole frames, of all pixels together or one by one, and padding before the first frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from .._errors import InputError, ParameterError, StateError
from .._param import Param
from ..stateful import ChunkLayer
from ..streams.base import whole


class DelayState(NamedTuple):
    """The frames that are still to come out, with the axes of a chunk."""

    frames: Tensor


class Delay(ChunkLayer):
    """The input some frames later: y[k] = x[k - delay], and 0 before the first.

    Args:
        delay: how many frames later, 0 or more.
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input.
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, torch
    >>> delay = neurosim.filters.Delay(2, axes=neurosim.SIGNAL)
    >>> delay.run(torch.arange(1.0, 6.0), dt=2)[0].flatten()
    tensor([0., 0., 1., 2., 3.])
    """

    def __init__(self, delay: int = 1, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.delay = whole("Delay", "delay", delay)
        self.axes = axes

    def initial_state(self, x: Tensor) -> DelayState:
        """Nothing came before."""
        first = x.narrow(self.axes.time, 0, 1)
        return DelayState(torch.zeros_like(first).repeat_interleave(self.delay, self.axes.time))

    def chunk(self, x: Tensor, state: DelayState) -> tuple[Tensor, DelayState]:
        """What waits, then the chunk; as many frames as came in go out."""
        time = self.axes.time
        both = torch.cat([state.frames, x], time)
        return both.narrow(time, 0, x.shape[time]), DelayState(both.narrow(time, x.shape[time], self.delay).clone())


class VariableDelay(ChunkLayer):
    """Each pixel delayed by its own number of frames: y[k, p] = x[k - delays[p], p], and 0 before the first.

    Delays are whole frames and are not fitted. Raising the largest one while running needs `clear_state()`.

    Args:
        delays: frames, at least 0; a number, or an array that broadcasts to a frame (channel, y, x).
        axes: VIDEO, or SIGNAL for (batch, time, feature), whose frames are (feature,).
    Shape: as the input.
    Raises: ParameterError, InputError for a frame that the delays do not fit, StateError.

    >>> import neurosim, torch
    >>> delay = neurosim.filters.VariableDelay([0, 1, 2], axes=neurosim.SIGNAL)
    >>> delay.run(torch.arange(1.0, 4.0)[:, None].expand(3, 3))[0][0]
    tensor([[1., 0., 0.],
            [2., 1., 0.],
            [3., 2., 1.]])
    """

    delays = Param(None, unit="frames", at_least=0.0, fit=False, doc="how much later each pixel comes out")

    def __init__(self, delays: Any = 1, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes
        self.set_delays(delays, dtype=options.get("dtype"), device=options.get("device"))

    def set_delays(self, delays: Any, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> None:
        """Sets delays of any shape that broadcasts to a frame, of the layer's own `dtype` and `device` unless others are given.
        Raises ParameterError; they are then what they were."""
        if "delays" in self._buffers:
            dtype, device = dtype or self.delays.dtype, device or self.delays.device
        made = type(self).delays.make("VariableDelay", delays, requires_grad=False, dtype=dtype, device=device)
        self._frames(made)
        self.register_buffer("delays", made)

    def _frames(self, delays: Tensor) -> Tensor:
        """The delays as int64. Raises ParameterError."""
        frames = delays.to(torch.int64)
        if not torch.equal(frames.to(delays.dtype), delays):
            raise ParameterError("VariableDelay", "delays", "must be whole numbers of frames",
                                 delays[frames.to(delays.dtype) != delays].flatten()[0].item())
        return frames

    def initial_state(self, x: Tensor) -> DelayState:
        """Nothing came before."""
        first = x.narrow(self.axes.time, 0, 1)
        return DelayState(torch.zeros_like(first).repeat_interleave(int(self.delays.max()), self.axes.time))

    def chunk(self, x: Tensor, state: DelayState) -> tuple[Tensor, DelayState]:
        """Every pixel from its own time before."""
        time, n = self.axes.time, x.shape[self.axes.time]
        same = sorted((self.axes.batch, time))  # axes along which delays are the same
        frame = tuple(size for axis, size in enumerate(x.shape) if axis not in same)
        delays = self._frames(self.delays)
        if delays.ndim > len(frame) or any(d not in (1, f) for d, f in zip(delays.shape[::-1], frame[::-1], strict=False)):
            raise InputError(f"VariableDelay: frames must fit the delays of shape {tuple(delays.shape)} (got {frame})")
        kept = state.frames.shape[time]
        if kept < int(delays.max()):
            raise StateError(f"VariableDelay: {kept} frames were kept, the largest delay is now {int(delays.max())}. Call "
                             "clear_state() before a new recording.")
        both = torch.cat([state.frames, x], time)
        when = torch.arange(kept, kept + n, device=x.device)
        delays = delays.expand(frame)
        for axis in same:
            delays = delays.unsqueeze(axis)
        when = when.reshape(-1, *(1,) * (x.ndim - time - 1)) - delays
        return both.gather(time, when.expand(x.shape)), DelayState(both.narrow(time, n, kept).clone())


class PaddingState(NamedTuple):
    """How many frames are still to be put before the next one, 0-d int64."""

    due: Tensor


class TimePadding(ChunkLayer):
    """Frames put before the first one, once per recording: what a filter without padding of its own needs.

    Args:
        length: how many frames.
        mode: "first_frame" repeats the first frame, "zeros" puts zeros.
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input, the first chunk with `length` frames more.
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim
    >>> pad = neurosim.filters.TimePadding(2, axes=neurosim.SIGNAL)
    >>> pad.run([1.0, 2.0, 3.0], dt=2)[0].flatten()
    tensor([1., 1., 1., 2., 3.])
    """

    MODES = ("first_frame", "zeros")

    def __init__(self, length: int = 1, mode: str = "first_frame", axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.length = whole("TimePadding", "length", length)
        if mode not in self.MODES:
            raise ParameterError("TimePadding", "mode", f"choose from {list(self.MODES)}", mode)
        self.mode, self.axes = mode, axes

    def initial_state(self, x: Tensor) -> PaddingState:
        """All of them."""
        return PaddingState(torch.tensor(self.length, device=x.device))

    def chunk(self, x: Tensor, state: PaddingState) -> tuple[Tensor, PaddingState]:
        """The frames that are due, then the chunk."""
        due, time = int(state.due), self.axes.time
        if not due:
            return x, state
        first = x.narrow(time, 0, 1)
        padding = (first if self.mode == "first_frame" else torch.zeros_like(first)).repeat_interleave(due, time)
        return torch.cat([padding, x], time), PaddingState(torch.zeros_like(state.due))
