"""The compiled LSTM of mixed memory: one step of up to four sequences, forward and back; see `memory.lstm`.

Its matrix has a row for each input, then for each unit, and the biases; its columns are those of the candidate, the input,
the forget and the output gate, each filled up to whole vectors. A frame of its tape holds the four after their
nonlinearities, c before the step, and tanh of c after it.
"""

from __future__ import annotations

from typing import Any

from ._jit import compiled
from ._lanes import EXACT, lanes, vconstant, vload, vstore
from ._rows import LINES, ZERO, affine, filled, hyperbolic, logistic, multiply

GATES = 4
KEPT = GATES + 2  # numbers of a unit in a frame of the tape


@compiled(fastmath=EXACT, allocates=False)
def memory_forward(v: Any, size: int, lines: int, inputs: int, units: int, matrix: Any, padded: int, c: Any, first: int,
                   tape: Any, at: int, step: int) -> None:
    """Turns the hidden states in v and the memory c[first:] into those after the step.

    v: input and hidden state side by side for each of the `lines`, `size` apart, with room for `padded` units.
    c: (lines, padded), flat. tape: the frames for this step, from `at` on, `step` apart.
    """
    affine(v, ZERO, size, lines, inputs + units, matrix, ZERO, GATES * padded, tape, at, step)
    for line in range(lines):
        frame = at + line * step
        for j in range(0, padded, lanes(tape)):
            i = frame + j
            candidate, into = hyperbolic(tape, vload(tape, i)), logistic(tape, vload(tape, i + padded))
            forget, out = logistic(tape, vload(tape, i + 2 * padded)), logistic(tape, vload(tape, i + 3 * padded))
            before = vload(c, first + line * padded + j)
            after = before * forget + candidate * into
            shown = hyperbolic(tape, after)
            vstore(tape, i, candidate)
            vstore(tape, i + padded, into)
            vstore(tape, i + 2 * padded, forget)
            vstore(tape, i + 3 * padded, out)
            vstore(tape, i + 4 * padded, before)
            vstore(tape, i + 5 * padded, shown)
            vstore(c, first + line * padded + j, after)
            vstore(v, line * size + inputs + j, shown * out)


@compiled(fastmath=EXACT, allocates=False)
def memory_back(tape: Any, at: int, step: int, lines: int, padded: int, of_h: Any, spread: int, of_c: Any, first: int,
                sums: Any, to: int, sums_step: int, matrix: Any, columns: int, before: Any, size: int) -> None:
    """From the gradients of what `memory_forward` gave those of what it got.

    of_h: gradient of the hidden states, `spread` apart. of_c[first:]: that of c, (lines, padded), replaced by that of c before
    the step. sums: filled from `to` on, `sums_step` apart, with the gradients of the sums of the gates. matrix: a row for each
    gate of each unit, with `columns` columns for inputs and units. before: filled with the gradients of v.
    """
    one = vconstant(tape, 1.0)
    for line in range(lines):
        for j in range(0, padded, lanes(tape)):
            i, k = at + line * step + j, to + line * sums_step + j
            candidate, into = vload(tape, i), vload(tape, i + padded)
            forget, out = vload(tape, i + 2 * padded), vload(tape, i + 3 * padded)
            c, shown = vload(tape, i + 4 * padded), vload(tape, i + 5 * padded)
            g = vload(of_h, line * spread + j)
            of_after = vload(of_c, first + line * padded + j) + g * out * (one - shown * shown)
            vstore(sums, k, of_after * into * (one - candidate * candidate))
            vstore(sums, k + padded, of_after * candidate * into * (one - into))
            vstore(sums, k + 2 * padded, of_after * c * forget * (one - forget))
            vstore(sums, k + 3 * padded, g * shown * out * (one - out))
            vstore(of_c, first + line * padded + j, of_after * forget)
        for i in range(columns):
            before[line * size + i] = 0
    multiply(sums, to, sums_step, lines, GATES * padded, matrix, ZERO, columns, before, ZERO, size)


@compiled(fastmath=EXACT, allocates=False)
def remember(u: Any, t: int, row: int, count: int, place: Any, apart: int, potentials: Any, now: int, then: int, matrix: Any,
             padded: int, v: Any, c: Any, tape: Any, frames: int, states: Any) -> None:
    """Step t of the LSTM before an LTC, of sequences `row` and up: from potentials[now:] to potentials[then:].

    Args:
        u: (batch, time, inputs).
        count: number of sequences; those of neuron i stand side by side from place[i] * apart on.
        v: room for LINES times inputs and `padded` units. c: (count, padded), flat. tape: (batch, frames, length), flat.
        states: (batch, time, 2 units), whose second half is filled with c after the step.
    """
    inputs, units = u.shape[2], len(place)
    size, length = inputs + padded, KEPT * padded
    for start in range(0, count, LINES):
        lines = min(LINES, count - start)
        for line in range(lines):
            for i in range(inputs):
                v[line * size + i] = u[row + start + line, t, i]
            for i in range(units):
                v[line * size + inputs + i] = potentials[now + place[i] * apart + start + line]
        at = ((row + start) * frames + t % frames) * length
        memory_forward(v, size, lines, inputs, units, matrix, padded, c, start * padded, tape, at, frames * length)
        for line in range(lines):
            for i in range(units):
                potentials[then + place[i] * apart + start + line] = v[line * size + inputs + i]
                states[row + start + line, t, units + i] = c[(start + line) * padded + i]


@compiled(fastmath=EXACT, allocates=False)
def remember_back(t: int, row: int, count: int, place: Any, apart: int, grad: Any, of_h: Any, of_c: Any, grad_states: Any,
                  matrix: Any, padded: int, tape: Any, sums: Any, before: Any, grad_u: Any) -> None:
    """Turns `grad`, that of the potentials after `remember`, and of_c into those before; fills grad_u and sums.

    Args:
        of_h: room for LINES times `padded` units, the surplus 0. of_c: (count, padded).
        grad_states: gradient of the states of `remember`.
        before: room for LINES times inputs and units, filled up together.
        The others as in `remember` and `memory_back`.
    """
    time, inputs, units = grad_states.shape[1], grad_u.shape[2], len(place)
    columns, length = filled(inputs + units, tape), KEPT * padded
    for start in range(0, count, LINES):
        lines = min(LINES, count - start)
        for line in range(lines):
            for i in range(units):
                of_h[line * padded + i] = grad[place[i] * apart + start + line]
                of_c[(start + line) * padded + i] += grad_states[row + start + line, t, units + i]
        at = (row + start) * time + t
        memory_back(tape, at * length, time * length, lines, padded, of_h, padded, of_c, start * padded, sums,
                    at * GATES * padded, time * GATES * padded, matrix, columns, before, columns)
        for line in range(lines):
            for i in range(inputs):
                grad_u[row + start + line, t, i] = before[line * columns + i]
            for i in range(units):
                grad[place[i] * apart + start + line] = before[line * columns + inputs + i]
