"""Closed-form continuous-time networks over whole sequences: cells in a chain, with an LSTM before them and dropout inside."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from . import _cfc_rows as compiled_rows
from ._op import make_op
from ._pool import each_row
from ._rows import LINES, aligned, matrix_gradient, padded, spread
from .memory import (
    GATES,
    before_steps,
    kept_length,
    lstm,
    memory_gradient,
    memory_matrix,
    memory_size,
    shown,
    split_memory,
)

PARTS = 16  # partial sums of the gradients; their number must not depend on the number of threads
MODES = ("default", "no_gate", "pure")
ACTIVATIONS = ("lecun_tanh", "silu", "relu", "tanh", "gelu")
PURE = MODES.index("pure")


class Sizes(NamedTuple):
    """Shapes of a cell's weights."""

    layers: tuple[tuple[int, int], ...]  # (outputs, inputs) of the layers of the backbone
    heads: tuple[int, int]  # all heads below each other
    extra: int  # numbers after these: w_tau and A in mode pure

    @classmethod
    def of(cls, inputs: int, units: int, width: int, depth: int, mode: int) -> Sizes:
        """From the numbers of inputs, units and layers of `width`."""
        columns = [inputs + units, *[width] * depth]
        return cls(tuple((width, columns[layer]) for layer in range(depth)),
                   (units if mode == PURE else 4 * units, columns[-1]), 2 * units if mode == PURE else 0)

    @property
    def total(self) -> int:
        """Number of all weights."""
        return sum(outputs * (inputs + 1) for outputs, inputs in (*self.layers, self.heads)) + self.extra

    @classmethod
    def of_chain(cls, inputs: int, units: list[int], width: int, depth: int, mode: int) -> list[Sizes]:
        """Of cells that are each fed with the units of the one before."""
        return [cls.of(below, own, width, depth, mode) for below, own in pairwise([inputs, *units])]

    def split(self, weights: Any) -> list[Any]:
        """Weight and bias of each layer, then of the heads, then what is left."""
        parts, start = [], 0
        for outputs, inputs in (*self.layers, self.heads):
            parts.append(weights[start:start + outputs * inputs].reshape(outputs, inputs))
            start += outputs * inputs
            parts.append(weights[start:start + outputs])
            start += outputs
        return [*parts, weights[start:]]


def split_chain(weights: Any, sizes: list[Sizes]) -> list[list[Any]]:
    """`Sizes.split` of the weights of every cell."""
    found, start = [], 0
    for cell in sizes:
        found.append(cell.split(weights[start:start + cell.total]))
        start += cell.total
    return found


def activate(z: Tensor, activation: int) -> Tensor:
    """The backbone's nonlinearity, by its number in `ACTIVATIONS`."""
    name = ACTIVATIONS[activation]
    return 1.7159 * torch.tanh(0.666 * z) if name == "lecun_tanh" else getattr(torch.nn.functional, name)(z)


def reference(x: Tensor, timespans: Tensor, state: Tensor, weights: Tensor, drop: Tensor, units: list[int], width: int,
              depth: int, mode: int, activation: int, memory: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """States of a network after every step; see `functional.cfc.cfc_scan` for the equations of a cell.

    In every step the LSTM, if there is one, makes new hidden states of all cells. Then each cell advances its own, fed with
    what the cell before it has just found.

    Args:
        x: (batch, time, inputs).
        timespans: (batch, time).
        state: (batch, all units), hidden states before the first step, cell by cell; with an LSTM (batch, 2 * all units), its
            c behind them.
        weights: of each cell weights and biases of the backbone, layer by layer; weights, then biases of the heads f1, f2, a
            and b (mode pure: f1 alone); in mode pure w_tau and A; then those of the LSTM, as `memory.split_memory` takes
            them; all in one vector.
        drop: what the outputs of the layers of the backbones are multiplied with, (batch, time, depth * width), the same for
            every cell, or (batch, time, 0) for nothing. Constants: no gradient passes through them.
        units: number of units of each cell.
        width, depth: of the backbones.
        mode, activation: numbers in `MODES` and `ACTIVATIONS`.
        memory: whether there is an LSTM.
        keep: whether to keep what the compiled backward pass needs; without it that runs the forward pass once more.
    Returns: states after every step, (batch, time, .), and what was kept: no gradient passes through it.
    """
    inputs, every = x.shape[2], sum(units)
    sizes = Sizes.of_chain(inputs, units, width, depth, mode)
    cells, lstm_weights = split_chain(weights, sizes), split_memory(weights, inputs, every) if memory else None
    factors = drop.detach().unflatten(2, (depth, width)) if drop.shape[2] else None
    h, c, states = state[:, :every], state[:, every:], []
    for t in range(x.shape[1]):
        if lstm_weights is not None:
            h, c = lstm(lstm_weights, h, c, x[:, t])
        found = [x[:, t]]
        for linears, before in zip(cells, h.split(units, 1), strict=True):
            z = torch.cat([found[-1], before], 1)
            for layer in range(depth):
                z = activate(torch.nn.functional.linear(z, *linears[2 * layer:2 * layer + 2]), activation)
                z = z if factors is None else z * factors[:, t, layer]
            heads, dt = torch.nn.functional.linear(z, *linears[2 * depth:-1]), timespans[:, t, None]
            if mode == PURE:
                w_tau, a = linears[-1].chunk(2)
                found.append(a - a * heads * torch.exp(-dt * (w_tau.abs() + heads.abs())))
            else:
                f1, f2, time_a, time_b = heads.chunk(4, 1)
                s = torch.sigmoid(time_a * dt + time_b)
                found.append(torch.tanh(f1) * (1 - s if MODES[mode] == "default" else 1) + torch.tanh(f2) * s)
        h = torch.cat(found[1:], 1)
        states.append(torch.cat([h, c], 1))
    kept = weights.new_zeros(tape_shape(x, units, width, depth, mode, memory, keep))
    return (torch.stack(states, 1) if states else state.new_zeros(state.shape[0], 0, state.shape[1])), kept


def shapes(x: Tensor, timespans: Tensor, state: Tensor, weights: Tensor, drop: Tensor, units: list[int], width: int,
           depth: int, mode: int, activation: int, memory: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Outputs of `reference`, empty."""
    return (x.new_empty(x.shape[0], x.shape[1], state.shape[1]),
            x.new_empty(tape_shape(x, units, width, depth, mode, memory, keep)))


def tape_shape(x: Any, units: list[int], width: int, depth: int, mode: int, memory: bool, keep: bool) -> tuple[int, int, int]:
    """Shape of what the compiled code keeps of every frame."""
    heads = sum(padded(own, x) for own in units) * (1 if mode == PURE else 4)
    return (x.shape[0], x.shape[1] if keep else 0,
            kept_length(sum(units), memory, x) + 2 * len(units) * depth * padded(width, x) + heads)


def pack(weights: np.ndarray, sizes: list[Sizes], groups: int, back: bool) -> tuple[np.ndarray, np.ndarray]:
    """`matrices` and `pure`, as the compiled forward or backward pass takes them.

    What meets vectors is filled up: the outputs of a matrix, inputs that come from a layer, on the way back all inputs.

    Args:
        groups: number of heads of a cell.
    """
    found, start = [], 0  # of every matrix: start, groups, rows and columns in `weights`; rows and columns here
    pure = aligned(2 * sum(padded(cell.heads[0] // groups, weights) for cell in sizes), dtype=weights.dtype, make=np.zeros)
    pure_at = 0
    for cell in sizes:
        own = cell.heads[0] // groups
        for layer, (outputs, columns) in enumerate((*cell.layers, cell.heads)):
            heads = groups if layer == len(cell.layers) else 1
            across = padded(columns, weights) if layer or back else columns
            found.append((start, heads, outputs // heads, columns, heads * padded(outputs // heads, weights), across))
            start += outputs * (columns + 1)
        if cell.extra:
            spread(weights, start, 2, own, 1, pure, pure_at, 1, 1)
        start, pure_at = start + cell.extra, pure_at + 2 * padded(own, weights)
    matrices = aligned(sum(wide * (across + (not back)) for *_, wide, across in found), dtype=weights.dtype, make=np.zeros)
    to = len(matrices) if back else 0
    for start, heads, rows, columns, wide, across in found:
        if back:  # from the last to the first, weights alone
            to -= wide * across
            spread(weights, start, heads, rows, columns, matrices, to, across, 1)
        else:
            spread(weights, start, heads, rows, columns, matrices, to, 1, wide)
            spread(weights, start + heads * rows * columns, heads, rows, 1, matrices, to + wide * across, 1, 1)
            to += wide * (across + 1)
    return matrices, pure


def pad_drop(drop: np.ndarray, width: int) -> np.ndarray:
    """`drop` with the factors of each layer filled up to whole vectors, flat."""
    if drop.size and width != padded(width, drop):
        whole = np.zeros((*drop.shape[:2], drop.shape[2] // width, padded(width, drop)), drop.dtype)
        whole[..., :width] = drop.reshape(*whole.shape[:3], width)
        drop = whole
    return drop.reshape(-1)


def check(x: Any, timespans: Any, state: Any, weights: Any, drop: Any, units: list[int], width: int, depth: int, memory: bool,
          sizes: list[Sizes]) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    every = sum(units)
    total = sum(cell.total for cell in sizes) + memory_size(x.shape[2], every, memory)
    wanted = ((timespans, x.shape[:2]), (state, (x.shape[0], 2 * every if memory else every)), (weights, (total,)),
              (drop, (*x.shape[:2], depth * width if drop.shape[2] else 0)))
    if any(array.shape != shape for array, shape in wanted):
        raise InputError(f"cfc: arrays do not fit each other; needed {[shape for _, shape in wanted]} "
                         f"(got {[array.shape for array, _ in wanted]})")
    if len({array.dtype for array in (x, timespans, state, weights, drop)}) > 1:
        raise InputError(f"cfc: all values must have the dtype of x, {x.dtype}")


def forward(x: Any, timespans: Any, state: Any, weights: Any, drop: Any, units: list[int], width: int, depth: int, mode: int,
            activation: int, memory: bool, keep: bool) -> tuple[Any, Any]:
    """`reference` in compiled code."""
    every, sizes = sum(units), Sizes.of_chain(x.shape[2], units, width, depth, mode)
    check(x, timespans, state, weights, drop, units, width, depth, memory, sizes)
    matrices, pure = pack(weights, sizes, 1 if mode == PURE else 4, False)
    matrix = memory_matrix(weights, x.shape[2], every, memory, False)
    out = np.empty((*x.shape[:2], state.shape[1]), x.dtype)
    batch, frames, length = tape_shape(x, units, width, depth, mode, memory, True)
    frames = frames if keep else 1
    tape = aligned(batch, frames, length, dtype=x.dtype)
    each_row(compiled_rows.forward_rows, -(-batch // LINES), batch * x.shape[1] * (len(matrices) + len(matrix)) // 8, x,
             timespans, state, matrices, pure, matrix, pad_drop(drop, width), np.array(units), every, padded(width, x), depth,
             mode, activation, frames, length, tape.reshape(-1), out)
    return out, tape if keep else tape[:, :0]


def backward(needs: tuple[bool, ...], grads: Any, outputs: Any, x: Any, timespans: Any, state: Any, weights: Any, drop: Any,
             units: list[int], width: int, depth: int, mode: int, activation: int, memory: bool,
             keep: bool) -> tuple[Any, ...]:
    """Gradients of all floating arguments; those of the weights as one product of matrices over all frames."""
    out, tape = outputs
    if not keep:
        _, tape = forward(x, timespans, state, weights, drop, units, width, depth, mode, activation, memory, True)
    (batch, time, inputs), every, groups = x.shape, sum(units), 1 if mode == PURE else 4
    wide, gates = padded(width, x), GATES * padded(every, x) if memory else 0
    matrices, pure = pack(weights, Sizes.of_chain(inputs, units, width, depth, mode), groups, True)
    matrix = memory_matrix(weights, inputs, every, memory, True)
    sums_length = gates + sum(depth * wide + groups * padded(own, x) for own in units)
    parts = min(PARTS, -(-batch // LINES))
    grad_x, grad_timespans, grad_state = np.empty_like(x), np.empty_like(timespans), np.empty_like(state)
    sums, pure_sums = aligned(batch, time, sums_length, dtype=x.dtype), np.zeros((parts, len(pure)), x.dtype)
    each_row(compiled_rows.backward_rows, parts, 2 * batch * time * (len(matrices) + len(matrix)) // 8, parts, timespans,
             matrices, pure, matrix, pad_drop(drop, width), np.array(units), every, wide, depth, mode, activation,
             tape.shape[2], tape.reshape(-1), grads[0], grad_x, grad_timespans, grad_state, sums_length, sums.reshape(-1),
             pure_sums)
    bias, before, of_memory = sums.reshape(-1, sums_length).sum(0), before_steps(state, out, every), []
    if memory:
        of_memory = memory_gradient(sums[:, :, :gates], bias[:gates], x, before)
        before = shown(tape, every)
    found, of_pure, at, to, first = [], pure_sums.sum(0), kept_length(every, memory, x), gates, 0
    for cell, own in enumerate(units):
        below = out[:, :, first - units[cell - 1]:first] if cell else x
        fed = np.concatenate([below, before[:, :, first:first + own]], 2)
        for layer in range(depth + 1):
            heads, rows = (groups, own) if layer == depth else (1, width)
            columns = heads * padded(rows, x)
            found += [matrix_gradient(sums[:, :, to:to + columns], fed, heads, rows),
                      bias[to:to + columns].reshape(heads, -1)[:, :rows]]
            to += columns
            if layer < depth:
                fed = tape[:, :, at + wide:at + wide + width]
                fed = fed * drop[:, :, layer * width:(layer + 1) * width] if drop.size else fed
                at += 2 * wide
        at, first = at + columns, first + own
        if mode == PURE:
            found.append(of_pure[:2 * columns].reshape(2, columns)[:, :own])
            of_pure = of_pure[2 * columns:]
    return (grad_x, grad_timespans, grad_state, np.concatenate([part.ravel() for part in [*found, *of_memory]]),
            np.zeros_like(drop))


cfc = make_op("cfc", reference, shapes, forward, backward, kept=1)
