"""Liquid time-constant networks as pure functions: one step, whole sequences, three solvers, time constants.

The equation of every neuron j, with synapses from neurons i and inputs k, s the logistic function:

    cm_j dv_j/dt = gleak_j (vleak_j - v_j) + sum_i w_ij s(sigma_ij (v_i - mu_ij)) (erev_ij - v_j)
                                           + sum_k w_kj s(sigma_kj (u_k - mu_kj)) (erev_kj - v_j)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._errors import ParameterError
from ..kernels._ltc_values import AS_IT_IS, NO_MAP
from ..kernels.ltc import drive, kept_parts, ltc
from .memory import LSTMWeights
from .timespans import elapsed

SOLVERS = {"semi_implicit": 0, "euler": 1, "rk4": 4}  # the order of the explicit ones


class LTCParams(NamedTuple):
    """Values of one network. Conductances and capacitances are those that act: not negative (cm above zero)."""

    gleak: Tensor  # (units,) leak conductance
    vleak: Tensor  # (units,) resting potential
    cm: Tensor  # (units,) capacitance
    w: Tensor  # (synapses,) conductance of an open synapse
    sigma: Tensor  # (synapses,) steepness of its activation
    mu: Tensor  # (synapses,) presynaptic potential at which it is half open
    erev: Tensor  # (synapses,) reversal potential
    sensory_w: Tensor  # (sensory synapses,), and so on
    sensory_sigma: Tensor
    sensory_mu: Tensor
    sensory_erev: Tensor


class Wires(NamedTuple):
    """Where each synapse starts and ends; int64, sorted by target."""

    source: Tensor  # (synapses,) neuron
    target: Tensor  # (synapses,) neuron
    sensory_source: Tensor  # (sensory synapses,) input
    sensory_target: Tensor  # (sensory synapses,) neuron

    def joined(self) -> Tensor:
        """Sources and targets of all, (2, all synapses), those between neurons first."""
        return torch.stack([torch.cat([self.source, self.sensory_source]), torch.cat([self.target, self.sensory_target])])


class LTCState(NamedTuple):
    """Membrane potentials, (batch, units)."""

    v: Tensor


def ltc_step(p: LTCParams, wires: Wires, state: LTCState, u: Tensor, timespan: Any = None, *, unfolds: int = 6,
             epsilon: float = 1e-8, solver: str = "semi_implicit") -> tuple[Tensor, LTCState]:
    """One step of the network: `ltc_scan` over a single frame.

    Args:
        u: (batch, inputs), held over the step.
        timespan: seconds that pass, a number or (batch,); 1 without it.
        The others as in `ltc_scan`.
    Returns: v (batch, units), next state.
    """
    if isinstance(timespan, Tensor) and timespan.ndim == 1:
        timespan = timespan[:, None]
    vs, state = ltc_scan(p, wires, state, u[:, None], timespan, unfolds=unfolds, epsilon=epsilon, solver=solver)
    return vs[:, 0], state


def ltc_scan(p: LTCParams, wires: Wires, state: LTCState, u: Tensor, timespans: Any = None, *, unfolds: int = 6,
             epsilon: float = 1e-8, solver: str = "semi_implicit") -> tuple[Tensor, LTCState]:
    """Potentials of a liquid time-constant network after every step of a sequence.

    Args:
        p: values of the network.
        wires: its synapses.
        state: potentials before the first step, (batch, units).
        u: (batch, time, inputs), each frame held over its step.
        timespans: seconds that pass in each step: None (1), a number, (time,) or (batch, time). A step of 0 s leaves
            the state as it is.
        unfolds: sub-steps of equal length in a step.
        epsilon: added to the summed conductance (semi_implicit only).
        solver: "semi_implicit" (Euler, implicit in v_j itself, order 1, stable at any step), "euler" (explicit,
            order 1) or "rk4" (order 4). The explicit ones need sub-steps shorter than the shortest time constant.
    Returns: v (batch, time, units), next state.
    Raises: ParameterError for an unknown solver or unfolds < 1; InputError for time spans that do not fit.
    Reference: Hasani et al., Liquid time-constant networks, 2021; the conductance form and the default solver are those
        of Lechner et al. 2020 and ncps, where a step of 0 s gives NaN.
    """
    if solver not in SOLVERS:
        raise ParameterError("ltc_scan", "solver", f"choose from {list(SOLVERS)}", solver)
    if unfolds < 1:
        raise ParameterError("ltc_scan", "unfolds", "must be at least 1", unfolds)
    timespans = elapsed(timespans, u.shape[0], u.shape[1], u, "ltc_scan")
    vs, _, _ = ltc_network(torch.cat(p), wires.joined(), len(wires.source), state.v, u, timespans, unfolds=unfolds,
                           epsilon=epsilon, solver=solver)
    return vs, LTCState(vs[:, -1].clone() if vs.shape[1] else state.v)  # a view would hold the whole chunk


def ltc_network(values: Tensor, wires: Tensor, synapses: int, v: Tensor, u: Tensor, timespans: Tensor, *, unfolds: int = 6,
                epsilon: float = 1e-8, solver: str = "semi_implicit", positive: int = AS_IT_IS, input_map: int = NO_MAP,
                output_map: int = NO_MAP, outputs: int = 0, memory: LSTMWeights | None = None,
                c: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    """A network with its maps, from free values: what the kernel `neurosim.kernels.ltc` does.

    Args:
        solver: as for `ltc_scan`.
        memory, c: weights of an LSTM that comes before the network in every step, as `functional.memory.lstm_step` takes
            them, and its state before the first step, (batch, units).
        The others as in `kernels.ltc.reference`.
    Returns: potentials (batch, time, units), outputs (batch, time, outputs) and c after every step, None without memory.
    """
    state = v if c is None else torch.cat([v, c], 1)
    if memory is not None:
        values = torch.cat([values, *(weight.reshape(-1) for weight in memory)])
    order, keep = SOLVERS[solver], 0
    if (torch.is_grad_enabled() and u.device.type == "cpu"
            and (timespans.requires_grad or values.requires_grad or state.requires_grad or u.requires_grad)):
        keep = kept_parts(order, timespans.requires_grad)  # for the backward pass of the compiled code
    states, y, _ = ltc(u, timespans, state, values, wires, synapses, unfolds, epsilon, positive, input_map, output_map, outputs,
                       memory is not None, order, keep)
    return (states, y, None) if c is None else (states[:, :, :v.shape[1]], y, states[:, :, v.shape[1]:])


def ltc_time_constants(p: LTCParams, wires: Wires, v: Tensor, u: Tensor) -> Tensor:
    """Effective time constant of every neuron, cm_j over the sum of all conductances onto it.

    Args:
        v: (batch, units) or (batch, time, units), potentials.
        u: (batch, inputs) or (batch, time, inputs), inputs at the same instants.
    Returns: seconds, the shape of v.
    Reference: Hasani et al. 2021, equation 2 and theorem 1 (tau_sys).
    """
    synapses, sensory = pack(p)
    units = v.shape[-1]
    _, d = drive(v.reshape(-1, units), synapses, wires.source, wires.target, units)
    _, d0 = drive(u.reshape(-1, u.shape[-1]), sensory, wires.sensory_source, wires.sensory_target, units)
    return (p.cm / (p.gleak + d + d0)).reshape(v.shape)


def pack(p: LTCParams) -> tuple[Tensor, Tensor]:
    """Values of the synapses between neurons (4, synapses) and of those from inputs, as `drive` takes them."""
    return torch.stack(p[3:7]), torch.stack(p[7:])
