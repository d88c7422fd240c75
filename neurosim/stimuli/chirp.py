"""The full-field chirp by which ganglion cells are told apart."""

from __future__ import annotations

import math

import numpy as np

from ._declare import param, stimulus
from .base import TINY, Modulated


@stimulus
class Chirp(Modulated):
    """A step, a sweep through frequencies and a sweep through contrasts, over the whole frame, again and again.

    Dark, bright, dark, grey, sine of rising frequency, grey, sine of rising contrast, grey, dark: with the defaults 2, 3, 3,
    2, 8, 2, 8, 2 and 2 s. The frequency rises linearly from 0, sin(pi K t²) with K = max_frequency / sweep; the contrast
    rises linearly from 0.

    Args:
    Raises: ParameterError.
    Reference: T. Baden, P. Berens, K. Franke, M. Román Rosón, M. Bethge & T. Euler, Nature 529 (2016), with the durations of
        the stimulus program of the same laboratory.

    >>> chirp = Chirp((1, 1))
    >>> chirp.duration
    32.0
    >>> chirp.array(1, start=3000)
    array([[[255.]]], dtype=float32)
    """

    dark: float = param(2.0, unit="s", above=0.0, doc="dark at the beginning and at the end, each")
    step: float = param(3.0, unit="s", above=0.0, doc="bright, and dark after it, each")
    grey: float = param(2.0, unit="s", at_least=0.0, doc="mean luminance before, between and after the sweeps, each")
    sweep: float = param(8.0, unit="s", above=0.0, doc="each sweep")
    max_frequency: float = param(8.0, unit="Hz", above=0.0, doc="frequency at the end of the sweep through frequencies")
    contrast_frequency: float = param(2.0, unit="Hz", above=0.0, doc="frequency in the sweep through contrasts")

    @property
    def duration(self) -> float:
        """Seconds of one chirp."""
        return 2 * self.dark + 2 * self.step + 3 * self.grey + 2 * self.sweep

    def pattern(self, start: int, n: int) -> np.ndarray:
        h = self.resolution.frame
        t = np.mod(np.arange(start, start + n) + TINY, self.duration / h) * h
        lengths = [self.dark, self.step, self.step, self.grey, self.sweep, self.grey, self.sweep, self.grey, self.dark]
        starts = np.cumsum([0.0, *lengths])
        part = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(lengths) - 1)
        s = t - starts[part]
        rising = np.sin(math.pi * self.max_frequency / self.sweep * s**2)
        growing = s / self.sweep * np.sin(2 * math.pi * self.contrast_frequency * s)
        values = np.select([part == 1, part == 4, part == 6, np.isin(part, (3, 5, 7))], [1.0, rising, growing, 0.0], -1.0)
        return values[:, None, None]
