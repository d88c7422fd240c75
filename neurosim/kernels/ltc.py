"""Liquid time-constant networks: the semi-implicit solver of ncps over whole sequences, on lists of synapses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _ltc_batch as batched
from . import _ltc_single as single
from ._jit import VECTOR
from ._ltc_values import CLAMP, LEAST_CM, SOFTPLUS, acting_back, in_order, inputs_back, outputs_back
from ._op import make_op
from ._pool import each_row

SETS = 16  # partial sums of the gradients; their number must not depend on the number of threads


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


def positive_values(x: Tensor, positive: int, least: float = 0.0) -> Tensor:
    """What acts: softplus(x), x no smaller than `least`, or x."""
    if positive == SOFTPLUS:
        return torch.nn.functional.softplus(x)
    return x.clamp(min=least) if positive == CLAMP else x


def mapped(x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
    """x times the first weight plus the second, as far as there are any."""
    if weights:
        x = x * weights[0]
    return x + weights[1] if len(weights) > 1 else x


class Network(NamedTuple):
    """The parts of `values`: what acts, and the weights of the maps (none, weight, or weight and bias)."""

    neurons: Tensor  # (3, units)
    synapses: Tensor  # (4, synapses)
    sensory: Tensor  # (4, sensory synapses)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, values: Tensor, units: int, synapses: int, sensory: int, inputs: int, outputs: int, positive: int,
           input_map: int, output_map: int) -> Network:
        """From the arguments of `reference`."""
        sizes = [units] * 3 + [synapses] * 4 + [sensory] * 4 + [inputs] * input_map + [outputs] * output_map
        parts = list(values.split(sizes))
        for number, least in ((0, 0.0), (2, LEAST_CM), (3, 0.0), (7, 0.0)):
            parts[number] = positive_values(parts[number], positive, least)
        return cls(torch.stack(parts[:3]), torch.stack(parts[3:7]), torch.stack(parts[7:11]),
                   tuple(parts[11:11 + input_map]), tuple(parts[11 + input_map:]))


def reference(u: Tensor, timespans: Tensor, v: Tensor, values: Tensor, wires: Tensor, synapses: int, unfolds: int,
              epsilon: float, positive: int, input_map: int, output_map: int, outputs: int,
              keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Potentials after every step of a liquid time-constant network, and its outputs.

    With h = timespan / unfolds, N and D the sums of `drive` plus those of the inputs and of the leak,
    v <- v + h (N - v (D + epsilon)) / (cm + h (D + epsilon)), `unfolds` times. This is ncps's
    (cm / h v + N) / (cm / h + D + epsilon), written so that h = 0 leaves v as it is.

    Args:
        u: (batch, time, inputs), held over a step.
        timespans: (batch, time), length of each step.
        v: (batch, units), potentials before the first step.
        values: gleak, vleak, cm of every neuron; w, sigma, mu, erev of the synapses between neurons, then of those from
            inputs; weight and bias of the map of the inputs, then of the outputs; all in one vector.
        wires: (2, all synapses) int64, source and target, those between neurons first; both kinds sorted by target.
        synapses: number of those between neurons.
        unfolds: sub-steps of a step.
        epsilon: added to the conductance.
        positive: what makes gleak, cm and w positive: 0 nothing (they are), 1 softplus, 2 clamp (cm at 1e-6).
        input_map, output_map: 0 none, 1 weight, 2 weight and bias.
        outputs: how many neurons, the first ones, are outputs.
        keep: how many numbers of every neuron and sub-step to keep for the compiled backward pass: 2, or 3 if the time spans
            need a gradient; with fewer than it needs it runs the forward pass once more.
    Returns: (batch, time, units), (batch, time, outputs), and what was kept: no gradient passes through it.
    Reference: Lechner et al., Neural circuit policies, 2020; Hasani et al., Liquid time-constant networks, 2021.
    """
    units, inputs = v.shape[1], u.shape[2]
    p = Network.of(values, units, synapses, wires.shape[1] - synapses, inputs, outputs, positive, input_map, output_map)
    gleak, vleak, cm = p.neurons
    (source, target), (sensory_source, sensory_target) = wires[:, :synapses], wires[:, synapses:]
    steps = []
    for x, timespan in zip(mapped(u, p.inputs).unbind(1), timespans.unbind(1), strict=True):
        from_inputs = drive(x, p.sensory, sensory_source, sensory_target, units)
        h = timespan[:, None] / unfolds
        for _ in range(unfolds):
            from_neurons = drive(v, p.synapses, source, target, units)
            n = gleak * vleak + from_inputs[0] + from_neurons[0]
            d = gleak + from_inputs[1] + from_neurons[1] + epsilon
            v = v + h * (n - v * d) / (cm + h * d)
        steps.append(v)
    vs = torch.stack(steps, 1) if steps else v.new_zeros(v.shape[0], 0, units)
    return vs, mapped(vs[:, :, :outputs], p.outputs).contiguous(), v.new_zeros(tape_length(u, v, unfolds, keep))


def shapes(u: Tensor, timespans: Tensor, v: Tensor, values: Tensor, wires: Tensor, synapses: int, unfolds: int,
           epsilon: float, positive: int, input_map: int, output_map: int, outputs: int,
           keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return (u.new_empty(u.shape[0], u.shape[1], v.shape[1]), u.new_empty(u.shape[0], u.shape[1], outputs),
            u.new_empty(tape_length(u, v, unfolds, keep)))


def tape_length(u: Any, v: Any, unfolds: int, keep: int) -> int:
    """Size of the frames before the first and after every sub-step, as the compiled code arranges them."""
    return Rows.split(v.shape[0], v.dtype).frame(v, keep) * (u.shape[1] * unfolds + 1) if keep else 0


class Rows(NamedTuple):
    """How a batch is worked on: whole vectors of sequences, and those that are left one by one."""

    blocks: int
    together: int  # sequences in the blocks
    alone: int
    width: int

    @classmethod
    def split(cls, batch: int, dtype: Any) -> Rows:
        """A last block that is at least half full is worth a vector."""
        width = VECTOR // dtype.itemsize
        blocks = (batch + width // 2) // width
        alone = max(batch - blocks * width, 0)
        return cls(blocks, batch - alone, alone, width)

    def frame(self, v: Any, parts: int) -> int:
        """Size of a frame of so many parts of the tape of all sequences."""
        padded = v.shape[1] + -v.shape[1] % self.width
        return self.frame_together(v, parts) + self.alone * (parts * padded + self.width)

    def frame_together(self, v: Any, parts: int) -> int:
        """Size of a frame of the sequences in blocks; on the tape, all frames of these come first."""
        return parts * self.blocks * self.width * v.shape[1]

    def work(self) -> list[tuple[Any, int, slice]]:
        """What there is to do: the compiled code for it, how many pieces, and which sequences."""
        every = [(batched, self.blocks, slice(self.together)), (single, self.alone, slice(self.together, None))]
        return [piece for piece in every if piece[1]]


def check(u: Any, timespans: Any, v: Any, values: Any, wires: Any, synapses: int, input_map: int, output_map: int,
          outputs: int) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    (batch, time, inputs), units, every = u.shape, v.shape[1], wires.shape[1]
    count = 3 * units + 4 * every + input_map * inputs + output_map * outputs
    if (timespans.shape != (batch, time) or v.shape != (batch, units) or values.shape != (count,) or wires.shape[0] != 2
            or not 0 <= synapses <= every or not 0 <= outputs <= units):
        wanted = [(batch, time), (batch, units), (count,), (2, every)]
        raise InputError(f"ltc: arrays do not fit each other; needed {wanted} with {synapses} of {every} synapses and "
                         f"{outputs} of {units} outputs (got {[a.shape for a in (timespans, v, values, wires)]})")
    if not timespans.dtype == v.dtype == values.dtype == u.dtype:
        raise InputError(f"ltc: all values must have the dtype of u, {u.dtype}")
    if not in_order(wires, synapses, units, inputs):
        raise InputError(f"ltc: targets must be sorted and below {units}, sources below {units} (neurons) and "
                         f"{inputs} (inputs)")


def room_in_line(count: int, dtype: Any) -> np.ndarray:
    """An array that begins where a cache line does: a vector that crosses two takes twice the time."""
    room = np.empty(count + 64 // dtype.itemsize, dtype)
    skip = -room.__array_interface__["data"][0] % 64 // dtype.itemsize
    return room[skip:skip + count]


def forward(u: Any, timespans: Any, v: Any, values: Any, wires: Any, synapses: int, unfolds: int, epsilon: float,
            positive: int, input_map: int, output_map: int, outputs: int, keep: int) -> tuple[Any, Any, Any]:
    """`reference` in compiled code."""
    check(u, timespans, v, values, wires, synapses, input_map, output_map, outputs)
    batch, time, _ = u.shape
    vs, y = np.empty((batch, time, v.shape[1]), u.dtype), np.empty((batch, time, outputs), u.dtype)
    rows, frames, parts = Rows.split(batch, u.dtype), time * unfolds + 1 if keep else 2, keep or 1
    tape = room_in_line(rows.frame(v, parts) * frames, u.dtype)
    work = time * unfolds * (synapses + v.shape[1])
    for code, pieces, some in rows.work():
        each_row(code.forward_rows, pieces, (some.stop or rows.alone) * work, u[some], timespans[some], v[some], values,
                 wires, synapses, unfolds, epsilon, positive, input_map, output_map, parts, frames,
                 tape[rows.frame_together(v, parts) * frames if code is single else 0:], vs[some], y[some])
    return vs, y, tape if keep else tape[:0]


def backward(needs: tuple[bool, ...], grads: Any, kept: Any, u: Any, timespans: Any, v: Any, values: Any, wires: Any,
             synapses: int, unfolds: int, epsilon: float, positive: int, input_map: int, output_map: int, outputs: int,
             keep: int) -> tuple[Any, ...]:
    """Gradients of all floating arguments, from the potentials after every sub-step."""
    (grad_vs, grad_y), (vs, _, tape) = grads, kept
    parts = max(keep, 3 if needs[1] else 2)
    if keep < parts:
        _, _, tape = forward(u, timespans, v, values, wires, synapses, unfolds, epsilon, positive, input_map, output_map,
                             outputs, parts)
    (batch, time, inputs), units, every = u.shape, v.shape[1], wires.shape[1]
    rows, frames = Rows.split(batch, u.dtype), time * unfolds + 1
    grad_vs = grad_vs.copy()
    grad_u, grad_timespans, grad_v = np.empty_like(u), np.empty_like(timespans), np.empty_like(v)
    total, maps = np.zeros_like(values), 3 * units + 4 * every
    outputs_back(values, maps + input_map * inputs, output_map, vs, grad_y, grad_vs, total)
    work = 3 * time * unfolds * (synapses + units)
    for code, pieces, some in rows.work():
        found = np.zeros((min(SETS, pieces), len(values)), u.dtype)
        each_row(code.backward_rows, len(found), (some.stop or rows.alone) * work, len(found), u[some], timespans[some],
                 values, wires, synapses, unfolds, positive, input_map, parts,
                 tape[rows.frame_together(v, parts) * frames if code is single else 0:], grad_vs[some], grad_u[some],
                 grad_timespans[some], grad_v[some], found)
        for some_sums in found:
            total += some_sums
    inputs_back(values, maps, input_map, u, grad_u, total)
    acting_back(values, units, synapses, every - synapses, positive, total)
    return grad_u, grad_timespans, grad_v, total, None


ltc = make_op("ltc", reference, shapes, forward, backward, kept=1)
