"""Elapsed time of each step of an irregularly sampled sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._errors import InputError
from ..kernels._op import is_batched


def elapsed(timespans: Any, batch: int, time: int, like: Tensor, where: str, *, batch_first: bool = True) -> Tensor:
    """One time span for each step of each sequence, seconds.

    Args:
        timespans: None (1 s), a number, or an array or tensor (time,) or (batch, time): the time that passes during
            each step, zero allowed.
        batch, time: sizes of the sequence.
        like: a tensor of the dtype and device that are wanted.
        where: name of the caller, for messages.
        batch_first: False takes (time, batch) in place of (batch, time).
    Returns: (batch, time).
    Raises: InputError for another shape, and for negative or non-finite values (these are not looked at while
        torch.compile traces, or under vmap).
    """
    if timespans is None:
        return like.new_ones(batch, time)
    if isinstance(timespans, float | int) and 0 <= timespans < float("inf"):
        return like.new_full((batch, time), float(timespans))
    spans = torch.as_tensor(timespans, dtype=like.dtype, device=like.device)
    named, sizes = ("(batch, time)", (batch, time)) if batch_first else ("(time, batch)", (time, batch))
    if tuple(spans.shape) not in ((), (time,), sizes):
        raise InputError(f"{where}.timespans: must be a number, (time,) = ({time},) or {named} = {sizes} "
                         f"(got shape {tuple(spans.shape)})")
    if not torch.compiler.is_compiling() and spans.numel() and not is_batched(spans):
        smallest, largest = (bound.item() for bound in spans.detach().aminmax())
        if not (smallest >= 0 and largest < float("inf")):  # a NaN makes both NaN
            raise InputError(f"{where}.timespans: must be finite and not negative "
                             f"(got values from {smallest} to {largest})")
    return (spans if batch_first or spans.ndim < 2 else spans.T).expand(batch, time)
