"""Compiled LTC for single sequences: a vector holds synapses onto 8 (float32) or 4 (float64) different neurons.

The neurons are sorted by the number of their synapses and cut into blocks of that many; the k-th synapses of the
neurons of a block make up a slot. Neurons with fewer synapses than the first of their block get empty ones, of
conductance 0, whose source is an extra potential that is always 0. See `ltc.reference` for the equations and arguments.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, clear, lanes, vgather, vload, vlogistic2, vscatter_add, vsplat, vstore, vsum

LOG2E = 1 / math.log(2)
ROWS = 7  # vectors kept for a slot: see `pack`


@compiled
def sort_neurons(target: Any, units: int) -> Any:
    """Numbers of the neurons, those with most synapses first; equal ones in their order (a counting sort)."""
    count = np.zeros(units, np.int64)
    for j in target:
        count[j] += 1
    begin = np.zeros(len(target) + 2, np.int64)  # of those with fewer synapses than all but n, at n
    for j in range(units):
        begin[len(target) - count[j] + 1] += 1
    for n in range(len(target) + 1):
        begin[n + 1] += begin[n]
    order = np.empty(units, np.int64)
    for j in range(units):
        fewer = len(target) - count[j]
        order[begin[fewer]] = j
        begin[fewer] += 1
    return order


@compiled
def slots(source: Any, target: Any, order: Any, place: Any, absent: int, width: int) -> Any:
    """The arrangement of synapses in slots.

    Args:
        order: neurons in the order of the lanes.
        place: where the value of each source is kept; `absent` is the place of a 0.
    Returns: first slot of each block (blocks + 1,); place of the source and number of the synapse (-1: empty) for each
        lane of each slot; whether a slot has one source for all.
    """
    units = len(order)
    blocks = (units + width - 1) // width
    begin = np.zeros(units + 1, np.int64)
    for j in target:
        begin[j + 1] += 1
    for j in range(units):
        begin[j + 1] += begin[j]
    first = np.zeros(blocks + 1, np.int64)
    for block in range(blocks):
        deepest = 0
        for lane in range(block * width, min((block + 1) * width, units)):
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
                if block * width + lane < units:
                    j = order[block * width + lane]
                    s = begin[j] + slot - first[block]
                    if s < begin[j + 1]:
                        places[at], numbers[at] = place[source[s]], s
                    alike &= places[at] == places[slot * width]
            same[slot] = alike
    return first, places, numbers, same


@compiled(fastmath=EXACT)
def pack(values: Any, numbers: Any, width: int) -> Any:
    """a, b, w, w erev, erev, mu, sigma of each lane, (slots * ROWS * width,); w / (1 + 2**(a v - b)) conducts."""
    packed = np.zeros(len(numbers) * ROWS, values.dtype)
    slope = values.dtype.type(-LOG2E)
    for slot in range(len(numbers) // width):
        for lane in range(width):
            s = numbers[slot * width + lane]
            if s >= 0:
                w, sigma, mu, erev = values[0, s], values[1, s], values[2, s], values[3, s]
                at = slot * ROWS * width + lane
                packed[at], packed[at + width] = slope * sigma, slope * sigma * mu
                packed[at + 2 * width], packed[at + 3 * width] = w, w * erev
                packed[at + 4 * width], packed[at + 5 * width], packed[at + 6 * width] = erev, mu, sigma
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


@compiled(fastmath=EXACT)
def arrange(inputs: int, neurons: Any, synapses: Any, sensory: Any, source: Any, target: Any, sensory_source: Any,
            sensory_target: Any, width: int) -> Any:
    """Neurons and synapses as vectors.

    Returns: order of the neurons and their values in it; values, first slots, places and sameness of the synapses, the
        same for those of the inputs; numbers of both (see `slots`).
    """
    units = neurons.shape[1]
    order = sort_neurons(target, units)
    place = np.empty(units, np.int64)
    for i in range(units):
        place[order[i]] = i
    input_place = np.empty(inputs, np.int64)
    for i in range(inputs):
        input_place[i] = i
    padded = sort_values(neurons, order, width)
    first, places, numbers, same = slots(source, target, order, place, padded.shape[1], width)
    sensory_first, sensory_places, sensory_numbers, sensory_same = slots(sensory_source, sensory_target, order,
                                                                         input_place, inputs, width)
    return (order, padded, pack(synapses, numbers, width), first, places, same,
            pack(sensory, sensory_numbers, width), sensory_first, sensory_places, sensory_same, numbers,
            sensory_numbers)


@compiled(fastmath=EXACT)
def conductance(packed: Any, slot: int, places: Any, same: Any, v: Any, now: int) -> Any:
    """Open part of the synapses of a slot, between 0 and 1; the potentials begin at v[now]."""
    width = lanes(v)
    at = slot * ROWS * width
    before = vgather(v, now, places, slot * width, same[slot])
    return vlogistic2(vload(packed, at) * before - vload(packed, at + width))


@compiled(fastmath=EXACT)
def sensory_drive(x: Any, packed: Any, first: Any, places: Any, same: Any, neurons: Any, epsilon: Any, n0: Any,
                  d0: Any) -> None:
    """Numerator and denominator of every neuron without its synapses from other neurons: leak and inputs."""
    width = lanes(x)
    padded = neurons.shape[1]
    for block in range(len(first) - 1):
        j = block * width
        n = vload(neurons, j) * vload(neurons, padded + j)
        d = vload(neurons, j) + vsplat(epsilon, 0)
        for slot in range(first[block], first[block + 1]):
            g = conductance(packed, slot, places, same, x, 0)
            d = d + vload(packed, (slot * ROWS + 2) * width) * g
            n = n + vload(packed, (slot * ROWS + 3) * width) * g
        vstore(n0, j, n)
        vstore(d0, j, d)


@compiled(fastmath=EXACT)
def forward_substep(v: Any, now: int, then: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, first: Any,
                    places: Any, same: Any) -> None:
    """Potentials v[now:] a sub-step later, to v[then:]."""
    width = lanes(v)
    padded = neurons.shape[1]
    for block in range(len(first) - 1):
        j = block * width
        n, d = vload(n0, j), vload(d0, j)
        for slot in range(first[block], first[block + 1]):
            g = conductance(packed, slot, places, same, v, now)
            d = d + vload(packed, (slot * ROWS + 2) * width) * g
            n = n + vload(packed, (slot * ROWS + 3) * width) * g
        before, step = vload(v, now + j), vsplat(h, 0)
        vstore(v, then + j, before + step * (n - before * d) / (vload(neurons, 2 * padded + j) + step * d))
    v[then + padded] = 0


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, u: Any, h: Any, v0: Any, order: Any, neurons: Any, packed: Any, first: Any,
                 places: Any, same: Any, sensory: Any, sensory_first: Any, sensory_places: Any, sensory_same: Any,
                 unfolds: int, epsilon: Any, frames: int, tape: Any, out: Any) -> None:
    """Sequences `start` to `stop`; fills those of out (batch, time, units).

    h: (batch, time), length of the sub-steps. tape: the potentials before the first and after every sub-step, `frames`
    of them for each sequence; where these are too few, they are used in turn. Each ends with the extra 0.
    """
    inputs, units, padded = u.shape[2], len(order), neurons.shape[1]
    x = np.zeros(inputs + 1, u.dtype)
    n0, d0 = np.empty(padded, u.dtype), np.empty(padded, u.dtype)
    size = padded + 1
    for row in range(start, stop):
        base = row * frames
        clear(tape[base * size:(base + 1) * size])
        for i in range(units):
            tape[base * size + i] = v0[row, order[i]]
        for t in range(u.shape[1]):
            for i in range(inputs):
                x[i] = u[row, t, i]
            sensory_drive(x, sensory, sensory_first, sensory_places, sensory_same, neurons, epsilon, n0, d0)
            for done in range(t * unfolds, (t + 1) * unfolds):
                now, then = base + done % frames, base + (done + 1) % frames
                forward_substep(tape, now * size, then * size, h[row, t:], n0, d0, neurons, packed, first, places,
                                same)
            last = (base + (t + 1) * unfolds % frames) * size
            for i in range(units):
                out[row, t, order[i]] = tape[last + i]


@compiled(fastmath=EXACT)
def add_slot(sums: Any, packed: Any, slot: int, places: Any, same: Any, q: Any, e: Any, v: Any, now: int,
             g: Any, earlier: Any) -> None:
    """Gradient through the synapses of a slot: adds to their four sums and to that of the presynaptic potentials.

    q and e are the gradients of the numerators and denominators of the neurons that they end on, g their `conductance`.
    """
    width = lanes(v)
    at, to = slot * ROWS * width, slot * 4 * width
    before = vgather(v, now, places, slot * width, same[slot])
    z = (vload(packed, at + 3 * width) * q + vload(packed, at + 2 * width) * e) * (g - g * g)
    vstore(sums, to, vload(sums, to) + (vload(packed, at + 4 * width) * q + e) * g)
    vstore(sums, to + width, vload(sums, to + width) + z * (before - vload(packed, at + 5 * width)))
    vstore(sums, to + 2 * width, vload(sums, to + 2 * width) + z)
    vstore(sums, to + 3 * width, vload(sums, to + 3 * width) + q * g)
    vscatter_add(earlier, places, slot * width, same[slot], z * vload(packed, at + 6 * width))


@compiled(fastmath=EXACT)
def backward_substep(v: Any, now: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, first: Any, places: Any,
                     same: Any, grad: Any, grad_before: Any, grad_n0: Any, grad_d0: Any, grad_cm: Any, grad_h: Any,
                     opened: Any, synapse_sums: Any) -> None:
    """From the gradient `grad` of the potentials after a sub-step that of v[now:], those before it; adds the others."""
    width = lanes(v)
    padded = neurons.shape[1]
    one = np.ones(1, v.dtype)
    clear(grad_before)
    for block in range(len(first) - 1):
        j = block * width
        n, d = vload(n0, j), vload(d0, j)
        for slot in range(first[block], first[block + 1]):
            g = conductance(packed, slot, places, same, v, now)
            d = d + vload(packed, (slot * ROWS + 2) * width) * g
            n = n + vload(packed, (slot * ROWS + 3) * width) * g
            vstore(opened, (slot - first[block]) * width, g)
        before, step, cm = vload(v, now + j), vsplat(h, 0), vload(neurons, 2 * padded + j)
        inverse = vsplat(one, 0) / (cm + step * d)
        share = vload(grad, j) * inverse
        slope = (n - before * d) * inverse
        q = share * step
        e = -q * (before + step * slope)
        vstore(grad_h, 0, vload(grad_h, 0) + share * cm * slope)
        vstore(grad_n0, j, vload(grad_n0, j) + q)
        vstore(grad_d0, j, vload(grad_d0, j) + e)
        vstore(grad_before, j, vload(grad_before, j) + share * cm)
        vstore(grad_cm, j, vload(grad_cm, j) - q * slope)
        for slot in range(first[block], first[block + 1]):
            g = vload(opened, (slot - first[block]) * width)
            add_slot(synapse_sums, packed, slot, places, same, q, e, v, now, g, grad_before)


@compiled(fastmath=EXACT)
def backward_inputs(x: Any, neurons: Any, sensory: Any, first: Any, places: Any, same: Any, grad_n0: Any,
                    grad_d0: Any, grad_x: Any, neuron_sums: Any, sensory_sums: Any) -> None:
    """From the gradients of numerators and denominators those of the leak, of the inputs and of their synapses."""
    width = lanes(x)
    padded = neurons.shape[1]
    clear(grad_x)
    for block in range(len(first) - 1):
        j = block * width
        q, e = vload(grad_n0, j), vload(grad_d0, j)
        vstore(neuron_sums, j, vload(neuron_sums, j) + q * vload(neurons, padded + j) + e)
        vstore(neuron_sums, padded + j, vload(neuron_sums, padded + j) + q * vload(neurons, j))
        for slot in range(first[block], first[block + 1]):
            g = conductance(sensory, slot, places, same, x, 0)
            add_slot(sensory_sums, sensory, slot, places, same, q, e, x, 0, g, grad_x)


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, parts: int, u: Any, h: Any, order: Any, neurons: Any, packed: Any,
                  first: Any, places: Any, same: Any, sensory: Any, sensory_first: Any, sensory_places: Any,
                  sensory_same: Any, unfolds: int, epsilon: Any, tape: Any, grad: Any, grad_u: Any, grad_h: Any,
                  grad_v: Any, neuron_sums: Any, synapse_sums: Any, sensory_sums: Any) -> None:
    """Every `parts`-th sequence, beginning with `start`, ..., `stop` - 1; else as `_ltc_batch.backward_blocks`."""
    width = lanes(u)
    rows, time, inputs = u.shape
    units, padded = len(order), neurons.shape[1]
    x, grad_x, of_length = np.zeros(inputs + 1, u.dtype), np.empty(inputs + 1, u.dtype), np.empty(width, u.dtype)
    n0, d0, grad_n0, grad_d0 = (np.empty(padded, u.dtype), np.empty(padded, u.dtype), np.empty(padded, u.dtype),
                                np.empty(padded, u.dtype))
    a, before = np.empty(padded + 1, u.dtype), np.empty(padded + 1, u.dtype)
    opened = np.empty(max(len(places), 1), u.dtype)
    for part in range(start, stop):
        for row in range(part, rows, parts):
            clear(a)
            for t in range(time - 1, -1, -1):
                for i in range(inputs):
                    x[i] = u[row, t, i]
                sensory_drive(x, sensory, sensory_first, sensory_places, sensory_same, neurons, epsilon, n0, d0)
                for i in range(units):
                    a[i] += grad[row, t, order[i]]
                clear(grad_n0)
                clear(grad_d0)
                clear(of_length)
                for done in range((t + 1) * unfolds - 1, t * unfolds - 1, -1):
                    now = (row * (time * unfolds + 1) + done) * (padded + 1)
                    backward_substep(tape, now, h[row, t:], n0, d0, neurons, packed, first, places, same, a, before,
                                     grad_n0, grad_d0, neuron_sums[part, 2], of_length, opened, synapse_sums[part])
                    a, before = before, a
                backward_inputs(x, neurons, sensory, sensory_first, sensory_places, sensory_same, grad_n0, grad_d0,
                                grad_x, neuron_sums[part], sensory_sums[part])
                grad_h[row, t] = vsum(vload(of_length, 0))
                for i in range(inputs):
                    grad_u[row, t, i] = grad_x[i]
            for i in range(units):
                grad_v[row, order[i]] = a[i]
