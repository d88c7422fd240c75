"""Running a liquid cell over a chunk: with or without an LSTM before it, and over sequences of different length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .._errors import InputError
from ..functional.memory import LSTMState, lstm_step

Cell = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Inputs (batch, time, inputs), state (batch, units), time spans (batch, time) -> states (batch, time, units) and outputs
(batch, time, outputs)."""

Memory = tuple[Tensor, Tensor, Tensor]


def scan_cell(cell: Cell, memory: Memory | None, x: Tensor, h: Tensor, c: Tensor | None,
              timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """States and outputs after every step.

    Args:
        cell: the liquid network with its parameters.
        memory: weights of the LSTM that comes before the cell in every step, or None.
        x: (batch, time, inputs).
        h, c: (batch, units), states before the first step; c is that of the LSTM, None without one.
        timespans: (batch, time), seconds.
    Returns: h, (batch, time, units), outputs and c after every step.
    """
    if memory is None or c is None:
        return *cell(x, h, timespans), None
    hs, ys, cs = [], [], []
    for frame, timespan in zip(x.unbind(1), timespans.unbind(1), strict=True):
        state = lstm_step(memory, LSTMState(h, c), frame)
        after, y = cell(frame[:, None], state.h, timespan[:, None])
        h, c = after[:, 0], state.c
        hs.append(h)
        ys.append(y[:, 0])
        cs.append(c)
    if not hs:
        states, outputs = cell(x, h, timespans)
        return states, outputs, states
    return torch.stack(hs, 1), torch.stack(ys, 1), torch.stack(cs, 1)


def checked_lengths(lengths: Any, x: Tensor, where: str) -> Tensor | None:
    """Numbers of steps of each sequence in the batch, int64 (batch,). Raises InputError when they do not fit.

    Their values are not looked at while torch.compile traces.
    """
    if lengths is None:
        return None
    counts = torch.as_tensor(lengths, device=x.device)
    if counts.is_floating_point() or counts.is_complex() or tuple(counts.shape) != (x.shape[0],):
        raise InputError(f"{where}.lengths: must be {x.shape[0]} integers, one for each sequence "
                         f"(got {str(counts.dtype).removeprefix('torch.')} of shape {tuple(counts.shape)})")
    if torch.compiler.is_compiling():
        return counts.to(torch.int64)
    if counts.numel() and not (0 <= int(counts.min()) and int(counts.max()) <= x.shape[1]):
        raise InputError(f"{where}.lengths: must lie in 0..{x.shape[1]} (got {counts.tolist()})")
    return counts.to(torch.int64)


def before_end(lengths: Tensor, time: int) -> Tensor:
    """Which steps belong to each sequence, (batch, time) bool."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def last(start: Tensor, states: Tensor, lengths: Tensor | None) -> Tensor:
    """The state after the last step of each sequence, (batch, units): `start` for those without a step."""
    if states.shape[1] == 0:
        return start
    if lengths is None:
        return states[:, -1].clone()  # a view would hold the whole chunk
    every = torch.cat([start[:, None], states], 1)
    return every[torch.arange(len(lengths), device=lengths.device), lengths]
