"""Contrast gain control of bipolar cells: conductance-based membranes with a blurred feedback, fused over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._gain_control import SATURATION, backward_rows, constants, forward_rows
from ._op import make_op
from ._pool import each_row
from .deriche import make_taps
from .deriche import reference as smooth


def synapse(v: Tensor, feedback: Tensor, exponent: Tensor, threshold: Tensor) -> Tensor:
    """q(v) = z / (1 + z / 5e5), z = feedback max(v - threshold, 0)**exponent, in Hz."""
    above = v - threshold
    silent = above <= 0
    z = torch.where(silent, 0.0, feedback * torch.where(silent, 1.0, above) ** exponent)
    return z / (1 + z / SATURATION)


def reference(o: Tensor, v: Tensor, g: Tensor, x: Tensor, blur: Tensor, gain: Tensor, leak: Tensor, decay: Tensor,
              feedback: Tensor, exponent: Tensor, threshold: Tensor, e_inh: Tensor, weight: Tensor, slow_decay: Tensor,
              symmetric: bool, h: float) -> tuple[Tensor, Tensor, Tensor]:
    """Membrane potential V and feedback conductance g of every frame, and the state x after the last.

    G = leak + g[k-1],  E = (gain O[k] + e_inh g[k-1] + weight x[k-1]) / G,
    V[k] = E + (V[k-1] - E) exp(-h G),
    g[k] = decay g[k-1] + (1 - decay) blur(Q(V[k-1])),  Q(v) = q(v) + q(-v) if symmetric else q(v), see `synapse`,
    x[k] = slow_decay x[k-1] + (1 - slow_decay) V[k-1].

    Args:
        o: (rows, time, y, x), output of the OPL.
        v, g, x: (rows, y, x), V, g and x of the frame before the first.
        blur: (5,) float64, coefficients of the smoothing, see deriche.py.
        gain, leak, decay, feedback, exponent, threshold, e_inh, weight, slow_decay: 0-d; gain, leak and feedback in Hz.
        symmetric: whether both signs of V drive the feedback.
        h: length of a frame in s.
    Returns: V and g like o, x of the last frame.
    Reference: Wohrer & Kornprobst 2009, equations 9 to 12, exact for g and O held over a frame.
    """
    vs, gs = [], []
    for current in o.unbind(1):
        total = leak + g
        aim = (gain * current + e_inh * g + weight * x) / total
        q = synapse(v, feedback, exponent, threshold)
        if symmetric:
            q = q + synapse(-v, feedback, exponent, threshold)
        g = decay * g + (1 - decay) * smooth(q, blur)
        x = slow_decay * x + (1 - slow_decay) * v
        v = aim + (v - aim) * torch.exp(-h * total)
        vs.append(v)
        gs.append(g)
    if not vs:
        return o.clone(), o.clone(), x.clone()
    return torch.stack(vs, 1), torch.stack(gs, 1), x.clone()


def shapes(o: Tensor, v: Tensor, g: Tensor, x: Tensor, blur: Tensor, gain: Tensor, leak: Tensor, decay: Tensor,
           feedback: Tensor, exponent: Tensor, threshold: Tensor, e_inh: Tensor, weight: Tensor, slow_decay: Tensor,
           symmetric: bool, h: float) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return o.new_empty(o.shape), o.new_empty(o.shape), x.new_empty(x.shape)


def forward(o: Any, v: Any, g: Any, x: Any, blur: Any, *rest: Any) -> tuple[Any, Any, Any]:
    """`reference` on numpy arrays."""
    *numbers, symmetric, h = rest
    rows, _, height, width = o.shape
    vs, gs, x = np.empty_like(o), np.empty_like(o), x.copy()
    if not o.size:
        return vs, gs, x
    p, taps = constants(o.dtype, *numbers, h), make_taps(blur, o.dtype)
    flat = [a.reshape(rows, -1) for a in (v, g, x)]
    each_row(forward_rows, rows, o.size, o.reshape(-1), *flat, taps, p, symmetric, height, width, vs.reshape(-1),
             gs.reshape(-1))
    return vs, gs, x


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], o: Any, v: Any, g: Any, x: Any,
             blur: Any, *rest: Any) -> tuple[Any, ...]:
    """Gradients to the tensors of `reference`; x of every frame and what is blurred are computed again."""
    *numbers, symmetric, h = rest
    rows, _, height, width = o.shape
    gv, gg, gx, go = np.zeros_like(v), np.zeros_like(g), grads[2].copy(), np.empty_like(o)
    sums, by_blur = np.zeros((rows, 9)), np.zeros((rows, 5))
    if o.size:
        p, taps = constants(o.dtype, *numbers, h), make_taps(blur, o.dtype)
        before = [a.reshape(rows, -1) for a in (v, g, x)]
        after = [a.reshape(-1) for a in (*outputs[:2], *grads[:2])]
        found = [a.reshape(rows, -1) for a in (gv, gg, gx)]

        each_row(backward_rows, rows, o.size, o.reshape(-1), *before, taps, p, symmetric, height, width, *after, *found,
                 go.reshape(-1), sums, by_blur, needs[4])
    return go, gv, gg, gx, by_blur.sum(axis=0), *sums.sum(axis=0)


gain_control = make_op("gain_control", reference, shapes, forward, backward)
