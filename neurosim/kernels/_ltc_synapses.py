"""Compiled synapses of LTC for batches: a vector holds the same neuron of several sequences, one in each lane.

Synapses are walked in the order of their targets; each needs one load of presynaptic potentials and four numbers of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT, LOG2E, clear, lanes, vadd_sums, vconstant, vload, vlogistic2, vsplat, vstore
from ._rows import ZERO

NUMBERS = 4  # kept for a synapse: see `pack`


@compiled(fastmath=EXACT)
def pack(values: Any, wires: Any, first: int, units: int, back: bool) -> Any:
    """Numbers of every synapse side by side, and where the synapses of each neuron start.

    Args:
        values: w, sigma, mu, erev, (4, synapses).
        wires: sources and targets; those of these synapses begin at `first`.
        back: which numbers: a, a mu, w, w erev, or for the backward pass a, mu, erev, w sigma, of each, so that
            w / (1 + 2**(a (v - mu))) is its conductance.
    Returns: (synapses * NUMBERS,) numbers; (units + 1,) starts.
    """
    count = values.shape[1]
    packed = np.empty(count * NUMBERS, values.dtype)
    starts = np.zeros(units + 1, np.int64)
    slope = values.dtype.type(-LOG2E)
    for s in range(count):
        w, sigma, mu, erev = values[0, s], values[1, s], values[2, s], values[3, s]
        at = s * NUMBERS
        packed[at], packed[at + 1] = slope * sigma, mu if back else slope * sigma * mu
        packed[at + 2], packed[at + 3] = (erev, w * sigma) if back else (w, w * erev)
        starts[wires[1, first + s] + 1] += 1
    for j in range(units):
        starts[j + 1] += starts[j]
    return packed, starts


@compiled(fastmath=EXACT, allocates=False)
def conductance(packed: Any, at: int, before: Any) -> Any:
    """Open part of the synapse whose numbers begin at `at`, between 0 and 1, at the presynaptic potential `before`."""
    return vlogistic2(vsplat(packed, at) * before - vsplat(packed, at + 1))


@compiled(fastmath=EXACT, allocates=False, inline=True)
def add_drive(first: int, stop: int, packed: Any, wires: Any, wire: int, x: Any, now: int, n: Any, d: Any) -> Any:
    """Numerator and denominator n and d of a neuron with those of its synapses `first` to `stop` from x[now:].

    wires: the source of the first synapse of this kind is wires[0, wire].
    """
    for s in range(first, stop):
        g = conductance(packed, s * NUMBERS, vload(x, now + wires[0, wire + s] * lanes(x)))
        d = d + vsplat(packed, s * NUMBERS + 2) * g
        n = n + vsplat(packed, s * NUMBERS + 3) * g
    return n, d


@compiled(fastmath=EXACT, allocates=False)
def sensory_drive(x: Any, packed: Any, starts: Any, wires: Any, wire: int, neurons: Any, epsilon: float, n0: Any,
                  d0: Any) -> None:
    """Numerator and denominator of every neuron without its synapses from other neurons: leak and inputs."""
    width = lanes(x)
    units = neurons.shape[1]
    for j in range(units):
        leak = vsplat(neurons, j)
        n, d = add_drive(starts[j], starts[j + 1], packed, wires, wire, x, ZERO, leak * vsplat(neurons, units + j),
                         leak + vconstant(x, epsilon))
        vstore(n0, j * width, n)
        vstore(d0, j * width, d)


@compiled(fastmath=EXACT, allocates=False)
def add_wide(sums: Any, at: int, a: Any, b: Any, c: Any, d: Any) -> None:
    """Adds four vectors to the vectors number 4 * at and up."""
    width = lanes(sums)
    to = 4 * at * width
    vstore(sums, to, vload(sums, to) + a)
    vstore(sums, to + width, vload(sums, to + width) + b)
    vstore(sums, to + 2 * width, vload(sums, to + 2 * width) + c)
    vstore(sums, to + 3 * width, vload(sums, to + 3 * width) + d)


@compiled(fastmath=EXACT, allocates=False)
def through_synapse(packed: Any, s: int, before: Any, q: Any, e: Any) -> Any:
    """Gradients of four sums of a synapse (see `collect`), and of the presynaptic potential `before`.

    q and e are the gradients of the numerator and denominator of the neuron that it ends on.
    """
    at = s * NUMBERS
    apart = before - vsplat(packed, at + 1)
    g = vlogistic2(vsplat(packed, at) * apart)
    of_w = vsplat(packed, at + 2) * q + e
    z = of_w * (g - g * g)
    return of_w * g, z * apart, z, q * g, z * vsplat(packed, at + 3)


@compiled(fastmath=EXACT, allocates=False)
def add_synapses(first: int, stop: int, packed: Any, wires: Any, wire: int, x: Any, now: int, q: Any, e: Any, grad: Any,
                 sums: Any, at: int, wide: bool) -> None:
    """Gradient through the synapses `first` to `stop` of one neuron: adds their four sums, and to `grad`, that of x[now:].

    Args:
        wires: the source of the first synapse of this kind is wires[0, wire].
        q, e: as for `through_synapse`.
        at: number of the sums of the first synapse of this kind.
        wide: whether a sum has a vector, not a number; decided once, since the loop is as short as it can be.
    """
    width = lanes(x)
    if wide:
        for s in range(first, stop):
            i = wires[0, wire + s] * width
            of_w, of_sigma, of_mu, of_erev, back = through_synapse(packed, s, vload(x, now + i), q, e)
            add_wide(sums, at + s, of_w, of_sigma, of_mu, of_erev)
            vstore(grad, i, vload(grad, i) + back)
    else:
        for s in range(first, stop):
            i = wires[0, wire + s] * width
            of_w, of_sigma, of_mu, of_erev, back = through_synapse(packed, s, vload(x, now + i), q, e)
            vadd_sums(sums, 4 * (at + s), of_w, of_sigma, of_mu, of_erev)
            vstore(grad, i, vload(grad, i) + back)


@compiled(fastmath=EXACT, allocates=False)
def backward_inputs(x: Any, neurons: Any, packed: Any, starts: Any, wires: Any, wire: int, grad_n0: Any, grad_d0: Any,
                    grad_cm: Any, grad_x: Any, sums: Any, wide: bool) -> None:
    """From the gradients of numerators and denominators those of the leak, of the inputs and of their synapses."""
    width = lanes(x)
    units = neurons.shape[1]
    clear(grad_x)
    for j in range(units):
        q, e = vload(grad_n0, j * width), vload(grad_d0, j * width)
        of_gleak, of_vleak, of_cm = q * vsplat(neurons, units + j) + e, q * vsplat(neurons, j), vload(grad_cm, j * width)
        if wide:
            add_wide(sums, j, of_gleak, of_vleak, of_cm, q)
        else:
            vadd_sums(sums, 4 * j, of_gleak, of_vleak, of_cm, q)
        add_synapses(starts[j], starts[j + 1], packed, wires, wire, x, ZERO, q, e, grad_x, sums, units + wire, wide)


@compiled(fastmath=EXACT)
def collect(sums: Any, synapses: Any, sensory: Any, units: int, grads: Any) -> None:
    """Gradients of what acts from the four sums of every neuron and synapse."""
    for j in range(units):
        for k in range(3):
            grads[k * units + j] = sums[j * 4 + k]
    at, to = units * 4, units * 3
    for values in (synapses, sensory):
        count = values.shape[1]
        for s in range(count):
            w, sigma = values[0, s], values[1, s]
            grads[to + s] = sums[at + s * 4]
            grads[to + count + s] = w * sums[at + s * 4 + 1]
            grads[to + 2 * count + s] = -w * sigma * sums[at + s * 4 + 2]
            grads[to + 3 * count + s] = w * sums[at + s * 4 + 3]
        at, to = at + count * 4, to + count * 4
