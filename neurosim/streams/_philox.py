"""Random words that are counted, not carried on: one Philox block after the other, found by its number."""

from __future__ import annotations

import numpy as np

BLOCK = 4  # 64-bit words of one Philox block


def counted(seed: int, start: int, n: int, words: int, stream: int = 0) -> np.ndarray:
    """Random 64-bit words of rows start to start + n - 1, which depend on seed, stream and row alone.

    Args:
        seed: whole number of at least 0; below 2**64 where streams are used.
        start, n: first row and number of rows.
        words: words of a row.
        stream: which use they are for; streams of one seed are independent.
    Returns: (n, words) uint64.
    Reference: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011 (Philox 4x64-10).
    """
    blocks = -(-words // BLOCK)
    bits = np.random.Philox(key=seed | stream << 64).advance(start * blocks).random_raw(n * blocks * BLOCK)
    return bits.reshape(n, blocks * BLOCK)[:, :words]
