"""Closed-form continuous-time networks as pure functions: one step, whole sequences, and cells in layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._errors import ParameterError
from ..kernels.cfc import ACTIVATIONS, MODES, cfc
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
    if mode not in MODES:
        raise ParameterError("cfc_scan", "mode", f"choose from {list(MODES)}", mode)
    if activation not in ACTIVATIONS:
        raise ParameterError("cfc_scan", "activation", f"choose from {list(ACTIVATIONS)}", activation)
    heads = 1 if mode == "pure" else 4
    if len(p.heads) != heads or (mode == "pure") != (p.w_tau is not None and p.a is not None):
        raise ParameterError("cfc_scan", "p", f"mode {mode!r} needs {heads} heads, w_tau and a in mode 'pure' only",
                             (len(p.heads), p.w_tau is not None, p.a is not None))
    timespans = elapsed(timespans, x.shape[0], x.shape[1], x, "cfc_scan")
    weights, width = pack(p)
    keep = (x.device.type == "cpu" and torch.is_grad_enabled()
            and any(tensor.requires_grad for tensor in (x, timespans, state.h, weights)))
    hs, _ = cfc(x, timespans, state.h, weights, width, len(p.backbone), MODES.index(mode),
                ACTIVATIONS.index(activation), keep)
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
    states = state.h.split([cell.heads[0].weight.shape[0] for cell in cells], 1)
    hs = []
    for cell, h in zip(cells, states, strict=True):
        x, _ = cfc_scan(cell, CfCState(h), x, timespans, mode=mode)
        hs.append(x)
    everything = torch.cat(hs, 2)
    return everything, CfCState(everything[:, -1].clone() if everything.shape[1] else state.h)


def pack(p: CfCParams) -> tuple[Tensor, int]:
    """All weights as one vector, as the kernel takes them, and the width of the backbone."""
    linears = [*p.backbone, *p.heads]
    parts = [part.reshape(-1) for linear in p.backbone for part in linear]
    parts += [linear.weight.reshape(-1) for linear in p.heads] + [linear.bias for linear in p.heads]
    parts += [vector.reshape(-1) for vector in (p.w_tau, p.a) if vector is not None]
    widths = {linear.weight.shape[0] for linear in p.backbone}
    if len(widths) > 1 or any(linear.bias.shape != linear.weight.shape[:1] for linear in linears):
        raise ParameterError("cfc_scan", "p", "all layers of the backbone must have one width, and biases that of "
                             "their weights", [tuple(linear.weight.shape) for linear in linears])
    return torch.cat(parts), (widths.pop() if widths else 0)
