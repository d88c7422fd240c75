"""The LSTM that mixed memory puts before a liquid cell: its plain definition, and what the compiled one needs around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._memory_rows import GATES, KEPT
from ._rows import in_line, matrix_gradient, padded, spread

FORGET = 2  # the gate that is biased by 1


def lstm(weights: tuple[Tensor, Tensor, Tensor], h: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """h and c after a step; see `functional.memory.lstm_step`."""
    w_input, bias, w_recurrent = weights
    z = x @ w_input.T + bias + h @ w_recurrent.T
    candidate, into, forget, out = z.chunk(GATES, 1)
    c = c * torch.sigmoid(forget + 1) + torch.tanh(candidate) * torch.sigmoid(into)
    return torch.tanh(c) * torch.sigmoid(out), c


def memory_size(inputs: int, c: Any) -> int:
    """Number of all weights; none where c is (batch, 0)."""
    units = c.shape[1]
    return GATES * units * (inputs + 1 + units)


def split_memory(memory: Any, inputs: int, units: int) -> tuple[Any, Any, Any]:
    """The weights that `lstm` takes, from all in one vector."""
    rows, recurrent = GATES * units, GATES * units * (inputs + 1)
    return (memory[:rows * inputs].reshape(rows, inputs), memory[rows * inputs:recurrent],
            memory[recurrent:].reshape(rows, units))


def kept_length(c: Any) -> int:
    """Length of a frame of the tape of `_memory_rows`."""
    return KEPT * padded(c.shape[1], c)


def memory_matrix(memory: np.ndarray, inputs: int, units: int, back: bool) -> np.ndarray:
    """As `_memory_rows.memory_forward` or `memory_back` takes it, flat."""
    columns, recurrent, bias = GATES * padded(units, memory), GATES * units * (inputs + 1), GATES * units * inputs
    if back:
        across = padded(inputs + units, memory)
        matrix = in_line(columns * across, dtype=memory.dtype, make=np.zeros)
        spread(memory, 0, GATES, units, inputs, matrix, 0, across, 1)
        spread(memory, recurrent, GATES, units, units, matrix, inputs, across, 1)
    else:
        end = (inputs + units) * columns
        matrix = in_line(end + columns, dtype=memory.dtype, make=np.zeros)
        spread(memory, 0, GATES, units, inputs, matrix, 0, 1, columns)
        spread(memory, recurrent, GATES, units, units, matrix, inputs * columns, 1, columns)
        spread(memory, bias, GATES, units, 1, matrix, end, 1, 1)
        matrix[end:].reshape(GATES, -1)[FORGET] += 1
    return matrix


def memory_gradient(sums: np.ndarray, bias: np.ndarray, x: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Gradient of all weights in one vector.

    Args:
        sums: (batch, time, gates of padded units), gradients of the sums of all frames.
        bias: their sum over all frames.
        x, before: (batch, time, .), what they were sums of: inputs and hidden states before the step.
    """
    inputs, units = x.shape[2], before.shape[2]
    product = matrix_gradient(sums, np.concatenate([x, before], 2), GATES, units)
    parts = [product[:, :, :inputs], bias.reshape(GATES, -1)[:, :units], product[:, :, inputs:]]
    return np.concatenate([part.ravel() for part in parts])


def before_steps(start: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The states before every step, (batch, time, units), from the first one and those after every step."""
    return np.concatenate([start[:, None], states[:, :-1]], 1) if states.shape[1] else states


def shown(tape: np.ndarray, units: int) -> np.ndarray:
    """The hidden states after the LSTM, (batch, time, units), from the tape, (batch, time, length), which begins with its."""
    room = padded(units, tape)
    return tape[:, :, 3 * room:3 * room + units] * tape[:, :, 5 * room:5 * room + units]  # output gate, tanh of c
