"""Fitting on several processes: the mean of their gradients and losses, so that all take the same steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .._errors import InputError, StateError

if dist.is_available():
    # Its functions keep, as a default, the process group that there is when it is first imported, which the first optimizer
    # does: imported after `init_process_group`, it holds the group's threads until they abort the interpreter at its end.
    import torch.distributed.nn.functional


class Processes:
    """The processes of `torch.distributed` that fit a model together, or this one alone.

    Raises: StateError when there is no process group.
    """

    def __init__(self, where: str, together: bool) -> None:
        if together and not (dist.is_available() and dist.is_initialized()):
            raise StateError(f'{where}: distributed=True needs a process group; call torch.distributed.init_process_group('
                             '"gloo") in a program that is started by torchrun')
        self.where = where
        self.count = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0

    def share(self, recordings: Sequence[tuple[object, object]]) -> list[tuple[object, object]]:
        """The recordings of this process. Raises InputError when one would have none."""
        if len(recordings) % self.count:
            raise InputError(f"{self.where}: {self.count} processes need a multiple of {self.count} recordings, so that each "
                             f"has as many (got {len(recordings)})")
        return list(recordings[self.rank::self.count])

    def same_start(self, values: Sequence[Tensor]) -> None:
        """Gives every process the values of the first, in place."""
        if self.count > 1:
            for value in values:
                dist.broadcast(value.data, 0)

    def mean(self, value: float, like: Tensor) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=like.device)
        dist.all_reduce(total)
        return float(total) / self.count

    def shared(self, loss: Tensor) -> Tensor:
        """The loss of a closure, its mean over the processes."""
        return loss if self.count == 1 else loss.new_tensor(self.mean(loss.item(), loss))

    def mean_gradients(self, values: Sequence[Tensor]) -> None:
        """Puts the mean of every gradient over the processes in its place; one that there is not counts as 0."""
        if self.count == 1:
            return
        fitted = [p for p in values if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in fitted])
        dist.all_reduce(flat)
        for p, part in zip(fitted, flat.split([p.numel() for p in fitted]), strict=True):
            p.grad = (part / self.count).view_as(p)

    def together(self, chunks: Iterator[tuple[Any, Any, int, int]], like: Tensor) -> Iterator[tuple[Any, Any, int, int]]:
        """The chunks, as long as every process has one. Raises InputError when some have one (that counts), others have not."""
        while True:
            chunk = next(chunks, None)
            if self.count > 1:
                counts = chunk is not None and chunk[2] < chunk[3]
                having = torch.tensor([chunk is not None, counts], device=like.device).float()
                dist.all_reduce(having)
                if not all(n in (0, self.count) for n in having.tolist()):
                    raise InputError(f"{self.where}: the recordings of the {self.count} processes have different numbers of "
                                     "chunks; give each process recordings of the same length")
            if chunk is None:
                return
            yield chunk
