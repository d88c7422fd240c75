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
from ._lanes import EXACT, lanes, vgather, vload, vlogistic2, vscatter_add, vsplat, vstore, vsum

LOG2E = 1 / math.log(2)
ROWS = 7  # vectors kept for a slot: see `pack`


@compiled
def sort_neurons(target: Any, sensory_target: Any, units: int) -> Any:
    """Numbers of the neurons, those with most synapses first; equal ones in their order."""
    count = np.zeros(units, np.int64)
    for j in target:
        count[j] += len(sensory_target) + 1
    for j in sensory_target:
        count[j] += 1
    return np.argsort(-count, kind="mergesort")


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
    begin = np.cumsum(begin)
    first = np.zeros(blocks + 1, np.int64)
    for block in range(blocks):
        deepest = 0
        for j in order[block * width:(block + 1) * width]:
            deepest = max(deepest, begin[j + 1] - begin[j])
        first[block + 1] = first[block] + deepest
    total = first[blocks]
    places = np.full(total * width, absent, np.int32)
    numbers = np.full(total * width, -1, np.int64)
    same = np.ones(total, np.bool_)
    for block in range(blocks):
        for k in range(first[block + 1] - first[block]):
            slot = first[block] + k
            for lane in range(min(width, units - block * width)):
                j = order[block * width + lane]
                if begin[j] + k < begin[j + 1]:
                    numbers[slot * width + lane] = begin[j] + k
                    places[slot * width + lane] = place[source[begin[j] + k]]
                same[slot] &= places[slot * width + lane] == places[slot * width]
            same[slot] &= places[slot * width] != absent
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
    padded[2, units:] = 1
    for i in range(units):
        padded[:, i] = neurons[:, order[i]]
    return padded


@compiled(fastmath=EXACT)
def conductance(packed: Any, slot: int, places: Any, same: Any, v: Any) -> Any:
    """Open part of the synapses of a slot, between 0 and 1."""
    width = lanes(v)
    at = slot * ROWS * width
    before = vgather(v, places, slot * width, same[slot])
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
            g = conductance(packed, slot, places, same, x)
            d = d + vload(packed, (slot * ROWS + 2) * width) * g
            n = n + vload(packed, (slot * ROWS + 3) * width) * g
        vstore(n0, j, n)
        vstore(d0, j, d)


@compiled(fastmath=EXACT)
def forward_rows(start: int, stop: int, u: Any, timespans: Any, v0: Any, order: Any, neurons: Any, packed: Any,
                 first: Any, places: Any, same: Any, sensory: Any, sensory_first: Any, sensory_places: Any,
                 sensory_same: Any, unfolds: int, epsilon: Any, out: Any) -> None:
    """Sequences `start` to `stop`; fills those of out (batch, time, unfolds or 1, units)."""
    width = lanes(v0)
    time, inputs = u.shape[1:]
    units, padded, kept = len(order), neurons.shape[1], out.shape[2]
    x, h = np.zeros(inputs + 1, u.dtype), np.empty(1, u.dtype)
    n0, d0 = np.empty(padded, u.dtype), np.empty(padded, u.dtype)
    v, new = np.zeros(padded + 1, u.dtype), np.zeros(padded + 1, u.dtype)
    for row in range(start, stop):
        for i in range(units):
            v[i] = v0[row, order[i]]
        for t in range(time):
            x[:inputs] = u[row, t]
            h[0] = timespans[row, t] / unfolds
            sensory_drive(x, sensory, sensory_first, sensory_places, sensory_same, neurons, epsilon, n0, d0)
            for k in range(unfolds):
                for block in range(len(first) - 1):
                    j = block * width
                    n, d = vload(n0, j), vload(d0, j)
                    for slot in range(first[block], first[block + 1]):
                        g = conductance(packed, slot, places, same, v)
                        d = d + vload(packed, (slot * ROWS + 2) * width) * g
                        n = n + vload(packed, (slot * ROWS + 3) * width) * g
                    before, step = vload(v, j), vsplat(h, 0)
                    step = step * (n - before * d) / (vload(neurons, 2 * padded + j) + step * d)
                    vstore(new, j, before + step)
                v, new = new, v
                if k >= unfolds - kept:
                    for i in range(units):
                        out[row, t, k - unfolds + kept, order[i]] = v[i]


@compiled(fastmath=EXACT)
def add_slot(sums: Any, packed: Any, slot: int, places: Any, same: Any, q: Any, e: Any, v: Any, g: Any,
             earlier: Any) -> None:
    """Gradient through the synapses of a slot: adds to their four sums and to that of the presynaptic potentials.

    q and e are the gradients of the numerators and denominators of the neurons that they end on, g their `conductance`.
    """
    width = lanes(v)
    at, to = slot * ROWS * width, slot * 4 * width
    before = vgather(v, places, slot * width, same[slot])
    z = (vload(packed, at + 3 * width) * q + vload(packed, at + 2 * width) * e) * (g - g * g)
    vstore(sums, to, vload(sums, to) + (vload(packed, at + 4 * width) * q + e) * g)
    vstore(sums, to + width, vload(sums, to + width) + z * (before - vload(packed, at + 5 * width)))
    vstore(sums, to + 2 * width, vload(sums, to + 2 * width) + z)
    vstore(sums, to + 3 * width, vload(sums, to + 3 * width) + q * g)
    vscatter_add(earlier, places, slot * width, same[slot], z * vload(packed, at + 6 * width))


@compiled(fastmath=EXACT)
def backward_rows(start: int, stop: int, parts: int, rows_from: int, u: Any, timespans: Any, v0: Any, order: Any,
                  neurons: Any, packed: Any, first: Any, places: Any, same: Any, sensory: Any, sensory_first: Any,
                  sensory_places: Any, sensory_same: Any, unfolds: int, epsilon: Any, vs: Any, grad: Any, grad_u: Any,
                  grad_timespans: Any, grad_v: Any, neuron_sums: Any, synapse_sums: Any, sensory_sums: Any) -> None:
    """Every `parts`-th sequence from `rows_from` on, for the parts `start` to `stop`; else as `backward_blocks`."""
    width = lanes(v0)
    rows, time, inputs = u.shape
    units, padded, kept = len(order), neurons.shape[1], grad.shape[2]
    blocks = len(first) - 1
    x, h, grad_x = np.zeros(inputs + 1, u.dtype), np.empty(1, u.dtype), np.empty(inputs + 1, u.dtype)
    n0, d0 = np.empty(padded, u.dtype), np.empty(padded, u.dtype)
    v, a, earlier = np.zeros(padded + 1, u.dtype), np.empty(padded + 1, u.dtype), np.empty(padded + 1, u.dtype)
    all_q, all_e, all_h = np.empty(padded, u.dtype), np.empty(padded, u.dtype), np.empty(width, u.dtype)
    opened = np.empty(max(len(places), 1), u.dtype)
    for part in range(start, stop):
        sums, sensory_part, of_neurons = synapse_sums[part], sensory_sums[part], neuron_sums[part]
        for row in range(rows_from + part, rows, parts):
            a[:] = 0
            for t in range(time - 1, -1, -1):
                x[:inputs] = u[row, t]
                h[0] = timespans[row, t] / unfolds
                sensory_drive(x, sensory, sensory_first, sensory_places, sensory_same, neurons, epsilon, n0, d0)
                all_q[:], all_e[:], all_h[:], grad_x[:] = 0, 0, 0, 0
                for k in range(unfolds - 1, -1, -1):
                    for i in range(units):
                        j = order[i]
                        v[i] = vs[row, t, k - 1, j] if k > 0 else vs[row, t - 1, -1, j] if t > 0 else v0[row, j]
                        if k >= unfolds - kept:
                            a[i] += grad[row, t, k - unfolds + kept, j]
                    earlier[:] = 0
                    for block in range(blocks):
                        j = block * width
                        n, d = vload(n0, j), vload(d0, j)
                        for slot in range(first[block], first[block + 1]):
                            g = conductance(packed, slot, places, same, v)
                            d = d + vload(packed, (slot * ROWS + 2) * width) * g
                            n = n + vload(packed, (slot * ROWS + 3) * width) * g
                            vstore(opened, slot * width, g)
                        before, step, cm = vload(v, j), vsplat(h, 0), vload(neurons, 2 * padded + j)
                        share = vload(a, j) / (cm + step * d)
                        slope = (n - before * d) / (cm + step * d)
                        q = share * step
                        e = -q * (before + step * slope)
                        vstore(all_h, 0, vload(all_h, 0) + share * cm * slope)
                        of_leak = q * vload(neurons, padded + j) + e
                        vstore(of_neurons, j, vload(of_neurons, j) + of_leak)
                        vstore(of_neurons, padded + j, vload(of_neurons, padded + j) + q * vload(neurons, j))
                        vstore(of_neurons, 2 * padded + j, vload(of_neurons, 2 * padded + j) - q * slope)
                        vstore(all_q, j, vload(all_q, j) + q)
                        vstore(all_e, j, vload(all_e, j) + e)
                        vstore(earlier, j, vload(earlier, j) + share * cm)
                        for slot in range(first[block], first[block + 1]):
                            g = vload(opened, slot * width)
                            add_slot(sums, packed, slot, places, same, q, e, v, g, earlier)
                    a, earlier = earlier, a
                for block in range(blocks):
                    q, e = vload(all_q, block * width), vload(all_e, block * width)
                    for slot in range(sensory_first[block], sensory_first[block + 1]):
                        g = conductance(sensory, slot, sensory_places, sensory_same, x)
                        add_slot(sensory_part, sensory, slot, sensory_places, sensory_same, q, e, x, g, grad_x)
                grad_timespans[row, t] = vsum(vload(all_h, 0)) / unfolds
                grad_u[row, t] = grad_x[:inputs]
            for i in range(units):
                grad_v[row, order[i]] = a[i]
