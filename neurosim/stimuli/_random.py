"""Random numbers that depend on a seed, a stream and a row alone."""

from __future__ import annotations

import numpy as np

from ..streams._philox import counted


def uniforms(seed: int, stream: int, start: int, n: int, count: int) -> np.ndarray:
    """Uniform numbers in (0, 1), (n, count): rows start to start + n - 1 of a stream of a seed."""
    return ((counted(seed, start, n, count, stream) >> np.uint64(12)) + 0.5) * 2.0**-52


def normals(seed: int, stream: int, start: int, n: int, count: int) -> np.ndarray:
    """Standard normal numbers, (n, count), by the inverse of their distribution."""
    from scipy.special import ndtri

    return ndtri(uniforms(seed, stream, start, n, count))
