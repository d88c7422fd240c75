"""What the axes of data mean, and the promotion of arrays that users have at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ._errors import InputError

OnNaN = Literal["raise", "pass"]


@dataclass(frozen=True, repr=False)
class Axes:
    """A kind of data: its axes in order, and which of them is time.

    There are `VIDEO`, `SIGNAL`, and `TIME_FIRST_SIGNAL`, a signal as torch's recurrent networks have it without `batch_first`.

    Args:
        name: what a message calls it.
        names: of the axes, in order.
        time: number of the time axis.
        promoted: for each rank that is taken besides the whole one, the index that adds the missing axes.

    >>> import neurosim
    >>> neurosim.SIGNAL, neurosim.SIGNAL.names
    (SIGNAL, ('batch', 'time', 'feature'))
    >>> neurosim.VIDEO.promote(np.zeros((20, 8, 6)), "doctest").shape  # (time, y, x)
    (1, 1, 20, 8, 6)
    >>> neurosim.TIME_FIRST_SIGNAL.promote(np.zeros((20, 3)), "doctest").shape  # (time, feature)
    (20, 1, 3)
    >>> neurosim.TIME_FIRST_SIGNAL.batch, neurosim.TIME_FIRST_SIGNAL.time
    (1, 0)
    >>> neurosim.SIGNAL.check(neurosim.VIDEO, "doctest", remedy="")  # no other order of the same axes
    >>> neurosim.VIDEO.frame_shape(torch.zeros(1, 1, 20, 8, 6))
    (1, 1, 8, 6)
    """

    name: str
    names: tuple[str, ...]
    time: int
    promoted: dict[int, tuple[Any, ...]]  # rank -> the index that makes it whole

    def promote(self, x: Any, where: str) -> Any:
        """`x` (array or tensor) with all axes of this kind; `InputError`, which names `where`, for another rank."""
        if x.ndim == len(self.names):
            return x
        if x.ndim not in self.promoted:
            accepted = " or ".join(f"{rank}-D" for rank in sorted([*self.promoted, len(self.names)]))
            raise InputError(f"{where}: a {self.name} must be ({', '.join(self.names)}) or promotable to it, "
                             f"{accepted} (got {x.ndim}-D of shape {tuple(x.shape)})")
        return x[self.promoted[x.ndim]]

    def __repr__(self) -> str:
        return self.name.upper().replace("-", "_").replace(" ", "_")

    @property
    def batch(self) -> int:
        """Number of the batch axis."""
        return self.names.index("batch")

    def check(self, came: Axes, where: str, remedy: str) -> None:
        """Raises InputError, which names `where` and the `remedy`, for data that `came` with as many axes in another order."""
        if came != self and len(came.names) == len(self.names):
            raise InputError(f"{where}: takes data of the layout ({', '.join(self.names)}) (got ({', '.join(came.names)})); "
                             f"{remedy}")

    def frame_shape(self, x: Tensor) -> tuple[int, ...]:
        """Shape of `x` without its time axis."""
        return tuple(x.shape[:self.time] + x.shape[self.time + 1:])


VIDEO = Axes("video", ("batch", "channel", "time", "y", "x"), 2, {3: (None, None)})
SIGNAL = Axes("signal", ("batch", "time", "feature"), 1, {2: (None,), 1: (None, slice(None), None)})
TIME_FIRST_SIGNAL = Axes("time-first signal", ("time", "batch", "feature"), 0,
                         {2: (slice(None), None), 1: (slice(None), None, None)})


def kind_of_rank(rank: int, *likely: Axes) -> Axes | None:
    """The first of `likely`, `VIDEO` and `SIGNAL` that has so many axes; None when none has."""
    return next((axes for axes in (*likely, VIDEO, SIGNAL) if len(axes.names) == rank), None)


def to_tensor(x: Any, dtype: torch.dtype, device: torch.device | str | None, where: str) -> Tensor:
    """`x` as a floating tensor that a layer of this dtype and device can take.

    numpy arrays and other sequences of real numbers are converted, integer and boolean tensors too. A floating
    tensor of another dtype, or a tensor on another device, is refused: the caller meant something else.

    Raises: InputError.
    """
    if not isinstance(x, Tensor):
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise InputError(f"{where}: data must be real numbers, rows of one length (got {type(x).__name__}: "
                             f"{error})") from error
        if array.dtype.kind not in "biuf":
            raise InputError(f"{where}: data must be real numbers (got dtype {array.dtype})")
        if any(step < 0 for step in array.strides):
            array = array.copy()  # torch cannot hold reversed arrays
        if not array.flags.writeable or array.dtype.byteorder not in "=|":
            array = array.astype(array.dtype.newbyteorder("="))
        return torch.as_tensor(array).to(device=device, dtype=dtype)
    if device is not None and x.device != torch.device(device):
        raise InputError(f"{where}: the layer is on {device}, the data on {x.device}; move one of them with .to()")
    if x.dtype == dtype:
        return x
    if x.is_complex():
        raise InputError(f"{where}: data must be real numbers (got dtype {x.dtype})")
    if x.is_floating_point():
        raise InputError(f"{where}: the layer computes in {dtype}, the data is {x.dtype}; "
                         f"convert one of them with .to({dtype}) or .to({x.dtype})")
    return x.to(dtype)


def check_on_nan(on_nan: str, where: str) -> None:
    """Raises `InputError` unless `on_nan` is a known choice."""
    if on_nan not in ("raise", "pass"):
        raise InputError(f"{where}.on_nan: choose from ['raise', 'pass'] (got {on_nan!r})")


def refuse_nan(x: Tensor, axes: Axes, where: str, first_frame: int = 0) -> None:
    """Raises `InputError`, naming the first such frame, when `x` holds a NaN or an infinity."""
    if not x.numel() or math.isfinite(x.detach().sum().item()):
        return  # one pass over the data; only a suspicious sum is looked at closely
    bad = ~torch.isfinite(x.detach())
    if bad.any():
        other = [axis for axis in range(x.ndim) if axis != axes.time]
        frames = bad.any(dim=other).nonzero()[:, 0] if other else bad.nonzero()[:, 0]
        raise InputError(f"{where}: the input holds {int(bad.sum())} values that are NaN or infinite, the first in "
                         f"frame {first_frame + int(frames[0])}; clean the data, or pass on_nan=\"pass\"")


def frames_to_chunk(frames: Any, axes: Axes, where: str) -> Any:
    """Frames as a stream gives them, (time, *frame), as a chunk with the axes of the model and a batch of one."""
    if axes == VIDEO and frames.ndim == 4:  # colour: (time, channel, y, x)
        return frames.swapaxes(0, 1)[None]
    if axes != VIDEO and frames.ndim == 3:
        raise InputError(f"{where}: the model takes signals, (time, feature); the stream has frames of shape "
                         f"{tuple(frames.shape[1:])}")
    return axes.promote(frames, where)


def chunk_to_frames(y: Tensor, axes: Axes, where: str) -> np.ndarray:
    """A chunk of output as frames for a sink: batch of one and a single channel are dropped."""
    if y.shape[axes.batch] != 1:
        raise InputError(f"{where}: a sink takes one recording, the output has a batch of {y.shape[axes.batch]}")
    frames = y.select(axes.batch, 0).detach().cpu()
    if axes == VIDEO:
        frames = frames[0] if frames.shape[0] == 1 else frames.movedim(1, 0)
    return frames.numpy()
