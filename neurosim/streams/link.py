"""Streams made of others or of functions: `CallableStream`, `ProcessingStream`, `tee`, `Statistics`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .._axes import chunk_to_frames, frames_to_chunk
from .._errors import InputError, ParameterError, StreamError
from .base import Sink, Source, to_numbers


class CallableStream(Source):
    """A live source: a function is asked for one frame after the other.

    Args:
        function: `function(number)` gives the frame of this number, an array or tensor of shape `frame_shape`, and may wait for
            it; None ends the stream.
        frame_shape: of one frame.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
        dtype: of the frames.
    Raises: ParameterError. What the function raises goes to the reader, and the position stays.

    >>> CallableStream(lambda number: np.full((2,), number) if number < 3 else None, (2,)).read(5)[:, 0]
    array([0., 1., 2.], dtype=float32)
    """

    def __init__(self, function: Callable[[int], Any], frame_shape: Sequence[int], frame_rate: float | None = None, *,
                 start_time: float = 0.0, dtype: Any = np.float32) -> None:
        super().__init__(frame_shape, frame_rate=frame_rate, start_time=start_time)
        if not callable(function):
            raise ParameterError("CallableStream", "function", "must be callable, function(number) -> frame", function)
        self._function, self._dtype = function, np.dtype(dtype)
        self._ready: list[np.ndarray] = []  # frames that came before an error: they are given by the next read
        self._ended = False

    def _read(self, start: int, n: int) -> np.ndarray:
        while len(self._ready) < n and not self._ended:
            frame = self._function(start + len(self._ready))
            if frame is None:
                self._ended = True
                break
            array = to_numbers(frame, "CallableStream")
            if array.shape != self.frame_shape:
                raise InputError(f"CallableStream: frames must have the shape {self.frame_shape} (got {array.shape})")
            self._ready.append(np.array(array, self._dtype))
        chunk, self._ready = self._ready[:n], self._ready[n:]
        return np.stack(chunk) if chunk else np.empty((0, *self.frame_shape), self._dtype)


class ProcessingStream(Source):
    """What a model makes of a source, as a source: post(model(pre(chunk))).

    It can only be read forward, since the model remembers. Of several outputs the first one is taken. Closing it closes
    the source.

    Args:
        source: any source.
        model: a layer, or any function of a chunk (time, *frame) that gives as many frames.
        pre: applied to each chunk of the source, an array (time, *frame_shape), before the model.
        post: applied to each chunk of frames after the model.
    Raises: StreamError when there are other frames than the source has; what the functions and the model raise.

    >>> from neurosim.streams import SequenceStream
    >>> ProcessingStream(SequenceStream(np.arange(5.0)), lambda x: 2 * x, post=lambda y: y + 1).read(3)
    array([1., 3., 5.])
    """

    def __init__(self, source: Source, model: Callable[[Any], Any], pre: Callable[[Any], Any] | None = None,
                 post: Callable[[Any], Any] | None = None) -> None:
        self._source, self._model, self._pre, self._post = source, model, pre, post
        super().__init__(self._processed(source.read(0)).shape[1:], frame_rate=source.frame_rate,
                         start_time=source.start_time + (source.position / source.frame_rate if source.frame_rate else 0.0),
                         length=None if source.length is None else source.length - source.position)

    def _processed(self, chunk: np.ndarray) -> np.ndarray:
        where = "ProcessingStream"
        x = chunk if self._pre is None else self._pre(chunk)
        axes = getattr(self._model, "axes", None)
        y = self._model(x if axes is None else frames_to_chunk(x, axes, where))
        if not isinstance(y, Tensor | np.ndarray):
            y = y[0]  # an Output
        if axes is not None and isinstance(y, Tensor):
            y = chunk_to_frames(y, axes, where)
        y = to_numbers(y, where) if self._post is None else to_numbers(self._post(to_numbers(y, where)), where)
        if y.ndim == 0 or len(y) != len(chunk):
            raise StreamError(f"{where}: {len(chunk)} frames of the source must give as many (got shape {y.shape})")
        return y

    def _read(self, start: int, n: int) -> np.ndarray:
        return self._processed(self._source.read(n))

    def _close(self) -> None:
        self._source.close()


class _Tee(Sink):
    """Writes into several sinks. Made by `tee`."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        super().__init__(frame_rate=sinks[0].frame_rate, start_time=sinks[0].start_time)
        self._sinks = list(sinks)

    def _write(self, chunk: np.ndarray) -> None:
        for sink in self._sinks:
            sink.write(chunk)

    def _flush(self) -> None:
        for sink in self._sinks:
            sink.flush()

    def _close(self) -> None:
        errors: list[Exception] = []
        for sink in self._sinks:
            try:
                sink.close()
            except StreamError as error:  # the others are closed all the same
                errors.append(error)
        if errors:
            raise errors[0]


def tee(*sinks: Sink) -> Sink:
    """One sink that writes every chunk into all `sinks`, and closes them when it is closed.

    A chunk that one of them refuses may have gone into those before it.

    Raises: ParameterError without a sink.

    >>> from neurosim.streams import SequenceStream, Statistics
    >>> newest, all_of_them = SequenceStream(max_frames=2), Statistics()
    >>> tee(newest, all_of_them).write(np.arange(10.0))
    >>> newest.sequence, float(all_of_them.mean)
    (array([8., 9.]), 4.5)
    """
    if not sinks or not all(isinstance(sink, Sink) for sink in sinks):
        raise ParameterError("tee", "sinks", "must be one sink or more", [type(sink).__name__ for sink in sinks])
    return _Tee(sinks)


class Statistics(Sink):
    """Keeps of all frames only their number, and per pixel mean, variance, smallest and largest value, in float64.

    What it holds stays after `close`.

    Args:
        frame_shape, dtype, frame_rate, start_time: as for any sink.
    Reference: Chan, Golub & LeVeque, Algorithms for computing the sample variance, Am Stat 37:242 (1983); for one frame at a
        time that of Welford, Technometrics 4:419 (1962).

    >>> statistics = Statistics()
    >>> for start in range(0, 1000, 100):
    ...     statistics.write(np.arange(start, start + 100.0)[:, None])
    >>> statistics.count, statistics.mean, statistics.variance
    (1000, array([499.5]), array([83333.25]))
    """

    count = 0
    mean: Any = np.nan
    minimum: Any = np.nan
    maximum: Any = np.nan
    _squares: Any = np.nan

    @property
    def variance(self) -> Any:
        """Per pixel, the mean of the squared deviations; NaN before the first frame."""
        return self._squares / self.count if self.count else np.nan

    @property
    def std(self) -> Any:
        """Square root of `variance`."""
        return np.sqrt(self.variance)

    def _write(self, chunk: np.ndarray) -> None:
        x = chunk.astype(np.float64)
        n, mean = len(x), x.mean(0)
        squares, low, high = ((x - mean) ** 2).sum(0), x.min(0), x.max(0)
        if not self.count:
            self.count, self.mean, self._squares, self.minimum, self.maximum = n, mean, squares, low, high
            return
        both, step = self.count + n, mean - self.mean
        self._squares = self._squares + squares + step**2 * (self.count * n / both)
        self.mean = self.mean + step * (n / both)
        self.minimum, self.maximum, self.count = np.minimum(self.minimum, low), np.maximum(self.maximum, high), both
