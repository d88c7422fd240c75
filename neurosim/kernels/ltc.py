"""Liquid time-constant networks: the semi-implicit solver of ncps over whole sequences, on lists of synapses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _ltc_batch as batched
from . import _ltc_single as single
from ._lanes import VECTOR_BYTES
from ._op import make_op
from ._pool import each_row

PARTS = 16  # partial sums of the gradients; their number must not depend on the number of threads

def conductances(v: Tensor, synapses: Tensor, source: Tensor) -> Tensor:
    """Conductance of every synapse, w s(sigma (v_source - mu)).

    Args:
        v: (batch, sources), potentials of the presynaptic side.
        synapses: (4, synapses), rows w, sigma, mu, erev.
        source: (synapses,), a number below `sources` for each.
    Returns: (batch, synapses).
    """
    w, sigma, mu, _ = synapses
    return w * torch.sigmoid(sigma * (v.index_select(1, source) - mu))


def drive(v: Tensor, synapses: Tensor, source: Tensor, target: Tensor, units: int) -> tuple[Tensor, Tensor]:
    """Sums over the synapses onto each neuron: conductance times reversal potential, and conductance.

    Args: as `conductances`; target: (synapses,), the neuron that each synapse ends on; units: number of neurons.
    Returns: two tensors (batch, units).
    """
    g = conductances(v, synapses, source)
    nothing = g.new_zeros(g.shape[0], units)
    return nothing.index_add(1, target, g * synapses[3]), nothing.index_add(1, target, g)


def reference(u: Tensor, timespans: Tensor, v: Tensor, neurons: Tensor, synapses: Tensor, sensory: Tensor,
              source: Tensor, target: Tensor, sensory_source: Tensor, sensory_target: Tensor, unfolds: int,
              epsilon: float, keep: bool) -> Tensor:
    """Potentials after every step (or sub-step) of a liquid time-constant network.

    With h = timespan / unfolds, N and D the sums of `drive` plus those of the inputs and of the leak,
    v <- v + h (N - v (D + epsilon)) / (cm + h (D + epsilon)), `unfolds` times. This is ncps's
    (cm / h v + N) / (cm / h + D + epsilon), written so that h = 0 leaves v as it is.

    Args:
        u: (batch, time, inputs), held over a step.
        timespans: (batch, time), length of each step.
        v: (batch, units), potentials before the first step.
        neurons: (3, units), rows gleak, vleak, cm.
        synapses, sensory: (4, synapses), rows w, sigma, mu, erev; between neurons and from inputs.
        source, target, sensory_source, sensory_target: int64, one for each synapse, sorted by target.
        unfolds: sub-steps of a step.
        epsilon: added to the conductance.
        keep: whether the potentials after every sub-step are returned.
    Returns: (batch, time, unfolds if keep else 1, units).
    Reference: Lechner et al., Neural circuit policies, 2020; Hasani et al., Liquid time-constant networks, 2021.
    """
    gleak, vleak, cm = neurons
    units = v.shape[1]
    steps = []
    for x, timespan in zip(u.unbind(1), timespans.unbind(1), strict=True):
        from_inputs = drive(x, sensory, sensory_source, sensory_target, units)
        h = timespan[:, None] / unfolds
        for _ in range(unfolds):
            from_neurons = drive(v, synapses, source, target, units)
            n = gleak * vleak + from_inputs[0] + from_neurons[0]
            d = gleak + from_inputs[1] + from_neurons[1] + epsilon
            v = v + h * (n - v * d) / (cm + h * d)
            steps.append(v)
    kept = steps if keep else steps[unfolds - 1::unfolds]
    count = unfolds if keep else 1
    if not kept:
        return v.new_zeros(v.shape[0], 0, count, units)
    return torch.stack(kept, 1).unflatten(1, (-1, count))


def shapes(u: Tensor, timespans: Tensor, v: Tensor, neurons: Tensor, synapses: Tensor, sensory: Tensor,
           source: Tensor, target: Tensor, sensory_source: Tensor, sensory_target: Tensor, unfolds: int,
           epsilon: float, keep: bool) -> Tensor:
    """Output of `reference`, empty."""
    return u.new_empty(u.shape[0], u.shape[1], unfolds if keep else 1, v.shape[1])


def check(u: Any, timespans: Any, v: Any, neurons: Any, synapses: Any, sensory: Any, source: Any, target: Any,
          sensory_source: Any, sensory_target: Any) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    batch, time, inputs = u.shape
    units = v.shape[1]
    count, sensory_count = source.shape[0], sensory_source.shape[0]
    wanted = ((timespans, (batch, time)), (v, (batch, units)), (neurons, (3, units)), (synapses, (4, count)),
              (target, (count,)), (sensory, (4, sensory_count)), (sensory_target, (sensory_count,)))
    if any(array.shape != shape for array, shape in wanted):
        raise InputError(f"ltc: arrays do not fit each other; needed {[shape for _, shape in wanted]} "
                         f"(got {[array.shape for array, _ in wanted]})")
    if len({array.dtype for array in (u, timespans, v, neurons, synapses, sensory)}) > 1:
        raise InputError(f"ltc: all values must have the dtype of u, {u.dtype}")
    for where, start, end, sources in (("", source, target, units),
                                       ("sensory_", sensory_source, sensory_target, inputs)):
        if len(end) and not (0 <= end[0] and end[-1] < units and (end[1:] >= end[:-1]).all()
                             and 0 <= start.min() and start.max() < sources):
            raise InputError(f"ltc: {where}target must be sorted and below {units}, {where}source below {sources}")


class Rows(NamedTuple):
    """How a batch is worked on: whole vectors of sequences, and those that are left one by one."""

    blocks: int
    together: int  # sequences in the blocks
    alone: int

    @classmethod
    def split(cls, batch: int, width: int) -> Rows:
        """A last block that is at least half full is worth a vector."""
        blocks = (batch + width // 2) // width
        together = min(blocks * width, batch)
        return cls(blocks, together, batch - together)


class Arranged(NamedTuple):
    """The parameters as `_ltc_single` takes them, and which synapse each lane of each slot is."""

    order: np.ndarray
    values: tuple[np.ndarray, ...]
    numbers: np.ndarray
    sensory_numbers: np.ndarray


def arrange(inputs: int, neurons: Any, synapses: Any, sensory: Any, source: Any, target: Any, sensory_source: Any,
            sensory_target: Any, width: int) -> Arranged:
    """Sorts neurons and synapses into vectors."""
    order = single.sort_neurons(target, sensory_target, neurons.shape[1])
    padded = single.sort_values(neurons, order, width)
    first, places, numbers, same = single.slots(source, target, order, np.argsort(order), padded.shape[1], width)
    sensory_first, sensory_places, sensory_numbers, sensory_same = single.slots(
        sensory_source, sensory_target, order, np.arange(inputs), inputs, width)
    values = (padded, single.pack(synapses, numbers, width), first, places, same,
              single.pack(sensory, sensory_numbers, width), sensory_first, sensory_places, sensory_same)
    return Arranged(order, values, numbers, sensory_numbers)


def forward(u: Any, timespans: Any, v: Any, neurons: Any, synapses: Any, sensory: Any, source: Any, target: Any,
            sensory_source: Any, sensory_target: Any, unfolds: int, epsilon: float, keep: bool) -> Any:
    """`reference` in compiled code."""
    check(u, timespans, v, neurons, synapses, sensory, source, target, sensory_source, sensory_target)
    batch, time, inputs = u.shape
    units, width = v.shape[1], vector_length(u.dtype)
    out = np.empty((batch, time, unfolds if keep else 1, units), u.dtype)
    rows = Rows.split(batch, width)
    work = time * unfolds * (len(source) + units)
    eps = np.full(1, epsilon, u.dtype)
    if rows.blocks:
        packed, starts = batched.pack(synapses, target, units)
        of_inputs, input_starts = batched.pack(sensory, sensory_target, units)
        each_row(batched.forward_blocks, rows.blocks, rows.together * work, u[:rows.together],
                 timespans[:rows.together], v[:rows.together, None], neurons, packed, starts, source, of_inputs,
                 input_starts, sensory_source, unfolds, eps, out)
    if rows.alone:
        arranged = arrange(inputs, neurons, synapses, sensory, source, target, sensory_source, sensory_target, width)
        each_row(single.forward_rows, rows.alone, rows.alone * work, u[rows.together:], timespans[rows.together:],
                 v[rows.together:], arranged.order, *arranged.values, unfolds, eps, out[rows.together:])
    return out


def backward(needs: tuple[bool, ...], grads: Any, outputs: Any, u: Any, timespans: Any, v: Any, neurons: Any,
             synapses: Any, sensory: Any, source: Any, target: Any, sensory_source: Any, sensory_target: Any,
             unfolds: int, epsilon: float, keep: bool) -> tuple[Any, ...]:
    """Gradients of all floating arguments, from the potentials after every sub-step."""
    (grad,), (vs,) = grads, outputs
    if not keep:
        vs = forward(u, timespans, v, neurons, synapses, sensory, source, target, sensory_source, sensory_target,
                     unfolds, epsilon, True)
    batch, time, inputs = u.shape
    units, width = v.shape[1], vector_length(u.dtype)
    grad_u, grad_timespans, grad_v = np.zeros_like(u), np.zeros_like(timespans), np.zeros_like(v)
    rows = Rows.split(batch, width)
    work = 3 * time * unfolds * (len(source) + units)
    eps = np.full(1, epsilon, u.dtype)
    of_neurons = np.zeros((3, units), u.dtype)
    of_synapses, of_sensory = np.zeros((len(source), 4), u.dtype), np.zeros((len(sensory_source), 4), u.dtype)
    if rows.blocks:
        parts = min(PARTS, rows.blocks)
        packed, starts = batched.pack(synapses, target, units)
        of_inputs, input_starts = batched.pack(sensory, sensory_target, units)
        sums = [np.zeros((parts, *a.shape), u.dtype) for a in (of_neurons, of_synapses, of_sensory)]
        some = slice(rows.together)
        each_row(batched.backward_blocks, parts, rows.together * work, parts, u[some], timespans[some], v[some, None],
                 neurons, packed, starts, source, of_inputs, input_starts, sensory_source, unfolds, eps, vs, grad,
                 grad_u, grad_timespans, grad_v, *sums)
        for total, part in zip((of_neurons, of_synapses, of_sensory), sums, strict=True):
            total += part.sum(0)
    if rows.alone:
        parts = min(PARTS, rows.alone)
        arranged = arrange(inputs, neurons, synapses, sensory, source, target, sensory_source, sensory_target, width)
        lists = (arranged.numbers, arranged.sensory_numbers)
        sums = [np.zeros((parts, *arranged.values[0].shape), u.dtype),
                *(np.zeros((parts, len(numbers) * 4), u.dtype) for numbers in lists)]
        each_row(single.backward_rows, parts, rows.alone * work, parts, rows.together, u, timespans, v,
                 arranged.order, *arranged.values, unfolds, eps, vs, grad, grad_u, grad_timespans, grad_v, *sums)
        of_neurons[:, arranged.order] += sums[0].sum(0)[:, :units]
        for total, part, numbers in zip((of_synapses, of_sensory), sums[1:], lists, strict=True):
            present = numbers >= 0
            by_lane = part.sum(0).reshape(-1, 4, width).swapaxes(1, 2).reshape(-1, 4)
            total[numbers[present]] += by_lane[present]
    return (grad_u, grad_timespans, grad_v, of_neurons, of_values(of_synapses, synapses),
            of_values(of_sensory, sensory), None, None, None, None)


def of_values(sums: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Gradient of w, sigma, mu, erev from the sums that the compiled code returns for each synapse."""
    w, sigma, _, _ = values
    return np.stack([sums[:, 0], sums[:, 1], -sigma * sums[:, 2], w * sums[:, 3]])


def vector_length(dtype: np.dtype) -> int:
    """Number of elements in a vector of compiled code."""
    return VECTOR_BYTES // dtype.itemsize


ltc = make_op("ltc", reference, shapes, forward, backward)
