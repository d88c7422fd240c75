"""Streams at another rate, by time: `TimedResampleStream`, and several on one clock: `align`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .._errors import InputError, ParameterError, StreamError
from .base import Source, rate_of, time_of, whole

METHODS = ("hold", "nearest", "linear", "area")
SPAN = 256  # frames of the source that are looked at together



class TimedResampleStream(Source):
    """A source at another rate, frame k being what the source shows at `start_time + k / frame_rate`.

    Frame i of the source lasts from its time to that of frame i + 1, the last one too. Times are compared as fractions, so
    that nothing adds up over long recordings. Memory does not grow; sources without an end, and those that can only be
    read forward, are fine.

    Args:
        source: any source that knows its rate; it is read from where it is, and closed with this one.
        frame_rate: frames per second.
        method: "hold": the frame that is there; "nearest": the one whose time is nearest, the later one of two;
            "linear": between two frames, the last one held; "area": the mean over the time to the next frame, which leaves
            out nothing when the rate is lowered. The first two keep the type of the numbers, the others give floating ones.
        start_time: of the first frame in seconds, not before the source; None: that of the source's next frame.
        length: frames at most; None: as long as the source lasts.
    Raises: InputError for a source without a rate; ParameterError.

    >>> from neurosim.streams import SequenceStream
    >>> slow = SequenceStream(np.array([0.0, 10.0, 20.0]), frame_rate=50)
    >>> TimedResampleStream(slow, 100, "linear").read(9)
    array([ 0.,  5., 10., 15., 20., 20.])
    """

    def __init__(self, source: Source, frame_rate: float, method: str = "hold", *, start_time: float | None = None,
                 length: int | None = None) -> None:
        where = "TimedResampleStream"
        if not isinstance(source, Source) or source.frame_rate is None:
            raise InputError(f"{where}: needs a source that knows its frame rate, such as "
                             f"SequenceStream(array, frame_rate=100) (got {source!r:.100})")
        if method not in METHODS:
            raise ParameterError(where, "method", f"choose from {list(METHODS)}", method)
        rate = rate_of(where, frame_rate)
        if rate is None:
            raise ParameterError(where, "frame_rate", "is needed, in Hz")
        now = source.start_time + source.position / source.frame_rate
        start = now if start_time is None else time_of(where, start_time)
        if start < now - 1e-9:
            raise ParameterError(where, "start_time", f"must not be before the source, which is at {now:g} s", start_time)
        self._source, self._method = source, method
        self._step = fraction(source.frame_rate) / fraction(rate)  # frames of the source per frame of this one
        self._offset = max(fraction((start - source.start_time) * source.frame_rate), Fraction(source.position))
        frames = None if length is None else whole(where, "length", length)
        if source.length is not None:
            lasts = max(0, -((self._offset - source.length) // self._step))
            frames = lasts if frames is None else min(frames, lasts)
        super().__init__(source.frame_shape, frame_rate=rate, start_time=start, length=frames, seekable=source.seekable)
        self._end: int | None = source.length  # frames of the source, once known
        self._kept = source.read(0)
        self._at = source.position  # number of the first frame kept

    def _read(self, start: int, n: int) -> np.ndarray:
        if self.length is not None:
            n = max(0, min(n, self.length - start))
        at_once = max(1, int(SPAN / self._step))
        pieces = [piece for first in range(start, start + n, at_once)
                  if len(piece := self._frames(first, min(at_once, start + n - first)))]
        if not pieces:
            return np.empty((0, *self.frame_shape), self._type(self._kept.dtype))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _type(self, kind: np.dtype[Any]) -> np.dtype[Any]:
        return kind if self._method in ("hold", "nearest") else np.result_type(kind, np.float32)

    def _frames(self, first: int, n: int) -> np.ndarray:
        """Frames `first` to `first + n - 1`, fewer where the source ends."""
        places = [self._offset + k * self._step for k in range(first, first + n + 1)]  # in frames of the source
        if self._method == "nearest":
            places = [place + Fraction(1, 2) for place in places]
        low, end = int(places[0]), self._end
        high = -int(-places[-1] // 1) if self._method == "area" else int(places[-2]) + 2
        half = Fraction(1, 2) if self._method == "nearest" else 0
        if end is not None and places[0] - half >= end:
            return np.empty((0, *self.frame_shape), self._type(self._kept.dtype))
        # One frame more at the end: the nearest to the last instants, and the one that is held, is the last one.
        held = self._window(max(low - 1, 0) if end is None else min(low, max(end - 1, 0)), high)
        base, last = self._at, self._at + len(held)
        places = [place for place in places[:-1] if place - half < last]
        if not places:
            return held[:0].astype(self._type(held.dtype), copy=False)
        if self._method == "area":
            return np.stack([self._mean(held, place - base) for place in places])
        index = np.array([min(int(place), last - 1) - base for place in places])
        if self._method != "linear":
            return held[index]
        share = np.array([float(place % 1) for place in places]).reshape(-1, *(1,) * (held.ndim - 1))
        share = share.astype(self._type(held.dtype))
        before, after = held[index], held[np.minimum(index + 1, len(held) - 1)]
        return before + share * (after.astype(share.dtype) - before)

    def _mean(self, held: np.ndarray, place: Fraction) -> np.ndarray:
        """Mean of the frames from `place` to one step later, each by its share of the time."""
        stop = min(place + self._step, Fraction(len(held)))
        first, last = int(place), -int(-stop // 1)
        weights = [float(min(stop, Fraction(j + 1)) - max(place, Fraction(j))) for j in range(first, last)]
        mean = np.tensordot(np.array(weights) / sum(weights), held[first:last].astype(np.float64), 1)
        return np.asarray(mean, self._type(held.dtype))

    def _window(self, low: int, high: int) -> np.ndarray:
        """Keeps frames `low` to `high - 1` of the source, fewer where it ends."""
        where = f"{type(self).__name__}.read"
        held_to = self._at + len(self._kept)
        if low < self._at or low > held_to:
            if self._source.seekable:
                self._source.seek(low if self._end is None else min(low, self._end))
            elif low < self._at:
                raise StreamError(f"{where}: frame {low} of the source has gone by, and it can only be read forward")
            while not self._source.seekable and (gap := low - self._source.position) > 0:
                if not len(self._source.read(min(gap, SPAN))):
                    break
            self._kept, self._at = self._kept[:0], self._source.position
        else:
            self._kept, self._at = self._kept[low - self._at:], low
        missing = high - self._at - len(self._kept)
        if missing > 0 and (self._end is None or self._at + len(self._kept) < self._end):
            new = self._source.read(missing)
            if len(new) < missing:
                self._end = self._at + len(self._kept) + len(new)
            self._kept = np.concatenate([self._kept, new]) if len(self._kept) else new
        return self._kept

    def _close(self) -> None:
        self._source.close()


def fraction(value: float) -> Fraction:
    """A rate or a time as a fraction: 29.97002997002997 is 30000/1001."""
    return Fraction(value).limit_denominator(1_000_000) if value < 1e6 else Fraction(round(value * 1000), 1000)


def align(*sources: Source, frame_rate: float | None = None, method: str = "hold") -> tuple[Source, ...]:
    """The sources at one rate, from when the last one starts to when the first one ends, on the clock of the recording.

    Frame k of all of them is at the same time. With the same rate and whole frames between their starts, frames are passed
    on as they are.

    Args:
        sources: sources that know their rate, read from where they are.
        frame_rate: in Hz; None: that of the first source.
        method: as for `TimedResampleStream`.
    Returns: as many sources, of the same length; without an end when none has one.
    Raises: InputError when one has no rate, or when they have no time in common.

    >>> from neurosim.streams import SequenceStream
    >>> movie = SequenceStream(np.arange(6), frame_rate=10)
    >>> voltage = SequenceStream(np.arange(100), frame_rate=50, start_time=0.2)
    >>> movie, voltage = align(movie, voltage)
    >>> movie.read(9), voltage.read(9), voltage.start_time
    (array([2, 3, 4, 5]), array([ 0,  5, 10, 15]), 0.2)
    """
    for number, source in enumerate(sources):
        if not isinstance(source, Source) or source.frame_rate is None:
            raise InputError(f"align: every source has to know its frame rate (number {number} is {source!r:.100})")
    if not sources:
        raise InputError("align: needs at least one source (got none)")
    rate = rate_of("align", frame_rate) or sources[0].frame_rate or 1.0
    start = max(source.start_time + source.position / (source.frame_rate or 1.0) for source in sources)
    ends = [source.start_time + source.length / source.frame_rate for source in sources
            if source.length is not None and source.frame_rate]
    if ends and min(ends) <= start:
        raise InputError(f"align: the sources have no time in common, one starts at {start:g} s, "
                         f"one ends at {min(ends):g} s")
    cut = [TimedResampleStream(source, rate, method, start_time=start) for source in sources]
    lengths = [stream.length for stream in cut if stream.length is not None]
    if not lengths:
        return tuple(cut)
    return tuple(TimedResampleStream(source, rate, method, start_time=start, length=min(lengths)) for source in sources)
