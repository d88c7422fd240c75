"""Values with which liquid networks start, drawn in the order of ncps: the same seed gives the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

RANGES = {"gleak": (0.001, 1.0), "vleak": (-0.2, 0.2), "cm": (0.4, 0.6), "sigma": (3.0, 8.0), "mu": (0.3, 0.8),
          "w": (0.001, 1.0), "sensory_sigma": (3.0, 8.0), "sensory_mu": (0.3, 0.8), "sensory_w": (0.001, 1.0)}


def ltc_start(inputs: int, units: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Uniform values of an LTC network on all pairs of neurons, (units,), (units, units) and (inputs, units), float32."""
    values = {}
    for name, (low, high) in RANGES.items():
        shape = (units,) if name in ("gleak", "vleak", "cm") else (inputs if "sensory" in name else units, units)
        values[name] = torch.rand(shape, generator=generator, dtype=torch.float32) * (high - low) + low
    return values


def memory_start(inputs: int, units: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the LSTM of mixed memory, as `functional.memory.lstm_step` takes them, float32."""
    weight, _ = linear_start(4 * units, inputs, generator)
    recurrent = torch.empty(4 * units, units)
    _uniform(recurrent, 1 / math.sqrt(units), generator)  # torch draws these before they are replaced
    nn.init.xavier_uniform_(weight, generator=generator)
    bias = _uniform(torch.empty(4 * units), 0.1, generator)
    nn.init.orthogonal_(recurrent, generator=generator)
    return weight, bias, recurrent


def cfc_start(inputs: int, units: int, width: int, depth: int, heads: int,
              generator: torch.Generator) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Weights and biases of the backbone's layers and of the heads of a CfC cell; the two vectors of mode pure.

    Returns: a pair for each layer, then for each head, float32; (2, units), drawn only with a single head.
    """
    columns = [inputs + units, *[width] * depth]
    shapes: Sequence[tuple[int, int]] = [(width, columns[layer]) for layer in range(depth)] + [(units, columns[-1])] * heads
    linears = [linear_start(*shape, generator) for shape in shapes]
    pure = torch.zeros(2, units)
    if heads == 1:
        for row in pure:
            nn.init.xavier_uniform_(row[None], generator=generator)
    for weight, _ in linears:
        nn.init.xavier_uniform_(weight, generator=generator)
    return linears, pure


def linear_start(outputs: int, inputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weight and bias of an affine map as torch starts it, float32."""
    bound = 1 / math.sqrt(inputs) if inputs else 0.0
    return (_uniform(torch.empty(outputs, inputs), bound, generator),
            _uniform(torch.empty(outputs), bound, generator))


def _uniform(x: Tensor, bound: float, generator: torch.Generator) -> Tensor:
    return x.uniform_(-bound, bound, generator=generator)
