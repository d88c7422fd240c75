"""Compiled LTC for batches: a vector holds the same neuron of 8 (float32) or 4 (float64) sequences.

The work is cut into blocks of that many sequences. Synapses are walked in the order of their targets; each needs one
load of presynaptic potentials and four numbers of its own. See `ltc.reference` for the equations and the arguments.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, lanes, vadd_sums, vload, vlogistic2, vsplat, vstore, vsum

LOG2E = 1 / math.log(2)
COLUMNS = 8  # numbers kept for a synapse: see `pack`


@compiled(fastmath=EXACT)
def pack(values: Any, target: Any, units: int) -> Any:
    """Numbers of every synapse side by side, and where the synapses of each neuron start.

    Returns: (synapses * COLUMNS,) with a, b, w, w erev, erev, mu, sigma of each, so that its conductance is
        w / (1 + 2**(a v - b)); (units + 1,) starts.
    """
    count = values.shape[1]
    packed = np.empty(count * COLUMNS, values.dtype)
    starts = np.zeros(units + 1, np.int64)
    slope = values.dtype.type(-LOG2E)
    for s in range(count):
        w, sigma, mu, erev = values[0, s], values[1, s], values[2, s], values[3, s]
        at = s * COLUMNS
        packed[at], packed[at + 1] = slope * sigma, slope * sigma * mu
        packed[at + 2], packed[at + 3] = w, w * erev
        packed[at + 4], packed[at + 5], packed[at + 6] = erev, mu, sigma
        starts[target[s] + 1] += 1
    for j in range(units):
        starts[j + 1] += starts[j]
    return packed, starts


@compiled(fastmath=EXACT)
def gather_rows(x: Any, first: int, t: int, into: Any) -> None:
    """Frame t of consecutive sequences, one in each lane; past the last sequence the last one again."""
    width = lanes(into)
    last = x.shape[0] - 1
    for lane in range(width):
        row = min(first + lane, last)
        for i in range(x.shape[2]):
            into[i * width + lane] = x[row, t, i]


@compiled(fastmath=EXACT)
def conductance(packed: Any, s: int, before: Any) -> Any:
    """Open part of a synapse, between 0 and 1, at the presynaptic potential `before`."""
    return vlogistic2(vsplat(packed, s * COLUMNS) * before - vsplat(packed, s * COLUMNS + 1))


@compiled(fastmath=EXACT)
def sensory_drive(x: Any, packed: Any, starts: Any, source: Any, neurons: Any, epsilon: Any, n0: Any, d0: Any) -> None:
    """Numerator and denominator of every neuron without its synapses from other neurons: leak and inputs."""
    width = lanes(x)
    units = neurons.shape[1]
    for j in range(units):
        n = vsplat(neurons, j) * vsplat(neurons, units + j)
        d = vsplat(neurons, j) + vsplat(epsilon, 0)
        for s in range(starts[j], starts[j + 1]):
            g = conductance(packed, s, vload(x, source[s] * width))
            d = d + vsplat(packed, s * COLUMNS + 2) * g
            n = n + vsplat(packed, s * COLUMNS + 3) * g
        vstore(n0, j * width, n)
        vstore(d0, j * width, d)


@compiled(fastmath=EXACT)
def forward_blocks(start: int, stop: int, u: Any, timespans: Any, v0: Any, neurons: Any, packed: Any, starts: Any,
                   source: Any, sensory: Any, sensory_starts: Any, sensory_source: Any, unfolds: int, epsilon: Any,
                   out: Any) -> None:
    """Blocks `start` to `stop` of sequences; fills those of out (batch, time, unfolds or 1, units)."""
    width = lanes(v0)
    rows, time, inputs = u.shape
    units, kept = v0.shape[2], out.shape[2]
    x, h = np.empty(inputs * width, u.dtype), np.empty(width, u.dtype)
    n0, d0 = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    v, new = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    for block in range(start, stop):
        first = block * width
        gather_rows(v0, first, 0, v)
        for t in range(time):
            gather_rows(u, first, t, x)
            for lane in range(width):
                h[lane] = timespans[min(first + lane, rows - 1), t] / unfolds
            sensory_drive(x, sensory, sensory_starts, sensory_source, neurons, epsilon, n0, d0)
            for k in range(unfolds):
                for j in range(units):
                    n, d = vload(n0, j * width), vload(d0, j * width)
                    for s in range(starts[j], starts[j + 1]):
                        g = conductance(packed, s, vload(v, source[s] * width))
                        d = d + vsplat(packed, s * COLUMNS + 2) * g
                        n = n + vsplat(packed, s * COLUMNS + 3) * g
                    before = vload(v, j * width)
                    step = vload(h, 0) * (n - before * d) / (vsplat(neurons, 2 * units + j) + vload(h, 0) * d)
                    vstore(new, j * width, before + step)
                v, new = new, v
                if k >= unfolds - kept:
                    for lane in range(min(width, rows - first)):
                        for j in range(units):
                            out[first + lane, t, k - unfolds + kept, j] = v[j * width + lane]


@compiled(fastmath=EXACT)
def add_synapse(sums: Any, packed: Any, s: int, q: Any, e: Any, before: Any, g: Any) -> Any:
    """Gradient through one synapse: adds its four sums, returns that of the presynaptic potential `before`.

    q and e are the gradients of the numerator and denominator of the neuron that it ends on, g is its `conductance`.
    """
    at = s * COLUMNS
    z = (vsplat(packed, at + 3) * q + vsplat(packed, at + 2) * e) * (g - g * g)
    vadd_sums(sums, s * 4, (vsplat(packed, at + 4) * q + e) * g, z * (before - vsplat(packed, at + 5)), z, q * g)
    return z * vsplat(packed, at + 6)


@compiled(fastmath=EXACT)
def backward_blocks(start: int, stop: int, parts: int, u: Any, timespans: Any, v0: Any, neurons: Any, packed: Any,
                    starts: Any, source: Any, sensory: Any, sensory_starts: Any, sensory_source: Any, unfolds: int,
                    epsilon: Any, vs: Any, grad: Any, grad_u: Any, grad_timespans: Any, grad_v: Any,
                    neuron_sums: Any, synapse_sums: Any, sensory_sums: Any) -> None:
    """Every `parts`-th block of sequences, beginning with `start`, ..., `stop` - 1.

    vs: (batch, time, unfolds, units), potentials after every sub-step. grad: gradient of the last potentials of every
    step, (batch, time, 1, units), or of those of every sub-step. The last six arguments are filled; the sums have one
    entry for each part, so that they do not depend on the number of threads.
    """
    width = lanes(v0)
    rows, time, inputs = u.shape
    units, kept = v0.shape[2], grad.shape[2]
    blocks = (rows + width - 1) // width
    x, grad_x = np.empty(inputs * width, u.dtype), np.empty(inputs * width, u.dtype)
    h, zero = np.empty(width, u.dtype), np.zeros(width, u.dtype)
    n0, d0 = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    v, a, earlier = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    opened = np.empty(max(len(source), 1) * width, u.dtype)
    all_q, all_e = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    for part in range(start, stop):
        sums, sensory_part = synapse_sums[part], sensory_sums[part]
        leak, rest, capacity = neuron_sums[part, 0], neuron_sums[part, 1], neuron_sums[part, 2]
        for block in range(part, blocks, parts):
            first = block * width
            present = min(width, rows - first)
            a[:] = 0
            for t in range(time - 1, -1, -1):
                gather_rows(u, first, t, x)
                for lane in range(width):
                    h[lane] = timespans[min(first + lane, rows - 1), t] / unfolds
                sensory_drive(x, sensory, sensory_starts, sensory_source, neurons, epsilon, n0, d0)
                all_q[:], all_e[:], grad_x[:] = 0, 0, 0
                grad_h = vload(zero, 0)
                for k in range(unfolds - 1, -1, -1):
                    if k > 0:
                        gather_rows(vs[:, t], first, k - 1, v)
                    elif t > 0:
                        gather_rows(vs[:, t - 1], first, unfolds - 1, v)
                    else:
                        gather_rows(v0, first, 0, v)
                    if k >= unfolds - kept:
                        for lane in range(present):  # absent sequences have no gradient
                            for j in range(units):
                                a[j * width + lane] += grad[first + lane, t, k - unfolds + kept, j]
                    earlier[:] = 0
                    for j in range(units):
                        n, d = vload(n0, j * width), vload(d0, j * width)
                        for s in range(starts[j], starts[j + 1]):
                            g = conductance(packed, s, vload(v, source[s] * width))
                            d = d + vsplat(packed, s * COLUMNS + 2) * g
                            n = n + vsplat(packed, s * COLUMNS + 3) * g
                            vstore(opened, (s - starts[j]) * width, g)
                        before, step, cm = vload(v, j * width), vload(h, 0), vsplat(neurons, 2 * units + j)
                        share = vload(a, j * width) / (cm + step * d)
                        slope = (n - before * d) / (cm + step * d)
                        q = share * step
                        e = -q * (before + step * slope)
                        grad_h = grad_h + share * cm * slope
                        leak[j] += vsum(q * vsplat(neurons, units + j) + e)
                        rest[j] += vsum(q * vsplat(neurons, j))
                        capacity[j] -= vsum(q * slope)
                        vstore(all_q, j * width, vload(all_q, j * width) + q)
                        vstore(all_e, j * width, vload(all_e, j * width) + e)
                        vstore(earlier, j * width, vload(earlier, j * width) + share * cm)
                        for s in range(starts[j], starts[j + 1]):
                            i = source[s] * width
                            g = vload(opened, (s - starts[j]) * width)
                            back = add_synapse(sums, packed, s, q, e, vload(v, i), g)
                            vstore(earlier, i, vload(earlier, i) + back)
                    a, earlier = earlier, a
                for j in range(units):
                    q, e = vload(all_q, j * width), vload(all_e, j * width)
                    for s in range(sensory_starts[j], sensory_starts[j + 1]):
                        i = sensory_source[s] * width
                        g = conductance(sensory, s, vload(x, i))
                        back = add_synapse(sensory_part, sensory, s, q, e, vload(x, i), g)
                        vstore(grad_x, i, vload(grad_x, i) + back)
                vstore(h, 0, grad_h)
                for lane in range(present):
                    grad_timespans[first + lane, t] = h[lane] / unfolds
                    for i in range(inputs):
                        grad_u[first + lane, t, i] = grad_x[i * width + lane]
            for lane in range(present):
                for j in range(units):
                    grad_v[first + lane, j] = a[j * width + lane]
