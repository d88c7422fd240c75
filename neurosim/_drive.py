"""Cutting what is fed to a model into chunks, and chunks of results back into frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from ._axes import Axes, frames_to_chunk
from ._errors import InputError, ParameterError
from ._output import Output
from .streams import Source, as_source
from .streams.base import to_numbers, whole


def check_rate(source: Source, frame: float, where: str) -> None:
    """Raises InputError when the source says another rate than the model's."""
    rate, wanted = source.frame_rate, 1.0 / frame
    if rate is not None and not math.isclose(rate, wanted, rel_tol=1e-6):
        raise InputError(f"{where}: the source has {rate:g} frames per second, the model takes {wanted:g} steps per second; "
                         f"resample it, neurosim.streams.TimedResampleStream(source, {wanted:g}), or build the model with "
                         f"resolution=Resolution(frame={1.0 / rate:g}, pixels_per_degree=...)")


def clock(source: Source, frame: float) -> float:
    """Time in seconds of the frame that the source reads next; one without a rate has frames of `frame` seconds."""
    return source.start_time + source.position * frame if source.time is None else source.time


class Feed:
    """An input in chunks: iterate to get each chunk, an array or tensor with all axes of the model.

    Args:
        input: array, tensor, `Output` (its first value), source stream, or path of a file.
        axes: what the model takes.
        dt: frames per chunk, or None for a single one.
        max_t: at most so many frames, or None for all.
        endless: whether a source without an end is fine.
        frame: seconds per frame of the model, which a source that knows its rate has to agree with; None: any will do.
    Raises: InputError, ParameterError, StreamError.
    """

    def __init__(self, input: Any, axes: Axes, dt: int | None, max_t: int | None, where: str, *,
                 endless: bool = False, frame: float | None = None) -> None:
        self._axes, self._where = axes, where
        dt = None if dt is None else whole(where, "dt", dt, 1)
        max_t = None if max_t is None else whole(where, "max_t", max_t)
        self._opened = ExitStack()
        start_time = 0.0
        if isinstance(input, Output):
            start_time, input = input.start_time, input.first_for(axes, where)
        self.source: Source | None = None
        self.origin = start_time  # time of the first frame in seconds, on the clock of the recording
        if isinstance(input, list | tuple):
            input = to_numbers(input, where)
        if isinstance(input, np.ndarray | Tensor):
            self._data = axes.promote(input, where)
            self.total: int | None = self._data.shape[axes.time]
        else:
            self.source = as_source(input)
            if self.source is not input:
                self._opened.enter_context(self.source)  # opened here, so closed here
            if frame is not None:
                try:
                    check_rate(self.source, frame, where)
                except InputError:
                    self.close()
                    raise
                self.origin = clock(self.source, frame)
            length = self.source.length
            self.total = None if length is None else max(length - self.source.position, 0)
        if max_t is not None:
            self.total = max_t if self.total is None else min(self.total, max_t)
        if self.total is None and not endless:
            self.close()
            raise InputError(f"{where}: the source has no end; give max_t=<frames>, take chunks from "
                             "stream(input, dt), or leave a Runner to it")
        if self.total is None and dt is None:
            self.close()
            raise ParameterError(where, "dt", "a source without an end is taken in chunks of dt frames")
        self.dt = dt or max(self.total or 0, 1)

    def __iter__(self) -> Iterator[Any]:
        done, empty = 0, True
        while self.total is None or done < self.total:
            n = self.dt if self.total is None else min(self.dt, self.total - done)
            chunk = self._read(done, n)
            if chunk.shape[self._axes.time] == 0:
                break
            yield chunk
            empty = False
            done += chunk.shape[self._axes.time]
        if empty:
            yield self._read(0, 0)  # an input without frames has an output without frames

    def _read(self, start: int, n: int) -> Any:
        if self.source is not None:
            return frames_to_chunk(self.source.read(n), self._axes, self._where)
        return self._data[(slice(None),) * self._axes.time + (slice(start, start + n),)]

    def close(self) -> None:
        """Closes what was opened here (a file given by its path), not a stream of the caller."""
        self._opened.close()


@contextmanager
def progress_bar(total: int | None, frame: float) -> Iterator[Callable[[int], None]]:
    """A bar for so many frames of so many seconds each; call what it gives with the frames that are done."""
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=" frames") as bar:
        def update(frames: int) -> None:
            bar.update(frames)
            rate = bar.format_dict["rate"] or bar.n / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(f"{rate * frame:.3g} x real time", refresh=False)

        yield update
