"""Leaky integrate-and-fire cells, exact between frames: spike times inside a frame, several spikes in one frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._op import make_op
from ._pool import each_row
from ._spiking import BLOCK, STRONGEST, arrange, run_block
from .random import NOISE, REFRACTORY, normal


def reference(x: Tensor, v: Tensor, wait: Tensor, fired: Tensor, frame: Tensor, key: Tensor, g_leak: Tensor,
              noise: Tensor, refractory: Tensor, jitter: Tensor, h: float) -> tuple[
                  Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Spike counts of every frame, the state after the last, and the spikes one by one.

    Within frame k the current is J = x[k] + noise * N(0, 1). dv/dt = J - g_leak v; at v = 1 the cell spikes, v is
    set to 0 and held there for max(refractory + jitter * N(0, 1), 0) seconds.

    Args:
        x: (rows, time, cells), current in Hz.
        v, wait: (rows, cells): potential below 1, and what is left of the refractory time in s.
        fired: (rows, cells) int64, spikes of each cell so far.
        frame: int64 0-d, number of the first frame of x; key: int64 0-d, the seed.
        g_leak, noise, refractory, jitter: 0-d, in Hz, Hz, s, s.
        h: length of a frame in s.
    Returns: counts like x, NaN where the potential is not a number or the current above 1e6 Hz; v, wait, fired
        after the last frame; row and cell (int64) and time in s (float64) of each spike, ordered by frame, row,
        cell, time. None of them carries a gradient.
    Reference: Wohrer & Kornprobst 2009, equation 16; exact solution between events.
    """
    rows, time, cells = x.shape
    zeros = torch.zeros_like(v)
    counts, places, times = [], [], []
    for k in range(time):
        current = x[:, k]
        if noise != 0:
            current = current + noise * normal(key, NOISE, frame + k, rows, cells, x.dtype)
        aim, now, count = torch.where(current > STRONGEST, torch.nan, current) / g_leak, zeros, zeros
        while True:
            held = torch.minimum(wait, h - now)
            left = h - now - held
            end = aim + (v - aim) * torch.exp(-g_leak * left)
            crosses = end >= 1
            if not crosses.any():
                break
            reach = torch.where(aim > 1, torch.log1p((1 - v) / (aim - 1)) / g_leak, left)
            reach = torch.minimum(reach, left)
            now = torch.where(crosses, now + held + reach, now)
            places.append(torch.nn.functional.pad(crosses.nonzero(), (1, 0), value=k))
            times.append((frame + k).double() * h + now[crosses].double())
            count = count + crosses
            v = torch.where(crosses, 0.0, v)
            pause = refractory
            if jitter != 0:
                pause = refractory + jitter * normal(key, REFRACTORY, fired, rows, cells, x.dtype)
            wait = torch.where(crosses, pause.clamp(min=0), wait)
            fired = fired + crosses
        counts.append(count + (end - end))
        v, wait = end, wait - held
    place = torch.cat(places) if places else fired.new_empty(0, 3)
    moment = torch.cat(times) if times else x.new_empty(0, dtype=torch.float64)
    # Rounds of the inner loop are in order of time, so a stable sort by frame and cell is all that is missing.
    order = torch.argsort((place[:, 0] * rows + place[:, 1]) * cells + place[:, 2], stable=True)
    out = torch.stack(counts, 1) if counts else x.clone()
    return out, v.clone(), wait.clone(), fired.clone(), place[order, 1], place[order, 2], moment[order]


def shapes(x: Tensor, v: Tensor, wait: Tensor, fired: Tensor, frame: Tensor, key: Tensor, g_leak: Tensor,
           noise: Tensor, refractory: Tensor, jitter: Tensor, h: float) -> tuple[Tensor, Tensor, Tensor, Tensor,
               Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty; the number of spikes is not known before."""
    spikes = torch.library.get_ctx().new_dynamic_size()
    return (x.new_empty(x.shape), v.new_empty(v.shape), wait.new_empty(wait.shape), fired.new_empty(fired.shape),
            fired.new_empty(spikes), fired.new_empty(spikes), x.new_empty(spikes, dtype=torch.float64))


def forward(x: Any, v: Any, wait: Any, fired: Any, frame: Any, key: Any, g_leak: Any, noise: Any, refractory: Any,
            jitter: Any, h: float) -> tuple[Any, ...]:
    """`reference` on numpy arrays."""
    rows, time, cells = x.shape
    p = np.array([g_leak, h, STRONGEST, 1, noise, refractory, jitter], x.dtype)
    counts, v, wait, fired = np.empty_like(x), v.copy(), wait.copy(), fired.copy()
    blocks = [(row, first) for row in range(rows) for first in range(0, cells, BLOCK)]
    found: list[Any] = [None] * len(blocks)

    def work(start: int, stop: int) -> None:
        for unit in range(start, stop):
            found[unit] = run_block(x, v, wait, fired, counts, p, h, int(frame), int(key), *blocks[unit])

    each_row(work, len(blocks), x.size)
    parts = [np.concatenate([f[part] for f in found] or [np.empty(0, kind)])
             for part, kind in enumerate((np.int64, np.int64, np.float64))]
    ends = np.cumsum([len(f[0]) for f in found], dtype=np.int64)
    row, which, times = arrange(*parts, ends, -(-cells // BLOCK), time)
    return counts, v, wait, fired, row, which, times


def backward(needs: tuple[bool, ...], grads: tuple[Any, ...], outputs: tuple[Any, ...], *args: Any) -> tuple[Any, ...]:
    """Spikes have no derivative; see functional/spiking.py for what takes its place."""
    return tuple(np.zeros_like(arg) for arg in args[:len(needs)])


spiking = make_op("spiking", reference, shapes, forward, backward)
