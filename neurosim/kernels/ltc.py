"""Liquid time-constant networks over whole sequences, on lists of synapses, by the solver of ncps or explicit ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _ltc_batch as batched
from . import _ltc_single as single
from ._ltc_values import CLAMP, LEAST_CM, SOFTPLUS, acting_back, in_order, inputs_back, outputs_back
from ._op import make_op
from ._pool import each_row
from ._rows import aligned, padded
from .memory import GATES, before_steps, kept_length, lstm, memory_gradient, memory_matrix, memory_size, split_memory

TABLEAUS: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    0: ((), ()), 1: ((0,), (1,)), 4: ((0, 1 / 2, 1 / 2, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6))}
"""Butcher's tableaus of the explicit methods by their order, c and b of the stages, see `_ltc_explicit`; 0: semi-implicit."""
METHODS = {(order, dtype): np.array(tableau, dtype).reshape(-1) for order, tableau in TABLEAUS.items()
           for dtype in (np.dtype("float32"), np.dtype("float64"))}  # as compiled code takes them
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


def reference(u: Tensor, timespans: Tensor, state: Tensor, values: Tensor, wires: Tensor, synapses: int, unfolds: int,
              epsilon: float, positive: int, input_map: int, output_map: int, outputs: int, memory: bool,
              order: int, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Potentials after every step of a liquid time-constant network, and its outputs.

    With h = timespan / unfolds, N and D the sums of `drive` plus those of the inputs and of the leak,
    v <- v + h (N - v (D + epsilon)) / (cm + h (D + epsilon)), `unfolds` times. This is ncps's
    (cm / h v + N) / (cm / h + D + epsilon), written so that h = 0 leaves v as it is. With an `order` it is an explicit method
    of that order for dv/dt = (N - v D) / cm: Euler's, or the classical one of Runge and Kutta. An LSTM, if there is one,
    gives every step the potentials from which it starts; it sees the inputs before their map.

    Args:
        u: (batch, time, inputs), held over a step.
        timespans: (batch, time), length of each step.
        state: (batch, units), potentials before the first step; with an LSTM (batch, 2 * units), its c behind them.
        values: gleak, vleak, cm of every neuron; w, sigma, mu, erev of the synapses between neurons, then of those from
            inputs; weight and bias of the map of the inputs, then of the outputs; then those of the LSTM, as
            `memory.split_memory` takes them; all in one vector.
        wires: (2, all synapses) int64, source and target, those between neurons first; both kinds sorted by target.
        synapses: number of those between neurons.
        unfolds: sub-steps of a step.
        epsilon: added to the conductance.
        positive: what makes gleak, cm and w positive: 0 nothing (they are), 1 softplus, 2 clamp (cm at 1e-6).
        input_map, output_map: 0 none, 1 weight, 2 weight and bias.
        outputs: how many neurons, the first ones, are outputs.
        memory: whether there is an LSTM.
        order: 0, semi-implicit, or of the explicit method: 1 or 4.
        keep: how many numbers of every neuron and sub-step to keep for the compiled backward pass, see `kept_parts`; with
            fewer than it needs it runs the forward pass once more.
    Returns: states after every step, (batch, time, .), outputs (batch, time, outputs), and what was kept: no gradient passes
        through it.
    Reference: Lechner et al., Neural circuit policies, 2020; Hasani et al., Liquid time-constant networks, 2021.
    """
    units, inputs = unit_count(state, memory), u.shape[2]
    own = len(values) - memory_size(inputs, units, memory)
    p = Network.of(values[:own], units, synapses, wires.shape[1] - synapses, inputs, outputs, positive, input_map, output_map)
    gleak, vleak, cm = p.neurons
    (source, target), (sensory_source, sensory_target) = wires[:, :synapses], wires[:, synapses:]
    v, c, steps = state[:, :units], state[:, units:], []
    for raw, x, timespan in zip(u.unbind(1), mapped(u, p.inputs).unbind(1), timespans.unbind(1), strict=True):
        if memory:
            v, c = lstm(split_memory(values, inputs, units), v, c, raw)
        from_inputs = drive(x, p.sensory, sensory_source, sensory_target, units)
        h = timespan[:, None] / unfolds

        def sums(v: Tensor, from_inputs: tuple[Tensor, Tensor] = from_inputs) -> tuple[Tensor, Tensor]:
            n, d = drive(v, p.synapses, source, target, units)
            return gleak * vleak + from_inputs[0] + n, gleak + from_inputs[1] + d

        for _ in range(unfolds):
            if order:
                k, slope = torch.zeros_like(v), torch.zeros_like(v)
                for ahead, weight in zip(*TABLEAUS[order], strict=True):
                    point = v + ahead * h * k
                    n, d = sums(point)
                    k = (n - point * d) / cm
                    slope = slope + weight * k
                v = v + h * slope
            else:
                n, d = sums(v)
                v = v + h * (n - v * (d + epsilon)) / (cm + h * (d + epsilon))
        steps.append(torch.cat([v, c], 1))
    states = torch.stack(steps, 1) if steps else state.new_zeros(state.shape[0], 0, state.shape[1])
    kept = v.new_zeros(tape_length(u, state, unfolds, memory, order, keep))
    return states, mapped(states[:, :, :outputs], p.outputs).contiguous(), kept


def shapes(u: Tensor, timespans: Tensor, state: Tensor, values: Tensor, wires: Tensor, synapses: int, unfolds: int,
           epsilon: float, positive: int, input_map: int, output_map: int, outputs: int, memory: bool,
           order: int, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return (u.new_empty(u.shape[0], u.shape[1], state.shape[1]), u.new_empty(u.shape[0], u.shape[1], outputs),
            u.new_empty(tape_length(u, state, unfolds, memory, order, keep)))


def unit_count(state: Any, memory: bool) -> int:
    """Number of neurons."""
    return state.shape[1] // 2 if memory else state.shape[1]


def tape_length(u: Any, state: Any, unfolds: int, memory: bool, order: int, keep: int) -> int:
    """Size of what the compiled code keeps: the frames before the first and after every sub-step, then those of the LSTM."""
    if not keep:
        return 0
    units = unit_count(state, memory)
    return (Rows.split(u, units, order).frame(keep) * frame_count(u, unfolds, memory)
            + u.shape[0] * u.shape[1] * kept_length(units, memory, u))


def kept_parts(order: int, spans: bool) -> int:
    """How many numbers of every neuron and sub-step the backward pass needs; `spans`: for the gradient of time spans, too."""
    return 1 if order else 3 if spans else 2


def frame_count(u: Any, unfolds: int, memory: bool) -> int:
    """Number of frames before the first and after every sub-step, of which the step of the LSTM is one."""
    return u.shape[1] * (unfolds + memory) + 1


class Rows(NamedTuple):
    """How a batch is worked on: whole vectors of sequences, and those that are left one by one.

    On the tape all frames of the blocks come first.
    """

    blocks: int
    together: int  # sequences in the blocks
    alone: int
    of_blocks: int  # size of a part of a frame of all blocks
    of_one: int  # of a sequence alone
    extra: int  # vector at the end of a frame of a sequence alone

    @classmethod
    def split(cls, u: Any, units: int, order: int) -> Rows:
        """A last block that is at least half full is worth a vector; explicit methods have code for blocks alone."""
        batch, width = u.shape[0], padded(1, u)
        blocks = (batch + (width - 1 if order else width // 2)) // width
        alone = max(batch - blocks * width, 0)
        return cls(blocks, batch - alone, alone, blocks * width * units, padded(units, u), width)

    def frame(self, parts: int) -> int:
        """Size of a frame of so many parts of the tape of all sequences."""
        return parts * self.of_blocks + self.alone * (parts * self.of_one + self.extra)

    def work(self) -> list[tuple[Any, int, slice]]:
        """What there is to do: the compiled code for it, how many pieces, and which sequences."""
        every = [(batched, self.blocks, slice(self.together)), (single, self.alone, slice(self.together, None))]
        return [piece for piece in every if piece[1]]


def check(u: Any, timespans: Any, state: Any, values: Any, wires: Any, synapses: int, input_map: int, output_map: int,
          outputs: int, memory: bool) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    (batch, time, inputs), units, every = u.shape, unit_count(state, memory), wires.shape[1]
    count = 3 * units + 4 * every + input_map * inputs + output_map * outputs + memory_size(inputs, units, memory)
    if (timespans.shape != (batch, time) or state.shape != (batch, 2 * units if memory else units) or wires.shape[0] != 2
            or values.shape != (count,) or not 0 <= synapses <= every or not 0 <= outputs <= units):
        wanted = [(batch, time), (batch, 2 * units if memory else units), (count,), (2, every)]
        raise InputError(f"ltc: arrays do not fit each other; needed {wanted} with {synapses} of {every} synapses and "
                         f"{outputs} of {units} outputs (got {[a.shape for a in (timespans, state, values, wires)]})")
    if not timespans.dtype == state.dtype == values.dtype == u.dtype:
        raise InputError(f"ltc: all values must have the dtype of u, {u.dtype}")
    if not in_order(wires, synapses, units, inputs):
        raise InputError(f"ltc: targets must be sorted and below {units}, sources below {units} (neurons) and "
                         f"{inputs} (inputs)")


def forward(u: Any, timespans: Any, state: Any, values: Any, wires: Any, synapses: int, unfolds: int, epsilon: float,
            positive: int, input_map: int, output_map: int, outputs: int, memory: bool, order: int,
            keep: int) -> tuple[Any, Any, Any]:
    """`reference` in compiled code."""
    check(u, timespans, state, values, wires, synapses, input_map, output_map, outputs, memory)
    (batch, time, inputs), units = u.shape, unit_count(state, memory)
    states, y = np.empty((batch, time, state.shape[1]), u.dtype), np.empty((batch, time, outputs), u.dtype)
    rows, frames, parts = Rows.split(u, units, order), frame_count(u, unfolds, memory) if keep else 2, keep or 1
    length, memory_frames, kept = rows.frame(parts) * frames, time if keep else 1, kept_length(units, memory, u)
    tape = aligned(length + batch * memory_frames * kept, dtype=u.dtype)
    matrix = memory_matrix(values, inputs, units, memory, False)
    work = time * unfolds * (synapses + units)
    for code, pieces, some in rows.work():
        each_row(code.forward_rows, pieces, (some.stop or rows.alone) * work, u[some], timespans[some], state[some], values,
                 matrix, wires, synapses, unfolds, epsilon, positive, input_map, output_map, METHODS[order, u.dtype],
                 parts, frames, tape[parts * rows.of_blocks * frames if code is single else 0:], memory_frames,
                 tape[length + (some.start or 0) * memory_frames * kept:], states[some], y[some])
    return states, y, tape if keep else tape[:0]


def backward(needs: tuple[bool, ...], grads: Any, kept: Any, u: Any, timespans: Any, state: Any, values: Any, wires: Any,
             synapses: int, unfolds: int, epsilon: float, positive: int, input_map: int, output_map: int, outputs: int,
             memory: bool, order: int, keep: int) -> tuple[Any, ...]:
    """Gradients of all floating arguments, from the potentials after every sub-step."""
    (grad_states, grad_y), (states, _, tape) = grads, kept
    parts = max(keep, kept_parts(order, needs[1]))
    if keep < parts:
        _, _, tape = forward(u, timespans, state, values, wires, synapses, unfolds, epsilon, positive, input_map, output_map,
                             outputs, memory, order, parts)
    (batch, time, inputs), units, every = u.shape, unit_count(state, memory), wires.shape[1]
    rows, frames, length = Rows.split(u, units, order), frame_count(u, unfolds, memory), kept_length(units, memory, u)
    grad_states = grad_states.copy()
    grad_u, grad_timespans, grad_state = np.empty_like(u), np.empty_like(timespans), np.empty_like(state)
    matrix = memory_matrix(values, inputs, units, memory, True)
    sums = aligned(batch, time, GATES * padded(units, u) if memory else 0, dtype=u.dtype)
    grad_memory_u = np.empty((batch, time if memory else 0, inputs), u.dtype)
    total, maps = np.zeros_like(values), 3 * units + 4 * every
    outputs_back(values, maps + input_map * inputs, output_map, states, grad_y, grad_states, total)
    work = 3 * time * unfolds * (synapses + units)
    for code, pieces, some in rows.work():
        found = np.zeros((min(SETS, pieces), len(values)), u.dtype)
        each_row(code.backward_rows, len(found), (some.stop or rows.alone) * work, len(found), u[some], timespans[some],
                 values, matrix, wires, synapses, unfolds, positive, input_map, METHODS[order, u.dtype], parts,
                 tape[parts * rows.of_blocks * frames if code is single else 0:],
                 tape[rows.frame(parts) * frames + (some.start or 0) * time * length:], grad_states[some],
                 grad_u[some], grad_timespans[some], grad_state[some], grad_memory_u[some], sums[some].reshape(-1), found)
        for some_sums in found:
            total += some_sums
    inputs_back(values, maps, input_map, u, grad_u, total)
    acting_back(values, units, synapses, every - synapses, positive, total)
    if memory:
        grad_u += grad_memory_u
        bias, before = sums.reshape(-1, sums.shape[2]).sum(0), before_steps(state, states, units)
        of_memory = np.concatenate([part.ravel() for part in memory_gradient(sums, bias, u, before)])
        total[len(total) - len(of_memory):] = of_memory
    return grad_u, grad_timespans, grad_state, total, None


ltc = make_op("ltc", reference, shapes, forward, backward, kept=1)
