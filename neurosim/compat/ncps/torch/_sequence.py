"""What LTC and CfC of ncps do alike: batches and their layouts, states in and out, one step and many."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...._errors import InputError, StateError
from ....functional.timespans import elapsed
from ....kernels._op import is_batched
from ....liquid._base import Cell
from .lstm import LSTMCell

State = Tensor | tuple[Tensor, Tensor]


class StepCell(Protocol):
    """What the cells of ncps have in common."""

    @property
    def state_size(self) -> int:
        """Number of neurons."""

    @property
    def sensory_size(self) -> int | None:
        """Number of inputs."""

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""

    def _compute_dtype(self, x: Tensor) -> torch.dtype:
        """What it computes in for this input. Raises InputError."""


class Sequence(nn.Module):
    """A cell over sequences: fill in `state_size` and `bound`."""

    batch_first: bool
    return_sequences: bool
    use_mixed: bool
    input_size: int
    state_size: int
    rnn_cell: Any
    lstm: LSTMCell

    @abstractmethod
    def bound(self) -> Cell:
        """The cell with its weights."""

    def forward(self, input: Tensor, hx: Any = None, timespans: Any = None) -> tuple[Tensor, State]:
        """Outputs, and the state after the last step.

        Args:
            input: (time, features), or (batch, time, features), or (time, batch, features) with batch_first=False.
            hx: (batch, units) or (units,), zero without it; with mixed memory a pair of them.
            timespans: seconds of each step: a number, (time,), or the layout of the input with or without a last axis,
                along which they must be the same.
        Returns: outputs in the layout of the input (the last one alone with return_sequences=False), state.
        Raises: InputError, StateError (a RuntimeError).
        """
        where = type(self).__name__
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            raise InputError(f"{where}: the input must be (time, {self.input_size}), or with a batch "
                             f"{'(batch, time' if self.batch_first else '(time, batch'}, {self.input_size}) "
                             f"(got shape {tuple(input.shape)})")
        batched = input.dim() == 3
        x = input if batched else input[None]
        if batched and not self.batch_first:
            x = x.transpose(0, 1)
        x = x.to(same_dtype(x, self.lstm.input_map.weight, where) if self.use_mixed else self.rnn_cell._compute_dtype(x))
        h, c = self._states(hx, x, batched)
        spans = self._timespans(timespans, x, batched)
        hs, y, cs = self.bound()(x, h, c, spans)
        if not x.shape[1] and not self.return_sequences:
            raise InputError(f"{where}: the last output of a sequence without steps is asked for")
        if x.shape[1]:
            h, c = hs[:, -1].clone(), None if c is None or cs is None else cs[:, -1].clone()
        if not self.return_sequences:
            y = y[:, -1]
        elif batched and not self.batch_first:
            y = y.transpose(0, 1)
        if not batched:
            y, h, c = y[0], h[0], None if c is None else c[0]
        y = y.contiguous()  # scripts call view
        return y, h if c is None else (h, c)

    def _states(self, hx: Any, x: Tensor, batched: bool) -> tuple[Tensor, Tensor | None]:
        if hx is None:
            zero = x.new_zeros(x.shape[0], self.state_size)
            return zero, zero if self.use_mixed else None
        where = type(self).__name__
        if self.use_mixed != isinstance(hx, tuple | list):
            raise StateError(f"{where}.hx: must be {'a pair (h, c)' if self.use_mixed else 'a tensor'} with "
                             f"mixed_memory={self.use_mixed} (got {type(hx).__name__})")
        states = list(hx) if self.use_mixed else [hx]
        shape = (x.shape[0], self.state_size)
        for state in states:
            if tuple(state.shape) not in ((shape, (1, shape[1])) if batched else (shape[1:],)):
                raise StateError(f"{where}.hx: must have the shape {shape if batched else shape[1:]} "
                                 f"(got {tuple(state.shape)})")
        states = [(state if batched else state[None]).to(x.dtype).expand(shape) for state in states]
        return states[0], states[1] if self.use_mixed else None

    def _timespans(self, timespans: Any, x: Tensor, batched: bool) -> Tensor:
        if isinstance(timespans, Tensor) and timespans.dim() == x.dim() - (not batched):
            timespans = same_along_last(timespans, type(self).__name__)
        return elapsed(timespans, x.shape[0], x.shape[1], x, type(self).__name__, batch_first=self.batch_first or not batched)


def one_step(cell: StepCell, x: Tensor, states: Tensor, timespans: Any) -> tuple[Tensor, Tensor]:
    """Output and state (batch, units) after a step of a cell. Raises InputError.

    Args:
        x: (batch, inputs).
        states: (batch, units), or one row for all.
        timespans: seconds that pass, a number, or one for each row, (batch,), (batch, 1) or the same along (batch, n).
    """
    where = type(cell).__name__
    for what, value, size in (("input", x, cell.sensory_size), ("state", states, cell.state_size)):
        if value.dim() != 2 or value.shape[1] != size:
            raise InputError(f"{where}: the {what} must be (batch, {size}) (got shape {tuple(value.shape)})")
    x = x.to(cell._compute_dtype(x))
    if isinstance(timespans, Tensor) and timespans.dim():
        if timespans.dim() == 2:
            timespans = same_along_last(timespans, where)
        timespans = timespans[:, None] if timespans.shape[0] == x.shape[0] else timespans
    spans = elapsed(timespans, x.shape[0], 1, x, where)
    hs, ys, _ = cell.bound()(x[:, None], states.to(x.dtype).expand(x.shape[0], -1), None, spans)
    return ys[:, 0], hs[:, 0]


def same_along_last(timespans: Tensor, where: str) -> Tensor:
    """Time spans that were repeated for every neuron, once. Raises InputError when they differ."""
    once = timespans[..., :1]
    if (timespans.shape[-1] > 1 and not torch.compiler.is_compiling() and not is_batched(timespans)
            and not bool((timespans == once).all())):
        raise InputError(f"{where}.timespans: must be the same for all neurons; each step of a sequence takes one time "
                         f"(got {tuple(timespans.shape)} with values that differ along the last axis)")
    return once[..., 0]


def same_dtype(x: Tensor, weight: Tensor, where: str) -> torch.dtype:
    """The dtype of the weights. Raises InputError for an input of another floating type."""
    if x.is_floating_point() and x.dtype != weight.dtype:
        raise InputError(f"{where}: computes in {weight.dtype}, the input is {x.dtype}; convert one of them with .to()")
    return weight.dtype
