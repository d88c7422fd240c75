"""Liquid time-constant networks: the semi-implicit solver of ncps over whole sequences, on lists of synapses."""

from __future__ import annotations

import torch
from torch import Tensor


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


ltc = reference
