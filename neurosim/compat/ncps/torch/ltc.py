"""LTC of ncps: the same names, arguments and state_dict."""

from __future__ import annotations

from typing import Any

from ....liquid._base import Cell
from .. import wirings
from ._sequence import Sequence
from ._wired import Wired
from .lstm import LSTMCell
from .ltc_cell import LTCCell


class LTC(Wired, Sequence):
    """LTC network over sequences, with the arguments of `ncps.torch.LTC`; see `Sequence.forward`.

    Args:
        input_size: number of features.
        units: a wiring of `neurosim.compat.ncps.wirings`, or a number of units, then fully connected.
        return_sequences: all outputs, or the last one alone.
        batch_first: (batch, time, features), or (time, batch, features).
        mixed_memory: an LSTM in front of the network.
        input_mapping, output_mapping, ode_unfolds, epsilon, implicit_param_constraints: as for `LTCCell`.
    Shape: as the input, (batch, time, features) to (batch, time, outputs), and the state (batch, units).
    Raises: ParameterError, InputError, StateError.

    >>> import torch
    >>> ltc = LTC(3, wirings.AutoNCP(16, 4))
    >>> y, hx = ltc(torch.ones(2, 10, 3))
    >>> y.shape, hx.shape
    (torch.Size([2, 10, 4]), torch.Size([2, 16]))
    """

    rnn_cell: LTCCell

    def __init__(self, input_size: int, units: Any, return_sequences: bool = True, batch_first: bool = True,
                 mixed_memory: bool = False, input_mapping: str | None = "affine", output_mapping: str | None = "affine",
                 ode_unfolds: int = 6, epsilon: float = 1e-8, implicit_param_constraints: bool = True) -> None:
        super().__init__()
        self.input_size, self.wiring_or_units = input_size, units
        self.batch_first, self.return_sequences = batch_first, return_sequences
        wiring = units if isinstance(units, wirings.Wiring) else wirings.FullyConnected(units)
        self.rnn_cell = LTCCell(wiring, input_size, input_mapping, output_mapping, ode_unfolds, epsilon,
                                implicit_param_constraints)
        self._wiring, self.use_mixed = wiring, mixed_memory
        self.state_size = wiring.units
        if mixed_memory:
            self.lstm = LSTMCell(input_size, wiring.units)

    @property
    def motor_size(self) -> int:
        """Number of outputs."""
        return self.rnn_cell.motor_size

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        return self.rnn_cell.bound(self.lstm.weights() if self.use_mixed else None)
