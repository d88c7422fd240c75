"""Compiled loops of izhikevich.py: blocks of cells over all frames, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from .surrogate import slopes

BLOCK = 1024  # cells whose state stays in the first-level cache

# In all functions p is an array of the dtype of the data:
# [0, 1, 1 / width, height, a, b, c, d, threshold, quadratic, linear, offset, step].


@compiled
def half_step(x: Any, v: Any, u: Any, v_next: Any, u_next: Any, p: Any) -> None:
    """One Euler step; the result may go to where the state was."""
    a, b, quadratic, linear, offset, step = p[4], p[5], p[9], p[10], p[11], p[12]
    for i in range(x.shape[0]):
        v_old, u_old = v[i], u[i]
        v_next[i] = v_old + step * ((quadratic * v_old + linear) * v_old + offset - u_old + x[i])
        u_next[i] = u_old + step * (a * (b * v_old - u_old))


@compiled
def fire(v: Any, u: Any, counts: Any, p: Any) -> None:
    """Adds spikes to the counts and resets."""
    zero, one, c, d, threshold = p[0], p[1], p[6], p[7], p[8]
    for i in range(v.shape[0]):
        not_finite = zero * v[i]
        above = v[i] >= threshold
        counts[i] += (one if above else zero) + not_finite
        u[i] += d if above else zero
        v[i] = (c if above else v[i]) + not_finite


@compiled
def forward_units(start: int, stop: int, x: Any, v: Any, u: Any, p: Any, tests: int, counts: Any) -> None:
    """Blocks `start` to `stop`, numbered row by row. Changes v, u and counts, which are 0 before."""
    time, cells = x.shape[1:]
    blocks = (cells + BLOCK - 1) // BLOCK
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        last = min(first + BLOCK, cells)
        v_now, u_now = v[row, first:last], u[row, first:last]
        for k in range(time):
            current, count = x[row, k, first:last], counts[row, k, first:last]
            for _ in range(tests):
                half_step(current, v_now, u_now, v_now, u_now, p)
                half_step(current, v_now, u_now, v_now, u_now, p)
                fire(v_now, u_now, count, p)


@compiled
def adjoint_fire(v: Any, slope: Any, grad: Any, gv: Any, gu: Any, p: Any, sums: Any) -> None:
    """Back through the spikes: v is that before the reset; gv and gu go from after to before, `sums` gets those of c, d and
    threshold at 2 to 4."""
    zero, threshold = p[0], p[8]
    s_c = s_d = s_threshold = zero
    for i in range(v.shape[0]):
        above = v[i] >= threshold
        by_spike = slope[i] * grad[i]
        s_c += gv[i] if above else zero
        s_d += gu[i] if above else zero
        s_threshold -= by_spike
        gv[i] = (zero if above else gv[i]) + by_spike
    sums[2] += s_c
    sums[3] += s_d
    sums[4] += s_threshold


@compiled
def adjoint_half_step(v: Any, u: Any, gv: Any, gu: Any, gx: Any, p: Any, sums: Any) -> None:
    """Back through an Euler step from v and u; gx gets what reaches the input, `sums` those of a and b at 0 and 1, of
    quadratic, linear and offset at 5 to 7."""
    zero, a, b, quadratic, linear, step = p[0], p[4], p[5], p[9], p[10], p[12]
    s_a = s_b = s_quadratic = s_linear = s_offset = zero
    for i in range(v.shape[0]):
        by_v, by_u = step * gv[i], step * gu[i]
        s_a += by_u * (b * v[i] - u[i])
        s_b += by_u * v[i]
        s_quadratic += by_v * v[i] * v[i]
        s_linear += by_v * v[i]
        s_offset += by_v
        gx[i] += by_v
        gv[i] += by_v * ((quadratic + quadratic) * v[i] + linear) + by_u * a * b
        gu[i] -= by_v + by_u * a
    sums[0] += s_a
    sums[1] += s_b * a
    sums[5] += s_quadratic
    sums[6] += s_linear
    sums[7] += s_offset


@compiled
def backward_units(start: int, stop: int, x: Any, v: Any, u: Any, p: Any, tests: int, kind: int, grad: Any, gx: Any, gv: Any,
                   gu: Any, sums: Any) -> None:
    """Blocks `start` to `stop`: changes gx, gv and gu (from the gradients of the last state to those of the first) and
    sums."""
    time, cells = x.shape[1:]
    blocks = (cells + BLOCK - 1) // BLOCK
    size = min(BLOCK, cells)
    vs, us = np.empty((time + 1, size), x.dtype), np.empty((time + 1, size), x.dtype)  # before every frame
    # Within a frame: before the first and before the second half-step, and before the reset, for every test.
    v_in, u_in = np.empty((3 * tests + 1, size), x.dtype), np.empty((3 * tests + 1, size), x.dtype)
    slope, unused = np.empty(size, x.dtype), np.empty(size, x.dtype)
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        last = min(first + BLOCK, cells)
        n = last - first
        for i in range(n):
            vs[0, i], us[0, i] = v[row, first + i], u[row, first + i]
        for k in range(time):
            current, v_now, u_now = x[row, k, first:last], vs[k + 1, :n], us[k + 1, :n]
            half_step(current, vs[k, :n], us[k, :n], v_now, u_now, p)
            half_step(current, v_now, u_now, v_now, u_now, p)
            fire(v_now, u_now, unused[:n], p)
            for _ in range(1, tests):
                half_step(current, v_now, u_now, v_now, u_now, p)
                half_step(current, v_now, u_now, v_now, u_now, p)
                fire(v_now, u_now, unused[:n], p)
        gv_now, gu_now = gv[row, first:last], gu[row, first:last]
        for k in range(time - 1, -1, -1):
            current, to_x = x[row, k, first:last], gx[row, k, first:last]
            for i in range(n):
                v_in[0, i], u_in[0, i], to_x[i] = vs[k, i], us[k, i], p[0]
            for test in range(tests):
                j = 3 * test
                half_step(current, v_in[j, :n], u_in[j, :n], v_in[j + 1, :n], u_in[j + 1, :n], p)
                half_step(current, v_in[j + 1, :n], u_in[j + 1, :n], v_in[j + 2, :n], u_in[j + 2, :n], p)
                for i in range(n):
                    v_in[j + 3, i], u_in[j + 3, i] = v_in[j + 2, i], u_in[j + 2, i]
                fire(v_in[j + 3, :n], u_in[j + 3, :n], unused[:n], p)
            for test in range(tests - 1, -1, -1):
                j = 3 * test
                for i in range(n):
                    unused[i] = v_in[j + 2, i] - p[8]
                slopes(unused[:n], slope[:n], kind, p)
                adjoint_fire(v_in[j + 2, :n], slope[:n], grad[row, k, first:last], gv_now, gu_now, p, sums[unit])
                adjoint_half_step(v_in[j + 1, :n], u_in[j + 1, :n], gv_now, gu_now, to_x, p, sums[unit])
                adjoint_half_step(v_in[j, :n], u_in[j, :n], gv_now, gu_now, to_x, p, sums[unit])
