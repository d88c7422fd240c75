"""Leaky integrate-and-fire neurons that are looked at once a frame: exact in between, with surrogate gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._lif import BLOCK, backward_units, forward_units
from ._op import make_op
from ._pool import each_row
from .random import NOISE, REFRACTORY, normal
from .surrogate import smooth_step, spike_of


def reference(x: Tensor, v: Tensor, wait: Tensor, frame: Tensor, key: Tensor, p: Tensor, pause: Tensor, kind: int,
              width: float, height: float) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes of every frame, potential and frames left to wait after the last.

    u = decay v[k-1] + gain x[k] + spread N(0, 1); where wait[k-1] > 0, u = reset instead and there is no spike. At
    u >= threshold: spike, v[k] = reset and wait[k] = round(max(refractory + jitter N(0, 1), 0)); else v[k] = u and
    wait[k] = max(wait[k-1] - 1, 0). The gradient of a spike is the slope of the smooth step at u - threshold; none goes
    through the choice between reset and u.

    Args:
        x: (rows, time, cells), input.
        v, wait: (rows, cells), state; wait counts frames.
        frame: int64 0-d, number of the first frame of x; key: int64 0-d, the seed.
        p: (5,) decay, gain, spread, threshold, reset, of the dtype of x.
        pause: (2,) refractory, jitter in frames; carries no gradient.
        kind, width, height: of the smooth step.
    Returns: spikes like x (NaN where the potential is not finite), v and wait.
    Reference: exact solution for input held over a frame; reset without gradient as in Zenke & Ganguli 2018.
    """
    rows, time, cells = x.shape
    decay, gain, spread, threshold, reset = p.unbind()
    spikes = []
    for k in range(time):
        u = decay * v + gain * x[:, k]
        if spread != 0:
            u = u + spread * normal(key, NOISE, frame + k, rows, cells, x.dtype)
        held = wait > 0
        u = torch.where(held, reset + (u - u).detach(), u)
        above = torch.where(held, (u - u).detach() - 1, u - threshold)
        spike = spike_of(above, smooth_step(above, kind, width, height))
        fires = above >= 0
        length = pause[0]
        if pause[1] != 0:
            length = length + pause[1] * normal(key, REFRACTORY, frame + k, rows, cells, x.dtype)
        wait = torch.where(fires, torch.floor(length.clamp(min=0) + 0.5), (wait - 1).clamp(min=0))
        v = torch.where(fires, reset, u) + (u - u).detach()
        spikes.append(spike)
    return torch.stack(spikes, 1) if spikes else x.clone(), v.clone(), wait.detach().clone()


def shapes(x: Tensor, v: Tensor, wait: Tensor, frame: Tensor, key: Tensor, p: Tensor, pause: Tensor, kind: int,
           width: float, height: float) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return x.new_empty(x.shape), v.new_empty(v.shape), wait.new_empty(wait.shape)


def constants(p: Any, pause: Any, width: float, height: float) -> Any:
    """The numbers that the compiled functions need."""
    return np.array([0, 1, 1 / width, height, *p, *pause], p.dtype)


def units(x: Any) -> int:
    """Number of blocks of cells."""
    return x.shape[0] * -(-x.shape[2] // BLOCK)


def forward(x: Any, v: Any, wait: Any, frame: Any, key: Any, p: Any, pause: Any, kind: int, width: float,
            height: float) -> tuple[Any, Any, Any]:
    """`reference` on numpy arrays."""
    spikes, v, wait = np.empty_like(x), v.copy(), wait.copy()
    waits = bool(pause.any() or wait.any())
    each_row(forward_units, units(x), x.size, x, v, wait, int(frame), int(key), constants(p, pause, width, height), waits,
             spikes)
    return spikes, v, wait


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], x: Any, v: Any, wait: Any,
             frame: Any, key: Any, p: Any, pause: Any, kind: int, width: float, height: float) -> tuple[Any, ...]:
    """Gradients to x, v and p; potentials are computed again, block by block."""
    gx, gv, sums = np.empty_like(x), grads[1].copy(), np.zeros((units(x), 5))
    waits = bool(pause.any() or wait.any())
    each_row(backward_units, units(x), 4 * x.size, x, v, wait, int(frame), int(key), constants(p, pause, width, height),
             waits, kind, needs[5], grads[0], gx, gv, sums)
    return gx, gv, np.zeros_like(wait), 0, 0, sums.sum(axis=0), np.zeros_like(pause)


lif = make_op("lif", reference, shapes, forward, backward)
