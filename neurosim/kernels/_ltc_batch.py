"""Compiled LTC for batches: a vector holds the same neuron of several sequences, one in each lane.

The work is cut into blocks of that many sequences. See `ltc.reference` for the equations and the arguments, `_ltc_explicit`
for the sub-steps of the explicit solvers.

A frame of the tape has up to three parts: the potentials of a block before a sub-step, `inverse`, 1 / (cm + h d), and the
slope of the potentials, which only the gradient of the time spans needs. With these the backward pass needs neither
numerators and denominators nor a division. Explicit solvers have the first part alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, clear, lanes, vconstant, vectors, vload, vprefetch, vsplat, vstore, vsum
from ._ltc_explicit import explicit_back, explicit_substep
from ._ltc_synapses import add_drive, add_synapses, backward_inputs, collect, pack, sensory_drive
from ._ltc_values import acting, map_outputs, mapping
from ._memory_rows import remember, remember_back
from ._rows import LINES, ZERO, filled

WIDE_SUMS = 2**21  # bytes: while they stay in the cache, adding to vectors is faster than adding up their lanes each time


@compiled(fastmath=EXACT)
def gather_rows(x: Any, first: int, columns: int, into: Any, start: int) -> None:
    """So many columns of consecutive rows of x, one in each lane, to into[start:]; past the last row the last one again."""
    width = lanes(into)
    for lane in range(width):
        row = min(first + lane, x.shape[0] - 1)
        for i in range(columns):
            into[start + i * width + lane] = x[row, i]


@compiled(fastmath=EXACT)
def gather_inputs(u: Any, t: int, weight: Any, first: int, into: Any) -> None:
    """`gather_rows` of the mapped inputs of a step."""
    width = lanes(into)
    for lane in range(width):
        row = min(first + lane, u.shape[0] - 1)
        for i in range(u.shape[2]):
            into[i * width + lane] = u[row, t, i] * weight[0, i] + weight[1, i]


@compiled(fastmath=EXACT)
def gather_lengths(timespans: Any, t: int, unfolds: int, first: int, into: Any) -> None:
    """`gather_rows` of the lengths of the sub-steps of a step."""
    for lane in range(lanes(into)):
        into[lane] = timespans[min(first + lane, timespans.shape[0] - 1), t] / into.dtype.type(unfolds)


@compiled(fastmath=EXACT)
def scatter_rows(values: Any, start: int, first: int, columns: int, x: Any) -> None:
    """The opposite of `gather_rows`: values[start:] to the rows of x."""
    width = lanes(values)
    for lane in range(min(width, x.shape[0] - first)):
        for i in range(columns):
            x[first + lane, i] = values[start + i * width + lane]


@compiled(fastmath=EXACT, allocates=False, inline=True)
def forward_substep(tape: Any, now: int, then: int, parts: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any,
                    starts: Any, wires: Any) -> None:
    """A sub-step from the frame tape[now:], of so many parts, to the one at tape[then:]."""
    width = lanes(tape)
    units = neurons.shape[1]
    size = units * width
    step = vload(h, 0)
    for j in range(units):
        n, d = add_drive(starts[j], starts[j + 1], packed, wires, ZERO, tape, now, vload(n0, j * width), vload(d0, j * width))
        before = vload(tape, now + j * width)
        inverse = vconstant(tape, 1.0) / (vsplat(neurons, 2 * units + j) + step * d)
        slope = (n - before * d) * inverse
        if parts > 1:
            vstore(tape, now + size + j * width, inverse)
        if parts > 2:
            vstore(tape, now + 2 * size + j * width, slope)
        vstore(tape, then + j * width, before + step * slope)


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, u: Any, timespans: Any, v0: Any, values: Any, memory: Any, wires: Any,
                 synapses: int, unfolds: int, epsilon: float, positive: int, input_map: int, output_map: int, method: Any,
                 parts: int, frames: int, tape: Any, memory_frames: int, memory_tape: Any, vs: Any, y: Any) -> None:
    """Blocks `start` to `stop` of sequences; fills those of vs (batch, time, units) and y (batch, time, outputs).

    tape: `frames` frames of `parts` parts for each block, that before the first and that after every sub-step; where these
    are too few, they are used in turn. memory, memory_tape: for `remember`; with an LSTM its step is the first sub-step of
    each, and v0 and vs hold c behind the potentials.
    """
    width = lanes(v0)
    rows, time, inputs = u.shape
    extra = min(len(memory), 1)
    units, sensory = v0.shape[1] // (1 + extra), wires.shape[1] - synapses
    neurons, of_synapses, of_sensory = acting(values, units, synapses, sensory, positive)
    packed, starts = pack(of_synapses, wires, ZERO, units, False)
    packed_inputs, input_starts = pack(of_sensory, wires, synapses, units, False)
    explicit, room = len(method) > 0, len(method) // 2 * units * width
    points, k, total = vectors(room, u), vectors(room, u), vectors(room, u)
    maps = 3 * units + 4 * (synapses + sensory)
    input_weight = mapping(values, maps, input_map, inputs)
    output_weight = mapping(values, maps + input_map * inputs, output_map, y.shape[2])
    x, length = vectors(inputs * width, u), vectors(width, u)
    n0, d0 = vectors(units * width, u), vectors(units * width, u)
    size = parts * units * width
    joined, place, substeps = filled(units, u), np.arange(units), unfolds + extra
    whole, c = vectors(LINES * (inputs + joined), u), vectors(width * joined, u)
    for block in range(start, stop):
        first, base = block * width, block * frames
        count = min(width, rows - first)
        gather_rows(v0, first, units, tape, base * size)
        clear(c)
        for lane in range(count):
            for i in range(extra * units):
                c[lane * joined + i] = v0[first + lane, units + i]
        for t in range(time):
            if extra:
                now, then = (base + t * substeps % frames) * size, (base + (t * substeps + 1) % frames) * size
                remember(u, t, first, count, place, width, tape, now, then, memory, joined, whole, c, memory_tape,
                         memory_frames, vs)
                for lane in range(count, width):  # nobody's: as the last, or they might grow until 0 times them is NaN
                    for j in range(units):
                        tape[then + j * width + lane] = tape[then + j * width + count - 1]
            gather_inputs(u, t, input_weight, first, x)
            gather_lengths(timespans, t, unfolds, first, length)
            sensory_drive(x, packed_inputs, input_starts, wires, synapses, neurons, 0.0 if explicit else epsilon, n0, d0)
            for done in range(t * substeps + extra, (t + 1) * substeps):
                now, then = base + done % frames, base + (done + 1) % frames
                if explicit:
                    explicit_substep(tape, now * size, then * size, length, n0, d0, neurons, packed, starts, wires, method,
                                     points, k, total)
                else:
                    forward_substep(tape, now * size, then * size, parts, length, n0, d0, neurons, packed, starts, wires)
            scatter_rows(tape, (base + (t + 1) * substeps % frames) * size, first, units, vs[:, t])
        map_outputs(vs, output_weight, y, first, min(first + width, rows))


@compiled(fastmath=EXACT, allocates=False, inline=True)
def backward_substep(tape: Any, now: int, parts: int, h: Any, neurons: Any, packed: Any, starts: Any, wires: Any,
                     grad: Any, q: Any, e: Any, grad_n0: Any, grad_d0: Any, grad_cm: Any, grad_h: Any, sums: Any,
                     wide: bool) -> None:
    """Turns the gradient `grad` of the potentials after a sub-step into that of tape[now:], those before; adds the others."""
    width = lanes(tape)
    units = neurons.shape[1]
    size = units * width
    then = now + parts * size
    step, of_h = vload(h, 0), vload(grad_h, 0)
    for j in range(units):
        at = j * width
        for part in range(parts):  # of the frame that comes next: read backwards, the machine would not guess it
            vprefetch(tape, now + (part - parts) * size + at)
        cm, before, after = vsplat(neurons, 2 * units + j), vload(tape, now + at), vload(tape, then + at)
        share = vload(grad, at) * vload(tape, now + size + at)
        of_n = share * step
        of_d = -of_n * after
        vstore(q, at, of_n)
        vstore(e, at, of_d)
        vstore(grad_n0, at, vload(grad_n0, at) + of_n)
        vstore(grad_d0, at, vload(grad_d0, at) + of_d)
        vstore(grad_cm, at, vload(grad_cm, at) + share * (before - after))
        if parts > 2:
            of_h = of_h + share * cm * vload(tape, now + 2 * size + at)
        vstore(grad, at, share * cm)
    vstore(grad_h, 0, of_h)
    for j in range(units):
        add_synapses(starts[j], starts[j + 1], packed, wires, ZERO, tape, now, vload(q, j * width), vload(e, j * width), grad,
                     sums, units, wide)


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, sets: int, u: Any, timespans: Any, values: Any, memory: Any, wires: Any,
                  synapses: int, unfolds: int, positive: int, input_map: int, method: Any, parts: int, tape: Any,
                  memory_tape: Any, grad: Any, grad_u: Any, grad_timespans: Any, grad_v: Any, grad_memory_u: Any,
                  memory_sums: Any, grads: Any) -> None:
    """Every `sets`-th block of sequences, beginning with `start`, ..., `stop` - 1.

    tape, memory_tape: as `forward_rows` left them, with all frames. grad: gradient of its `vs`. The
    arguments that follow are filled: grad_u with the gradient of the mapped inputs, grad_memory_u with that of the inputs of
    the LSTM; grad_timespans with zeros when there are two parts; memory_sums as in `remember_back`; grads (sets, values)
    with those of what acts, a row for each set of blocks, so that they do not depend on the number of threads.
    """
    width = lanes(u)
    rows, time, inputs = u.shape
    extra = min(len(memory), 1)
    units, sensory = grad.shape[2] // (1 + extra), wires.shape[1] - synapses
    neurons, of_synapses, of_sensory = acting(values, units, synapses, sensory, positive)
    packed, starts = pack(of_synapses, wires, ZERO, units, True)
    packed_inputs, input_starts = pack(of_sensory, wires, synapses, units, True)
    explicit, room = len(method) > 0, len(method) // 2 * units * width
    forwards, inputs_forwards = packed, packed_inputs
    if explicit:
        forwards, _ = pack(of_synapses, wires, ZERO, units, False)
        inputs_forwards, _ = pack(of_sensory, wires, synapses, units, False)
    points, k, total, back, grad_before = (vectors(room, u), vectors(room, u), vectors(room, u), vectors(units * width, u),
                                           vectors(units * width, u))
    n0, d0 = vectors(units * width, u), vectors(units * width, u)
    input_weight = mapping(values, 3 * units + 4 * (synapses + sensory), input_map, inputs)
    size = units * width
    x, grad_x = vectors(inputs * width, u), vectors(inputs * width, u)
    length, of_length = vectors(width, u), vectors(width, u)
    grad_n0, grad_d0, grad_cm = vectors(size, u), vectors(size, u), vectors(size, u)
    a, q, e = vectors(size, u), vectors(size, u), vectors(size, u)
    count = 4 * (units + synapses + sensory)
    wide = count * width * u.itemsize <= WIDE_SUMS
    sums = vectors(count * width if wide else count, u)
    joined, place, substeps = filled(units, u), np.arange(units), unfolds + extra
    of_h, of_c, whole = vectors(LINES * joined, u), vectors(width * joined, u), vectors(LINES * filled(inputs + units, u), u)
    clear(of_h)
    for group in range(start, stop):
        clear(sums)
        for block in range(group, (rows + width - 1) // width, sets):
            first = block * width
            clear(a)
            clear(of_c)
            for t in range(time - 1, -1, -1):
                gather_inputs(u, t, input_weight, first, x)
                gather_lengths(timespans, t, unfolds, first, length)
                for lane in range(min(width, rows - first)):  # the others have no gradient
                    for j in range(units):
                        a[j * width + lane] += grad[first + lane, t, j]
                clear(grad_n0)
                clear(grad_d0)
                clear(grad_cm)
                clear(of_length)
                if explicit:
                    sensory_drive(x, inputs_forwards, input_starts, wires, synapses, neurons, 0.0, n0, d0)
                for done in range((t + 1) * substeps - 1, t * substeps + extra - 1, -1):
                    now = (block * (time * substeps + 1) + done) * parts * size
                    if explicit:
                        explicit_back(tape, now, length, n0, d0, neurons, forwards, packed, starts, wires, method, points, k,
                                      total, a, q, e, back, grad_before, grad_n0, grad_d0, grad_cm, of_length, sums, wide)
                    else:
                        backward_substep(tape, now, parts, length, neurons, packed, starts, wires, a, q, e,
                                         grad_n0, grad_d0, grad_cm, of_length, sums, wide)
                backward_inputs(x, neurons, packed_inputs, input_starts, wires, synapses, grad_n0, grad_d0, grad_cm,
                                grad_x, sums, wide)
                for lane in range(min(width, rows - first)):
                    grad_timespans[first + lane, t] = of_length[lane] / u.dtype.type(unfolds)
                scatter_rows(grad_x, 0, first, inputs, grad_u[:, t])
                if extra:
                    remember_back(t, first, min(width, rows - first), place, width, a, of_h, of_c, grad, memory, joined,
                                  memory_tape, memory_sums, whole, grad_memory_u)
            scatter_rows(a, 0, first, units, grad_v)
            for lane in range(min(width, rows - first)):
                for i in range(extra * units):
                    grad_v[first + lane, units + i] = of_c[lane * joined + i]
        if wide:
            for i in range(count):
                sums[i] = vsum(vload(sums, i * width))
        collect(sums, of_synapses, of_sensory, units, grads[group])
