"""Sequences of different length in one batch: which steps belong to each, and the state at its end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._errors import InputError


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
