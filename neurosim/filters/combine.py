"""Sums over an axis and differences over time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from .._errors import ParameterError
from ..layer import Layer
from ..stateful import ChunkLayer


class Sum(Layer):
    """The sum over one axis, or over several, which stay with length 1.

    Outputs of several layers are added by `models.Parallel(..., join="sum")`.

    Args:
        over: name of an axis, or a tuple of names: "channel", "y", "x" of videos, "feature" of signals.
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input, with length 1 where it was summed.
    Raises: ParameterError, InputError.

    >>> import neurosim, torch
    >>> neurosim.filters.Sum(("y", "x"))(torch.ones(10, 4, 5)).shape
    torch.Size([1, 1, 10, 1, 1])
    """

    def __init__(self, over: str | tuple[str, ...] = "channel", axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes
        self.over = (over,) if isinstance(over, str) else tuple(over)
        known = [name for name in axes.names if name not in ("batch", "time")]
        if not self.over or any(name not in known for name in self.over):
            raise ParameterError("Sum", "over", f"choose from {known}", over)

    def forward(self, x: Tensor) -> Tensor:
        """The sum, with as many axes as `x`."""
        return x.sum([self.axes.names.index(name) for name in self.over], keepdim=True)


class DiffState(NamedTuple):
    """The last frame, with a time axis of length 1."""

    last: Tensor


class Diff(ChunkLayer):
    """The change from frame to frame: y[k] = x[k] - x[k-1], and 0 for the first.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input.
    Raises: InputError, StateError.

    >>> import neurosim
    >>> neurosim.filters.Diff(neurosim.SIGNAL).run([1.0, 3.0, 2.0], dt=2)[0].flatten()
    tensor([ 0.,  2., -1.])
    """

    def __init__(self, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes

    def initial_state(self, x: Tensor) -> DiffState:
        """The first frame was there before."""
        return DiffState(x.narrow(self.axes.time, 0, 1).clone())

    def chunk(self, x: Tensor, state: DiffState) -> tuple[Tensor, DiffState]:
        """Every frame less the one before it."""
        time, n = self.axes.time, x.shape[self.axes.time]
        before = torch.cat([state.last, x.narrow(time, 0, n - 1)], time)
        return x - before, DiffState(x.narrow(time, n - 1, 1).clone())
