"""Streams that are computed: `RandomStream`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._errors import ParameterError
from .._units import positive
from ._philox import counted
from .base import Source, shape_of, whole


class RandomStream(Source):
    """Independent uniform noise without end.

    Values lie in [mean, mean + level): `mean` is the smallest one, as in convis, not the average. A number depends on
    the seed, the frame and the pixel alone (Philox counts blocks), so that chunks may be cut anywhere and `seek` is
    exact.

    Args:
        size: shape of a frame.
        mean: smallest value.
        level: width of the range, at least 0.
        pixel_per_degree: kept as an attribute for whoever asks; the numbers do not depend on it.
        seed: whole number of at least 0.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
    Returns: float32 frames.
    Raises: ParameterError.
    Reference: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox 4x64-10).
    """

    def __init__(self, size: Sequence[int] = (50, 50), mean: float = 0.0, level: float = 1.0,
                 pixel_per_degree: float = 10.0, *, seed: int = 0, frame_rate: float | None = None,
                 start_time: float = 0.0) -> None:
        super().__init__(shape_of("RandomStream", "size", size), frame_rate=frame_rate, start_time=start_time, seekable=True)
        if not math.isfinite(mean):
            raise ParameterError("RandomStream", "mean", "must be finite", mean)
        if not (math.isfinite(level) and level >= 0):
            raise ParameterError("RandomStream", "level", "must be finite and at least 0", level)
        self.mean, self.level = float(mean), float(level)
        self.pixel_per_degree = positive("RandomStream", "pixel_per_degree", pixel_per_degree, "px/deg")
        self.seed = whole("RandomStream", "seed", seed)

    def _read(self, start: int, n: int) -> np.ndarray:
        pixels = math.prod(self.frame_shape)
        bits = counted(self.seed, start, n, -(-pixels // 2))
        numbers = bits.astype("<u8").view("<u4")[:, :pixels]  # two 32-bit numbers in a word
        uniform = (numbers >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
        frames = np.float32(self.mean) + np.float32(self.level) * uniform
        # The sum may be rounded up to the bound, which is not in the range.
        below = np.nextafter(np.float32(self.mean + self.level), np.float32(-np.inf))
        np.minimum(frames, np.maximum(below, np.float32(self.mean)), out=frames)
        return frames.reshape(n, *self.frame_shape)
