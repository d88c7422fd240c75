"""Izhikevich's neurons: two Euler half-steps and a test for a spike, some times a frame, with surrogate gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._izhikevich import BLOCK, backward_units, forward_units
from ._op import make_op
from ._pool import each_row
from .surrogate import smooth_step, spike_of


def reference(x: Tensor, v: Tensor, u: Tensor, p: Tensor, tests: int, step: float, kind: int, width: float,
              height: float) -> tuple[Tensor, Tensor, Tensor]:
    """Spike counts of every frame, v and u after the last.

    `tests` times a frame: twice v += e (quadratic v^2 + linear v + offset - u + x) and u += e a (b v - u), both from the old
    values, e = step; then, where v >= threshold, a spike, v = c and u += d. The gradient of a spike is the slope of the
    smooth step at v - threshold; none goes through the choice of the reset.

    Args:
        x: (rows, time, cells), input in mV/ms.
        v, u: (rows, cells), state in mV and mV/ms.
        p: (8,) a, b, c, d, threshold, quadratic, linear, offset, of the dtype of x; see functional/izhikevich.py.
        tests: at least 1. step: half of the time between two tests in ms.
        kind, width, height: of the smooth step.
    Returns: counts like x, NaN where v is not finite; v and u.
    Reference: Izhikevich, IEEE Trans Neural Netw 14:1569 (2003), equations 1 to 3 and the half-steps of its program.
    """
    a, b, c, d, threshold, quadratic, linear, offset = p.unbind()
    counts = []
    for frame in x.unbind(1):
        count = torch.zeros_like(frame)
        for _ in range(tests):
            for _ in range(2):
                v, u = (v + step * ((quadratic * v + linear) * v + offset - u + frame), u + step * (a * (b * v - u)))
            above = v - threshold
            count = count + spike_of(above, smooth_step(above, kind, width, height))
            fires = above >= 0
            v, u = torch.where(fires, c, v) + (v - v).detach(), torch.where(fires, u + d, u)
        counts.append(count)
    return torch.stack(counts, 1) if counts else x.clone(), v.clone(), u.clone()


def shapes(x: Tensor, v: Tensor, u: Tensor, p: Tensor, tests: int, step: float, kind: int, width: float,
           height: float) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return x.new_empty(x.shape), v.new_empty(v.shape), u.new_empty(u.shape)


def constants(p: Any, step: float, width: float, height: float) -> Any:
    """The numbers that the compiled functions need."""
    return np.array([0, 1, 1 / width, height, *p, step], p.dtype)


def units(x: Any) -> int:
    """Number of blocks of cells."""
    return x.shape[0] * -(-x.shape[2] // BLOCK)


def forward(x: Any, v: Any, u: Any, p: Any, tests: int, step: float, kind: int, width: float,
            height: float) -> tuple[Any, Any, Any]:
    """`reference` on numpy arrays."""
    counts, v, u = np.zeros_like(x), v.copy(), u.copy()
    each_row(forward_units, units(x), 4 * tests * x.size, x, v, u, constants(p, step, width, height), tests, counts)
    return counts, v, u


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], x: Any, v: Any, u: Any, p: Any,
             tests: int, step: float, kind: int, width: float, height: float) -> tuple[Any, ...]:
    """Gradients to x, v, u and p; the state is computed again, block by block."""
    gx, gv, gu, sums = np.empty_like(x), grads[1].copy(), grads[2].copy(), np.zeros((units(x), 8))
    each_row(backward_units, units(x), 8 * tests * x.size, x, v, u, constants(p, step, width, height), tests, kind, grads[0],
             gx, gv, gu, sums)
    return gx, gv, gu, sums.sum(axis=0)


izhikevich = make_op("izhikevich", reference, shapes, forward, backward)
