"""Gratings that drift or reverse in counterphase, and checkerboards."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ._declare import param, stimulus
from .base import TINY, Modulated


def square(phase: np.ndarray) -> np.ndarray:
    """1 in the first half of each cycle, -1 in the second; `phase` in radians."""
    return np.where(np.floor(phase / math.pi + TINY) % 2 == 0, 1.0, -1.0)


WAVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"sine": np.sin, "square": square}


@stimulus
class Grating(Modulated):
    """What gratings have in common; a sine or a square wave across space."""

    direction: float = param(0.0, unit="deg", doc="across the bars: where a drifting grating goes, 0 right, 90 up")
    spatial_frequency: float = param(0.5, unit="cycles/deg", at_least=0.0, doc="cycles per degree")
    temporal_frequency: float = param(4.0, unit="Hz", doc="cycles per second")
    phase: float = param(0.0, unit="deg", doc="phase in the middle of the frame at time 0")
    wave: str = param("sine", choices=tuple(WAVES), doc='"sine" or "square"')

    def _phase(self) -> np.ndarray:
        """Phase in space of each pixel, in radians."""
        return 2 * math.pi * self.spatial_frequency * self.along(self.direction) + math.radians(self.phase)

    def _turns(self, start: int, n: int) -> np.ndarray:
        """Phase in time of each frame in radians; whole turns are left out, so that late frames are as exact."""
        return 2 * math.pi * np.mod(self.temporal_frequency * self.times(start, n), 1.0)


@stimulus
class DriftingGrating(Grating):
    """A grating that moves: wave(2 pi (fs u - ft t) + phase), u in degrees along `direction`.

    Args:
    Raises: ParameterError.
    Reference: C. Enroth-Cugell & J. G. Robson, J. Physiol. 187 (1966), for gratings on ganglion cells.

    >>> grating = DriftingGrating((1, 20), spatial_frequency=0.5, temporal_frequency=2.0)
    >>> grating.array(1, start=125)[0, 0, :2].round(2)  # a quarter of a cycle later; 0.95 deg left of the middle
    array([253.43, 241.1 ], dtype=float32)
    """

    def pattern(self, start: int, n: int) -> np.ndarray:
        return WAVES[self.wave](self._phase() - self._turns(start, n))


@stimulus
class CounterphaseGrating(Grating):
    """A grating that stands and reverses: wave(2 pi fs u + phase) * wave(2 pi ft t + 90 degrees).

    Args:
    Raises: ParameterError.
    Reference: S. Hochstein & R. M. Shapley, J. Physiol. 262 (1976): X and Y cells.

    >>> grating = CounterphaseGrating((1, 1), phase=90.0, temporal_frequency=250.0)
    >>> grating.array(4).ravel().round()  # every quarter of its cycle
    array([255., 128.,   0., 128.], dtype=float32)
    """

    def pattern(self, start: int, n: int) -> np.ndarray:
        wave = WAVES[self.wave]
        return wave(self._phase()) * wave(self._turns(start, n) + math.pi / 2)


@stimulus
class Checkerboard(Modulated):
    """Bright and dark squares that stand or exchange places.

    The corner of four squares is in the middle of the frame; the one below right of it is bright at time 0.

    Args:
    Raises: ParameterError.

    >>> Checkerboard((2, 4), check=0.1, temporal_frequency=500.0).array(2).astype(int)
    array([[[  0, 255,   0, 255],
            [255,   0, 255,   0]],
    <BLANKLINE>
           [[255,   0, 255,   0],
            [  0, 255,   0, 255]]])
    """

    check: float = param(1.0, unit="deg", above=0.0, doc="side of a square")
    temporal_frequency: float = param(0.0, unit="Hz", at_least=0.0, doc="full cycles, of two reversals; 0: none")

    def pattern(self, start: int, n: int) -> np.ndarray:
        row, column = (np.floor(x / self.check + TINY) for x in self.places())
        turn = 2 * math.pi * np.mod(self.temporal_frequency * self.times(start, n), 1.0)
        return np.where((row + column) % 2 == 0, 1.0, -1.0) * square(turn)
