"""Streaming a source through a model into a file, in the memory of one chunk; what `run` and `demo` share."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

from neurosim import InputError, Layer, ParameterError
from neurosim._axes import OnNaN
from neurosim.streams import Source, VideoReader, open_stream

from .errors import UsageError
from .results import Results


class Interrupt:
    """Whether the program was asked to end, and by which signal."""

    signal: int | None = None


@contextmanager
def finishing_chunks() -> Iterator[Interrupt]:
    """Within it, a first Ctrl-C (or a request to terminate) is only noted, for the caller to end between two chunks."""
    asked = Interrupt()

    def note(number: int, frame: FrameType | None) -> None:
        if asked.signal is not None:
            raise KeyboardInterrupt  # the second time it is meant at once
        asked.signal = number
        os.write(2, b"\nneurosim: ending after the chunk at work; Ctrl-C again ends at once\n")  # safe in a handler

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_input(path: str, model: Layer, **options: Any) -> Source:
    """A file as a source at the model's time step.

    A video is resampled to it. Frames of other files are taken one a step; a file that says another rate is refused.

    Args:
        options: of the reader; those that are None or False are left out.
    Raises: UsageError for an option that does not fit the file; StreamError.
    """
    given = {name: value for name, value in options.items() if value not in (None, False)}
    rate = model.resolution.steps_per_second
    try:
        source = open_stream(path, **given)
    except ParameterError as error:
        raise UsageError(f"{path}: {error}") from None
    if isinstance(source, VideoReader):
        source.close()
        return VideoReader(path, frame_rate=rate, **given)
    if source.frame_rate is not None and not math.isclose(source.frame_rate, rate, rel_tol=1e-6):
        source.close()
        raise InputError(f"{path}: has {source.frame_rate:g} frames per second, the model takes {rate:g} steps per "
                         f"second; give --steps-per-second {source.frame_rate:g}, or resample the file")
    return source


def stream_to_file(model: Layer, source: Source, results: Results, *, dt: int, frames: int | None = None,
                   record: Sequence[str] = (), progress: bool = True, on_nan: OnNaN | None = None) -> int | None:
    """Runs a model over a source and writes every chunk; source and results are closed at the end.

    Args:
        dt: frames per chunk.
        frames: at most so many.
        record: paths of sub-layers and signals to write as well.
        progress: shows a bar on the standard error stream.
        on_nan: "raise" or "pass".
    Returns: the signal that ended it before the end of the source, None when there was none.
    Raises: NeurosimError; what was written until then is complete.
    """
    paths = list(dict.fromkeys([*record, *results.record]))
    with source, results, finishing_chunks() as asked:
        results.look_at(source)
        chunks: Any = model.stream(source, dt, max_t=frames, progress=progress, record=paths, on_nan=on_nan)
        with closing(chunks):  # the bar goes before anything else is said
            for out in chunks:
                if not out[0].shape[out.axes.time]:
                    raise InputError("the input holds no frame")
                results.write(out)
                if asked.signal is not None:
                    break
    return asked.signal
