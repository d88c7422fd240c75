"""A bounded buffer between two threads, sink on one side and source on the other: `RingBuffer`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._errors import ParameterError, StreamError
from .base import Sink, Source, shape_of, whole

OVERRUNS = ("block", "drop_oldest", "raise")
SLICE = 0.2  # seconds between looks at whether the main thread is still there


class RingBuffer(Source, Sink):
    """Frames on their way from one thread to another, such as from one `Runner` to the next.

    One thread writes, one reads. Reading waits until all frames that it asks for are there, or until `end`; what is left
    can then still be read. A `Runner` that writes into a ring calls `end` when its own input has ended, and hands on its
    error; `close` from either side ends both. Frames keep their numbers, and so their time, when older ones are dropped.

    Args:
        frame_shape: of one frame, without time.
        capacity: frames that it holds.
        dtype: of the frames; those of another type are refused.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
        on_overrun: when it is full, "block" lets the writer wait, "drop_oldest" drops frames that nobody has read, and
            counts them in `dropped`, "raise" raises StreamError.
    Raises: ParameterError, StreamError.

    >>> ring = RingBuffer((2,), capacity=8)
    >>> ring.write(np.ones((3, 2), np.float32))
    >>> ring.waiting, ring.capacity, ring.dropped
    (3, 8, 0)
    >>> ring.end()
    >>> ring.read(5).shape, ring.read(5).shape
    ((3, 2), (0, 2))
    """

    def __init__(self, frame_shape: Sequence[int], capacity: int, dtype: Any = np.float32, *,
                 frame_rate: float | None = None, start_time: float = 0.0, on_overrun: str = "block") -> None:
        shape = shape_of("RingBuffer", "frame_shape", tuple(frame_shape))
        Sink.__init__(self, shape, dtype, frame_rate=frame_rate, start_time=start_time)
        Source.__init__(self, shape, frame_rate=frame_rate, start_time=start_time)
        self._dtype = np.dtype(dtype)  # that of the sink, whose own __init__ has forgotten it meanwhile
        if on_overrun not in OVERRUNS:
            raise ParameterError("RingBuffer", "on_overrun", f"choose from {list(OVERRUNS)}", on_overrun)
        self._on_overrun = on_overrun
        self._held = np.empty((whole("RingBuffer", "capacity", capacity, least=1), *shape), self._dtype)
        self._changed = threading.Condition()
        self._came = 0  # frames that ever came
        self._ended, self._error = False, None
        self._dropped = 0

    _error: BaseException | None

    @property
    def capacity(self) -> int:
        """Frames that it holds."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Frames that wait to be read."""
        with self._changed:
            return self._came - self._position

    @property
    def dropped(self) -> int:
        """Frames that were dropped before anybody read them."""
        return self._dropped

    def end(self, error: BaseException | None = None) -> None:
        """No more frames will come; with an error, reading raises it when what was written before has been read."""
        with self._changed:
            self._ended, self._error = True, self._error or error
            self._changed.notify_all()

    def read(self, n: int) -> np.ndarray:
        """The next `n` frames, see `Source.read`; ParameterError for more than the ring holds, since they would never come."""
        if whole("RingBuffer.read", "n", n) > self.capacity:
            raise ParameterError("RingBuffer.read", "n", f"must be at most the capacity, {self.capacity}", n)
        with self._changed:
            return super().read(n)

    def _read(self, start: int, n: int) -> np.ndarray:
        self._wait("read", lambda: self._came - self._position >= n or self._ended)
        start = self._position  # frames may have been dropped meanwhile
        n = min(n, self._came - start)
        if not n and self._error is not None:
            raise StreamError(f"RingBuffer.read: the writer failed ({type(self._error).__name__}: {self._error})"
                              ) from self._error
        chunk = self._held[np.arange(start, start + n) % self.capacity]
        self._changed.notify_all()
        return chunk

    def _write(self, chunk: np.ndarray) -> None:
        with self._changed:
            if self._ended:
                raise StreamError("RingBuffer.write: the ring was ended")
            if self._on_overrun == "raise" and self.capacity - self.waiting < len(chunk):
                raise StreamError(f"RingBuffer.write: the ring is full, {self.waiting} of {self.capacity} frames wait to be "
                                  f"read, and {len(chunk)} more came")
            while len(chunk):
                if self._on_overrun == "drop_oldest":
                    self._make_room(min(len(chunk), self.capacity))
                self._wait("write", lambda: self._came - self._position < self.capacity)
                piece = chunk[:self.capacity - (self._came - self._position)]
                self._held[np.arange(self._came, self._came + len(piece)) % self.capacity] = piece
                self._came += len(piece)
                chunk = chunk[len(piece):]
                self._changed.notify_all()

    def _make_room(self, n: int) -> None:
        lost = max(0, self._came - self._position + n - self.capacity)
        self._position += lost
        self._dropped += lost

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        while not (self._closed or ready()):
            self._changed.wait(SLICE)
            if not threading.main_thread().is_alive():
                raise StreamError(f"RingBuffer.{what}: the program is ending")
        if self._closed:
            raise StreamError(f"RingBuffer.{what}: the other side has closed the ring")

    def close(self) -> None:
        """Ends both sides at once; who waits gets a StreamError. See `end` for the usual end."""
        with self._changed:
            super().close()
            self._changed.notify_all()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return (f"<RingBuffer: {self.waiting} of {self.capacity} frames of shape {self._shape} wait, {self._dropped} dropped, "
                f"{state}>")
