"""Liquid time-constant networks: the semi-implicit solver of ncps over whole sequences, on lists of synapses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _ltc_batch as batched
from . import _ltc_single as single
from ._jit import compiled
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
              epsilon: float, keep: bool) -> tuple[Tensor, Tensor]:
    """Potentials after every step of a liquid time-constant network.

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
        keep: whether to keep what the compiled backward pass needs; without it that runs the forward pass once more.
    Returns: (batch, time, units), and what was kept: no gradient passes through it.
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
    vs = torch.stack(steps, 1) if steps else v.new_zeros(v.shape[0], 0, units)
    return vs, v.new_zeros(tape_length(u, v, unfolds, keep))


def shapes(u: Tensor, timespans: Tensor, v: Tensor, neurons: Tensor, synapses: Tensor, sensory: Tensor,
           source: Tensor, target: Tensor, sensory_source: Tensor, sensory_target: Tensor, unfolds: int,
           epsilon: float, keep: bool) -> tuple[Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return u.new_empty(u.shape[0], u.shape[1], v.shape[1]), u.new_empty(tape_length(u, v, unfolds, keep))


def tape_length(u: Any, v: Any, unfolds: int, keep: bool) -> int:
    """Size of the potentials before the first and after every sub-step, as the compiled code arranges them."""
    batch, units = v.shape
    rows, width = Rows.split(batch, v.dtype), VECTOR_BYTES // v.dtype.itemsize
    frame = rows.blocks * width * units + rows.alone * (units + -units % width + 1)
    return frame * (u.shape[1] * unfolds + 1) if keep else 0


class Rows(NamedTuple):
    """How a batch is worked on: whole vectors of sequences, and those that are left one by one."""

    blocks: int
    together: int  # sequences in the blocks
    alone: int

    @classmethod
    def split(cls, batch: int, dtype: Any) -> Rows:
        """A last block that is at least half full is worth a vector."""
        width = VECTOR_BYTES // dtype.itemsize
        blocks = (batch + width // 2) // width
        alone = max(batch - blocks * width, 0)
        return cls(blocks, batch - alone, alone)


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
    if not (in_order(source, target, units, units) and in_order(sensory_source, sensory_target, inputs, units)):
        raise InputError(f"ltc: targets must be sorted and below {units}, sources below {units} (neurons) and "
                         f"{inputs} (inputs)")


@compiled
def in_order(source: Any, target: Any, sources: int, targets: int) -> bool:
    """Whether targets are sorted and all indices in range."""
    last = 0
    for s in range(len(target)):
        if not (last <= target[s] < targets and 0 <= source[s] < sources):
            return False
        last = target[s]
    return True


def forward(u: Any, timespans: Any, v: Any, neurons: Any, synapses: Any, sensory: Any, source: Any, target: Any,
            sensory_source: Any, sensory_target: Any, unfolds: int, epsilon: float, keep: bool) -> tuple[Any, Any]:
    """`reference` in compiled code."""
    check(u, timespans, v, neurons, synapses, sensory, source, target, sensory_source, sensory_target)
    (batch, time, inputs), units = u.shape, v.shape[1]
    out = np.empty((batch, time, units), u.dtype)
    rows, h, eps = Rows.split(batch, u.dtype), timespans / unfolds, np.full(1, epsilon, u.dtype)
    frames = time * unfolds + 1 if keep else 2
    tape = np.empty(tape_length(u, v, unfolds, True) // (time * unfolds + 1) * frames, u.dtype)
    work = time * unfolds * (len(source) + units)
    if rows.blocks:
        some = slice(rows.together)
        packed, starts, of_inputs, input_starts = batched.arrange(synapses, sensory, target, sensory_target, units)
        each_row(batched.forward_blocks, rows.blocks, rows.together * work, u[some], h[some], v[some], neurons,
                 packed, starts, source, of_inputs, input_starts, sensory_source, unfolds, eps, frames, tape, out)
    if rows.alone:
        some = slice(rows.together, None)
        *arranged, _, _ = single.arrange(inputs, neurons, synapses, sensory, source, target, sensory_source,
                                         sensory_target, VECTOR_BYTES // u.itemsize)
        each_row(single.forward_rows, rows.alone, rows.alone * work, u[some], h[some], v[some], *arranged, unfolds,
                 eps, frames, tape[single_part(rows, units, frames, u):], out[some])
    return out, tape if keep else tape[:0]


def single_part(rows: Rows, units: int, frames: int, u: Any) -> int:
    """Where on the tape the sequences begin that are worked on alone."""
    return rows.blocks * (VECTOR_BYTES // u.itemsize) * units * frames


def backward(needs: tuple[bool, ...], grads: Any, outputs: Any, u: Any, timespans: Any, v: Any, neurons: Any,
             synapses: Any, sensory: Any, source: Any, target: Any, sensory_source: Any, sensory_target: Any,
             unfolds: int, epsilon: float, keep: bool) -> tuple[Any, ...]:
    """Gradients of all floating arguments, from the potentials after every sub-step."""
    grad, tape = grads[0], outputs[1]
    if not keep:
        _, tape = forward(u, timespans, v, neurons, synapses, sensory, source, target, sensory_source, sensory_target,
                          unfolds, epsilon, True)
    (batch, time, inputs), units, width = u.shape, v.shape[1], VECTOR_BYTES // u.itemsize
    rows, h, eps = Rows.split(batch, u.dtype), timespans / unfolds, np.full(1, epsilon, u.dtype)
    grad_u, grad_h, grad_v = np.empty_like(u), np.empty_like(h), np.empty_like(v)
    of_neurons = np.zeros((units, 4), u.dtype)
    of_synapses, of_sensory = np.zeros((len(source), 4), u.dtype), np.zeros((len(sensory_source), 4), u.dtype)
    work = 3 * time * unfolds * (len(source) + units)
    if rows.blocks:
        some, parts = slice(rows.together), min(PARTS, rows.blocks)
        packed, starts, of_inputs, input_starts = batched.arrange(synapses, sensory, target, sensory_target, units)
        sums = [np.zeros((parts, *a.shape), u.dtype) for a in (of_neurons, of_synapses, of_sensory)]
        each_row(batched.backward_blocks, parts, rows.together * work, parts, u[some], h[some], neurons, packed,
                 starts, source, of_inputs, input_starts, sensory_source, unfolds, eps, tape, grad[some],
                 grad_u[some], grad_h[some], grad_v[some], *sums)
        for total, part in zip((of_neurons, of_synapses, of_sensory), sums, strict=True):
            total += part.sum(0)
    if rows.alone:
        some, parts = slice(rows.together, None), min(PARTS, rows.alone)
        *arranged, numbers, sensory_numbers = single.arrange(inputs, neurons, synapses, sensory, source, target,
                                                             sensory_source, sensory_target, width)
        order, padded = arranged[:2]
        sums = [np.zeros((parts, *shape), u.dtype)
                for shape in (padded.shape, (len(numbers) * 4,), (len(sensory_numbers) * 4,))]
        each_row(single.backward_rows, parts, rows.alone * work, parts, u[some], h[some], *arranged, unfolds, eps,
                 tape[single_part(rows, units, time * unfolds + 1, u):], grad[some], grad_u[some], grad_h[some],
                 grad_v[some], *sums)
        of_neurons[order, :3] += sums[0].sum(0)[:, :units].T
        for total, part, lane_numbers in zip((of_synapses, of_sensory), sums[1:], (numbers, sensory_numbers),
                                             strict=True):
            present = lane_numbers >= 0
            by_lane = part.sum(0).reshape(-1, 4, width).swapaxes(1, 2).reshape(-1, 4)
            total[lane_numbers[present]] += by_lane[present]
    return (grad_u, grad_h / unfolds, grad_v, of_neurons[:, :3].T, of_values(of_synapses, synapses),
            of_values(of_sensory, sensory), None, None, None, None)


def of_values(sums: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Gradient of w, sigma, mu, erev from the sums that the compiled code returns for each synapse."""
    w, sigma, _, _ = values
    return np.stack([sums[:, 0], sums[:, 1], -sigma * sums[:, 2], w * sums[:, 3]])


ltc = make_op("ltc", reference, shapes, forward, backward)
