"""Sums over numbers at listed offsets from a place, vectors of neighbouring places at once: what a convolution consists of.

All work on flat arrays, in compiled code, without bounds checks.
"""

from __future__ import annotations

from typing import Any

from ._jit import VECTOR, compiled
from ._lanes import EXACT, lanes, vload, vsplat, vstore

GROUP = 8  # sums side by side, so that one sum does not wait for the other
STACK = 4  # frames that share the numbers that are loaded
ACROSS = VECTOR // 16  # registers of each of them: as many sums as there are registers, and a few left
LAGS = 4  # weights whose gradients share the numbers that are loaded


@compiled(fastmath=EXACT, allocates=False, inline=True)
def weighted_8(out: Any, place: int, x: Any, start: int, offsets: Any, w: Any, first: int, bias: Any, channel: int) -> None:
    """out[place] = bias[channel] + sum over k of w[first + k] * x[start + offsets[k]], for GROUP registers of neighbours."""
    total = vsplat(bias, channel, GROUP)
    for k in range(len(offsets)):
        total = total + vsplat(w, first + k, GROUP) * vload(x, start + offsets[k], GROUP)
    vstore(out, place, total)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def weighted_1(out: Any, place: int, x: Any, start: int, offsets: Any, w: Any, first: int, bias: Any, channel: int) -> None:
    """`weighted_8` for one register."""
    total = vsplat(bias, channel)
    for k in range(len(offsets)):
        total = total + vsplat(w, first + k) * vload(x, start + offsets[k])
    vstore(out, place, total)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def stacked(out: Any, place: int, jump: int, x: Any, start: int, step: int, offsets: Any, lags: int, w: Any, first: int,
            bias: Any, channel: int) -> None:
    """The same sums for STACK frames f at once, with ACROSS registers of neighbours.

    out[place + f * jump] = bias[channel] + sum over s, k of w[first + s * lags + k] * x[start + offsets[s] + (k + f) * step],
    in the order of `weighted_8` with the offsets offsets[s] + k * step. `lags` is at least 3. A frame of x is loaded once for
    the four sums that it is part of.
    """
    a = vsplat(bias, channel, ACROSS)
    b, c, d = a, a, a
    for s in range(len(offsets)):
        at, k = start + offsets[s], first + s * lags
        frame = vload(x, at, ACROSS)  # the sums begin one after the other
        a = a + vsplat(w, k, ACROSS) * frame
        frame = vload(x, at + step, ACROSS)
        a = a + vsplat(w, k + 1, ACROSS) * frame
        b = b + vsplat(w, k, ACROSS) * frame
        frame = vload(x, at + 2 * step, ACROSS)
        a = a + vsplat(w, k + 2, ACROSS) * frame
        b = b + vsplat(w, k + 1, ACROSS) * frame
        c = c + vsplat(w, k, ACROSS) * frame
        at += 3 * step
        for late in range(k + 3, k + lags):
            frame = vload(x, at, ACROSS)
            a = a + vsplat(w, late, ACROSS) * frame
            b = b + vsplat(w, late - 1, ACROSS) * frame
            c = c + vsplat(w, late - 2, ACROSS) * frame
            d = d + vsplat(w, late - 3, ACROSS) * frame
            at += step
        k += lags
        frame = vload(x, at, ACROSS)  # and end one after the other
        b = b + vsplat(w, k - 1, ACROSS) * frame
        c = c + vsplat(w, k - 2, ACROSS) * frame
        d = d + vsplat(w, k - 3, ACROSS) * frame
        frame = vload(x, at + step, ACROSS)
        c = c + vsplat(w, k - 1, ACROSS) * frame
        d = d + vsplat(w, k - 2, ACROSS) * frame
        d = d + vsplat(w, k - 1, ACROSS) * vload(x, at + 2 * step, ACROSS)
    vstore(out, place, a)
    vstore(out, place + jump, b)
    vstore(out, place + 2 * jump, c)
    vstore(out, place + 3 * jump, d)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def products_of_1(sums: Any, place: int, g: Any, begin: int, vectors: int, x: Any, start: int, step: int) -> None:
    """sums[place + 2 * k * lanes] += sum over i of g[begin + i] * x[start + k * step + i] for LAGS lags k, i over so many
    vectors."""
    size = lanes(x)
    a, b = vload(sums, place), vload(sums, place + 2 * size)
    c, d = vload(sums, place + 4 * size), vload(sums, place + 6 * size)
    for i in range(0, vectors * size, size):
        one, at = vload(g, begin + i), start + i
        a = a + one * vload(x, at)
        b = b + one * vload(x, at + step)
        c = c + one * vload(x, at + 2 * step)
        d = d + one * vload(x, at + 3 * step)
    vstore(sums, place, a)
    vstore(sums, place + 2 * size, b)
    vstore(sums, place + 4 * size, c)
    vstore(sums, place + 6 * size, d)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def products_of_4(sums: Any, place: int, g: Any, begin: int, jump: int, vectors: int, x: Any, start: int, step: int) -> None:
    """The same for STACK frames, of g `jump` apart; a lag has two vectors of sums in turn: neither waits for the other."""
    size = lanes(x)
    a, a_too, b, b_too = (vload(sums, place), vload(sums, place + size), vload(sums, place + 2 * size),
                          vload(sums, place + 3 * size))
    c, c_too, d, d_too = (vload(sums, place + 4 * size), vload(sums, place + 5 * size), vload(sums, place + 6 * size),
                          vload(sums, place + 7 * size))
    for i in range(0, vectors * size, size):
        at, own = start + i, begin + i
        one, two, three, four = vload(g, own), vload(g, own + jump), vload(g, own + 2 * jump), vload(g, own + 3 * jump)
        frame = vload(x, at)
        a = a + one * frame
        frame = vload(x, at + step)
        b = b + one * frame
        a_too = a_too + two * frame
        frame = vload(x, at + 2 * step)
        c = c + one * frame
        b_too = b_too + two * frame
        a = a + three * frame
        frame = vload(x, at + 3 * step)
        d = d + one * frame
        c_too = c_too + two * frame
        b = b + three * frame
        a_too = a_too + four * frame
        frame = vload(x, at + 4 * step)
        d_too = d_too + two * frame
        c = c + three * frame
        b_too = b_too + four * frame
        frame = vload(x, at + 5 * step)
        d = d + three * frame
        c_too = c_too + four * frame
        d_too = d_too + four * vload(x, at + 6 * step)
    vstore(sums, place, a)
    vstore(sums, place + size, a_too)
    vstore(sums, place + 2 * size, b)
    vstore(sums, place + 3 * size, b_too)
    vstore(sums, place + 4 * size, c)
    vstore(sums, place + 5 * size, c_too)
    vstore(sums, place + 6 * size, d)
    vstore(sums, place + 7 * size, d_too)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def products(sums: Any, place: int, grad: Any, begin: int, vectors: int, x: Any, start: int, offsets: Any, k: int) -> None:
    """sums[place + j * lanes] += sum over i of grad[begin + i] * x[start + i + offsets[k + j]] for GROUP j, i over so many
    vectors."""
    size = lanes(x)
    a, b, c, d = vload(sums, place), vload(sums, place + size), vload(sums, place + 2 * size), vload(sums, place + 3 * size)
    rest = place + 4 * size
    e, f, g, h = vload(sums, rest), vload(sums, rest + size), vload(sums, rest + 2 * size), vload(sums, rest + 3 * size)
    for i in range(0, vectors * size, size):
        one, at = vload(grad, begin + i), start + i
        a = a + one * vload(x, at + offsets[k])
        b = b + one * vload(x, at + offsets[k + 1])
        c = c + one * vload(x, at + offsets[k + 2])
        d = d + one * vload(x, at + offsets[k + 3])
        e = e + one * vload(x, at + offsets[k + 4])
        f = f + one * vload(x, at + offsets[k + 5])
        g = g + one * vload(x, at + offsets[k + 6])
        h = h + one * vload(x, at + offsets[k + 7])
    vstore(sums, place, a)
    vstore(sums, place + size, b)
    vstore(sums, place + 2 * size, c)
    vstore(sums, place + 3 * size, d)
    vstore(sums, rest, e)
    vstore(sums, rest + size, f)
    vstore(sums, rest + 2 * size, g)
    vstore(sums, rest + 3 * size, h)
