"""Closed-form continuous-time networks as a layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._errors import ParameterError
from ..functional.cfc import CfCParams, CfCState, Linear, cfc_network
from ..functional.memory import LSTMState
from ..kernels.affine import affine
from ..kernels.cfc import ACTIVATIONS, MODES
from ..kernels.random import DROPOUT, uniforms
from ._base import Cell, _Liquid, wired
from ._start import cfc_start, linear_start
from .recipes import Recipe
from .wirings import Wiring

HEADS = ("f1", "f2", "time_a", "time_b")
RECURRENT = ("dense", "wiring")


class DropoutState(NamedTuple):
    """State of a network with dropout: `h`, and `c` of mixed memory (else empty), (batch, units); number of the next `frame`
    and the seed `key` of what is dropped, int64 0-d."""

    h: Tensor
    c: Tensor
    frame: Tensor
    key: Tensor


class _Affine(nn.Module):
    """Weight and bias of an affine map; the mask says which weights there are, where not all are."""

    mask: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor, mask: Tensor | None = None) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.register_buffer("mask", mask, persistent=False)

    def linear(self) -> Linear:
        """As `functional.cfc` takes it."""
        return Linear(self.weight if self.mask is None else self.weight * self.mask, self.bias)

    def extra_repr(self) -> str:
        """Sizes, for `repr`."""
        return "{1} to {0}".format(*self.weight.shape)


class _Weights(nn.Module):
    """Weights of one cell."""

    def __init__(self, inputs: int, units: int, width: int, depth: int, pure: bool, mask: Tensor | None,
                 generator: torch.Generator) -> None:
        super().__init__()
        heads = HEADS[:1] if pure else HEADS
        linears, _ = cfc_start(inputs, units, width, depth, len(heads), generator)
        self.backbone = nn.ModuleList([_Affine(*linear) for linear in linears[:depth]])
        for name, linear in zip(heads, linears[depth:], strict=True):
            self.add_module(name, _Affine(*linear, mask if name in ("f1", "f2") else None))
        self.heads = heads
        if pure:
            self.w_tau, self.a = nn.Parameter(torch.zeros(units)), nn.Parameter(torch.ones(units))

    def params(self) -> CfCParams:
        """As `functional.cfc` takes them."""
        backbone = tuple(layer.linear() for layer in self.backbone)  # type: ignore[operator]
        heads = tuple(getattr(self, name).linear() for name in self.heads)
        return CfCParams(backbone, heads, self.w_tau, self.a) if len(heads) == 1 else CfCParams(backbone, heads)


class CfC(_Liquid):
    """Closed-form continuous-time network: the solution of a liquid neuron approximated by three small networks.

    With z the backbone of input and state, s the logistic function and dt the time span of the step,
    s = s(a(z) dt + b(z)) and h' = tanh f1(z) (1 - s) + tanh f2(z) s; see `functional.cfc.cfc_scan` for the other modes.
    A step of 0 s does change the state: it enters through z only.

    Args:
        inputs: number of input features.
        wiring: number of units; or a wiring or recipe: then there is a cell without backbone for each layer of the wiring,
            fed by the one before, whose weights f1 and f2 from below follow the wiring.
        proj_size: number of outputs of an affine map after the network.
        mode: "default", "no_gate" or "pure".
        activation: of the backbone: "lecun_tanh", "silu", "relu", "tanh" or "gelu".
        backbone_units, backbone_layers: its width and depth; 128 and 1 without a wiring.
        backbone_dropout: probability with which each activation of the backbone is dropped at a step, while the layer is in
            training mode (`layer.train()`, as it is made). What is dropped follows from seed, step and batch entry alone.
        recurrent: "dense", every neuron of a layer to every one as in ncps; or "wiring", along the wiring and onto itself.
        mixed_memory, batch_first, seed: as for `LTC`. The values are those of ncps after torch.manual_seed(seed);
            in mode pure w_tau starts at 0 and a at 1.
        resolution, dtype, device: as for `Layer`.
    Shape: signal (batch, time, inputs) to (batch, time, proj_size, or units of the last layer), or without a batch as for
        `LTC`. At rest h = 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Hasani et al., Closed-form continuous-time neural networks, Nature Machine Intelligence 2022.

    >>> import neurosim, torch
    >>> cfc = neurosim.liquid.CfC(3, 20, proj_size=2)
    >>> cfc(torch.ones(4, 10, 3), timespans=torch.rand(4, 10)).shape
    torch.Size([4, 10, 2])
    """

    state_type = CfCState

    def __init__(self, inputs: int, wiring: Wiring | Recipe | int, *, proj_size: int | None = None, mode: str = "default",
                 activation: str = "lecun_tanh", backbone_units: int | None = None, backbone_layers: int | None = None,
                 backbone_dropout: float | None = None, recurrent: str = "dense", mixed_memory: bool = False,
                 batch_first: bool = True, seed: int = 0, resolution: Any = None, dtype: torch.dtype | None = None,
                 device: Any = None) -> None:
        made = None if isinstance(wiring, int) else wired(wiring, inputs, "CfC")
        units = made.units if made is not None else int(wiring)  # type: ignore[arg-type]
        if inputs < 1 or units < 1:
            raise ParameterError("CfC", "inputs" if inputs < 1 else "wiring", "must be at least 1", min(inputs, units))
        super().__init__(inputs, units, made, mixed_memory, batch_first, resolution=resolution)
        for name, choice, choices in (("mode", mode, MODES), ("activation", activation, ACTIVATIONS),
                                      ("recurrent", recurrent, RECURRENT)):
            if choice not in choices:
                raise ParameterError("CfC", name, f"choose from {list(choices)}", choice)
        if made is None and recurrent == "wiring":
            raise ParameterError("CfC", "recurrent", "needs a wiring to follow", recurrent)
        for name, value in (("backbone_units", backbone_units), ("backbone_layers", backbone_layers),
                            ("backbone_dropout", backbone_dropout)):
            if made is not None and value is not None:
                raise ParameterError("CfC", name, "a wired network has no backbone", value)
        self.dropout = 0.0 if backbone_dropout is None else float(backbone_dropout)
        if not 0 <= self.dropout < 1 or (self.dropout and backbone_layers == 0):
            raise ParameterError("CfC", "backbone_dropout", "must lie in [0, 1), and needs a backbone", backbone_dropout)
        self.mode, self.activation, self.recurrent, self.seed = mode, activation, recurrent, int(seed)
        self._dropping: DropoutState | None = None
        generator = torch.Generator().manual_seed(seed)
        pure = mode == "pure"
        if made is None:
            width, depth = 128 if backbone_units is None else backbone_units, 1 if backbone_layers is None else backbone_layers
            if width < 1 or depth < 0:
                raise ParameterError("CfC", "backbone_units" if width < 1 else "backbone_layers",
                                     "must be at least 1 unit and no negative number of layers", (width, depth))
            cells = [_Weights(inputs, units, width, depth, pure, None, generator)]
        else:
            cells = [_Weights(mask.shape[1] - mask.shape[0], mask.shape[0], 0, 0, pure, mask, generator)
                     for mask in masks(made, recurrent)]
        self.cells = nn.ModuleList(cells)
        last = units if made is None else len(made.layers[-1])
        self._add_memory(generator, dtype, device)
        self.projection = None if proj_size is None else _Affine(*linear_start(proj_size, last, generator))
        self._last = last
        self.outputs = last if proj_size is None else proj_size
        self.to(device=device, dtype=dtype)

    def _lay_wires(self, device: Any) -> None:
        if self.wiring is not None:
            for cell, mask in zip(self.cells, masks(self.wiring, self.recurrent), strict=True):
                for name in HEADS[:1] if self.mode == "pure" else HEADS[:2]:
                    part = cell.get_submodule(name)
                    part.register_buffer("mask", mask.to(device, part.get_parameter("weight").dtype), persistent=False)

    def initial_state(self, x: Tensor) -> Any:
        """All zero."""
        state = super().initial_state(x)
        if not self.dropout:
            return state
        number = torch.zeros((), dtype=torch.int64, device=x.device)
        c = state.c if self.mixed_memory else x.new_zeros(x.shape[0], 0)
        return DropoutState(state.h, c, number, torch.full_like(number, self.seed))

    def chunk(self, x: Tensor, state: Any, timespans: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """States and outputs after every step of a chunk."""
        if not self.dropout:
            return super().chunk(x, state, timespans, lengths)
        self._dropping = state if self.training else None
        try:
            inner = LSTMState(state.h, state.c) if self.mixed_memory else CfCState(state.h)
            y, after = super().chunk(x, inner, timespans, lengths)
        finally:
            self._dropping = None
        return y, DropoutState(after.h, after.c if self.mixed_memory else state.c, state.frame + x.shape[1], state.key)

    def _factors(self, start: DropoutState, x: Tensor) -> Tensor:
        """What the outputs of the backbone are multiplied with in the frames of x, the first of which is that of `start`."""
        width = sum(len(layer.bias) for layer in self.cells[0].backbone)  # type: ignore[union-attr, misc]
        chance = uniforms(start.key, start.frame, DROPOUT, x.shape[0], x.shape[1], width).to(x.dtype)
        return (chance >= self.dropout).to(x.dtype) / (1 - self.dropout)

    def bound(self) -> Cell:
        """See `functional.cfc.cfc_network`."""
        cells: list[CfCParams] = [cell.params() for cell in self.cells]  # type: ignore[operator]
        memory, dropping = self._memory(), self._dropping

        def cell(x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            drop = None if dropping is None else self._factors(dropping, x)
            hs, cs = cfc_network(cells, h, x, timespans, mode=self.mode, activation=self.activation, memory=memory, c=c,
                                 drop=drop)
            return hs, self._read(hs), cs

        return cell

    def extra_repr(self) -> str:
        """Sizes and mode, for `repr`."""
        return self._told(mode=self.mode)

    def _read(self, states: Tensor) -> Tensor:
        """The states of the last layer, projected."""
        states = states[:, :, self.units - self._last:]
        if self.projection is None:
            return states
        return affine(states, *self.projection.linear())


def masks(wiring: Wiring, recurrent: str) -> list[Tensor]:
    """Which weights of the heads f1 and f2 there are in each layer of a wiring, (units, sources + units) float32."""
    found, before, matrix = [], None, wiring.sensory
    for layer in wiring.layers:
        neurons = list(layer)
        below = np.abs((matrix if before is None else wiring.internal[before])[:, neurons])
        if recurrent == "dense":
            own = np.ones((len(neurons), len(neurons)))
        else:  # a neuron's own state always counts: it is what the cell remembers
            own = np.maximum(np.abs(wiring.internal[np.ix_(neurons, neurons)]), np.eye(len(neurons)))
        found.append(torch.tensor(np.ascontiguousarray(np.concatenate([below, own]).T), dtype=torch.float32))
        before = neurons
    return found
