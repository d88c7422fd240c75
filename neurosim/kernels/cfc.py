"""Closed-form continuous-time cells over whole sequences."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

MODES = ("default", "no_gate", "pure")
ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
PURE = MODES.index("pure")


class Sizes(NamedTuple):
    """Shapes of a cell's weights."""

    layers: tuple[tuple[int, int], ...]  # (outputs, inputs) of the layers of the backbone
    heads: tuple[int, int]  # all heads below each other

    @classmethod
    def of(cls, inputs: int, units: int, width: int, depth: int, mode: int) -> Sizes:
        """From the numbers of inputs, units and layers of `width`."""
        columns = [inputs + units, *[width] * depth]
        return cls(tuple((width, columns[layer]) for layer in range(depth)),
                   (units if mode == PURE else 4 * units, columns[-1]))

    def split(self, weights: Any) -> list[Any]:
        """Weight and bias of each layer, then of the heads, then what is left."""
        parts, start = [], 0
        for outputs, inputs in (*self.layers, self.heads):
            parts.append(weights[start:start + outputs * inputs].reshape(outputs, inputs))
            start += outputs * inputs
            parts.append(weights[start:start + outputs])
            start += outputs
        return [*parts, weights[start:]]


def activate(z: Tensor, activation: int) -> Tensor:
    """The backbone's nonlinearity, by its number in `ACTIVATIONS`."""
    name = ACTIVATIONS[activation]
    return 1.7159 * torch.tanh(0.666 * z) if name == "lecun_tanh" else getattr(torch.nn.functional, name)(z)


def reference(x: Tensor, timespans: Tensor, h: Tensor, weights: Tensor, width: int, depth: int, mode: int,
              activation: int, keep: bool) -> tuple[Tensor, Tensor]:
    """States of a cell after every step; see `functional.cfc.cfc_scan` for the equations.

    Args:
        x: (batch, time, inputs).
        timespans: (batch, time).
        h: (batch, units), state before the first step.
        weights: weights and biases of the backbone, layer by layer; weights, then biases of the heads f1, f2, a and b
            (mode pure: f1 alone); in mode pure w_tau and A; all in one vector.
        width, depth: of the backbone.
        mode, activation: numbers in `MODES` and `ACTIVATIONS`.
        keep: whether to keep what the compiled backward pass needs; without it that runs the forward pass once more.
    Returns: (batch, time, units), and what was kept: no gradient passes through it.
    """
    *linears, rest = Sizes.of(x.shape[2], h.shape[1], width, depth, mode).split(weights)
    hs = []
    for frame, timespan in zip(x.unbind(1), timespans.unbind(1), strict=True):
        z = torch.cat([frame, h], 1)
        for weight, bias in zip(linears[:-2:2], linears[1:-2:2], strict=True):
            z = activate(torch.nn.functional.linear(z, weight, bias), activation)
        heads = torch.nn.functional.linear(z, linears[-2], linears[-1])
        dt = timespan[:, None]
        if mode == PURE:
            w_tau, a = rest.chunk(2)
            h = a - a * heads * torch.exp(-dt * (w_tau.abs() + heads.abs()))
        else:
            f1, f2, time_a, time_b = heads.chunk(4, 1)
            s = torch.sigmoid(time_a * dt + time_b)
            h = torch.tanh(f1) * (1 - s if MODES[mode] == "default" else 1) + torch.tanh(f2) * s
        hs.append(h)
    kept = weights.new_zeros(0)
    return (torch.stack(hs, 1) if hs else h.new_zeros(h.shape[0], 0, h.shape[1])), kept


cfc = reference
