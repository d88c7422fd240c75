"""CfCCell of ncps: the same names, arguments and state_dict, computed by `functional.cfc`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...._errors import ParameterError
from ....functional.cfc import CfCParams, Linear, cfc_network
from ....functional.memory import LSTMWeights
from ....kernels.cfc import ACTIVATIONS, MODES
from ....liquid._base import Cell
from ....liquid._start import cfc_start
from ._sequence import one_step, same_dtype
from .lstm import linear


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
    ff1: nn.Linear

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
        mask = None if sparsity_mask is None else torch.tensor(
            np.ascontiguousarray(np.abs(np.asarray(sparsity_mask).T)), dtype=torch.float32)
        self.register_buffer("sparsity_mask", mask)
        # ncps has the activations, and from the second layer on dropout, between the layers of one Sequential.
        stride = 3 if self.dropout > 0 else 2
        self._names = [str(0 if layer == 0 else 2 + (layer - 1) * stride) for layer in range(backbone_layers)]
        self.backbone = nn.ModuleDict({name: linear(*values) for name, values in zip(self._names, linears, strict=False)}) \
            if backbone_layers else None
        for name, values in zip(heads, linears[backbone_layers:], strict=True):
            self.add_module(name, linear(*values))
        self._heads = heads
        if mode == "pure":
            self.w_tau, self.A = nn.Parameter(pure[:1]), nn.Parameter(pure[1:].clone())

    def params(self) -> CfCParams:
        """Weights as `functional.cfc` takes them."""
        def values(part: Any, mask: Tensor | None = None) -> Linear:
            return Linear(part.weight if mask is None else part.weight * mask, part.bias)

        backbone = tuple(values(self.backbone[name]) for name in self._names) if self.backbone is not None else ()
        heads = tuple(values(getattr(self, name), self.sparsity_mask if name.startswith("ff") else None)
                      for name in self._heads)
        return CfCParams(backbone, heads, self.w_tau[0], self.A[0]) if self.mode == "pure" else CfCParams(backbone, heads)

    def bound(self, memory: LSTMWeights | None = None) -> Cell:
        """The cell with its parameters as they are now, after an LSTM with the weights `memory`."""
        p = self.params()
        width = sum(len(layer.bias) for layer in p.backbone) if self.training and self.dropout > 0 else 0

        def cell(x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            drop = nn.functional.dropout(x.new_ones(*x.shape[:2], width), self.dropout) if width else None
            hs, cs = cfc_network((p,), h, x, timespans, mode=self.mode, activation=self._activation, memory=memory, c=c,
                                 drop=drop)
            return hs, hs, cs

        return cell

    def forward(self, input: Tensor, hx: Tensor, ts: Any) -> tuple[Tensor, Tensor]:
        """The new state, twice: as output and as state; ts a number or one for each row."""
        return one_step(self, input, hx, ts)

    @property
    def state_size(self) -> int:
        """Number of units."""
        return self.hidden_size

    @property
    def sensory_size(self) -> int:
        """Number of inputs."""
        return self.input_size

    def _compute_dtype(self, x: Tensor) -> torch.dtype:
        """What the cell computes in, that of its weights. Raises InputError."""
        return same_dtype(x, self.ff1.weight, "CfC")

    def extra_repr(self) -> str:
        """Sizes, for `repr`."""
        return f"{self.input_size} inputs, {self.hidden_size} units, mode={self.mode!r}"
