"""Compiled LTC for single sequences: a vector holds synapses onto several neurons, one in each lane.

The neurons are sorted by the number of their synapses and cut into blocks of as many as a vector has lanes; the k-th
synapses of the neurons of a block make up a slot. Neurons with fewer synapses than the first of their block get empty
ones, of conductance 0, whose source is an extra potential that is always 0. See `ltc.reference` for the equations and
arguments, `_ltc_batch` for the tape: here the potentials of a frame end with the extra one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, LOG2E, clear, lanes, vconstant, vectors, vgather, vload, vlogistic2, vsplat, vstore, vsum
from ._ltc_values import acting, map_outputs, mapping
from ._memory_rows import remember, remember_back
from ._rows import LINES, ZERO, filled

FORWARD, BACKWARD = 4, 5  # vectors kept for a slot: see `pack`


@compiled
def sort_neurons(wires: Any, synapses: int, units: int) -> Any:
    """Numbers of the neurons, those with most synapses first; equal ones in their order (a counting sort)."""
    count = np.zeros(units, np.int64)
    for s in range(synapses):
        count[wires[1, s]] += 1
    begin = np.zeros(synapses + 2, np.int64)  # of those with fewer synapses than all but n, at n
    for j in range(units):
        begin[synapses - count[j] + 1] += 1
    for n in range(synapses + 1):
        begin[n + 1] += begin[n]
    order = np.empty(units, np.int64)
    for j in range(units):
        fewer = synapses - count[j]
        order[begin[fewer]] = j
        begin[fewer] += 1
    return order


@compiled
def slots(wires: Any, wire: int, count: int, row: int, order: Any, place: Any, absent: int, width: int) -> Any:
    """The arrangement in slots of `count` synapses, numbers `wire` and up.

    Args:
        row: of `wires`, what has a lane: 1 the neurons that synapses end on, 0 those (or the inputs) that they start from.
        order: of these in the lanes.
        place: where the value of what is at the other end is kept; `absent` is the place of a 0.
    Returns: first slot of each block (blocks + 1,); place of the other end and number of the synapse (-1: empty) for each
        lane of each slot; whether a slot has one other end for all.
    """
    owners = len(order)
    blocks = (owners + width - 1) // width
    begin = np.zeros(owners + 1, np.int64)
    for s in range(wire, wire + count):
        begin[wires[row, s] + 1] += 1
    for j in range(owners):
        begin[j + 1] += begin[j]
    member, filled = np.empty(count, np.int64), begin.copy()
    for s in range(count):
        j = wires[row, wire + s]
        member[filled[j]] = s
        filled[j] += 1
    first = np.zeros(blocks + 1, np.int64)
    for block in range(blocks):
        deepest = 0
        for lane in range(block * width, min((block + 1) * width, owners)):
            deepest = max(deepest, begin[order[lane] + 1] - begin[order[lane]])
        first[block + 1] = first[block] + deepest
    places = np.empty(first[blocks] * width, np.int32)
    numbers = np.empty(first[blocks] * width, np.int64)
    same = np.empty(first[blocks], np.bool_)
    for block in range(blocks):
        for slot in range(first[block], first[block + 1]):
            alike = True
            for lane in range(width):
                at = slot * width + lane
                places[at], numbers[at] = absent, -1
                if block * width + lane >= owners:  # nobody's: whatever it reads does no harm
                    places[at] = places[slot * width]
                else:
                    j = order[block * width + lane]
                    k = begin[j] + slot - first[block]
                    if k < begin[j + 1]:
                        places[at], numbers[at] = place[wires[1 - row, wire + member[k]]], member[k]
                    alike &= places[at] == places[slot * width]
            same[slot] = alike
    return first, places, numbers, same


@compiled(fastmath=EXACT)
def pack(values: Any, numbers: Any, rows: int, width: int) -> Any:
    """Values of the synapse of each lane, (slots * rows * width,).

    rows: `FORWARD` for a, b, w, w erev or `BACKWARD` for a, b, mu, erev, w sigma; w / (1 + 2**(a v - b)) conducts.
    """
    packed = np.zeros(len(numbers) * rows, values.dtype)
    slope = values.dtype.type(-LOG2E)
    for slot in range(len(numbers) // width):
        for lane in range(width):
            s = numbers[slot * width + lane]
            if s >= 0:
                w, sigma, mu, erev = values[0, s], values[1, s], values[2, s], values[3, s]
                at = slot * rows * width + lane
                packed[at], packed[at + width] = slope * sigma, slope * sigma * mu
                if rows == FORWARD:
                    packed[at + 2 * width], packed[at + 3 * width] = w, w * erev
                else:
                    packed[at + 2 * width], packed[at + 3 * width], packed[at + 4 * width] = mu, erev, w * sigma
    return packed


@compiled
def sort_values(neurons: Any, order: Any, width: int) -> Any:
    """Values of the neurons in the order of the lanes, (3, lanes of all blocks); harmless ones for empty lanes."""
    units = len(order)
    padded = np.zeros((3, (units + width - 1) // width * width), neurons.dtype)
    for i in range(padded.shape[1]):
        padded[2, i] = 1
    for row in range(3):
        for i in range(units):
            padded[row, i] = neurons[row, order[i]]
    return padded


@compiled
def inverse_of(order: Any) -> Any:
    """Where each number stands in `order`."""
    place = np.empty(len(order), np.int64)
    for i in range(len(order)):
        place[order[i]] = i
    return place


@compiled(fastmath=EXACT, allocates=False)
def read_inputs(u: Any, row: int, t: int, weight: Any, x: Any) -> None:
    """The mapped inputs of a step."""
    for i in range(u.shape[2]):
        x[i] = u[row, t, i] * weight[0, i] + weight[1, i]


@compiled(fastmath=EXACT, allocates=False)
def conductance(packed: Any, at: int, before: Any) -> Any:
    """Open part of the synapses whose values begin at `at`, between 0 and 1, at the presynaptic potentials `before`."""
    return vlogistic2(vload(packed, at) * before - vload(packed, at + lanes(packed)))


@compiled(fastmath=EXACT, allocates=False, inline=True)
def sensory_drive(x: Any, packed: Any, first: Any, places: Any, same: Any, neurons: Any, epsilon: float, n0: Any,
                  d0: Any) -> None:
    """Numerator and denominator of every neuron without its synapses from other neurons: leak and inputs."""
    width = lanes(x)
    padded = neurons.shape[1]
    for block in range(len(first) - 1):
        j = block * width
        n = vload(neurons, j) * vload(neurons, padded + j)
        d = vload(neurons, j) + vconstant(x, epsilon)
        for slot in range(first[block], first[block + 1]):
            g = conductance(packed, slot * FORWARD * width, vgather(x, 0, places, slot * width, same[slot]))
            d = d + vload(packed, (slot * FORWARD + 2) * width) * g
            n = n + vload(packed, (slot * FORWARD + 3) * width) * g
        vstore(n0, j, n)
        vstore(d0, j, d)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def forward_substep(tape: Any, now: int, then: int, parts: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any,
                    first: Any, places: Any, same: Any) -> None:
    """A sub-step from the frame tape[now:], of so many parts, to the one at tape[then:]."""
    width = lanes(tape)
    padded = neurons.shape[1]
    step = vsplat(h, 0)
    for block in range(len(first) - 1):
        j = block * width
        n, d = vload(n0, j), vload(d0, j)
        for slot in range(first[block], first[block + 1]):
            g = conductance(packed, slot * FORWARD * width, vgather(tape, now, places, slot * width, same[slot]))
            d = d + vload(packed, (slot * FORWARD + 2) * width) * g
            n = n + vload(packed, (slot * FORWARD + 3) * width) * g
        before = vload(tape, now + j)
        inverse = vconstant(tape, 1.0) / (vload(neurons, 2 * padded + j) + step * d)
        slope = (n - before * d) * inverse
        if parts > 1:
            vstore(tape, now + padded + width + j, inverse)
        if parts > 2:
            vstore(tape, now + 2 * padded + width + j, slope)
        vstore(tape, then + j, before + step * slope)
    tape[then + padded] = 0


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, u: Any, timespans: Any, v0: Any, values: Any, memory: Any, wires: Any,
                 synapses: int, unfolds: int, epsilon: float, positive: int, input_map: int, output_map: int, method: Any,
                 parts: int, frames: int, tape: Any, memory_frames: int, memory_tape: Any, vs: Any, y: Any) -> None:
    """Sequences `start` to `stop`, each as a block of `_ltc_batch.forward_rows`; `method` is empty."""
    width = lanes(u)
    extra = min(len(memory), 1)
    time, inputs, units = u.shape[1], u.shape[2], v0.shape[1] // (1 + extra)
    sensory = wires.shape[1] - synapses
    values_of_neurons, of_synapses, of_sensory = acting(values, units, synapses, sensory, positive)
    order = sort_neurons(wires, synapses, units)
    neurons = sort_values(values_of_neurons, order, width)
    padded = neurons.shape[1]
    place = inverse_of(order)
    first, places, numbers, same = slots(wires, ZERO, synapses, 1, order, place, padded, width)
    packed = pack(of_synapses, numbers, FORWARD, width)
    input_first, input_places, numbers, input_same = slots(wires, synapses, sensory, 1, order, np.arange(inputs), inputs,
                                                           width)
    of_inputs = pack(of_sensory, numbers, FORWARD, width)
    maps = 3 * units + 4 * wires.shape[1]
    input_weight = mapping(values, maps, input_map, inputs)
    output_weight = mapping(values, maps + input_map * inputs, output_map, y.shape[2])
    size = parts * padded + width
    x, h = np.zeros(inputs + 1, u.dtype), vectors(1, u)
    n0, d0 = vectors(padded, u), vectors(padded, u)
    joined, substeps = filled(units, u), unfolds + extra
    whole, c = vectors(LINES * (inputs + joined), u), vectors(joined, u)
    for row in range(start, stop):
        base = row * frames
        clear(tape[base * size:base * size + padded + 1])
        for i in range(units):
            tape[base * size + i] = v0[row, order[i]]
        clear(c)
        for i in range(extra * units):
            c[i] = v0[row, units + i]
        for t in range(time):
            if extra:
                now, then = (base + t * substeps % frames) * size, (base + (t * substeps + 1) % frames) * size
                remember(u, t, row, 1, place, 1, tape, now, then, memory, joined, whole, c, memory_tape, memory_frames, vs)
                for i in range(units, padded + 1):
                    tape[then + i] = 0
            read_inputs(u, row, t, input_weight, x)
            h[0] = timespans[row, t] / u.dtype.type(unfolds)
            sensory_drive(x, of_inputs, input_first, input_places, input_same, neurons, epsilon, n0, d0)
            for done in range(t * substeps + extra, (t + 1) * substeps):
                now, then = base + done % frames, base + (done + 1) % frames
                forward_substep(tape, now * size, then * size, parts, h, n0, d0, neurons, packed, first, places, same)
            last = (base + (t + 1) * substeps % frames) * size
            for i in range(units):
                vs[row, t, order[i]] = tape[last + i]
        map_outputs(vs, output_weight, y, row, row + 1)


@compiled(fastmath=EXACT, allocates=False)
def add_slots(block: int, packed: Any, first: Any, places: Any, same: Any, v: Any, now: int, q: Any, e: Any, grad: Any,
              sums: Any) -> None:
    """Gradient through the synapses that start from a block of neurons with the potentials v[now:].

    Adds to the four sums of every synapse and to `grad`, that of the potentials. q and e are the gradients of the
    numerators and denominators of the neurons that they end on.
    """
    width = lanes(v)
    j = block * width
    before, back = vload(v, now + j), vload(grad, j)
    for slot in range(first[block], first[block + 1]):
        at, to = slot * BACKWARD * width, slot * 4 * width
        of_n, of_d = vgather(q, 0, places, slot * width, same[slot]), vgather(e, 0, places, slot * width, same[slot])
        g = conductance(packed, at, before)
        of_w = vload(packed, at + 3 * width) * of_n + of_d
        z = of_w * (g - g * g)
        vstore(sums, to, vload(sums, to) + of_w * g)
        vstore(sums, to + width, vload(sums, to + width) + z * (before - vload(packed, at + 2 * width)))
        vstore(sums, to + 2 * width, vload(sums, to + 2 * width) + z)
        vstore(sums, to + 3 * width, vload(sums, to + 3 * width) + of_n * g)
        back = back + z * vload(packed, at + 4 * width)
    vstore(grad, j, back)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def backward_substep(tape: Any, now: int, parts: int, h: Any, neurons: Any, packed: Any, first: Any, places: Any,
                     same: Any, grad: Any, q: Any, e: Any, grad_n0: Any, grad_d0: Any, grad_h: Any,
                     neuron_sums: Any, sums: Any) -> None:
    """Turns the gradient `grad` of the potentials after a sub-step into that of tape[now:], those before; adds the others."""
    width = lanes(tape)
    padded = neurons.shape[1]
    then = now + parts * padded + width
    step, of_h = vsplat(h, 0), vload(grad_h, 0)
    for j in range(0, padded, width):
        cm, before, after = vload(neurons, 2 * padded + j), vload(tape, now + j), vload(tape, then + j)
        share = vload(grad, j) * vload(tape, now + padded + width + j)
        of_n = share * step
        of_d = -of_n * after
        vstore(q, j, of_n)
        vstore(e, j, of_d)
        vstore(grad_n0, j, vload(grad_n0, j) + of_n)
        vstore(grad_d0, j, vload(grad_d0, j) + of_d)
        vstore(grad, j, share * cm)
        vstore(neuron_sums, 2 * padded + j, vload(neuron_sums, 2 * padded + j) + share * (before - after))
        if parts > 2:
            of_h = of_h + share * cm * vload(tape, now + 2 * padded + width + j)
    vstore(grad_h, 0, of_h)
    for block in range(len(first) - 1):
        add_slots(block, packed, first, places, same, tape, now, q, e, grad, sums)


@compiled(fastmath=EXACT, allocates=False, inline=True)
def backward_inputs(x: Any, neurons: Any, packed: Any, first: Any, places: Any, same: Any, grad_n0: Any, grad_d0: Any,
                    grad_x: Any, neuron_sums: Any, sums: Any) -> None:
    """From the gradients of numerators and denominators those of the leak, of the inputs and of their synapses."""
    width = lanes(x)
    padded = neurons.shape[1]
    for j in range(0, padded, width):
        q, e = vload(grad_n0, j), vload(grad_d0, j)
        vstore(neuron_sums, j, vload(neuron_sums, j) + q * vload(neurons, padded + j) + e)
        vstore(neuron_sums, padded + j, vload(neuron_sums, padded + j) + q * vload(neurons, j))
    clear(grad_x)
    for block in range(len(first) - 1):
        add_slots(block, packed, first, places, same, x, 0, grad_n0, grad_d0, grad_x, sums)


@compiled(fastmath=EXACT)
def collect(neuron_sums: Any, order: Any, sums: Any, numbers: Any, sensory_sums: Any, sensory_numbers: Any,
            synapses: Any, sensory: Any, width: int, grads: Any) -> None:
    """Gradients of what acts from the sums of every lane."""
    units = len(order)
    padded = len(neuron_sums) // 3
    for row in range(3):
        for i in range(units):
            grads[row * units + order[i]] = neuron_sums[row * padded + i]
    to = 3 * units
    for values, found, of_lanes in ((synapses, sums, numbers), (sensory, sensory_sums, sensory_numbers)):
        count = values.shape[1]
        for at in range(len(of_lanes)):
            s = of_lanes[at]
            if s >= 0:
                start = at // width * 4 * width + at % width
                w, sigma = values[0, s], values[1, s]
                grads[to + s] = found[start]
                grads[to + count + s] = w * found[start + width]
                grads[to + 2 * count + s] = -w * sigma * found[start + 2 * width]
                grads[to + 3 * count + s] = w * found[start + 3 * width]
        to += 4 * count


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, sets: int, u: Any, timespans: Any, values: Any, memory: Any, wires: Any,
                  synapses: int, unfolds: int, positive: int, input_map: int, method: Any, parts: int, tape: Any,
                  memory_tape: Any, grad: Any, grad_u: Any, grad_timespans: Any, grad_v: Any, grad_memory_u: Any,
                  memory_sums: Any, grads: Any) -> None:
    """Every `sets`-th sequence, beginning with `start`, ..., `stop` - 1; else as `_ltc_batch.backward_rows`."""
    width = lanes(u)
    rows, time, inputs = u.shape
    extra = min(len(memory), 1)
    units, sensory = grad.shape[2] // (1 + extra), wires.shape[1] - synapses
    values_of_neurons, of_synapses, of_sensory = acting(values, units, synapses, sensory, positive)
    order = sort_neurons(wires, synapses, units)
    neurons = sort_values(values_of_neurons, order, width)
    padded = neurons.shape[1]
    place = inverse_of(order)
    first, places, numbers, same = slots(wires, ZERO, synapses, 0, order, place, padded, width)
    packed = pack(of_synapses, numbers, BACKWARD, width)
    input_first, input_places, input_numbers, input_same = slots(wires, synapses, sensory, 0, np.arange(inputs), place,
                                                                 padded, width)
    of_inputs = pack(of_sensory, input_numbers, BACKWARD, width)
    input_weight = mapping(values, 3 * units + 4 * wires.shape[1], input_map, inputs)
    size = parts * padded + width
    x, grad_x = np.zeros((len(input_first) - 1) * width, u.dtype), vectors((len(input_first) - 1) * width, u)
    h, of_length = vectors(1, u), vectors(width, u)
    a, q, e = vectors(padded, u), vectors(padded + 1, u), vectors(padded + 1, u)
    grad_n0, grad_d0 = vectors(padded + 1, u), vectors(padded + 1, u)
    q[padded], e[padded] = 0, 0
    neuron_sums = vectors(3 * padded, u)
    sums, input_sums = vectors(4 * len(numbers), u), vectors(4 * len(input_numbers), u)
    joined, substeps = filled(units, u), unfolds + extra
    of_h, of_c, whole = vectors(LINES * joined, u), vectors(joined, u), vectors(LINES * filled(inputs + units, u), u)
    clear(of_h)
    for group in range(start, stop):
        clear(neuron_sums)
        clear(sums)
        clear(input_sums)
        for row in range(group, rows, sets):
            clear(a)
            clear(of_c)
            for t in range(time - 1, -1, -1):
                read_inputs(u, row, t, input_weight, x)
                h[0] = timespans[row, t] / u.dtype.type(unfolds)
                for i in range(units):
                    a[i] += grad[row, t, order[i]]
                clear(grad_n0)
                clear(grad_d0)
                clear(of_length)
                for done in range((t + 1) * substeps - 1, t * substeps + extra - 1, -1):
                    now = (row * (time * substeps + 1) + done) * size
                    backward_substep(tape, now, parts, h, neurons, packed, first, places, same, a, q, e, grad_n0,
                                     grad_d0, of_length, neuron_sums, sums)
                backward_inputs(x, neurons, of_inputs, input_first, input_places, input_same, grad_n0, grad_d0, grad_x,
                                neuron_sums, input_sums)
                grad_timespans[row, t] = vsum(vload(of_length, 0)) / u.dtype.type(unfolds)
                for i in range(inputs):
                    grad_u[row, t, i] = grad_x[i]
                if extra:
                    remember_back(t, row, 1, place, 1, a, of_h, of_c, grad, memory, joined, memory_tape, memory_sums, whole,
                                  grad_memory_u)
            for i in range(units):
                grad_v[row, order[i]] = a[i]
            for i in range(extra * units):
                grad_v[row, units + i] = of_c[i]
        collect(neuron_sums, order, sums, numbers, input_sums, input_numbers, of_synapses, of_sensory, width,
                grads[group])
