"""Streams over what is in memory, or behaves so: `SequenceStream` and `RepeatingStream`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .._errors import InputError, ParameterError, StreamError
from .base import Sink, Source, shape_of, to_numbers, whole


def frozen(array: np.ndarray) -> np.ndarray:
    """A view of `array` that cannot be written into."""
    view = array.view()
    view.flags.writeable = False
    return view


def sliceable(sequence: Any, where: str) -> tuple[Any, tuple[int, ...]]:
    """`sequence` ready to be sliced into chunks, and its shape; raises `InputError` unless it has shape and slicing."""
    if isinstance(sequence, Tensor):
        if sequence.requires_grad:
            raise InputError(f"{where}: the tensor requires grad and a stream carries numbers only; "
                             f"pass it to the layer itself, or .detach() it")
        sequence = to_numbers(sequence, where)
    if not hasattr(sequence, "shape") or not hasattr(sequence, "__getitem__"):
        raise InputError(f"{where}: needs an object with shape and slicing, such as an array "
                         f"(got {type(sequence).__name__})")
    shape = tuple(int(size) for size in sequence.shape)
    if not shape:
        raise InputError(f"{where}: needs frames along a first axis (got a single number)")
    return sequence, shape


class SequenceStream(Source, Sink):
    """Frames in memory, as a source and as a sink.

    As a source it reads a sequence once. As a sink it grows to `max_frames`; from then on it keeps the newest ones.
    Frames keep their numbers when older ones fall out: `length` counts all that ever came, `position` is the number
    of the frame that is read next. One thread may write while others read or look at `sequence`.

    Args:
        sequence: array, tensor, or any object with shape and slicing, (time, *frame_shape); read as it is needed.
        size: frame shape of an empty sink; without a sequence and a size the first chunk sets it.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
        max_frames: frames that writing keeps at most. A longer `sequence` is whole until the first write.
    Raises: InputError, ParameterError.

    >>> stream = SequenceStream(max_frames=3)
    >>> stream.write(np.arange(5.0))
    >>> stream.sequence, stream.length, stream.max_frames
    (array([2., 3., 4.]), 5, 3)
    """

    def __init__(self, sequence: Any = None, size: Sequence[int] | None = None, *, frame_rate: float | None = None,
                 start_time: float = 0.0, max_frames: int = 5000) -> None:
        if sequence is not None and size is not None:
            raise ParameterError("SequenceStream", "size", "is for an empty stream, a sequence has its own", size)
        Sink.__init__(self, frame_rate=frame_rate, start_time=start_time)
        held: Any = None
        shape: tuple[int, ...] = (0, *shape_of("SequenceStream", "size", size)) if size is not None else (0,)
        if sequence is not None:
            held, shape = sliceable(sequence, "SequenceStream")
        Source.__init__(self, shape[1:], frame_rate=frame_rate, start_time=start_time, length=shape[0], seekable=True)
        if sequence is None and size is None:
            self._shape = None
        self._max_frames = whole("SequenceStream", "max_frames", max_frames, least=1)
        self._lock = threading.RLock()
        self._held: Any = np.zeros(shape, np.float32) if held is None else held
        self._start, self._stop = 0, shape[0]  # the frames of _held that count

    @property
    def length(self) -> int:
        """Frames that ever came, those that have fallen out included."""
        with self._lock:
            return self._length or 0

    @property
    def max_frames(self) -> int:
        """Frames that writing keeps at most."""
        return self._max_frames

    @property
    def sequence(self) -> np.ndarray:
        """The frames held, in the order of time; a view that later writes leave as it is. Stays after `close`."""
        with self._lock:
            return frozen(np.asarray(self._held[self._start:self._stop]))

    def read(self, n: int) -> np.ndarray:
        """The next `n` frames, see `Source.read`; StreamError when they have fallen out."""
        with self._lock:
            return super().read(n)

    def _read(self, start: int, n: int) -> np.ndarray:
        oldest = self.length - (self._stop - self._start)
        if start < oldest:
            raise StreamError(f"SequenceStream.read: frames {start} to {oldest - 1} have fallen out, only the newest "
                              f"{self._max_frames} are kept; seek({oldest}) goes on with the oldest that is left")
        first = self._start + start - oldest
        return frozen(np.asarray(self._held[first:min(first + n, self._stop)]))

    def write(self, chunk: Any) -> None:
        """Appends the frames of `chunk`, see `Sink.write`; the oldest fall out beyond `max_frames`."""
        with self._lock:
            super().write(chunk)

    def _write(self, chunk: np.ndarray) -> None:
        newest = chunk[-self._max_frames:]
        keep = min(self._stop - self._start, self._max_frames - len(newest))
        if self._written == 0 or self._stop + len(newest) > len(self._held):
            # A new block, twice as large as what it holds, so that a frame is moved a bounded number of times; views of
            # the old one stay what they are.
            block = np.empty((max(2 * (keep + len(newest)), 16), *chunk.shape[1:]), chunk.dtype)
            if keep:
                old = np.asarray(self._held[self._stop - keep:self._stop])
                if old.dtype != chunk.dtype:
                    raise InputError(f"SequenceStream.write: the frames held are {old.dtype}, the chunk is "
                                     f"{chunk.dtype}; convert it first")
                block[:keep] = old
            self._held, self._stop = block, keep
        self._held[self._stop:self._stop + len(newest)] = newest
        self._stop += len(newest)
        self._start = self._stop - keep - len(newest)
        self._length = self.length + len(chunk)


class RepeatingStream(Source):
    """A sequence that begins again when it ends, for ever.

    Args:
        sequence: array, tensor, or any object with shape and slicing, (time, *frame_shape), of at least one frame.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
    Raises: InputError.

    >>> RepeatingStream(np.arange(3)).read(7)
    array([0, 1, 2, 0, 1, 2, 0])
    """

    def __init__(self, sequence: Any, *, frame_rate: float | None = None, start_time: float = 0.0) -> None:
        self._sequence, shape = sliceable(sequence, "RepeatingStream")
        if not shape[0]:
            raise InputError("RepeatingStream: needs at least one frame (got none)")
        super().__init__(shape[1:], frame_rate=frame_rate, start_time=start_time, seekable=True)
        self._period = shape[0]

    def _read(self, start: int, n: int) -> np.ndarray:
        pieces = []
        while True:
            first = start % self._period
            piece = np.asarray(self._sequence[first:min(first + n, self._period)])
            pieces.append(piece)
            start, n = start + len(piece), n - len(piece)
            if not n:
                return frozen(pieces[0] if len(pieces) == 1 else np.concatenate(pieces))
