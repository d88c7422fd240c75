"""The compiled LSTM of mixed memory: one step of up to four sequences, forward and back; see `memory.lstm`.

Its matrix has a row for each input, then for each unit, and the biases; its columns are those of the candidate, the input,
the forget and the output gate, each filled up to whole vectors. A frame of its tape holds the four after their
nonlinearities, c before the step, and tanh of c after it.
"""

from __future__ import annotations

from typing import Any

from ._jit import compiled
from ._lanes import EXACT, lanes, vconstant, vload, vstore
from ._rows import affine, hyperbolic, logistic, multiply

GATES = 4
KEPT = GATES + 2  # numbers of a unit in a frame of the tape


@compiled(fastmath=EXACT, allocates=False)
def memory_forward(v: Any, size: int, lines: int, inputs: int, units: int, matrix: Any, padded: int, c: Any, tape: Any,
                   at: int, step: int) -> None:
    """Turns the hidden states in v and the memory c into those after the step.

    v: input and hidden state side by side for each of the `lines`, `size` apart, with room for `padded` units.
    c: (lines, padded), flat. tape: the frames for this step, from `at` on, `step` apart.
    """
    affine(v, 0, size, lines, inputs + units, matrix, 0, GATES * padded, tape, at, step)
    for line in range(lines):
        frame = at + line * step
        for j in range(0, padded, lanes(tape)):
            i = frame + j
            candidate, into = hyperbolic(tape, vload(tape, i)), logistic(tape, vload(tape, i + padded))
            forget, out = logistic(tape, vload(tape, i + 2 * padded)), logistic(tape, vload(tape, i + 3 * padded))
            before = vload(c, line * padded + j)
            after = before * forget + candidate * into
            shown = hyperbolic(tape, after)
            vstore(tape, i, candidate)
            vstore(tape, i + padded, into)
            vstore(tape, i + 2 * padded, forget)
            vstore(tape, i + 3 * padded, out)
            vstore(tape, i + 4 * padded, before)
            vstore(tape, i + 5 * padded, shown)
            vstore(c, line * padded + j, after)
            vstore(v, line * size + inputs + j, shown * out)


@compiled(fastmath=EXACT, allocates=False)
def memory_back(tape: Any, at: int, step: int, lines: int, padded: int, of_h: Any, spread: int, of_c: Any, sums: Any,
                to: int, sums_step: int, matrix: Any, columns: int, before: Any, size: int) -> None:
    """From the gradients of what `memory_forward` gave those of what it got.

    of_h: gradient of the hidden states, `spread` apart. of_c: that of c, (lines, padded), replaced by that of c before the
    step. sums: filled from `to` on, `sums_step` apart, with the gradients of the sums of the gates. matrix: a row for each
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
            of_after = vload(of_c, line * padded + j) + g * out * (one - shown * shown)
            vstore(sums, k, of_after * into * (one - candidate * candidate))
            vstore(sums, k + padded, of_after * candidate * into * (one - into))
            vstore(sums, k + 2 * padded, of_after * c * forget * (one - forget))
            vstore(sums, k + 3 * padded, g * shown * out * (one - out))
            vstore(of_c, line * padded + j, of_after * forget)
        for i in range(columns):
            before[line * size + i] = 0
    multiply(sums, to, sums_step, lines, GATES * padded, matrix, 0, columns, before, 0, size)
