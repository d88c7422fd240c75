"""Delays by whole frames."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from ..stateful import ChunkLayer
from ..streams.base import whole


class DelayState(NamedTuple):
    """The frames that are still to come out, with the axes of a chunk."""

    frames: Tensor


class Delay(ChunkLayer):
    """The input some frames later: y[k] = x[k - frames], and 0 before the first.

    Args:
        frames: how many frames later, 0 or more.
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input.
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, torch
    >>> delay = neurosim.filters.Delay(2, axes=neurosim.SIGNAL)
    >>> delay.run(torch.arange(1.0, 6.0), dt=2)[0].flatten()
    tensor([0., 0., 1., 2., 3.])
    """

    def __init__(self, frames: int = 1, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.frames = whole("Delay", "frames", frames)
        self.axes = axes

    def initial_state(self, x: Tensor) -> DelayState:
        """Nothing came before."""
        first = x.narrow(self.axes.time, 0, 1)
        return DelayState(torch.zeros_like(first).repeat_interleave(self.frames, self.axes.time))

    def chunk(self, x: Tensor, state: DelayState) -> tuple[Tensor, DelayState]:
        """What waits, then the chunk; as many frames as came in go out."""
        time = self.axes.time
        both = torch.cat([state.frames, x], time)
        return both.narrow(time, 0, x.shape[time]), DelayState(both.narrow(time, x.shape[time], self.frames).clone())
