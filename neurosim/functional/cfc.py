"""Closed-form continuous-time networks as pure functions: one step, whole sequences, and cells in layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._errors import ParameterError
from ..kernels.cfc import ACTIVATIONS, MODES, cfc
from .memory import LSTMWeights
from .timespans import elapsed


class Linear(NamedTuple):
    """An affine map, z -> weight z + bias."""

    weight: Tensor  # (outputs, inputs)
    bias: Tensor  # (outputs,)


class CfCParams(NamedTuple):
    """Weights of one cell. The heads map the backbone's output, or inputs and state where there is no backbone."""

    backbone: tuple[Linear, ...]
    heads: tuple[Linear, ...]  # f1, f2, time a, time b; in mode "pure" f1 alone
    w_tau: Tensor | None = None  # (units,) inverse time constant, mode "pure" only
    a: Tensor | None = None  # (units,) amplitude, mode "pure" only


class CfCState(NamedTuple):
    """Hidden state, (batch, units)."""

    h: Tensor


def cfc_step(p: CfCParams, state: CfCState, x: Tensor, timespan: Any = None, *, mode: str = "default",
             activation: str = "lecun_tanh") -> tuple[Tensor, CfCState]:
    """One step of a cell: `cfc_scan` over a single frame.

    Args:
        x: (batch, inputs).
        timespan: seconds that pass, a number or (batch,); 1 without it.
        The others as in `cfc_scan`.
    Returns: h (batch, units), next state.
    """
    if isinstance(timespan, Tensor) and timespan.ndim == 1:
        timespan = timespan[:, None]
    hs, state = cfc_scan(p, state, x[:, None], timespan, mode=mode, activation=activation)
    return hs[:, 0], state


def cfc_scan(p: CfCParams, state: CfCState, x: Tensor, timespans: Any = None, *, mode: str = "default",
             activation: str = "lecun_tanh") -> tuple[Tensor, CfCState]:
    """States of a closed-form continuous-time cell after every step of a sequence.

    With z the backbone of [x, h] and s the logistic function:

        default:  s = s(a dt + b),  h' = tanh(f1) (1 - s) + tanh(f2) s
        no_gate:                    h' = tanh(f1)         + tanh(f2) s
        pure:     h' = A - A f1 exp(-dt (|w_tau| + |f1|))

    The old state enters through z only: a step of 0 s does change it.

    Args:
        p: weights of the cell.
        state: hidden state before the first step.
        x: (batch, time, inputs).
        timespans: seconds that pass in each step: None (1), a number, (time,) or (batch, time).
        mode: "default", "no_gate" or "pure".
        activation: of the backbone: "lecun_tanh", "silu", "relu", "tanh" or "gelu".
    Returns: h (batch, time, units), next state.
    Raises: ParameterError for an unknown mode or activation, or weights that do not fit; InputError for time spans that
        do not fit.
    Reference: Hasani et al., Closed-form continuous-time neural networks, 2022; as ncps's PyTorch cells compute it.
    """
    timespans = elapsed(timespans, x.shape[0], x.shape[1], x, "cfc_scan")
    hs, _ = cfc_network((p,), state.h, x, timespans, mode=mode, activation=activation)
    return hs, CfCState(hs[:, -1].clone() if x.shape[1] else state.h)


def wired_cfc_scan(cells: Sequence[CfCParams], state: CfCState, x: Tensor, timespans: Any = None, *,
                   mode: str = "default") -> tuple[Tensor, CfCState]:
    """States of cells in layers, each fed by the one before without delay.

    Args:
        cells: one for each layer, in order of evaluation.
        state: hidden states of all layers side by side, (batch, units).
        The others as in `cfc_scan`.
    Returns: h (batch, time, units) of all layers side by side, the last ones being the output; next state.
    """
    timespans = elapsed(timespans, x.shape[0], x.shape[1], x, "wired_cfc_scan")
    hs, _ = cfc_network(cells, state.h, x, timespans, mode=mode)
    return hs, CfCState(hs[:, -1].clone() if x.shape[1] else state.h)


def cfc_network(cells: Sequence[CfCParams], h: Tensor, x: Tensor, timespans: Tensor, *, mode: str = "default",
                activation: str = "lecun_tanh", memory: LSTMWeights | None = None, c: Tensor | None = None,
                drop: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Cells in layers, with all that may be around and in them: what the kernel `neurosim.kernels.cfc` does.

    Args:
        cells, x, mode, activation: as in `wired_cfc_scan` and `cfc_scan`.
        h: hidden states of all cells before the first step, side by side, (batch, units).
        timespans: (batch, time).
        memory, c: weights of an LSTM that comes before the cells in every step, as `functional.memory.lstm_step` takes
            them, and its state before the first step, (batch, units).
        drop: what the outputs of the layers of the backbone are multiplied with, (batch, time, layers * width); constants.
    Returns: h and c after every step, (batch, time, units); None for c without memory.
    Raises: ParameterError for an unknown mode or activation, or weights that do not fit.
    """
    if mode not in MODES:
        raise ParameterError("cfc_scan", "mode", f"choose from {list(MODES)}", mode)
    if activation not in ACTIVATIONS:
        raise ParameterError("cfc_scan", "activation", f"choose from {list(ACTIVATIONS)}", activation)
    heads = 1 if mode == "pure" else 4
    for p in cells:
        if len(p.heads) != heads or (mode == "pure") != (p.w_tau is not None and p.a is not None):
            raise ParameterError("cfc_scan", "p", f"mode {mode!r} needs {heads} heads, w_tau and a in mode 'pure' only",
                                 (len(p.heads), p.w_tau is not None, p.a is not None))
    weights, width, depth = pack(cells, memory)
    state = h if c is None else torch.cat([h, c], 1)
    drop = x.new_empty(x.shape[0], x.shape[1], 0) if drop is None else drop
    keep = (x.device.type == "cpu" and torch.is_grad_enabled()
            and any(tensor.requires_grad for tensor in (x, timespans, state, weights)))
    states, _ = cfc(x, timespans, state, weights, drop, [p.heads[0].weight.shape[0] for p in cells], width, depth,
                    MODES.index(mode), ACTIVATIONS.index(activation), memory is not None, keep)
    return (states, None) if c is None else (states[:, :, :h.shape[1]], states[:, :, h.shape[1]:])


def pack(cells: Sequence[CfCParams], memory: LSTMWeights | None = None) -> tuple[Tensor, int, int]:
    """All weights as one vector, as the kernel takes them, and width and depth of the backbones."""
    parts = []
    for p in cells:
        parts += [part.reshape(-1) for linear in p.backbone for part in linear]
        parts += [linear.weight.reshape(-1) for linear in p.heads] + [linear.bias for linear in p.heads]
        parts += [vector.reshape(-1) for vector in (p.w_tau, p.a) if vector is not None]
    parts += [] if memory is None else [weight.reshape(-1) for weight in memory]
    widths = {linear.weight.shape[0] for p in cells for linear in p.backbone}
    linears = [linear for p in cells for linear in (*p.backbone, *p.heads)]
    if (len(widths) > 1 or len({len(p.backbone) for p in cells}) > 1
            or any(linear.bias.shape != linear.weight.shape[:1] for linear in linears)):
        raise ParameterError("cfc_scan", "p", "all layers of the backbone must have one width, and biases that of "
                             "their weights", [tuple(linear.weight.shape) for linear in linears])
    return torch.cat(parts), (widths.pop() if widths else 0), len(cells[0].backbone)
