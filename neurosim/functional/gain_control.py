"""Contrast gain control of bipolar cells, over videos with a state."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..kernels.gain_control import gain_control as kernel
from .spatial import deriche_coefficients
from .temporal import Number, decay, last_frame


class GainControlState(NamedTuple):
    """Potential `v`, feedback conductance `g` in Hz and its transient `x` after the last frame, (batch, channel, y, x) each."""

    v: Tensor
    g: Tensor
    x: Tensor


def gain_control(o: Tensor, state: GainControlState, h: float, *, input_amp: Number, g_leak: Number, sigma_px: Number,
                 tau: Number, feedback: Number, exponent: Number, e_inh: Number, threshold: Number, transient_weight: Number,
                 transient_tau: Number, symmetric: bool) -> tuple[Tensor, Tensor, GainControlState]:
    """Membranes whose leak grows with the contrast around them: exact for conductance and input held over a frame.

    G = g_leak + g[k-1],  E = (input_amp O[k] + e_inh g[k-1] + transient_weight X[k-1]) / G,
    V[k] = E + (V[k-1] - E) exp(-h G),  g[k] = c g[k-1] + (1 - c) blur(Q(V[k-1])),  c = exp(-h / tau).
    Q(v) = q(v) + q(-v) if symmetric else q(v);  q(v) = z / (1 + z / 5e5),  z = feedback max(v - threshold, 0)^exponent.
    X is V of the frame before, low-passed with transient_tau.

    Args:
        o: output of the OPL, (batch, channel, time, y, x).
        state: zeros at rest, or what an earlier chunk left.
        h: length of a frame in s.
        input_amp, g_leak, feedback: 0-d, in Hz. sigma_px: nominal width of the blur in pixels. tau, transient_tau: in s.
        exponent, e_inh, threshold, transient_weight: 0-d.
    Returns: V and g of every frame, next state.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 9 to 12. Departs from it: the saturation of q at 5e5 Hz
        and the custom terms are those of the authors' program.
    """
    rows, frame = math.prod(o.shape[:2]), o.shape[3:]
    numbers = [torch.as_tensor(p, dtype=o.dtype, device=o.device) for p in (
        input_amp, g_leak, decay(tau, h, o), feedback, exponent, threshold, e_inh, transient_weight,
        decay(transient_tau, h, o))]
    flat = [s.reshape(rows, *frame) for s in state]
    v, g, x = kernel(o.reshape(rows, *o.shape[2:]), *flat, deriche_coefficients(sigma_px).to(o.device), *numbers,
                     symmetric, h)
    v, g = v.reshape(o.shape), g.reshape(o.shape)
    return v, g, GainControlState(last_frame(v, state.v, 2), last_frame(g, state.g, 2), x.reshape(state.x.shape))
