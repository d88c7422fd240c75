"""Deriche's recursive filter over 16 lines at once: forward, adjoint, and the gradient of its coefficients.

The filter is the sum of two halves, one running along the lines, one against them. Along its own direction (positions
j) a half is

    u[j] = p x[j - shift] + q x[j - shift - 1] + e u[j-1],     y[j] = u[j] + e y[j-1]

with shift 0 and (p, q) = (a0, a1) along the line, shift 1 and (a2, a3) against it. Two first-order stages in place of
one of second order lose far fewer digits in float32. Lines are replicated without end beyond their borders; the states
start steady.

A panel is a flat array: six vectors of state, then for each position (two more at either end) a step of five vectors of
16 lanes: x, y, the gradient g of y, the gradient d of x, and the adjoint state. `taps` is [a0, a1, a2, a3, e, u+, y+, u-,
y-], the last four being the steady states for a constant 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._simd import LANES, accumulate, combine, copy, transpose, zero

X, Y, G, D, ADJOINT = (slot * LANES for slot in range(5))
STEP = 5 * LANES
U, V, SUM_P, SUM_Q, SUM_E = (slot * LANES for slot in range(5))  # states and sums over positions
FIRST = 6 * LANES + 2 * STEP  # where position 0 is


@compiled
def make_panel(longest: int, like: Any) -> Any:
    """A panel for lines of up to `longest` pixels, of the dtype of the array `like`."""
    return np.zeros(FIRST + (longest + 2) * STEP, like.dtype)


@compiled
def load_rows(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """Puts rows `first` to `first + 16` of the frame that starts at `offset` into a slot; absent ones are zero."""
    count = min(LANES, height - first)
    start = offset + first * width
    whole = width // LANES * LANES if count == LANES else 0
    for i in range(0, whole, LANES):
        transpose(w, FIRST + i * STEP + slot, STEP, flat, start + i, width)
    for i in range(whole, width):
        zero(w, FIRST + i * STEP + slot)
        for lane in range(count):
            w[FIRST + i * STEP + slot + lane] = flat[start + lane * width + i]


@compiled
def store_rows(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """The reverse of `load_rows`."""
    count = min(LANES, height - first)
    start = offset + first * width
    whole = width // LANES * LANES if count == LANES else 0
    for i in range(0, whole, LANES):
        transpose(flat, start + i, width, w, FIRST + i * STEP + slot, STEP)
    for i in range(whole, width):
        for lane in range(count):
            flat[start + lane * width + i] = w[FIRST + i * STEP + slot + lane]


@compiled
def load_columns(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """Puts columns `first` to `first + 16` into a slot; absent ones are zero."""
    count = min(LANES, width - first)
    for i in range(height):
        start = offset + i * width + first
        if count == LANES:
            copy(w, FIRST + i * STEP + slot, flat, start)
        else:
            zero(w, FIRST + i * STEP + slot)
            for lane in range(count):
                w[FIRST + i * STEP + slot + lane] = flat[start + lane]


@compiled
def store_columns(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """The reverse of `load_columns`."""
    count = min(LANES, width - first)
    for i in range(height):
        start = offset + i * width + first
        if count == LANES:
            copy(flat, start, w, FIRST + i * STEP + slot)
        else:
            for lane in range(count):
                flat[start + lane] = w[FIRST + i * STEP + slot + lane]


@compiled
def half(w: Any, origin: int, step: int, n: int, shift: int, p: Any, q: Any, e: Any, steady_u: Any, steady_y: Any,
         add: bool) -> None:
    """One half of the filter over n positions from `origin` on, x -> y; adds to y or replaces it."""
    copy(w, origin + X - step, w, origin + X)
    copy(w, origin + X - 2 * step, w, origin + X)
    combine(w, U, steady_u, origin + X)
    combine(w, V, steady_y, origin + X)
    for j in range(n):
        here = origin + j * step
        source = here + X - shift * step
        combine(w, U, p, source, q, source - step, e, U)
        combine(w, V, 1.0, U, e, V)
        if add:
            combine(w, here + Y, 1.0, here + Y, 1.0, V)
        else:
            copy(w, here + Y, w, V)


@compiled
def half_adjoint(w: Any, origin: int, step: int, n: int, shift: int, p: Any, q: Any, e: Any, add: bool) -> None:
    """The transposed half, g -> d; adds to d or replaces it.

    Beyond the border the adjoint states decay; U and V hold their sums there afterwards.
    """
    last = origin + (n - 1) * step
    zero(w, last + step + ADJOINT)
    zero(w, last + 2 * step + ADJOINT)
    zero(w, U)
    for j in range(n - 1, -1, -1):
        here = origin + j * step
        combine(w, U, 1.0, here + G, e, U)
        combine(w, here + ADJOINT, 1.0, U, e, here + step + ADJOINT)
        source = here + shift * step + ADJOINT
        if add:
            combine(w, here + D, 1.0, here + D, p, source, q, source + step)
        else:
            combine(w, here + D, p, source, q, source + step)
    # What reaches the pixels beyond the border reaches, being a copy, the border pixel.
    outside_u = e / (1.0 - e)
    combine(w, U, outside_u, U)
    combine(w, V, 1.0 / (1.0 - e), U, outside_u, origin + ADJOINT)
    combine(w, origin + D, 1.0, origin + D, p + q, V)
    for m in range(shift + 1):
        combine(w, origin + D, 1.0, origin + D, q if m == shift else p + q, origin + m * step + ADJOINT)


@compiled
def half_gradient(w: Any, origin: int, step: int, n: int, shift: int, steady_y: Any, e: Any) -> None:
    """Sums for the gradient of p, q and e over the lines, after `half` (y alone) and `half_adjoint` filled the slots."""
    zero(w, SUM_P)
    zero(w, SUM_Q)
    zero(w, SUM_E)
    # U and V hold the sums of the adjoint states beyond the border, where x and y are constant.
    accumulate(w, SUM_P, V, origin + X)
    accumulate(w, SUM_Q, V, origin + X)
    combine(w, origin - step + Y, steady_y, origin + X)
    accumulate(w, SUM_E, U, origin - step + Y)
    zero(w, U)
    for j in range(n - 1, -1, -1):
        here = origin + j * step
        source = here + X - shift * step
        accumulate(w, SUM_P, here + ADJOINT, source)
        accumulate(w, SUM_Q, here + ADJOINT, source - step)
        combine(w, U, 1.0, here + G, e, U)
        accumulate(w, SUM_E, U, here - step + Y)


@compiled
def add_lanes(w: Any, at: int, gradient: Any, index: int, factor: Any) -> None:
    """gradient[index] += factor * the sum of 16 lanes."""
    total = 0.0
    for lane in range(LANES):
        total += w[at + lane]
    gradient[index] += factor * total


@compiled
def smooth_panel(w: Any, n: int, taps: Any) -> None:
    """x -> y."""
    half(w, FIRST, STEP, n, 0, taps[0], taps[1], taps[4], taps[5], taps[6], False)
    half(w, FIRST + (n - 1) * STEP, -STEP, n, 1, taps[2], taps[3], taps[4], taps[7], taps[8], True)


@compiled
def adjoint_panel(w: Any, n: int, taps: Any) -> None:
    """g -> d."""
    half_adjoint(w, FIRST, STEP, n, 0, taps[0], taps[1], taps[4], False)
    half_adjoint(w, FIRST + (n - 1) * STEP, -STEP, n, 1, taps[2], taps[3], taps[4], True)


@compiled
def gradient_panel(w: Any, n: int, taps: Any, gradient: Any) -> None:
    """x, g -> d; adds to `gradient` (5 float64) that of a0, a1, a2, a3, e."""
    origin, step, add = FIRST, STEP, False
    for shift in range(2):
        p, q, e, steady_y = taps[2 * shift], taps[2 * shift + 1], taps[4], taps[6 + 2 * shift]
        half(w, origin, step, n, shift, p, q, e, taps[5 + 2 * shift], steady_y, False)
        half_adjoint(w, origin, step, n, shift, p, q, e, add)
        half_gradient(w, origin, step, n, shift, steady_y, e)
        add_lanes(w, SUM_P, gradient, 2 * shift, 1.0)
        add_lanes(w, SUM_Q, gradient, 2 * shift + 1, 1.0)
        add_lanes(w, SUM_E, gradient, 4, 2.0)  # both stages have the pole e
        origin, step, add = FIRST + (n - 1) * STEP, -STEP, True
