"""What LTC and CfC of ncps do alike: batches and their layouts, states in and out, the LSTM of mixed memory."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ...._errors import InputError, StateError
from ....functional.timespans import elapsed
from ....liquid._scan import Cell, scan_cell
from ....liquid._start import memory_start

State = Tensor | tuple[Tensor, Tensor]


class LSTMCell(nn.Module):
    """Weights of the LSTM of mixed memory, by the names of ncps."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        weight, bias, recurrent = memory_start(input_size, hidden_size, torch.default_generator)
        self.input_map, self.recurrent_map = nn.Module(), nn.Module()
        self.input_map.weight, self.input_map.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.recurrent_map.weight = nn.Parameter(recurrent)

    def weights(self) -> tuple[Any, Any, Any]:
        """As `functional.memory.lstm_step` takes them."""
        return self.input_map.weight, self.input_map.bias, self.recurrent_map.weight


class Sequence(nn.Module):
    """A cell over sequences: fill in `state_size`, `bound` and `read`."""

    batch_first: bool
    return_sequences: bool
    use_mixed: bool
    state_size: int
    lstm: LSTMCell

    @abstractmethod
    def bound(self) -> Cell:
        """The cell with its weights."""

    @abstractmethod
    def read(self, states: Tensor) -> Tensor:
        """The outputs from the states after every step."""

    def forward(self, input: Tensor, hx: Any = None, timespans: Any = None) -> tuple[Tensor, State]:
        """Outputs, and the state after the last step.

        Args:
            input: (time, features), or (batch, time, features), or (time, batch, features) with batch_first=False.
            hx: (batch, units) or (units,), zero without it; with mixed memory a pair of them.
            timespans: seconds of each step: a number, (time,), or the layout of the input without or with one feature.
        Returns: outputs in the layout of the input (the last one alone with return_sequences=False), state.
        Raises: InputError, StateError (a RuntimeError).
        """
        batched = input.dim() == 3
        x = input if batched else input[None]
        if batched and not self.batch_first:
            x = x.transpose(0, 1)
        h, c = self._states(hx, x, batched)
        spans = self._timespans(timespans, x, batched)
        hs, cs = scan_cell(self.bound(), self.lstm.weights() if self.use_mixed else None, x, h, c, spans)
        if not x.shape[1] and not self.return_sequences:
            raise InputError(f"{type(self).__name__}: the last output of a sequence without steps is asked for")
        if x.shape[1]:
            h, c = hs[:, -1].clone(), c if cs is None else cs[:, -1].clone()
        y = self.read(hs if self.return_sequences else hs[:, -1:])
        if not self.return_sequences:
            y = y[:, 0]
        elif batched and not self.batch_first:
            y = y.transpose(0, 1)
        if not batched:
            y, h, c = y[0], h[0], None if c is None else c[0]
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
            if tuple(state.shape) != (shape if batched else shape[1:]):
                raise StateError(f"{where}.hx: must have the shape {shape if batched else shape[1:]} "
                                 f"(got {tuple(state.shape)})")
        states = [state.to(x.dtype) if batched else state[None].to(x.dtype) for state in states]
        return states[0], states[1] if self.use_mixed else None

    def _timespans(self, timespans: Any, x: Tensor, batched: bool) -> Tensor:
        if isinstance(timespans, Tensor):
            if not batched and timespans.dim() == 2:  # (time, 1)
                timespans = timespans[:, 0]
            if batched and timespans.dim() == 3 and timespans.shape[2] == 1:
                timespans = timespans[:, :, 0]
            if batched and timespans.dim() == 2 and not self.batch_first:
                timespans = timespans.transpose(0, 1)
        return elapsed(timespans, x.shape[0], x.shape[1], x, type(self).__name__)


def per_row(ts: Any, x: Tensor) -> Any:
    """Elapsed time as a cell takes it, a number, 0-d, (batch,) or (batch, 1), as (batch, 1) or a number."""
    return ts.reshape(-1, 1) if isinstance(ts, Tensor) and ts.numel() == x.shape[0] and ts.dim() else ts
