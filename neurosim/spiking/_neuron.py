"""What all neurons share: they work on videos and signals, and show their potential when it is recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from ..stateful import ChunkLayer, scan


class _Neuron(ChunkLayer, ABC):
    """A neuron per pixel or feature: fill in `initial_state(x)` and `respond(x, state) -> (y, state)`.

    Each signal is a field of the state; it is the value at the end of each frame.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    """

    signals: ClassVar = {"v": "potential at the end of each frame"}

    def __init__(self, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes

    @abstractmethod
    def respond(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output for a chunk, and the state after it."""

    def chunk(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """`respond`; frame by frame while a signal is recorded."""
        wanted = [name for name in self.signals if self.wants(name)]
        if not wanted:
            return self.respond(x, state)
        time, seen = self.axes.time, []

        def step(state: Any, frame: Tensor) -> tuple[Tensor, Any]:
            y, state = self.respond(frame.unsqueeze(time), state)
            seen.append(state)
            return y.squeeze(time), state

        y, state = scan(step, state, x, time)
        for name in wanted:
            self.emit(name, torch.stack([getattr(one, name) for one in seen], time))
        return y, state
