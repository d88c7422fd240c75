"""WiredCfCCell of ncps: the same names, arguments and state_dict, computed by `functional.cfc`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...._errors import ParameterError
from ....functional.cfc import cfc_network
from ....functional.memory import LSTMWeights
from ....liquid._base import Cell
from .. import wirings
from ._sequence import one_step, same_dtype
from ._wired import Wired
from .cfc_cell import CfCCell


class WiredCfCCell(Wired, nn.Module):
    """One step of CfC cells in the layers of a wiring, each fed by the one before.

    Args:
        input_size: number of inputs, unless the wiring is built.
        wiring: of `neurosim.compat.ncps.wirings`.
        mode: as for `CfCCell`.
    Shape: input (batch, features), hx (batch, units) to the state of the last layer and of all layers.
    Raises: ParameterError.

    >>> cell = WiredCfCCell(3, wirings.AutoNCP(16, 4))
    >>> cell.num_layers, cell.layer_sizes, cell.state_size, cell.output_size == cell.motor_size, cell.sensory_size
    (3, [8, 4, 4], 16, True, 3)
    >>> cell.synapse_count > cell.sensory_synapse_count
    True
    """

    def __init__(self, input_size: int | None, wiring: wirings.Wiring, mode: str = "default") -> None:
        super().__init__()
        if input_size is not None:
            wiring.build(input_size)
        if not wiring.is_built():
            raise ParameterError("WiredCfCCell", "input_size", "unknown number of inputs; pass it or call wiring.build()")
        self._wiring, self.mode = wiring, mode
        before, matrix = None, wiring.sensory_adjacency_matrix
        assert matrix is not None
        for layer in range(wiring.num_layers):
            neurons = wiring.get_neurons_of_layer(layer)
            mask = (matrix if before is None else wiring.adjacency_matrix[before])[:, neurons]
            whole = np.concatenate([mask, np.ones((len(neurons), len(neurons)))])
            self.add_module(f"layer_{layer}", CfCCell(mask.shape[0], len(neurons), mode, backbone_layers=0, backbone_units=0,
                                                      sparsity_mask=whole))
            before = neurons

    @property
    def state_size(self) -> int:
        """Number of neurons."""
        return self._wiring.units

    @property
    def layer_sizes(self) -> list[int]:
        """Number of neurons of each layer."""
        return [len(self._wiring.get_neurons_of_layer(layer)) for layer in range(self._wiring.num_layers)]

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return self._wiring.num_layers

    @property
    def motor_size(self) -> int | None:
        """Number of outputs of the wiring."""
        return self._wiring.output_dim

    def bound(self, memory: LSTMWeights | None = None) -> Cell:
        """The cells with their parameters as they are now, after an LSTM with the weights `memory`."""
        cells = [getattr(self, f"layer_{layer}").params() for layer in range(self.num_layers)]

        last = self.layer_sizes[-1]

        def cell(x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            hs, cs = cfc_network(cells, h, x, timespans, mode=self.mode, memory=memory, c=c)
            return hs, hs[:, :, -last:], cs

        return cell

    def forward(self, input: Tensor, hx: Tensor, timespans: Any) -> tuple[Tensor, Tensor]:
        """State of the last layer, and of all layers side by side."""
        return one_step(self, input, hx, timespans)

    def _compute_dtype(self, x: Tensor) -> torch.dtype:
        """What the cells compute in, that of their weights. Raises InputError."""
        return same_dtype(x, next(self.parameters()), "CfC")

    def extra_repr(self) -> str:
        """Sizes, for `repr`."""
        return f"{self.sensory_size} inputs, layers of {self.layer_sizes} units, mode={self.mode!r}"
