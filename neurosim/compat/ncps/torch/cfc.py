"""CfC of ncps: the same names, arguments and state_dict."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...._errors import ParameterError
from ....liquid._base import Cell
from ....liquid._start import linear_start
from .. import wirings
from ._sequence import Sequence
from .cfc_cell import CfCCell
from .lstm import LSTMCell, linear
from .wired_cfc_cell import WiredCfCCell


class CfC(Sequence):
    """CfC network over sequences, with the arguments of `ncps.torch.CfC`; see `Sequence.forward`.

    Args:
        input_size: number of features.
        units: number of units, or a wiring of `neurosim.compat.ncps.wirings`.
        proj_size: number of outputs of an affine map after the network.
        return_sequences, batch_first, mixed_memory: as for `LTC`.
        mode, backbone_units, backbone_layers, backbone_dropout: as for `CfCCell`.
        activation: its `backbone_activation`.
    Shape: as the input, (batch, time, features) to (batch, time, outputs), and the state (batch, units).
    Raises: ParameterError, InputError, StateError.

    >>> cfc = CfC(3, 20, proj_size=2)
    >>> y, hx = cfc(torch.ones(2, 10, 3))
    >>> y.shape, hx.shape
    (torch.Size([2, 10, 2]), torch.Size([2, 20]))
    """

    rnn_cell: CfCCell | WiredCfCCell

    def __init__(self, input_size: int, units: Any, proj_size: int | None = None, return_sequences: bool = True,
                 batch_first: bool = True, mixed_memory: bool = False, mode: str = "default",
                 activation: str = "lecun_tanh", backbone_units: int | None = None, backbone_layers: int | None = None,
                 backbone_dropout: float | None = None) -> None:
        super().__init__()
        self.input_size, self.wiring_or_units, self.proj_size = input_size, units, proj_size
        self.batch_first, self.return_sequences, self.use_mixed = batch_first, return_sequences, mixed_memory
        if isinstance(units, wirings.Wiring):
            for name, value in (("backbone_units", backbone_units), ("backbone_layers", backbone_layers),
                                ("backbone_dropout", backbone_dropout)):
                if value is not None:
                    raise ParameterError("CfC", name, "a wired CfC has no backbone", value)
            self.wired_mode, self.wiring = True, units
            self.rnn_cell = WiredCfCCell(input_size, units, mode)
            self.state_size, self.output_size = units.units, self.rnn_cell.layer_sizes[-1]
        else:
            self.wired_mode = False
            self.rnn_cell = CfCCell(input_size, units, mode, activation, 128 if backbone_units is None else backbone_units,
                                    1 if backbone_layers is None else backbone_layers,
                                    0.0 if backbone_dropout is None else backbone_dropout)
            self.state_size = self.output_size = units
        if mixed_memory:
            self.lstm = LSTMCell(input_size, self.state_size)
        self.fc = nn.Identity() if proj_size is None else linear(
            *linear_start(proj_size, self.output_size, torch.default_generator))

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        states = self.rnn_cell.bound(self.lstm.weights() if self.use_mixed else None)

        def cell(x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            hs, ys, cs = states(x, h, c, timespans)
            return hs, self.fc(ys), cs

        return cell
