"""Several signals as one: `JoinedStream`."""

from __future__ import annotations

import numpy as np

from .._errors import InputError, ParameterError
from .base import Source


class JoinedStream(Source):
    """Signals side by side as one, frame by frame: the features of the first, then those of the next.

    So the time spans of an irregular recording travel with it from a stream of their own, see `neurosim.liquid.Irregular`. It
    ends where the first of them ends; closing it closes them. `align` brings signals of different rates to one.

    Args:
        sources: two or more, of frames (feature,) or of single numbers, and of one rate where they know it.
    Raises: ParameterError, InputError for frames of another shape and for different rates.

    >>> from neurosim.streams import SequenceStream
    >>> voltage, seconds = SequenceStream(np.ones((3, 2))), SequenceStream(np.array([0.1, 0.4, 0.2]))
    >>> JoinedStream(voltage, seconds).read(2)
    array([[1. , 1. , 0.1],
           [1. , 1. , 0.4]])
    """

    def __init__(self, *sources: Source) -> None:
        if len(sources) < 2 or not all(isinstance(source, Source) for source in sources):
            raise ParameterError("JoinedStream", "sources", "must be two sources or more",
                                 [type(source).__name__ for source in sources])
        shapes = [source.frame_shape for source in sources]
        if any(len(shape) > 1 for shape in shapes):
            raise InputError(f"JoinedStream: frames must be (feature,) or single numbers (got {shapes})")
        rates = {source.frame_rate for source in sources} - {None}
        if len(rates) > 1:
            raise InputError(f"JoinedStream: the sources must have one rate; bring them to one with align "
                             f"(got {sorted(rate for rate in rates if rate)} Hz)")
        self._sources = sources
        lengths = [source.length - source.position for source in sources if source.length is not None]
        first = sources[0]
        super().__init__((sum(shape[0] if shape else 1 for shape in shapes),), frame_rate=rates.pop() if rates else None,
                         start_time=first.start_time + (first.position / first.frame_rate if first.frame_rate else 0.0),
                         length=min(lengths) if lengths else None)

    def _read(self, start: int, n: int) -> np.ndarray:
        chunks: list[np.ndarray] = []
        for source in self._sources:  # none is read further than those before it have come
            n = min(n, *(len(chunk) for chunk in chunks)) if chunks else n
            chunks.append(np.asarray(source.read(n)))
        n = min(len(chunk) for chunk in chunks)
        return np.concatenate([chunk[:n, None] if chunk.ndim == 1 else chunk[:n] for chunk in chunks], 1)

    def _close(self) -> None:
        for source in self._sources:
            source.close()
