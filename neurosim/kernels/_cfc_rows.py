"""Compiled CfC networks: a vector holds neighbouring units of a sequence; `_rows` has the products.

`cfc.reference` has the equations. A frame of the tape holds what the LSTM of mixed memory keeps, if there is one, then for each
cell, for every layer of its backbone the sums and the outputs, then the sums of the heads. What a sequence works on, `v`,
holds input and states of all cells side by side, so that those of a cell follow what it is fed with; then the outputs of the
layer of a backbone that was computed last, as they were dropped.
"""

from __future__ import annotations

import math
from typing import Any

from ._jit import compiled
from ._lanes import EXACT, LOG2E, clear, lanes, vconstant, vectors, vload, vmax, vpower2, vsign, vsplat, vstore, vsum
from ._memory_rows import GATES, KEPT, memory_back, memory_forward
from ._rows import LINES, ZERO, affine, filled, hyperbolic, logistic, multiply

LECUN_TANH, SILU, RELU, TANH = range(4)  # GELU is the fifth, see `cfc.ACTIVATIONS`
DEFAULT, NO_GATE, PURE = range(3)  # see `cfc.MODES`
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)


@compiled(fastmath=EXACT, allocates=False)
def activate(tape: Any, at: int, count: int, kind: int, drop: Any, factor: int, into: Any, to: int) -> None:
    """The nonlinearity of `count` sums at tape[at:], written behind them, and times drop[factor:], if any, to into[to:]."""
    dropped = len(drop) > 0
    for j in range(0, count, lanes(tape)):
        i = at + j
        z = vload(tape, i)
        if kind == LECUN_TANH:
            y = vconstant(tape, 1.7159) * hyperbolic(tape, vconstant(tape, 0.666) * z)
        elif kind == SILU:
            y = z * logistic(tape, z)
        elif kind == RELU:
            y = vmax(z, vconstant(tape, 0.0))
        elif kind == TANH:
            y = hyperbolic(tape, z)
        else:
            for k in range(i, i + lanes(tape)):
                tape[k + count] = tape[k] * 0.5 * (1 + math.erf(tape[k] * ROOT_HALF))
            y = vload(tape, i + count)
        vstore(tape, i + count, y)
        if dropped:
            y = y * vload(drop, factor + j)
        vstore(into, to + j, y)


@compiled(fastmath=EXACT, allocates=False)
def activate_back(tape: Any, at: int, count: int, kind: int, drop: Any, factor: int, grad: Any, start: int, sums: Any,
                  to: int) -> None:
    """The gradient grad[start:] of what `activate` wrote to `into`, times the slope there, to sums[to:]."""
    one = vconstant(tape, 1.0)
    dropped = len(drop) > 0
    for j in range(0, count, lanes(tape)):
        z, y, g = vload(tape, at + j), vload(tape, at + count + j), vload(grad, start + j)
        if dropped:
            g = g * vload(drop, factor + j)
        if kind == LECUN_TANH:
            t = y * vconstant(tape, 1 / 1.7159)
            slope = vconstant(tape, 1.7159 * 0.666) * (one - t * t)
        elif kind == SILU:
            s = logistic(tape, z)
            slope = s + y * (one - s)
        elif kind == RELU:
            slope = vmax(vsign(z), vconstant(tape, 0.0))
        elif kind == TANH:
            slope = one - y * y
        else:
            for k in range(lanes(tape)):
                x = tape[at + j + k]
                sums[to + j + k] = 0.5 * (1 + math.erf(x * ROOT_HALF)) + x * math.exp(-0.5 * x * x) / ROOT_TWO_PI
            slope = vload(sums, to + j)
        vstore(sums, to + j, g * slope)


@compiled(fastmath=EXACT, allocates=False)
def heads_forward(tape: Any, heads: int, padded: int, mode: int, timespans: Any, step: int, pure: Any, first: int,
                  h: Any) -> None:
    """New state from the sums of the heads at tape[heads:], over the time span number `step`; pure[first:]: w_tau and A."""
    one, dt = vconstant(tape, 1.0), vsplat(timespans, step)
    for j in range(0, padded, lanes(tape)):
        f1 = vload(tape, heads + j)
        if mode == PURE:
            w, a = vload(pure, first + j), vload(pure, first + padded + j)
            rate = vmax(f1, -f1) + vmax(w, -w)
            decay = vpower2(vconstant(tape, -LOG2E) * dt * rate)
            vstore(h, j, a - a * f1 * decay)
        else:
            f2, time_a = vload(tape, heads + padded + j), vload(tape, heads + 2 * padded + j)
            s = logistic(tape, time_a * dt + vload(tape, heads + 3 * padded + j))
            if mode == DEFAULT:
                vstore(h, j, hyperbolic(tape, f1) * (one - s) + hyperbolic(tape, f2) * s)
            else:
                vstore(h, j, hyperbolic(tape, f1) + hyperbolic(tape, f2) * s)


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, x: Any, timespans: Any, before: Any, matrices: Any, pure: Any, memory: Any, drop: Any,
                 units: Any, every: int, width: int, depth: int, mode: int, activation: int, frames: int, length: int,
                 tape: Any, out: Any) -> None:
    """Sequences from LINES * start to LINES * stop; fills those of out (batch, time, every unit, once or twice).

    before: (batch, every unit, once or twice), hidden states and, with an LSTM, its c. matrices: of each cell, the transposed
    weights and biases of its layers and heads, one after the other. pure: w_tau and A of each cell, padded. memory: of
    `memory.memory_matrix`, or empty. drop: what each output of the backbones is multiplied with, (batch, time, depth, width),
    flat, or empty. units: numbers of units of the cells, `every` in all. width: of the backbones, padded. tape: (batch,
    frames, length), flat; where frames are too few, they are used in turn.
    """
    batch, time, inputs = x.shape
    joined, remembers = filled(every, tape), len(memory) > 0
    hidden = filled(inputs + joined, tape)
    size, step = hidden + width, frames * length
    v, h, c = vectors(LINES * size, tape), vectors(joined, tape), vectors(LINES * joined, tape)
    for row in range(start * LINES, min(stop * LINES, batch), LINES):
        lines = min(LINES, batch - row)
        clear(c)
        for line in range(lines):
            for i in range(every):
                v[line * size + inputs + i] = before[row + line, i]
            for i in range(every, before.shape[1]):
                c[line * joined + i - every] = before[row + line, i]
        for t in range(time):
            at, now = row * step + t % frames * length, row * time + t
            for line in range(lines):
                for i in range(inputs):
                    v[line * size + i] = x[row + line, t, i]
            if remembers:
                memory_forward(v, size, lines, inputs, every, memory, joined, c, ZERO, tape, at, step)
                at += KEPT * joined
                for line in range(lines):
                    for i in range(every):
                        out[row + line, t, every + i] = c[line * joined + i]
            matrix, begin, below, first, of_pure = ZERO, ZERO, inputs, ZERO, ZERO
            for own in units:
                padded = filled(own, tape)
                columns = padded if mode == PURE else 4 * padded
                for layer in range(depth + 1):
                    source, rows = (begin, below + own) if layer == 0 else (hidden, width)
                    count = width if layer < depth else columns
                    matrix = affine(v, source, size, lines, rows, matrices, matrix, count, tape, at, step)
                    if layer < depth:
                        for line in range(lines):
                            factor = ((now + line * time) * depth + layer) * width
                            activate(tape, at + line * step, width, activation, drop, factor, v, line * size + hidden)
                        at += 2 * width
                for line in range(lines):
                    heads_forward(tape, at + line * step, padded, mode, timespans, now + line * time, pure, of_pure, h)
                    for i in range(own):
                        v[line * size + begin + below + i] = h[i]
                        out[row + line, t, first + i] = h[i]
                at += columns
                begin, below, first, of_pure = begin + below, own, first + own, of_pure + 2 * padded


@compiled(fastmath=EXACT, allocates=False)
def heads_back(frame: Any, heads: int, padded: int, mode: int, timespans: Any, step: int, pure: Any, first: int, grad: Any,
               start: int, sums: Any, to: int, pure_sums: Any, pure_to: int) -> float:
    """From the gradient grad[start:] of a new state those of the sums of the heads, to sums[to:]; returns that of dt."""
    one, dt = vconstant(frame, 1.0), vsplat(timespans, step)
    of_dt = vconstant(frame, 0.0)
    for j in range(0, padded, lanes(frame)):
        f1, g = vload(frame, heads + j), vload(grad, start + j)
        if mode == PURE:
            w, a = vload(pure, first + j), vload(pure, first + padded + j)
            rate = vmax(f1, -f1) + vmax(w, -w)
            decay = vpower2(vconstant(frame, -LOG2E) * dt * rate)
            faded = g * a * f1 * decay
            vstore(sums, to + j, faded * dt * vsign(f1) - g * a * decay)
            of_w, of_a = pure_to + j, pure_to + padded + j
            vstore(pure_sums, of_w, vload(pure_sums, of_w) + faded * dt * vsign(w))
            vstore(pure_sums, of_a, vload(pure_sums, of_a) + g * (one - f1 * decay))
            of_dt = of_dt + faded * rate
        else:
            f2, time_a = vload(frame, heads + padded + j), vload(frame, heads + 2 * padded + j)
            s = logistic(frame, time_a * dt + vload(frame, heads + 3 * padded + j))
            one_t, two_t = hyperbolic(frame, f1), hyperbolic(frame, f2)
            if mode == DEFAULT:
                vstore(sums, to + j, g * (one - s) * (one - one_t * one_t))
                gate = g * (two_t - one_t) * s * (one - s)
            else:
                vstore(sums, to + j, g * (one - one_t * one_t))
                gate = g * two_t * s * (one - s)
            vstore(sums, to + padded + j, g * s * (one - two_t * two_t))
            vstore(sums, to + 2 * padded + j, gate * dt)
            vstore(sums, to + 3 * padded + j, gate)
            of_dt = of_dt + gate * time_a
    return vsum(of_dt)


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, parts: int, timespans: Any, matrices: Any, pure: Any, memory: Any, drop: Any,
                  units: Any, every: int, width: int, depth: int, mode: int, activation: int, length: int, tape: Any,
                  grad: Any, grad_x: Any, grad_timespans: Any, grad_before: Any, sums_length: int, sums: Any,
                  pure_sums: Any) -> None:
    """Every `parts`-th group of LINES sequences, beginning with `start`, ..., `stop` - 1.

    matrices: of each cell from the last to the first, weights of the heads, then of the layers from the last to the first,
    with padded rows. memory: of `memory.memory_matrix`, or empty. tape: as `forward_rows` left it, with all frames. grad:
    gradient of its `out`. Fills grad_x, grad_timespans, grad_before, sums (batch, time, sums_length, flat), the gradients of
    all sums in the order of the tape, and one entry of pure_sums for each part.
    """
    (batch, time, inputs), remembers = grad_x.shape, len(memory) > 0
    joined, last = filled(every, tape), filled(inputs + every, tape)
    spread, size = joined + lanes(tape), max(width, last)  # the last units are read with some that follow
    step, sums_step = time * length, time * sums_length
    of_h, of_c, below = vectors(LINES * spread, tape), vectors(LINES * joined, tape), vectors(LINES * size, tape)
    for part in range(start, stop):
        for row in range(part * LINES, batch, parts * LINES):
            lines = min(LINES, batch - row)
            clear(of_h)
            clear(of_c)
            for t in range(time - 1, -1, -1):
                now = row * time + t
                at, to, matrix = (now + 1) * length, (now + 1) * sums_length, ZERO
                first, of_pure = every, pure_sums.shape[1]
                for line in range(lines):
                    grad_timespans[row + line, t] = 0
                    for i in range(every):
                        of_h[line * spread + i] += grad[row + line, t, i]
                for cell in range(len(units) - 1, -1, -1):
                    own, under = units[cell], inputs if cell == 0 else units[cell - 1]
                    padded = filled(own, tape)
                    count = padded if mode == PURE else 4 * padded
                    at, to, first, of_pure = at - count, to - count, first - own, of_pure - 2 * padded
                    for line in range(lines):
                        grad_timespans[row + line, t] += heads_back(
                            tape, at + line * step, padded, mode, timespans, now + line * time, pure, of_pure, of_h,
                            line * spread + first, sums, to + line * sums_step, pure_sums,
                            part * pure_sums.shape[1] + of_pure)
                    for layer in range(depth, -1, -1):
                        columns = filled(under + own, tape) if layer == 0 else width
                        clear(below)
                        multiply(sums, to, sums_step, lines, count, matrices, matrix, columns, below, ZERO, size)
                        matrix += count * columns
                        if layer > 0:
                            at, to, count = at - 2 * width, to - width, width
                            for line in range(lines):
                                factor = ((now + line * time) * depth + layer - 1) * width
                                activate_back(tape, at + line * step, width, activation, drop, factor, below, line * size,
                                              sums, to + line * sums_step)
                    for line in range(lines):
                        for i in range(under):
                            if cell == 0:
                                grad_x[row + line, t, i] = below[line * size + i]
                            else:
                                of_h[line * spread + first - under + i] += below[line * size + i]
                        for i in range(own):
                            of_h[line * spread + first + i] = below[line * size + under + i]
                if remembers:
                    at, to = at - KEPT * joined, to - GATES * joined
                    for line in range(lines):
                        for i in range(every):
                            of_c[line * joined + i] += grad[row + line, t, every + i]
                    memory_back(tape, at, step, lines, joined, of_h, spread, of_c, ZERO, sums, to, sums_step, memory, last,
                                below, size)
                    for line in range(lines):
                        for i in range(inputs):
                            grad_x[row + line, t, i] += below[line * size + i]
                        for i in range(every):
                            of_h[line * spread + i] = below[line * size + inputs + i]
            for line in range(lines):
                for i in range(every):
                    grad_before[row + line, i] = of_h[line * spread + i]
                for i in range(every, grad_before.shape[1]):
                    grad_before[row + line, i] = of_c[line * joined + i - every]
