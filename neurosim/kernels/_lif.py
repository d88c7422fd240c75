"""Compiled loops of lif.py: blocks of cells over all frames, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from .random import GROUP, NOISE, REFRACTORY, RUN, fill_normals, one_normal
from .surrogate import slopes

BLOCK = 2048  # cells whose state stays in the first-level cache; a multiple of GROUP

# In all functions p is an array of the dtype of the data:
# [0, 1, 1 / width, height, decay, gain, spread, threshold, reset, refractory, jitter].


@compiled
def charge(x: Any, v: Any, u: Any, p: Any) -> None:
    """Writes the potential before spikes to u."""
    decay, gain = p[4], p[5]
    for i in range(x.shape[0]):
        u[i] = decay * v[i] + gain * x[i]


@compiled
def add_noise(u: Any, eta: Any, p: Any) -> None:
    """Adds normal numbers times the spread."""
    spread = p[6]
    for i in range(u.shape[0]):
        u[i] += spread * eta[i]


@compiled
def hold(u: Any, wait: Any, p: Any) -> None:
    """Puts cells that wait to the reset; NaN stays. (u - u would do, were the compiler not free to drop it.)"""
    zero, reset = p[0], p[8]
    for i in range(u.shape[0]):
        u[i] = (reset if wait[i] > zero else u[i]) + zero * u[i]


@compiled
def fire(u: Any, v: Any, spikes: Any, p: Any) -> None:
    """Spikes, and the potential after them, of cells none of which waits."""
    zero, one, threshold, reset = p[0], p[1], p[7], p[8]
    for i in range(u.shape[0]):
        not_finite = zero * u[i]
        above = u[i] >= threshold
        spikes[i] = (one if above else zero) + not_finite
        v[i] = (reset if above else u[i]) + not_finite


@compiled
def fire_free(u: Any, v: Any, wait: Any, spikes: Any, p: Any) -> Any:
    """The same where some cells wait: these neither spike nor leave the reset. Returns the number of spikes."""
    zero, one, threshold, reset = p[0], p[1], p[7], p[8]
    pause = np.floor(max(p[9], zero) + one / (one + one))
    count = zero
    for i in range(u.shape[0]):
        not_finite = zero * u[i]
        above = (u[i] >= threshold) & (wait[i] <= zero)
        spike = one if above else zero
        count += spike
        spikes[i] = spike + not_finite
        v[i] = (reset if above else u[i]) + not_finite
        left = wait[i] - one
        wait[i] = pause if above else (left if left > zero else zero)
    return count


@compiled
def draw(spikes: Any, wait: Any, p: Any, pair: Any, word: Any, key: int, frame: int, row: int, first: int) -> None:
    """Draws the refractory time of each cell that has just spiked."""
    zero, one = p[0], p[1]
    for i in range(spikes.shape[0]):
        if spikes[i] >= one:
            length = p[9] + p[10] * one_normal(pair, word, key, REFRACTORY, frame, row, first + i)
            wait[i] = np.floor(max(length, zero) + one / (one + one))


@compiled
def forward_units(start: int, stop: int, x: Any, v: Any, wait: Any, frame: int, key: int, p: Any, waits: bool,
                  spikes: Any) -> None:
    """Blocks `start` to `stop`, numbered row by row. Changes v, wait and spikes."""
    time, cells = x.shape[1:]
    blocks = (cells + BLOCK - 1) // BLOCK
    eta = np.empty(min((cells + GROUP - 1) // GROUP * GROUP, BLOCK), x.dtype)
    words, word, pair = np.empty((4, RUN), np.uint32), np.empty((4, 1), np.uint32), np.empty((2, 1), x.dtype)
    scratch = np.empty(BLOCK, x.dtype)
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        last = min(first + BLOCK, cells)
        u, v_now, wait_now = scratch[:last - first], v[row, first:last], wait[row, first:last]
        for k in range(time):
            out = spikes[row, k, first:last]
            charge(x[row, k, first:last], v_now, u, p)
            if p[6] != p[0]:
                fill_normals(eta[:(last - first + GROUP - 1) // GROUP * GROUP], words, key, NOISE, frame + k, row, first)
                add_noise(u, eta, p)
            if not waits:
                fire(u, v_now, out, p)
                continue
            hold(u, wait_now, p)
            count = fire_free(u, v_now, wait_now, out, p)
            if p[10] != p[0] and count != p[0]:
                draw(out, wait_now, p, pair, word, key, frame + k, row, first)


@compiled
def adjoint(x: Any, above: Any, slope: Any, before: Any, free: Any, grad: Any, gv: Any, gx: Any, p: Any,
            sums: Any) -> None:
    """One frame backward. gv goes from the gradient of v after the frame to that before it, gx gets that of the input,
    `sums` those of decay, gain, threshold and reset at 0, 1, 3 and 4; `slope` becomes the gradient of u."""
    zero, decay, gain = p[0], p[4], p[5]
    s_decay = s_gain = s_threshold = s_reset = zero
    for i in range(x.shape[0]):
        by_spike = free[i] * slope[i] * grad[i]
        stays = gv[i] if above[i] < zero else zero
        to_u = free[i] * stays + by_spike
        s_reset += gv[i] - free[i] * stays
        s_threshold -= by_spike
        s_decay += to_u * before[i]
        s_gain += to_u * x[i]
        gx[i] = gain * to_u
        gv[i] = decay * to_u
        slope[i] = to_u
    sums[0] += s_decay
    sums[1] += s_gain
    sums[3] += s_threshold
    sums[4] += s_reset


@compiled
def product(a: Any, b: Any) -> Any:
    """Sum of a times b."""
    total = a.dtype.type(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@compiled
def distance(u: Any, above: Any, p: Any) -> None:
    """Notes the distance to threshold."""
    threshold = p[7]
    for i in range(u.shape[0]):
        above[i] = u[i] - threshold


@compiled
def note(u: Any, wait: Any, above: Any, free: Any, p: Any) -> None:
    """Notes the distance to threshold and, as 1 or 0, who does not wait."""
    zero, one, threshold = p[0], p[1], p[7]
    for i in range(u.shape[0]):
        free[i] = zero if wait[i] > zero else one
        above[i] = -one if wait[i] > zero else u[i] - threshold


@compiled
def backward_units(start: int, stop: int, x: Any, v: Any, wait: Any, frame: int, key: int, p: Any, waits: bool, kind: int,
                   needs_p: bool, grad: Any, gx: Any, gv: Any, sums: Any) -> None:
    """Blocks `start` to `stop`: changes gx, gv (from the gradient of the last v to that of the first) and sums."""
    time, cells = x.shape[1:]
    blocks = (cells + BLOCK - 1) // BLOCK
    size = min((cells + GROUP - 1) // GROUP * GROUP, BLOCK)
    noisy = p[6] != p[0]
    words, word, pair = np.empty((4, RUN), np.uint32), np.empty((4, 1), np.uint32), np.empty((2, 1), x.dtype)
    etas = np.empty((time if noisy and needs_p else 1, size), x.dtype)
    aboves, befores = np.empty((time, size), x.dtype), np.empty((time + 1, size), x.dtype)
    frees, ones = np.empty((time if waits else 1, size), x.dtype), np.ones(size, x.dtype)
    scratch, spike, wait_now = np.empty(size, x.dtype), np.empty(size, x.dtype), np.empty(size, x.dtype)
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        last = min(first + BLOCK, cells)
        n = last - first
        u = scratch[:n]
        befores[0, :n] = v[row, first:last]
        wait_now[:n] = wait[row, first:last]
        for k in range(time):
            charge(x[row, k, first:last], befores[k, :n], u, p)
            if noisy:
                eta = etas[k if needs_p else 0]
                fill_normals(eta[:(n + GROUP - 1) // GROUP * GROUP], words, key, NOISE, frame + k, row, first)
                add_noise(u, eta, p)
            if not waits:
                fire(u, befores[k + 1, :n], spike[:n], p)
                distance(u, aboves[k, :n], p)
                continue
            hold(u, wait_now[:n], p)
            note(u, wait_now[:n], aboves[k, :n], frees[k, :n], p)
            count = fire_free(u, befores[k + 1, :n], wait_now[:n], spike[:n], p)
            if p[10] != p[0] and count != p[0]:
                draw(spike[:n], wait_now[:n], p, pair, word, key, frame + k, row, first)
        for k in range(time - 1, -1, -1):
            slopes(aboves[k, :n], u, kind, p)
            free = frees[k] if waits else ones
            adjoint(x[row, k, first:last], aboves[k, :n], u, befores[k, :n], free[:n], grad[row, k, first:last],
                    gv[row, first:last], gx[row, k, first:last], p, sums[unit])
            if noisy and needs_p:
                sums[unit, 2] += product(u, etas[k, :n])
