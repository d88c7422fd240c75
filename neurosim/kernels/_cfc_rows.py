"""Compiled CfC cells: a vector holds neighbouring units of a sequence; four sequences share their reads of the weights.

`cfc.reference` has the equations. Matrices are kept row by row for the vector that they are multiplied with from the left;
rows are padded with zeros to whole vectors. A frame of the tape holds, for every layer of the backbone, its sums and its
outputs, then the sums of the heads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, clear, lanes, vconstant, vload, vlogistic2, vmax, vpower2, vsign, vsplat, vstore, vsum

LOG2E = 1 / math.log(2)
LECUN_TANH, SILU, RELU, TANH = range(4)  # GELU is the fifth, see `cfc.ACTIVATIONS`
DEFAULT, NO_GATE, PURE = range(3)  # see `cfc.MODES`
LINES = 4  # sequences that are worked on together
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)


@compiled(fastmath=EXACT, allocates=False)
def multiply_one(x: Any, start: int, rows: int, matrix: Any, at: int, columns: int, into: Any, to: int) -> None:
    """Adds to into[to:] the product of x[start:start + rows] with the matrix (rows, columns) at matrix[at:]."""
    width = lanes(x)
    column = 0
    while column + 4 * width <= columns:  # four sums at once: one alone would wait for itself
        p, t = at + column, to + column
        a, b = vload(into, t), vload(into, t + width)
        c, d = vload(into, t + 2 * width), vload(into, t + 3 * width)
        for row in range(rows):
            factor = vsplat(x, start + row)
            a = a + factor * vload(matrix, p)
            b = b + factor * vload(matrix, p + width)
            c = c + factor * vload(matrix, p + 2 * width)
            d = d + factor * vload(matrix, p + 3 * width)
            p += columns
        vstore(into, t, a)
        vstore(into, t + width, b)
        vstore(into, t + 2 * width, c)
        vstore(into, t + 3 * width, d)
        column += 4 * width
    while column < columns:
        a = vload(into, to + column)
        for row in range(rows):
            a = a + vsplat(x, start + row) * vload(matrix, at + row * columns + column)
        vstore(into, to + column, a)
        column += width


@compiled(fastmath=EXACT, allocates=False)
def multiply_four(x: Any, start: int, step: int, rows: int, matrix: Any, at: int, columns: int, into: Any, to: int,
                  to_step: int) -> None:
    """`multiply_one` for four sequences at once, `step` and `to_step` apart: every number of the matrix is read once."""
    width = lanes(x)
    column = 0
    while column < columns:
        p, t = at + column, to + column
        two = column + 2 * width <= columns
        q = width if two else 0  # a last single column of vectors is computed twice
        a0, a1 = vload(into, t), vload(into, t + q)
        b0, b1 = vload(into, t + to_step), vload(into, t + to_step + q)
        c0, c1 = vload(into, t + 2 * to_step), vload(into, t + 2 * to_step + q)
        d0, d1 = vload(into, t + 3 * to_step), vload(into, t + 3 * to_step + q)
        for row in range(start, start + rows):
            m0, m1 = vload(matrix, p), vload(matrix, p + q)
            a, b, c, d = vsplat(x, row), vsplat(x, row + step), vsplat(x, row + 2 * step), vsplat(x, row + 3 * step)
            a0, a1, b0, b1 = a0 + a * m0, a1 + a * m1, b0 + b * m0, b1 + b * m1
            c0, c1, d0, d1 = c0 + c * m0, c1 + c * m1, d0 + d * m0, d1 + d * m1
            p += columns
        vstore(into, t, a0)
        vstore(into, t + q, a1)
        vstore(into, t + to_step, b0)
        vstore(into, t + to_step + q, b1)
        vstore(into, t + 2 * to_step, c0)
        vstore(into, t + 2 * to_step + q, c1)
        vstore(into, t + 3 * to_step, d0)
        vstore(into, t + 3 * to_step + q, d1)
        column += 2 * width


@compiled(fastmath=EXACT, allocates=False)
def multiply(x: Any, start: int, step: int, lines: int, rows: int, matrix: Any, at: int, columns: int, into: Any,
             to: int, to_step: int) -> None:
    """`multiply_one` for `lines` sequences; the order of every sum is the same for any number of them."""
    if lines == LINES:
        multiply_four(x, start, step, rows, matrix, at, columns, into, to, to_step)
    else:
        for line in range(lines):
            multiply_one(x, start + line * step, rows, matrix, at, columns, into, to + line * to_step)


@compiled(fastmath=EXACT, allocates=False)
def affine(x: Any, start: int, step: int, lines: int, rows: int, matrix: Any, at: int, columns: int, into: Any,
           to: int, to_step: int) -> int:
    """The product plus the bias that follows the matrix; returns where the next matrix begins."""
    bias = at + rows * columns
    for line in range(lines):
        for column in range(columns):
            into[to + line * to_step + column] = matrix[bias + column]
    multiply(x, start, step, lines, rows, matrix, at, columns, into, to, to_step)
    return bias + columns


@compiled(fastmath=EXACT, allocates=False)
def logistic(like: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)) of a vector."""
    return vlogistic2(vconstant(like, -LOG2E) * x)


@compiled(fastmath=EXACT, allocates=False)
def hyperbolic(like: Any, x: Any) -> Any:
    """tanh of a vector, to the rounding of 1."""
    return vconstant(like, 2.0) * vlogistic2(vconstant(like, -2 * LOG2E) * x) - vconstant(like, 1.0)


@compiled(fastmath=EXACT, allocates=False)
def activate(tape: Any, at: int, count: int, kind: int) -> None:
    """The nonlinearity of `count` sums at tape[at:], written behind them."""
    for i in range(at, at + count, lanes(tape)):
        z = vload(tape, i)
        if kind == LECUN_TANH:
            vstore(tape, i + count, vconstant(tape, 1.7159) * hyperbolic(tape, vconstant(tape, 0.666) * z))
        elif kind == SILU:
            vstore(tape, i + count, z * logistic(tape, z))
        elif kind == RELU:
            vstore(tape, i + count, vmax(z, vconstant(tape, 0.0)))
        elif kind == TANH:
            vstore(tape, i + count, hyperbolic(tape, z))
        else:
            for k in range(i, i + lanes(tape)):
                tape[k + count] = tape[k] * 0.5 * (1 + math.erf(tape[k] * ROOT_HALF))


@compiled(fastmath=EXACT, allocates=False)
def activate_back(tape: Any, at: int, count: int, kind: int, grad: Any, start: int, sums: Any, to: int) -> None:
    """The gradient grad[start:] of what `activate` wrote, times the slope there, to sums[to:]."""
    one = vconstant(tape, 1.0)
    for i in range(0, count, lanes(tape)):
        z, y, g = vload(tape, at + i), vload(tape, at + count + i), vload(grad, start + i)
        if kind == LECUN_TANH:
            t = y * vconstant(tape, 1 / 1.7159)
            vstore(sums, to + i, g * vconstant(tape, 1.7159 * 0.666) * (one - t * t))
        elif kind == SILU:
            s = logistic(tape, z)
            vstore(sums, to + i, g * (s + y * (one - s)))
        elif kind == RELU:
            vstore(sums, to + i, g * vmax(vsign(z), vconstant(tape, 0.0)))
        elif kind == TANH:
            vstore(sums, to + i, g * (one - y * y))
        else:
            for k in range(i, i + lanes(tape)):
                x = tape[at + k]
                slope = 0.5 * (1 + math.erf(x * ROOT_HALF)) + x * math.exp(-0.5 * x * x) / ROOT_TWO_PI
                sums[to + k] = grad[start + k] * slope


@compiled(fastmath=EXACT, allocates=False)
def heads_forward(tape: Any, heads: int, padded: int, mode: int, dt: Any, pure: Any, h: Any) -> None:
    """New state from the sums of the heads at tape[heads:]."""
    one = vconstant(tape, 1.0)
    for j in range(0, padded, lanes(tape)):
        f1 = vload(tape, heads + j)
        if mode == PURE:
            rate = vmax(f1, -f1) + vmax(vload(pure, j), -vload(pure, j))
            decay = vpower2(vconstant(tape, -LOG2E) * vsplat(dt, 0) * rate)
            a = vload(pure, padded + j)
            vstore(h, j, a - a * f1 * decay)
        else:
            f2, time_a = vload(tape, heads + padded + j), vload(tape, heads + 2 * padded + j)
            s = logistic(tape, time_a * vsplat(dt, 0) + vload(tape, heads + 3 * padded + j))
            if mode == DEFAULT:
                vstore(h, j, hyperbolic(tape, f1) * (one - s) + hyperbolic(tape, f2) * s)
            else:
                vstore(h, j, hyperbolic(tape, f1) + hyperbolic(tape, f2) * s)


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, x: Any, timespans: Any, h0: Any, matrices: Any, pure: Any, width: int,
                 depth: int, mode: int, activation: int, frames: int, tape: Any, out: Any) -> None:
    """Sequences from LINES * start to LINES * stop; fills those of out (batch, time, units).

    matrices: each layer's and the heads' transposed weights and bias, one after the other. pure: w_tau and A, padded.
    width: of the backbone, padded. tape: (batch, frames, length of a frame), flat; where frames are too few, they are
    used in turn.
    """
    (batch, time, inputs), units = x.shape, h0.shape[1]
    padded = len(pure) // 2
    columns = padded if mode == PURE else 4 * padded
    heads, size = 2 * width * depth, inputs + units
    step = frames * (heads + columns)
    v, h = np.empty(LINES * size, x.dtype), np.empty(padded, x.dtype)
    for row in range(start * LINES, min(stop * LINES, batch), LINES):
        lines = min(LINES, batch - row)
        for line in range(lines):
            for i in range(units):
                v[line * size + inputs + i] = h0[row + line, i]
        for t in range(time):
            frame = row * step + t % frames * (heads + columns)
            for line in range(lines):
                for i in range(inputs):
                    v[line * size + i] = x[row + line, t, i]
            at = 0
            for layer in range(depth):
                to = frame + 2 * width * layer
                if layer == 0:
                    at = affine(v, 0, size, lines, size, matrices, at, width, tape, to, step)
                else:
                    at = affine(tape, to - width, step, lines, width, matrices, at, width, tape, to, step)
                for line in range(lines):
                    activate(tape, to + line * step, width, activation)
            to = frame + heads
            if depth == 0:
                affine(v, 0, size, lines, size, matrices, at, columns, tape, to, step)
            else:
                affine(tape, to - width, step, lines, width, matrices, at, columns, tape, to, step)
            for line in range(lines):
                heads_forward(tape, to + line * step, padded, mode, timespans[row + line, t:], pure, h)
                for i in range(units):
                    v[line * size + inputs + i] = h[i]
                    out[row + line, t, i] = h[i]


@compiled(fastmath=EXACT, allocates=False)
def heads_back(frame: Any, heads: int, padded: int, mode: int, dt: Any, pure: Any, grad: Any, start: int,
               sums: Any, to: int, pure_sums: Any) -> float:
    """From the gradient grad[start:] of a new state those of the sums of the heads, to sums[to:]; returns that of dt."""
    one = vconstant(frame, 1.0)
    of_dt = vconstant(frame, 0.0)
    for j in range(0, padded, lanes(frame)):
        f1, g = vload(frame, heads + j), vload(grad, start + j)
        if mode == PURE:
            w, a = vload(pure, j), vload(pure, padded + j)
            rate = vmax(f1, -f1) + vmax(w, -w)
            decay = vpower2(vconstant(frame, -LOG2E) * vsplat(dt, 0) * rate)
            faded = g * a * f1 * decay
            vstore(sums, to + j, faded * vsplat(dt, 0) * vsign(f1) - g * a * decay)
            vstore(pure_sums, j, vload(pure_sums, j) + faded * vsplat(dt, 0) * vsign(w))
            vstore(pure_sums, padded + j, vload(pure_sums, padded + j) + g * (one - f1 * decay))
            of_dt = of_dt + faded * rate
        else:
            f2, time_a = vload(frame, heads + padded + j), vload(frame, heads + 2 * padded + j)
            s = logistic(frame, time_a * vsplat(dt, 0) + vload(frame, heads + 3 * padded + j))
            one_t, two_t = hyperbolic(frame, f1), hyperbolic(frame, f2)
            if mode == DEFAULT:
                vstore(sums, to + j, g * (one - s) * (one - one_t * one_t))
                gate = g * (two_t - one_t) * s * (one - s)
            else:
                vstore(sums, to + j, g * (one - one_t * one_t))
                gate = g * two_t * s * (one - s)
            vstore(sums, to + padded + j, g * s * (one - two_t * two_t))
            vstore(sums, to + 2 * padded + j, gate * vsplat(dt, 0))
            vstore(sums, to + 3 * padded + j, gate)
            of_dt = of_dt + gate * time_a
    return vsum(of_dt)


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, parts: int, timespans: Any, matrices: Any, pure: Any, width: int, depth: int,
                  mode: int, activation: int, tape: Any, grad: Any, grad_x: Any, grad_timespans: Any, grad_h: Any,
                  sums: Any, pure_sums: Any) -> None:
    """Every `parts`-th group of LINES sequences, beginning with `start`, ..., `stop` - 1.

    matrices: weights of the heads, then of the layers from the last to the first, with padded rows. tape: as
    `forward_rows` left it, with all frames. grad: gradient of its `out`. Fills grad_x, grad_timespans, grad_h, sums
    (batch, time, width * depth + sums of the heads, flat), the gradients of all sums, and one entry of pure_sums for
    each part.
    """
    batch, time, units = grad.shape
    inputs = grad_x.shape[2]
    padded = pure_sums.shape[1] // 2
    last = inputs + units + -(inputs + units) % lanes(tape)
    columns = padded if mode == PURE else 4 * padded
    heads, size = 2 * width * depth, max(width, last)
    step, sums_step = time * (heads + columns), time * (width * depth + columns)
    of_h, below = np.empty(LINES * padded, tape.dtype), np.empty(LINES * size, tape.dtype)
    for part in range(start, stop):
        for row in range(part * LINES, batch, parts * LINES):
            lines = min(LINES, batch - row)
            clear(of_h)
            for t in range(time - 1, -1, -1):
                frame = row * step + t * (heads + columns)
                of_frame = row * sums_step + t * (width * depth + columns)
                at, to, count = 0, of_frame + width * depth, columns
                for line in range(lines):
                    for i in range(units):
                        of_h[line * padded + i] += grad[row + line, t, i]
                    grad_timespans[row + line, t] = heads_back(
                        tape, frame + line * step + heads, padded, mode, timespans[row + line, t:], pure, of_h,
                        line * padded, sums, to + line * sums_step, pure_sums[part])
                for layer in range(depth - 1, -1, -1):
                    clear(below)
                    multiply(sums, to, sums_step, lines, count, matrices, at, width, below, 0, size)
                    at += count * width
                    to, count = of_frame + width * layer, width
                    for line in range(lines):
                        activate_back(tape, frame + line * step + 2 * width * layer, width, activation, below,
                                      line * size, sums, to + line * sums_step)
                clear(below)
                multiply(sums, to, sums_step, lines, count, matrices, at, last, below, 0, size)
                for line in range(lines):
                    for i in range(inputs):
                        grad_x[row + line, t, i] = below[line * size + i]
                    for i in range(units):
                        of_h[line * padded + i] = below[line * size + inputs + i]
            for line in range(lines):
                for i in range(units):
                    grad_h[row + line, i] = of_h[line * padded + i]
