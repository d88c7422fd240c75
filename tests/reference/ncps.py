"""The networks of ncps in plain loops over time and dense matrices, from their equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

State = tuple[Tensor, Tensor | None]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "lecun_tanh": lambda z: 1.7159 * torch.tanh(0.666 * z), "silu": lambda z: z * torch.sigmoid(z), "relu": torch.relu,
    "tanh": torch.tanh, "gelu": lambda z: z * (1 + torch.erf(z / 2**0.5)) / 2}


def ltc_step(p: Mapping[str, Tensor], x: Tensor, v: Tensor, dt: Any, unfolds: int, epsilon: float,
             implicit: bool) -> tuple[Tensor, Tensor]:
    """Output and next potentials; p holds the matrices of ncps by their names, masks included."""
    positive = softplus if implicit else lambda value: value
    u = x * p.get("input_w", 1) + p.get("input_b", 0)

    def conductances(source: Tensor, prefix: str) -> Tensor:
        gate = torch.sigmoid(p[prefix + "sigma"] * (source[:, :, None] - p[prefix + "mu"]))
        return positive(p[prefix + "w"]) * gate * p[prefix + "sparsity_mask"]

    sensory = conductances(u, "sensory_")
    c = positive(p["cm"]) / (dt / unfolds)
    leak = positive(p["gleak"])
    for _ in range(unfolds):
        a = conductances(v, "")
        top = c * v + leak * p["vleak"] + (a * p["erev"]).sum(1) + (sensory * p["sensory_erev"]).sum(1)
        v = top / (c + leak + a.sum(1) + sensory.sum(1) + epsilon)
    y = v
    if "output_w" in p:
        y = v[:, :len(p["output_w"])] * p["output_w"] + p.get("output_b", 0)
    return y, v


def cfc_step(p: Mapping[str, Tensor], x: Tensor, h: Tensor, dt: Any, mode: str, activation: str = "lecun_tanh") -> Tensor:
    """The next state of one cell; p holds the weights of ncps by their names."""
    z = torch.cat([x, h], 1)
    for weight in sorted((name for name in p if name.startswith("backbone") and name.endswith("weight")),
                         key=lambda name: int(name.split(".")[1])):
        z = ACTIVATIONS[activation](linear(z, p[weight], p[weight.replace("weight", "bias")]))
    mask = p.get("sparsity_mask", torch.ones(()))
    f1 = linear(z, p["ff1.weight"] * mask, p["ff1.bias"])
    if mode == "pure":
        return p["A"] - p["A"] * f1 * torch.exp(-dt * (p["w_tau"].abs() + f1.abs()))
    f2 = linear(z, p["ff2.weight"] * mask, p["ff2.bias"])
    s = torch.sigmoid(linear(z, p["time_a.weight"], p["time_a.bias"]) * dt + linear(z, p["time_b.weight"], p["time_b.bias"]))
    return torch.tanh(f1) * (1 - s if mode == "default" else 1) + s * torch.tanh(f2)


def lstm_step(p: Mapping[str, Tensor], x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next pair (h, c) of the LSTM of mixed memory."""
    z = x @ p["input_map.weight"].T + p["input_map.bias"] + h @ p["recurrent_map.weight"].T
    candidate, into, forget, out = z.chunk(4, 1)
    c = c * torch.sigmoid(forget + 1) + torch.tanh(candidate) * torch.sigmoid(into)
    return torch.tanh(c) * torch.sigmoid(out), c


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of a state_dict below a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def run(state: Mapping[str, Tensor], cell: Callable[[Mapping[str, Tensor], Tensor, Tensor, Any], tuple[Tensor, Tensor]],
        x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Outputs (batch, time, outputs) and the last states of a network with the state_dict of ncps.

    Args:
        cell: one step, (weights of the cell, x, h, dt) to output and next h.
        c: state of the LSTM, None without mixed memory.
        timespans: (batch, time).
    """
    ys = []
    for t in range(x.shape[1]):
        if c is not None:
            h, c = lstm_step(part(state, "lstm."), x[:, t], h, c)
        y, h = cell(part(state, "rnn_cell."), x[:, t], h, timespans[:, t, None])
        if "fc.weight" in state:
            y = linear(y, state["fc.weight"], state["fc.bias"])
        ys.append(y)
    return torch.stack(ys, 1), h, c
