"""CfC of ncps: the same names, arguments and state_dict, computed by `functional.cfc`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...._errors import ParameterError
from ....functional.cfc import CfCParams, CfCState, Linear, cfc_scan, wired_cfc_scan
from ....functional.timespans import elapsed
from ....kernels.cfc import ACTIVATIONS, MODES
from ....liquid._dropout import with_dropout
from ....liquid._scan import Cell
from ....liquid._start import cfc_start, linear_start
from .. import wirings
from ._sequence import LSTMCell, Sequence, per_row


class _Affine(nn.Module):
    """Weight and bias of an affine map."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """weight x + bias."""
        return nn.functional.linear(x, self.weight, self.bias)


class CfCCell(nn.Module):
    """One step of a closed-form continuous-time cell; see `functional.cfc.cfc_scan` for the equations.

    Dropout acts after every layer of the backbone (ncps leaves out the first).

    Args:
        input_size, hidden_size: numbers of inputs and of units.
        mode: "default", "no_gate" or "pure".
        backbone_activation: "lecun_tanh", "silu", "relu", "tanh" or "gelu".
        backbone_units, backbone_layers, backbone_dropout: as for `neurosim.liquid.CfC`.
        sparsity_mask: (hidden_size, inputs of the heads), 0 where there is no weight.
    Shape: input (batch, features), hx (batch, units) to the new state, twice.
    Raises: ParameterError.

    >>> cell = CfCCell(3, 5, backbone_layers=0)
    >>> cell(torch.ones(2, 3), torch.zeros(2, 5), 0.1)[0].shape, type(cell.params()).__name__
    (torch.Size([2, 5]), 'CfCParams')
    """

    sparsity_mask: Tensor | None

    def __init__(self, input_size: int, hidden_size: int, mode: str = "default", backbone_activation: str = "lecun_tanh",
                 backbone_units: int = 128, backbone_layers: int = 1, backbone_dropout: float = 0.0,
                 sparsity_mask: Any = None) -> None:
        super().__init__()
        if mode not in MODES:
            raise ParameterError("CfCCell", "mode", f"choose from {list(MODES)}", mode)
        if backbone_activation not in ACTIVATIONS:
            raise ParameterError("CfCCell", "backbone_activation", f"choose from {list(ACTIVATIONS)}", backbone_activation)
        self.input_size, self.hidden_size, self.mode = input_size, hidden_size, mode
        self.backbone_layers, self.dropout = backbone_layers, float(backbone_dropout)
        self._activation = backbone_activation
        heads = ("ff1",) if mode == "pure" else ("ff1", "ff2", "time_a", "time_b")
        linears, pure = cfc_start(input_size, hidden_size, backbone_units, backbone_layers, len(heads),
                                  torch.default_generator)
        mask = None if sparsity_mask is None else torch.tensor(np.abs(np.asarray(sparsity_mask).T), dtype=torch.float32)
        self.register_buffer("sparsity_mask", mask)
        # ncps has the activations, and from the second layer on dropout, between the layers of one Sequential.
        stride = 3 if self.dropout > 0 else 2
        self._names = [str(0 if layer == 0 else 2 + (layer - 1) * stride) for layer in range(backbone_layers)]
        self.backbone = nn.ModuleDict({name: _Affine(*linear) for name, linear in zip(self._names, linears, strict=False)}) \
            if backbone_layers else None
        for name, linear in zip(heads, linears[backbone_layers:], strict=True):
            self.add_module(name, _Affine(*linear))
        self._heads = heads
        if mode == "pure":
            self.w_tau, self.A = nn.Parameter(pure[:1]), nn.Parameter(pure[1:].clone())

    def params(self) -> CfCParams:
        """Weights as `functional.cfc` takes them."""
        def linear(part: Any, mask: Tensor | None = None) -> Linear:
            return Linear(part.weight if mask is None else part.weight * mask, part.bias)

        backbone = tuple(linear(self.backbone[name]) for name in self._names) if self.backbone is not None else ()
        heads = tuple(linear(getattr(self, name), self.sparsity_mask if name.startswith("ff") else None)
                      for name in self._heads)
        return CfCParams(backbone, heads, self.w_tau[0], self.A[0]) if self.mode == "pure" else CfCParams(backbone, heads)

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        p = self.params()
        if self.training and self.dropout > 0 and self.backbone_layers:
            return with_dropout(p, self.mode, self._activation, lambda z, step, layer: nn.functional.dropout(z, self.dropout))

        def cell(x: Tensor, h: Tensor, timespans: Tensor) -> Tensor:
            return cfc_scan(p, CfCState(h), x, timespans, mode=self.mode, activation=self._activation)[0]

        return cell

    def forward(self, input: Tensor, hx: Tensor, ts: Any) -> tuple[Tensor, Tensor]:
        """The new state, twice: as output and as state; ts a number or one for each row."""
        spans = elapsed(per_row(ts, input), input.shape[0], 1, input, "CfCCell")
        h = self.bound()(input[:, None], hx, spans)[:, 0]
        return h, h


class WiredCfCCell(nn.Module):
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
    def sensory_size(self) -> int | None:
        """Number of inputs."""
        return self._wiring.input_dim

    @property
    def motor_size(self) -> int | None:
        """Number of outputs of the wiring."""
        return self._wiring.output_dim

    @property
    def output_size(self) -> int | None:
        """Number of outputs of the wiring."""
        return self._wiring.output_dim

    @property
    def synapse_count(self) -> int:
        """Number of synapses between neurons."""
        return self._wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return self._wiring.sensory_synapse_count

    def bound(self) -> Cell:
        """The cells with their parameters as they are now."""
        cells = [getattr(self, f"layer_{layer}").params() for layer in range(self.num_layers)]

        def cell(x: Tensor, h: Tensor, timespans: Tensor) -> Tensor:
            return wired_cfc_scan(cells, CfCState(h), x, timespans, mode=self.mode)[0]

        return cell

    def read(self, states: Tensor) -> Tensor:
        """The state of the last layer, from `states` (..., units)."""
        return states[..., -self.layer_sizes[-1]:]

    def forward(self, input: Tensor, hx: Tensor, timespans: Any) -> tuple[Tensor, Tensor]:
        """State of the last layer, and of all layers side by side."""
        spans = elapsed(per_row(timespans, input), input.shape[0], 1, input, "WiredCfCCell")
        h = self.bound()(input[:, None], hx, spans)[:, 0]
        return self.read(h), h


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
        self.fc = nn.Identity() if proj_size is None else _Affine(
            *linear_start(proj_size, self.output_size, torch.default_generator))

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        return self.rnn_cell.bound()

    def read(self, states: Tensor) -> Tensor:
        """The projected states; those of the last layer in a wired network."""
        return self.fc(self.rnn_cell.read(states) if isinstance(self.rnn_cell, WiredCfCCell) else states)
