"""The LSTM that mixed memory puts before a liquid cell: its plain definition, and what the compiled one needs around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._memory_rows import GATES, KEPT
from ._rows import aligned, matrix_gradient, padded, spread

FORGET = 2  # the gate that is biased by 1


def lstm(weights: tuple[Tensor, Tensor, Tensor], h: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """h and c after a step; see `functional.memory.lstm_step`."""
    w_input, bias, w_recurrent = weights
    z = x @ w_input.T + bias + h @ w_recurrent.T
    candidate, into, forget, out = z.chunk(GATES, 1)
    c = c * torch.sigmoid(forget + 1) + torch.tanh(candidate) * torch.sigmoid(into)
    return torch.tanh(c) * torch.sigmoid(out), c


def memory_size(inputs: int, units: int, memory: bool) -> int:
    """Number of all weights, if there are any."""
    return GATES * units * (inputs + 1 + units) if memory else 0


def split_memory(weights: Any, inputs: int, units: int) -> tuple[Any, Any, Any]:
    """The weights that `lstm` takes, from a vector that ends with them."""
    rows = GATES * units
    memory = weights[len(weights) - memory_size(inputs, units, True):]
    return (memory[:rows * inputs].reshape(rows, inputs), memory[rows * inputs:rows * (inputs + 1)],
            memory[rows * (inputs + 1):].reshape(rows, units))


def kept_length(units: int, memory: bool, like: Any) -> int:
    """Length of a frame of the tape of `_memory_rows`, if there is a memory."""
    return KEPT * padded(units, like) if memory else 0


def memory_matrix(weights: np.ndarray, inputs: int, units: int, memory: bool, back: bool) -> np.ndarray:
    """As `_memory_rows.memory_forward` or `memory_back` takes it, from a vector that ends with it; empty without one."""
    if not memory:
        return weights[:0]
    columns, start = GATES * padded(units, weights), len(weights) - memory_size(inputs, units, True)
    bias, recurrent = start + GATES * units * inputs, start + GATES * units * (inputs + 1)
    if back:
        across = padded(inputs + units, weights)
        matrix = aligned(columns * across, dtype=weights.dtype, make=np.zeros)
        spread(weights, start, GATES, units, inputs, matrix, 0, across, 1)
        spread(weights, recurrent, GATES, units, units, matrix, inputs, across, 1)
    else:
        end = (inputs + units) * columns
        matrix = aligned(end + columns, dtype=weights.dtype, make=np.zeros)
        spread(weights, start, GATES, units, inputs, matrix, 0, 1, columns)
        spread(weights, recurrent, GATES, units, units, matrix, inputs * columns, 1, columns)
        spread(weights, bias, GATES, units, 1, matrix, end, 1, 1)
        matrix[end:].reshape(GATES, -1)[FORGET] += 1
    return matrix


def memory_gradient(sums: np.ndarray, bias: np.ndarray, x: np.ndarray, before: np.ndarray) -> list[np.ndarray]:
    """Gradients of the weights that `split_memory` gives.

    Args:
        sums: (batch, time, gates of padded units), gradients of the sums of all frames.
        bias: their sum over all frames.
        x, before: (batch, time, .), what they were sums of: inputs and hidden states before the step.
    """
    inputs, units = x.shape[2], before.shape[2]
    product = matrix_gradient(sums, np.concatenate([x, before], 2), GATES, units)
    return [product[:, :, :inputs], bias.reshape(GATES, -1)[:, :units], product[:, :, inputs:]]


def before_steps(start: np.ndarray, states: np.ndarray, units: int) -> np.ndarray:
    """The states of the first units before every step, (batch, time, units), from the first and those after every step."""
    before = np.concatenate([start[:, None], states[:, :-1]], 1) if states.shape[1] else states
    return before[:, :, :units]


def shown(tape: np.ndarray, units: int) -> np.ndarray:
    """The hidden states after the LSTM, (batch, time, units), from the tape, (batch, time, length), which begins with its."""
    room = padded(units, tape)
    return tape[:, :, 3 * room:3 * room + units] * tape[:, :, 5 * room:5 * room + units]  # output gate, tanh of c
