"""What a stream is: the abstract `Source` that is read and the abstract `Sink` that is written."""

from __future__ import annotations

import html
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor

from .._errors import InputError, ParameterError, StreamError
from .._units import positive


def whole(where: str, what: str, value: Any, least: int = 0) -> int:
    """`value` as an int; raises `ParameterError` unless it is a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ParameterError(where, what, f"must be a whole number of at least {least}", value) from None
    if number < least:
        raise ParameterError(where, what, f"must be a whole number of at least {least}", value)
    return number


def shape_of(where: str, what: str, value: Sequence[int]) -> tuple[int, ...]:
    """`value` as a tuple of sizes; raises `ParameterError` unless each is a whole number above zero."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ParameterError(where, what, "must be a sequence of sizes, such as (y, x)", value)
    return tuple(whole(where, what, size, least=1) for size in value)


def rate_of(where: str, value: float | None) -> float | None:
    """`value` as frames per second, or None; raises `ParameterError` unless finite and positive."""
    return None if value is None else positive(where, "frame_rate", value, "Hz")


def time_of(where: str, value: float) -> float:
    """`value` in seconds as a float; raises `ParameterError` unless finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise ParameterError(where, "start_time", "must be finite, in s", value)
    return float(value)


def to_numbers(chunk: Any, where: str) -> np.ndarray:
    """`chunk` (array, tensor or sequence of numbers) as a numpy array; a tensor is detached.

    Raises: InputError unless it holds real numbers.
    """
    try:
        array = chunk.detach().cpu().numpy() if isinstance(chunk, Tensor) else np.asarray(chunk)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: data must be real numbers (got {type(chunk).__name__}: {error})") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: data must be real numbers (got dtype {array.dtype})")
    return array


SHOWN = 500  # characters of one value in HTML


class Stream:
    """What sources and sinks share: being open or closed, being a context manager, and a clock.

    Args:
        frame_rate: frames per second, or None when unknown.
        start_time: time of frame 0 in seconds on the clock of the recording.
    """

    def __init__(self, *, frame_rate: float | None = None, start_time: float = 0.0) -> None:
        self._closed = False
        self._frame_rate = rate_of(type(self).__name__, frame_rate)
        self._start_time = time_of(type(self).__name__, start_time)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def frame_rate(self) -> float | None:
        """Frames per second, or None when the stream does not know."""
        return self._frame_rate

    @property
    def start_time(self) -> float:
        """Time of frame 0 in seconds, on the clock of the recording."""
        return self._start_time

    def _about(self) -> list[tuple[str, str]]:
        """What the HTML says, as names and values."""
        rows = [("frame_rate", "unknown" if self.frame_rate is None else f"{self.frame_rate:g} Hz"),
                ("start_time", f"{self.start_time:g} s"), ("closed", str(self.closed))]
        return rows if (path := getattr(self, "path", None)) is None else [("path", str(path)), *rows]

    def _repr_html_(self) -> str:
        """The stream as a table that can be folded; never raises, since a notebook shows it unasked."""
        try:
            title, rows = repr(self), self._about()
        except Exception as error:  # a stream of the user's own, half made or broken
            title, rows = f"<{type(self).__name__}>", [("cannot be shown", f"{type(error).__name__}: {error}")]
        cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value[:SHOWN])}</td></tr>" for name, value in rows)
        return f"<details><summary><b>{html.escape(title[:SHOWN])}</b></summary><table>{cells}</table></details>"

    def close(self) -> None:
        """Lets go of files and memory; closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def _close(self) -> None:
        """What a stream does once when it is closed; fill in when there is something to let go of."""

    def _require_open(self, what: str) -> None:
        if self._closed:
            raise StreamError(f"{type(self).__name__}.{what}: the stream is closed")

    def __enter__(self) -> Self:
        self._require_open("__enter__")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Source(Stream, ABC):
    """A stream that is read. A source of your own fills in `_read`, and `_close` if it holds a file.

    Args:
        frame_shape: shape of one frame without time: (y, x), (channel, y, x) or (feature,).
        frame_rate: frames per second, or None when unknown.
        start_time: time of frame 0 in seconds, on the clock of the recording.
        length: frames in all, or None when unbounded.
        seekable: whether `_read` can be asked for any frame; otherwise it is asked for one after the other.

    >>> class Ramp(Source):
    ...     def _read(self, start, n):
    ...         return np.arange(start, start + n, dtype=np.float32)[:, None]
    >>> ramp = Ramp((1,), frame_rate=100.0, seekable=True)
    >>> ramp.seek(1000)
    >>> ramp.read(3).ravel(), ramp.position, ramp.time
    (array([1000., 1001., 1002.], dtype=float32), 1003, 10.03)
    """

    def __init__(self, frame_shape: Sequence[int], *, frame_rate: float | None = None, start_time: float = 0.0,
                 length: int | None = None, seekable: bool = False) -> None:
        super().__init__(frame_rate=frame_rate, start_time=start_time)
        self._shape: tuple[int, ...] | None = shape_of(type(self).__name__, "frame_shape", tuple(frame_shape))
        self._length = None if length is None else whole(type(self).__name__, "length", length)
        self._seekable = seekable
        self._position = 0

    @abstractmethod
    def _read(self, start: int, n: int) -> np.ndarray:
        """Frames start, start + 1, ... as (time, *frame_shape): n of them, fewer only where the stream ends."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame, without time. Raises StreamError where only the first write will tell."""
        if self._shape is None:
            raise StreamError(f"{type(self).__name__}.frame_shape: known after the first write (nothing was written)")
        return self._shape

    @property
    def length(self) -> int | None:
        """Frames in all, or None when unbounded."""
        return self._length

    @property
    def seekable(self) -> bool:
        """Whether `seek` works."""
        return self._seekable

    @property
    def position(self) -> int:
        """Index of the frame that the next `read` begins with."""
        return self._position

    @property
    def time(self) -> float | None:
        """Time in seconds of the frame that the next `read` begins with; None without a frame rate."""
        rate = self.frame_rate
        return None if rate is None else self.start_time + self.position / rate

    def read(self, n: int) -> np.ndarray:
        """The next frames.

        Args:
            n: how many.
        Returns: (time, *frame_shape), n frames; fewer only where the stream ends, none at the end and after it.
            Not to be written into: it may be a view of what the stream holds.
        Raises: StreamError when closed or when the data is damaged (the position then stays); ParameterError.
        """
        self._require_open("read")
        n = whole(f"{type(self).__name__}.read", "n", n)
        chunk = self._read(self._position, n)
        came = getattr(chunk, "shape", None)
        if not came or came[1:] != (self._shape or ()) or len(chunk) > n:
            raise StreamError(f"{type(self).__name__}._read: must return at most {n} frames of shape {self._shape} "
                              f"(got {type(chunk).__name__ if came is None else f'an array of shape {tuple(came)}'})")
        self._position += len(chunk)
        return chunk

    def seek(self, frame: int) -> None:
        """Makes `frame` the next one that is read.

        Raises: StreamError when closed or not seekable; ParameterError unless 0 <= frame <= length.
        """
        self._require_open("seek")
        where = f"{type(self).__name__}.seek"
        if not self._seekable:
            raise StreamError(f"{where}: this source can only be read forward")
        frame = whole(where, "frame", frame)
        length = self.length
        if length is not None and frame > length:
            raise ParameterError(where, "frame", f"must lie in 0..{length}", frame)
        self._position = frame

    def chunks(self, n: int) -> Iterator[np.ndarray]:
        """Chunks of `n` frames from here to the end; the last one may be shorter."""
        n = whole(f"{type(self).__name__}.chunks", "n", n, least=1)
        while len(chunk := self.read(n)):
            yield chunk

    def __repr__(self) -> str:
        length = "unbounded" if self._length is None else f"{self._length} frames"
        rate = "" if self._frame_rate is None else f", {self._frame_rate:g} Hz"
        closed = ", closed" if self._closed else ""
        return f"<{type(self).__name__}: {length} of shape {self._shape}{rate}, at {self._position}{closed}>"


class Sink(Stream, ABC):
    """A stream that is written. A sink of your own fills in `_write`, and `_flush` and `_close` if it holds a file.

    Args:
        frame_shape: shape of one frame without time; None: that of the first chunk.
        dtype: of the frames; None: that of the first chunk. Later chunks must have the same.
        frame_rate: frames per second, or None when unknown.
        start_time: time of frame 0 in seconds, on the clock of the recording.

    >>> class Peak(Sink):
    ...     peak = 0.0
    ...     def _write(self, chunk):
    ...         self.peak = max(self.peak, chunk.max())
    >>> with Peak((2, 2), np.float32) as sink:
    ...     sink.write(np.full((5, 2, 2), 3.0, np.float32))
    ...     sink.flush()
    >>> float(sink.peak), sink.position
    (3.0, 5)
    """

    def __init__(self, frame_shape: Sequence[int] | None = None, dtype: Any = None, *,
                 frame_rate: float | None = None, start_time: float = 0.0) -> None:
        super().__init__(frame_rate=frame_rate, start_time=start_time)
        name = type(self).__name__
        self._shape: tuple[int, ...] | None = (
            None if frame_shape is None else shape_of(name, "frame_shape", tuple(frame_shape)))
        self._dtype = None if dtype is None else np.dtype(dtype)
        if self._dtype is not None and self._dtype.kind not in "biuf":
            raise ParameterError(name, "dtype", "must be a type of real numbers", dtype)
        self._written = 0

    @abstractmethod
    def _write(self, chunk: np.ndarray) -> None:
        """Takes in a chunk (time, *frame_shape) of at least one frame, checked against those before it."""

    def _flush(self) -> None:
        """What a sink does to hand on what it holds back."""

    @property
    def frame_shape(self) -> tuple[int, ...] | None:
        """Shape of one frame, without time; None before the first write when it was not given."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of the numbers; None before the first write when it was not given."""
        return self._dtype

    @property
    def position(self) -> int:
        """Frames written so far: the index of the next one."""
        return self._written

    def write(self, chunk: Any) -> None:
        """Appends frames.

        Args:
            chunk: array or tensor (time, *frame_shape); a tensor is detached. It is copied or used up at once.
        Raises: StreamError when closed or when the device refuses; InputError when the chunk does not fit.
        """
        self._require_open("write")
        where = f"{type(self).__name__}.write"
        array = to_numbers(chunk, where)
        if array.ndim == 0 or (self._shape is not None and array.shape[1:] != self._shape):
            need = "frame_shape" if self._shape is None else ", ".join(map(str, self._shape))
            raise InputError(f"{where}: a chunk must be (time, {need}) (got shape {array.shape})")
        if self._dtype is not None and array.dtype != self._dtype:
            raise InputError(f"{where}: the frames of this sink are {self._dtype}, the chunk is {array.dtype}; "
                             f"convert it first")
        if len(array):
            self._write(array)
            self._shape, self._dtype = array.shape[1:], array.dtype
            self._written += len(array)

    def flush(self) -> None:
        """Hands on to the device what can be handed on; see the sink for what may stay behind until `close`."""
        self._require_open("flush")
        self._flush()

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<{type(self).__name__}: {self._written} frames of shape {self._shape} written{closed}>"
