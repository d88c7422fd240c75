"""Ganglion cell current: transient high-pass of the bipolar signal and static rectification, fused over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._op import make_op
from ._pool import each_row

SATURATION = 500000.0  # Hz; the rectified current stays below it
BLOCK = 1024  # pixels whose state stays in the first-level cache


def rectify(t: Tensor, sign: Tensor, v0: Tensor, i0: Tensor, gain: Tensor) -> Tensor:
    """The static nonlinearity N of `reference`."""
    z = gain * (sign * t - v0)
    above = z > 0
    up = torch.where(above, z, 0.0)
    down = i0 - torch.where(above, 0.0, z)
    silent = down == 0  # only where i0 and z are both 0; the limit of i0**2 / down is 0
    room = SATURATION - i0
    return torch.where(above, i0 + up / (1 + up / room), i0 * i0 / torch.where(silent, 1.0, down))


def reference(v: Tensor, slow: Tensor, decay: Tensor, weight: Tensor, sign: Tensor, v0: Tensor, i0: Tensor,
              gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Transient T and rectified current N of every frame, and the state after the last.

    y[k] = decay y[k-1] + (1 - decay) v[k],  T[k] = v[k] - weight y[k],  z = gain (sign T - v0),
    N = i0 + z / (1 + z / (5e5 - i0)) for z > 0, else i0**2 / (i0 - z).

    Args:
        v: (rows, time, pixels).
        slow: (rows, pixels), y of the frame before the first.
        decay, weight, sign, v0, i0, gain: 0-d; `sign` is 1 or -1 and gets no gradient, i0 and gain are in Hz.
    Returns: T and N of the shape of v, y of the last frame.
    Reference: Wohrer & Kornprobst 2009, equations 13 to 15.
    """
    sign = sign.detach()
    ys = []
    for x in v.unbind(1):
        slow = decay * slow + (1 - decay) * x
        ys.append(slow)
    t = v - weight * torch.stack(ys, 1) if ys else v.clone()
    return t, rectify(t, sign, v0, i0, gain), slow.clone()


def shapes(v: Tensor, slow: Tensor, decay: Tensor, weight: Tensor, sign: Tensor, v0: Tensor, i0: Tensor,
           gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return v.new_empty(v.shape), v.new_empty(v.shape), slow.new_empty(slow.shape)


@compiled
def forward_units(start: int, stop: int, v: Any, slow: Any, p: Any, t: Any, n: Any) -> None:
    """Units of work `start` to `stop`: a unit is one block of pixels of one row. Changes slow, t, n."""
    time, pixels = v.shape[1:]
    blocks = (pixels + BLOCK - 1) // BLOCK
    decay, weight, sign, v0, i0, gain = p
    one = p.dtype.type(1)
    zero = p.dtype.type(0)
    room = p.dtype.type(SATURATION) - i0
    for unit in range(start, stop):
        row, low = unit // blocks, unit % blocks * BLOCK
        high = min(low + BLOCK, pixels)
        y = slow[row, low:high]
        for k in range(time):
            x, out_t, out_n = v[row, k, low:high], t[row, k, low:high], n[row, k, low:high]
            for i in range(high - low):
                y[i] = decay * y[i] + (one - decay) * x[i]
                out_t[i] = x[i] - weight * y[i]
                z = gain * (sign * out_t[i] - v0)
                top = z / (one + z / room) + i0
                rest = i0 - z
                bottom = zero if rest == zero else i0 * i0 / rest
                out_n[i] = top if z > zero else bottom


def forward(v: Any, slow: Any, decay: Any, weight: Any, sign: Any, v0: Any, i0: Any,
            gain: Any) -> tuple[Any, Any, Any]:
    """`reference` on numpy arrays."""
    p = np.array([decay, weight, sign, v0, i0, gain], v.dtype)
    t, n, slow = np.empty_like(v), np.empty_like(v), slow.copy()
    each_row(forward_units, v.shape[0] * -(-v.shape[2] // BLOCK), v.size, v, slow, p, t, n)
    return t, n, slow


@compiled
def backward_units(start: int, stop: int, v: Any, slow: Any, p: Any, grad_t: Any, grad_n: Any, grad_slow: Any,
                   grad_v: Any, partial: Any) -> None:
    """The adjoint of `forward_units`. Changes grad_slow (from that of the last frame's y to that of the first's) and
    grad_v; sums for decay, weight, v0, i0 and gain go to `partial`, one row for each unit."""
    time, pixels = v.shape[1:]
    blocks = (pixels + BLOCK - 1) // BLOCK
    decay, weight, sign, v0, i0, gain = p
    one = p.dtype.type(1)
    zero = p.dtype.type(0)
    room = p.dtype.type(SATURATION) - i0
    ys = np.empty((time + 1, BLOCK), v.dtype)
    for unit in range(start, stop):
        row, low = unit // blocks, unit % blocks * BLOCK
        high = min(low + BLOCK, pixels)
        ys[0, :high - low] = slow[row, low:high]
        for k in range(time):
            x, before, after = v[row, k, low:high], ys[k], ys[k + 1]
            for i in range(high - low):
                after[i] = decay * before[i] + (one - decay) * x[i]
        gy = grad_slow[row, low:high]
        for k in range(time - 1, -1, -1):
            x, before, after = v[row, k, low:high], ys[k], ys[k + 1]
            gt, gn, gx = grad_t[row, k, low:high], grad_n[row, k, low:high], grad_v[row, k, low:high]
            for_decay = for_weight = for_z = for_i0 = for_gain = zero
            for i in range(high - low):
                u = sign * (x[i] - weight * after[i]) - v0
                z = gain * u
                top = one / (one + z / room)
                rest = i0 - z
                bottom = zero if rest == zero else i0 / rest
                slope = top * top if z > zero else bottom * bottom
                saturated = (one - top) * (one - top)  # (z / (room + z))**2
                gz = gn[i] * slope
                for_i0 += gn[i] * (one - saturated if z > zero else bottom * (p.dtype.type(2) - bottom))
                for_gain += gz * u
                for_z += gz
                g = gt[i] + gz * gain * sign
                for_weight -= g * after[i]
                y = gy[i] - weight * g
                for_decay += y * (before[i] - x[i])
                gx[i] = g + (one - decay) * y
                gy[i] = decay * y
            partial[unit, 0] += for_decay
            partial[unit, 1] += for_weight
            partial[unit, 2] -= for_z * gain
            partial[unit, 3] += for_i0
            partial[unit, 4] += for_gain


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], v: Any, slow: Any, decay: Any,
             weight: Any, sign: Any, v0: Any, i0: Any, gain: Any) -> tuple[Any, ...]:
    """Gradients to the tensors of `reference`; y of every frame is computed again."""
    p = np.array([decay, weight, sign, v0, i0, gain], v.dtype)
    grad_t, grad_n, grad_slow = grads
    grad_slow, grad_v = grad_slow.copy(), np.empty_like(v)
    units = v.shape[0] * -(-v.shape[2] // BLOCK)
    partial = np.zeros((units, 5))
    each_row(backward_units, units, v.size, v, slow, p, grad_t, grad_n, grad_slow, grad_v, partial)
    total = partial.sum(axis=0)
    return grad_v, grad_slow, total[0], total[1], np.zeros_like(sign), total[2], total[3], total[4]


ganglion = make_op("ganglion", reference, shapes, forward, backward)
