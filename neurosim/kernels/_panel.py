"""Deriche's recursive filter over a vector of lines at once: forward, adjoint, and the gradient of its coefficients.

The filter is the sum of two halves, one running along the lines, one against them. Along its own direction (positions
j) a half is

    u[j] = p x[j - shift] + q x[j - shift - 1] + e u[j-1],     y[j] = u[j] + e y[j-1]

with shift 0 and (p, q) = (a0, a1) along the line, shift 1 and (a2, a3) against it. Two first-order stages in place of
one of second order lose far fewer digits in float32. Lines are replicated without end beyond their borders; the states
start steady.

A panel is a flat array of vectors, one lane for each line: for each position (two more at either end) x, y, the gradient g
of y, the gradient d of x, and the adjoint state. Places in it count vectors. `taps` is [a0, a1, a2, a3, e, u+, y+, u-, y-],
the last four being the steady states for a constant 1.
"""

from __future__ import annotations

from typing import Any

from ._jit import VECTOR, compiled
from ._lanes import EXACT, lanes, vconstant, vectors, vload, vsplat, vstore, vsum, vtranspose

X, Y, G, D, ADJOINT = range(5)
STEP = 5
FIRST = 2 * STEP  # where position 0 is
LINE = 64 // VECTOR  # registers of a vector: columns are read and written in whole lines of the cache


@compiled(allocates=False)
def lines(w: Any) -> int:
    """How many lines a panel takes: numbers in a vector."""
    return lanes(w) * LINE


@compiled
def make_panel(longest: int, like: Any) -> Any:
    """A panel for lines of up to `longest` pixels, of the dtype of the array `like`."""
    return vectors((longest + 4) * STEP * lines(like), like)


@compiled(fastmath=EXACT, allocates=False)
def get(w: Any, place: int) -> Any:
    """The vector at a place."""
    return vload(w, place * lines(w), LINE)


@compiled(fastmath=EXACT, allocates=False)
def put(w: Any, place: int, vector: Any) -> None:
    """Writes the vector at a place."""
    vstore(w, place * lines(w), vector)


@compiled(allocates=False)
def load_rows(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """Puts the rows from `first` on of the frame that starts at `offset` into a slot; absent ones are zero."""
    size = lines(w)
    count, start, step = min(size, height - first), offset + first * width, STEP * size
    whole = width // size * size if count == size else 0
    for i in range(0, whole, size):
        vtranspose(w, (FIRST + i * STEP + slot) * size, step, flat, start + i, width, LINE)
    for i in range(whole, width):
        put(w, FIRST + i * STEP + slot, vconstant(w, 0.0, LINE))
        for lane in range(count):
            w[(FIRST + i * STEP + slot) * size + lane] = flat[start + lane * width + i]


@compiled(allocates=False)
def store_rows(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """The reverse of `load_rows`."""
    size = lines(w)
    count, start, step = min(size, height - first), offset + first * width, STEP * size
    whole = width // size * size if count == size else 0
    for i in range(0, whole, size):
        vtranspose(flat, start + i, width, w, (FIRST + i * STEP + slot) * size, step, LINE)
    for i in range(whole, width):
        for lane in range(count):
            flat[start + lane * width + i] = w[(FIRST + i * STEP + slot) * size + lane]


@compiled(allocates=False)
def load_columns(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """Puts the columns from `first` on into a slot; absent ones are zero."""
    size = lines(w)
    count = min(size, width - first)
    for i in range(height):
        start, place = offset + i * width + first, FIRST + i * STEP + slot
        if count == size:
            put(w, place, vload(flat, start, LINE))
        else:
            put(w, place, vconstant(w, 0.0, LINE))
            for lane in range(count):
                w[place * size + lane] = flat[start + lane]


@compiled(allocates=False)
def store_columns(w: Any, slot: int, flat: Any, offset: int, first: int, height: int, width: int) -> None:
    """The reverse of `load_columns`."""
    size = lines(w)
    count = min(size, width - first)
    for i in range(height):
        start, place = offset + i * width + first, FIRST + i * STEP + slot
        if count == size:
            vstore(flat, start, get(w, place))
        else:
            for lane in range(count):
                flat[start + lane] = w[place * size + lane]


@compiled(allocates=False)
def course(n: int, shift: int) -> tuple[int, int]:
    """Where a half starts, and how far its next position is."""
    return (FIRST + (n - 1) * STEP, -STEP) if shift else (FIRST, STEP)


@compiled(fastmath=EXACT, allocates=False)
def half(w: Any, n: int, taps: Any, shift: int, add: bool) -> None:
    """One half of the filter over n positions, x -> y; adds to y or replaces it."""
    origin, step = course(n, shift)
    p, q, e = vsplat(taps, 2 * shift, LINE), vsplat(taps, 2 * shift + 1, LINE), vsplat(taps, 4, LINE)
    border = get(w, origin + X)
    put(w, origin + X - step, border)
    put(w, origin + X - 2 * step, border)
    u, y, before = vsplat(taps, 5 + 2 * shift, LINE) * border, vsplat(taps, 6 + 2 * shift, LINE) * border, border
    for j in range(n):
        here = origin + j * step
        source = get(w, here + X - shift * step)
        u = p * source + q * before + e * u
        y = u + e * y
        put(w, here + Y, get(w, here + Y) + y if add else y)
        before = source


@compiled(fastmath=EXACT, allocates=False)
def half_adjoint(w: Any, n: int, taps: Any, shift: int, add: bool) -> tuple[Any, Any]:
    """The transposed half, g -> d; adds to d or replaces it.

    Returns the sums of the two adjoint states beyond the border, where they decay.
    """
    origin, step = course(n, shift)
    p, q, e = vsplat(taps, 2 * shift, LINE), vsplat(taps, 2 * shift + 1, LINE), vsplat(taps, 4, LINE)
    zero, one = vconstant(w, 0.0, LINE), vconstant(w, 1.0, LINE)
    put(w, origin + n * step + ADJOINT, zero)
    put(w, origin + (n + 1) * step + ADJOINT, zero)
    u, v = zero, zero
    for j in range(n - 1, -1, -1):
        here = origin + j * step
        u = get(w, here + G) + e * u
        v = u + e * v
        put(w, here + ADJOINT, v)
        source = here + shift * step + ADJOINT
        d = p * get(w, source) + q * get(w, source + step)
        put(w, here + D, get(w, here + D) + d if add else d)
    # What reaches the pixels beyond the border reaches, being a copy, the border pixel.
    outside = e / (one - e)
    u = outside * u
    v = one / (one - e) * u + outside * v
    d = get(w, origin + D) + (p + q) * v
    for m in range(shift):
        d = d + (p + q) * get(w, origin + m * step + ADJOINT)
    put(w, origin + D, d + q * get(w, origin + shift * step + ADJOINT))
    return u, v


@compiled(fastmath=EXACT, allocates=False)
def half_gradient(w: Any, n: int, taps: Any, shift: int, u: Any, v: Any, gradient: Any) -> None:
    """Adds the gradient of p, q and e to `gradient`, after `half` (y alone) and `half_adjoint`, which returned u and v."""
    origin, step = course(n, shift)
    e, border = vsplat(taps, 4, LINE), get(w, origin + X)
    outside = vsplat(taps, 6 + 2 * shift, LINE) * border
    put(w, origin - step + Y, outside)
    by_p, by_q, by_e = v * border, v * border, u * outside
    u = vconstant(w, 0.0, LINE)
    for j in range(n - 1, -1, -1):
        here = origin + j * step
        source, v = here + X - shift * step, get(w, here + ADJOINT)
        by_p = by_p + v * get(w, source)
        by_q = by_q + v * get(w, source - step)
        u = get(w, here + G) + e * u
        by_e = by_e + u * get(w, here - step + Y)
    gradient[2 * shift] += vsum(by_p)
    gradient[2 * shift + 1] += vsum(by_q)
    gradient[4] += 2 * vsum(by_e)  # both stages have the pole e


@compiled(fastmath=EXACT, allocates=False)
def smooth_panel(w: Any, n: int, taps: Any) -> None:
    """x -> y."""
    half(w, n, taps, 0, False)
    half(w, n, taps, 1, True)


@compiled(fastmath=EXACT, allocates=False)
def adjoint_panel(w: Any, n: int, taps: Any) -> None:
    """g -> d."""
    half_adjoint(w, n, taps, 0, False)
    half_adjoint(w, n, taps, 1, True)


@compiled(fastmath=EXACT, allocates=False)
def gradient_panel(w: Any, n: int, taps: Any, gradient: Any) -> None:
    """x, g -> d; adds to `gradient` (5 float64) that of a0, a1, a2, a3, e."""
    for shift in range(2):
        half(w, n, taps, shift, False)
        u, v = half_adjoint(w, n, taps, shift, shift == 1)
        half_gradient(w, n, taps, shift, u, v, gradient)
