"""Compiled LTC for batches: a vector holds the same neuron of 8 (float32) or 4 (float64) sequences.

The work is cut into blocks of that many sequences. Synapses are walked in the order of their targets; each needs one
load of presynaptic potentials and four numbers of its own. See `ltc.reference` for the equations and the arguments.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, clear, lanes, vadd_sums, vload, vlogistic2, vsplat, vstore

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
def arrange(synapses: Any, sensory: Any, target: Any, sensory_target: Any, units: int) -> Any:
    """`pack` of the synapses between neurons and of those from inputs."""
    packed, starts = pack(synapses, target, units)
    of_inputs, input_starts = pack(sensory, sensory_target, units)
    return packed, starts, of_inputs, input_starts


@compiled(fastmath=EXACT)
def gather_rows(x: Any, first: int, into: Any, start: int) -> None:
    """Consecutive rows of x (rows, columns), one in each lane, to into[start:]; past the last row the last one again."""
    width = lanes(into)
    for lane in range(width):
        row = min(first + lane, x.shape[0] - 1)
        for i in range(x.shape[1]):
            into[start + i * width + lane] = x[row, i]


@compiled(fastmath=EXACT)
def scatter_rows(values: Any, start: int, first: int, x: Any) -> None:
    """The opposite of `gather_rows`: values[start:] to the rows of x."""
    width = lanes(values)
    for lane in range(min(width, x.shape[0] - first)):
        for i in range(x.shape[1]):
            x[first + lane, i] = values[start + i * width + lane]


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
def forward_substep(v: Any, now: int, then: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, starts: Any,
                    source: Any) -> None:
    """Potentials v[now:] a sub-step later, to v[then:]."""
    width = lanes(v)
    units = neurons.shape[1]
    for j in range(units):
        n, d = vload(n0, j * width), vload(d0, j * width)
        for s in range(starts[j], starts[j + 1]):
            g = conductance(packed, s, vload(v, now + source[s] * width))
            d = d + vsplat(packed, s * COLUMNS + 2) * g
            n = n + vsplat(packed, s * COLUMNS + 3) * g
        before, step = vload(v, now + j * width), vload(h, 0)
        vstore(v, then + j * width, before + step * (n - before * d) / (vsplat(neurons, 2 * units + j) + step * d))


@compiled(fastmath=EXACT)
def forward_blocks(start: int, stop: int, u: Any, h: Any, v0: Any, neurons: Any, packed: Any, starts: Any,
                   source: Any, sensory: Any, sensory_starts: Any, sensory_source: Any, unfolds: int, epsilon: Any,
                   frames: int, tape: Any, out: Any) -> None:
    """Blocks `start` to `stop` of sequences; fills those of out (batch, time, units).

    h: (batch, time), length of the sub-steps. tape: the potentials before the first and after every sub-step, `frames`
    of them for each block; where these are too few, they are used in turn.
    """
    width = lanes(v0)
    inputs, units = u.shape[2], v0.shape[1]
    x, length = np.empty(inputs * width, u.dtype), np.empty(width, u.dtype)
    n0, d0 = np.empty(units * width, u.dtype), np.empty(units * width, u.dtype)
    for block in range(start, stop):
        first, base = block * width, block * frames
        gather_rows(v0, first, tape, base * units * width)
        for t in range(u.shape[1]):
            gather_rows(u[:, t], first, x, 0)
            gather_rows(h[:, t:t + 1], first, length, 0)
            sensory_drive(x, sensory, sensory_starts, sensory_source, neurons, epsilon, n0, d0)
            for done in range(t * unfolds, (t + 1) * unfolds):
                now, then = base + done % frames, base + (done + 1) % frames
                forward_substep(tape, now * units * width, then * units * width, length, n0, d0, neurons, packed,
                                starts, source)
            scatter_rows(tape, (base + (t + 1) * unfolds % frames) * units * width, first, out[:, t])


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
def backward_substep(v: Any, now: int, h: Any, n0: Any, d0: Any, neurons: Any, packed: Any, starts: Any, source: Any,
                     grad: Any, grad_before: Any, grad_n0: Any, grad_d0: Any, grad_cm: Any, grad_h: Any,
                     opened: Any, synapse_sums: Any) -> None:
    """From the gradient `grad` of the potentials after a sub-step that of v[now:], those before it; adds the others."""
    width = lanes(v)
    units = neurons.shape[1]
    one = np.ones(1, v.dtype)
    clear(grad_before)
    for j in range(units):
        n, d = vload(n0, j * width), vload(d0, j * width)
        for s in range(starts[j], starts[j + 1]):
            g = conductance(packed, s, vload(v, now + source[s] * width))
            d = d + vsplat(packed, s * COLUMNS + 2) * g
            n = n + vsplat(packed, s * COLUMNS + 3) * g
            vstore(opened, (s - starts[j]) * width, g)
        before, step, cm = vload(v, now + j * width), vload(h, 0), vsplat(neurons, 2 * units + j)
        inverse = vsplat(one, 0) / (cm + step * d)
        share = vload(grad, j * width) * inverse
        slope = (n - before * d) * inverse
        q = share * step
        e = -q * (before + step * slope)
        vstore(grad_h, 0, vload(grad_h, 0) + share * cm * slope)
        vstore(grad_n0, j * width, vload(grad_n0, j * width) + q)
        vstore(grad_d0, j * width, vload(grad_d0, j * width) + e)
        vstore(grad_before, j * width, vload(grad_before, j * width) + share * cm)
        vstore(grad_cm, j * width, vload(grad_cm, j * width) - q * slope)
        for s in range(starts[j], starts[j + 1]):
            i = source[s] * width
            g = vload(opened, (s - starts[j]) * width)
            back = add_synapse(synapse_sums, packed, s, q, e, vload(v, now + i), g)
            vstore(grad_before, i, vload(grad_before, i) + back)


@compiled(fastmath=EXACT)
def backward_inputs(x: Any, neurons: Any, sensory: Any, starts: Any, source: Any, grad_n0: Any, grad_d0: Any,
                    grad_cm: Any, grad_x: Any, neuron_sums: Any, sensory_sums: Any) -> None:
    """From the gradients of numerators and denominators those of the leak, of the inputs and of their synapses."""
    width = lanes(x)
    units = neurons.shape[1]
    clear(grad_x)
    for j in range(units):
        q, e = vload(grad_n0, j * width), vload(grad_d0, j * width)
        vadd_sums(neuron_sums, j * 4, q * vsplat(neurons, units + j) + e, q * vsplat(neurons, j),
                  vload(grad_cm, j * width), q)
        for s in range(starts[j], starts[j + 1]):
            i = source[s] * width
            g = conductance(sensory, s, vload(x, i))
            back = add_synapse(sensory_sums, sensory, s, q, e, vload(x, i), g)
            vstore(grad_x, i, vload(grad_x, i) + back)


@compiled(fastmath=EXACT)
def backward_blocks(start: int, stop: int, parts: int, u: Any, h: Any, neurons: Any, packed: Any, starts: Any,
                    source: Any, sensory: Any, sensory_starts: Any, sensory_source: Any, unfolds: int, epsilon: Any,
                    tape: Any, grad: Any, grad_u: Any, grad_h: Any, grad_v: Any, neuron_sums: Any, synapse_sums: Any,
                    sensory_sums: Any) -> None:
    """Every `parts`-th block of sequences, beginning with `start`, ..., `stop` - 1.

    tape: as `forward_blocks` left it, with all potentials. grad: (batch, time, units), gradient of its `out`. The last
    six arguments are filled; the sums have one entry for each part, so that they do not depend on the number of
    threads.
    """
    width = lanes(u)
    rows, time, inputs = u.shape
    size = neurons.shape[1] * width
    x, grad_x = np.empty(inputs * width, u.dtype), np.empty(inputs * width, u.dtype)
    length, of_length = np.empty(width, u.dtype), np.empty(width, u.dtype)
    n0, d0, grad_n0, grad_d0, grad_cm = (np.empty(size, u.dtype), np.empty(size, u.dtype), np.empty(size, u.dtype),
                                         np.empty(size, u.dtype), np.empty(size, u.dtype))
    a, before = np.empty(size, u.dtype), np.empty(size, u.dtype)
    opened = np.empty(max(len(source), 1) * width, u.dtype)
    for part in range(start, stop):
        for block in range(part, (rows + width - 1) // width, parts):
            first = block * width
            clear(a)
            for t in range(time - 1, -1, -1):
                gather_rows(u[:, t], first, x, 0)
                gather_rows(h[:, t:t + 1], first, length, 0)
                sensory_drive(x, sensory, sensory_starts, sensory_source, neurons, epsilon, n0, d0)
                for lane in range(min(width, rows - first)):  # the others have no gradient
                    for j in range(grad.shape[2]):
                        a[j * width + lane] += grad[first + lane, t, j]
                clear(grad_n0)
                clear(grad_d0)
                clear(grad_cm)
                clear(of_length)
                for done in range((t + 1) * unfolds - 1, t * unfolds - 1, -1):
                    now = (block * (time * unfolds + 1) + done) * size
                    backward_substep(tape, now, length, n0, d0, neurons, packed, starts, source, a, before, grad_n0,
                                     grad_d0, grad_cm, of_length, opened, synapse_sums[part])
                    a, before = before, a
                backward_inputs(x, neurons, sensory, sensory_starts, sensory_source, grad_n0, grad_d0, grad_cm,
                                grad_x, neuron_sums[part], sensory_sums[part])
                scatter_rows(of_length, 0, first, grad_h[:, t:t + 1])
                scatter_rows(grad_x, 0, first, grad_u[:, t])
            scatter_rows(a, 0, first, grad_v)
