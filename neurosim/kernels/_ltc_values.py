"""The values of an LTC network as they act: conductances made positive, maps of inputs and outputs, and their gradients.

`values` holds gleak, vleak, cm (units each), w, sigma, mu, erev of the synapses between neurons, the same of those from
inputs, then weight, bias of the input map and weight, bias of the output map, as far as there are any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import compiled
from ._lanes import EXACT
from ._math import exp, log

AS_IT_IS, SOFTPLUS, CLAMP = range(3)  # what makes gleak, cm and w positive
NO_MAP, LINEAR, AFFINE = range(3)  # maps of inputs and outputs
LEAST_CM = 1e-6  # as in the original program: a neuron without capacitance and conductance has no potential
LINEAR_ABOVE = 20.0  # where torch's softplus is x itself


@compiled(fastmath=EXACT)
def act(values: Any, start: int, stop: int, positive: int, least: float, into: Any) -> None:
    """Positive values, into[start:stop]."""
    one, least = into.dtype.type(1), into.dtype.type(least)
    if positive == SOFTPLUS:
        for i in range(start, stop):  # log1p(e^x), by a quotient that undoes the rounding of 1 + e^x
            e = exp(values[i])
            whole = one + e
            part = whole - one
            small = log(whole) * (e / part) if part > 0 else e
            into[i] = values[i] if values[i] > into.dtype.type(LINEAR_ABOVE) else small
    elif positive == CLAMP:
        for i in range(start, stop):
            into[i] = least if values[i] < least else values[i]


@compiled(fastmath=EXACT)
def act_back(values: Any, start: int, stop: int, positive: int, least: float, grads: Any) -> None:
    """From the gradients of positive values, grads[start:stop], those of the values they were made from."""
    one, least = grads.dtype.type(1), grads.dtype.type(least)
    if positive == SOFTPLUS:
        for i in range(start, stop):
            grads[i] = grads[i] / (one + exp(-values[i]))
    elif positive == CLAMP:
        for i in range(start, stop):
            grads[i] = grads[i] if values[i] >= least else grads.dtype.type(0)


@compiled(fastmath=EXACT)
def acting(values: Any, units: int, synapses: int, sensory: int, positive: int) -> Any:
    """Values of the neurons (3, units), of the synapses (4, synapses) and of those from inputs (4, sensory)."""
    into = values.copy()
    of_inputs = 3 * units + 4 * synapses
    act(values, 0, units, positive, 0.0, into)
    act(values, 2 * units, 3 * units, positive, LEAST_CM, into)
    act(values, 3 * units, 3 * units + synapses, positive, 0.0, into)
    act(values, of_inputs, of_inputs + sensory, positive, 0.0, into)
    return (into[:3 * units].reshape(3, units), into[3 * units:of_inputs].reshape(4, synapses),
            into[of_inputs:of_inputs + 4 * sensory].reshape(4, sensory))


@compiled(fastmath=EXACT)
def acting_back(values: Any, units: int, synapses: int, sensory: int, positive: int, grads: Any) -> None:
    """From the gradients of what acts those of the values, in place."""
    of_inputs = 3 * units + 4 * synapses
    act_back(values, 0, units, positive, 0.0, grads)
    act_back(values, 2 * units, 3 * units, positive, LEAST_CM, grads)
    act_back(values, 3 * units, 3 * units + synapses, positive, 0.0, grads)
    act_back(values, of_inputs, of_inputs + sensory, positive, 0.0, grads)


@compiled(fastmath=EXACT)
def mapping(values: Any, start: int, kind: int, count: int) -> Any:
    """Weight and bias of a map that begins at values[start], (2, count); 1 and 0 where there is none."""
    found = np.empty((2, count), values.dtype)
    for i in range(count):
        found[0, i] = values[start + i] if kind != NO_MAP else 1
        found[1, i] = values[start + count + i] if kind == AFFINE else 0
    return found


@compiled(fastmath=EXACT)
def map_outputs(vs: Any, weight: Any, y: Any, start: int, stop: int) -> None:
    """Outputs of sequences `start` to `stop`: the output map of the first potentials."""
    for row in range(start, stop):
        for t in range(y.shape[1]):
            for j in range(y.shape[2]):
                y[row, t, j] = vs[row, t, j] * weight[0, j] + weight[1, j]


@compiled(fastmath=EXACT)
def outputs_back(values: Any, start: int, kind: int, vs: Any, grad_y: Any, grad_vs: Any, grads: Any) -> None:
    """Adds the gradient of the outputs to that of the potentials; gradients of the output map to grads[start:]."""
    rows, time, outputs = grad_y.shape
    weight = mapping(values, start, kind, outputs)
    for row in range(rows):
        for t in range(time):
            for j in range(outputs):
                g = grad_y[row, t, j]
                grad_vs[row, t, j] += g * weight[0, j]
                if kind != NO_MAP:
                    grads[start + j] += g * vs[row, t, j]
                if kind == AFFINE:
                    grads[start + outputs + j] += g


@compiled(fastmath=EXACT)
def inputs_back(values: Any, start: int, kind: int, u: Any, grad_u: Any, grads: Any) -> None:
    """Turns the gradient of the mapped inputs into that of the inputs; gradients of the input map to grads[start:]."""
    rows, time, inputs = u.shape
    weight = mapping(values, start, kind, inputs)
    for row in range(rows):
        for t in range(time):
            for i in range(inputs):
                g = grad_u[row, t, i]
                grad_u[row, t, i] = g * weight[0, i]
                if kind != NO_MAP:
                    grads[start + i] += g * u[row, t, i]
                if kind == AFFINE:
                    grads[start + inputs + i] += g


@compiled
def in_order(wires: Any, synapses: int, units: int, inputs: int) -> bool:
    """Whether the targets of both kinds of synapses are sorted and all numbers in range."""
    last = 0
    for s in range(wires.shape[1]):
        if s == synapses:
            last = 0
        if not (last <= wires[1, s] < units and 0 <= wires[0, s] < (units if s < synapses else inputs)):
            return False
        last = wires[1, s]
    return True
