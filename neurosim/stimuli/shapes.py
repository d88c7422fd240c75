"""Moving bars, flashes, and dots of which some move together."""

from __future__ import annotations

import math

import numpy as np

from .._errors import ParameterError
from ._declare import param, stimulus
from ._random import uniforms
from .base import TINY, Placed


def covered(at: np.ndarray, width: float) -> np.ndarray:
    """Which part of pixels, of width 1 around `at`, a band of `width` around 0 covers (all in pixels)."""
    return np.clip(np.minimum(at + 0.5, width / 2) - np.maximum(at - 0.5, -width / 2), 0.0, 1.0)


@stimulus
class MovingBar(Placed):
    """A bar that crosses the frame, side on, again and again.

    A sweep begins with the bar just outside the frame and ends when it has left it on the other side. Its edges cover
    pixels in part, so that slow motion is smooth.

    Args:
    Raises: ParameterError.
    Reference: H. B. Barlow, R. M. Hill & W. R. Levick, J. Physiol. 173 (1964): direction selective units.

    >>> bar = MovingBar((1, 4), width=0.1, speed=100.0)  # a pixel wide, a pixel further each frame of 1 ms
    >>> bar.array(6)[:, 0].astype(int)[1:5]
    array([[255,   0,   0,   0],
           [  0, 255,   0,   0],
           [  0,   0, 255,   0],
           [  0,   0,   0, 255]])
    >>> bar.sweep  # in seconds: 0.4 deg of frame and 0.1 deg of bar
    0.005
    """

    width: float = param(0.5, unit="deg", above=0.0, doc="along the direction of motion")
    bar_length: float = param(math.inf, unit="deg", above=0.0, finite=False, doc="across it; inf: from edge to edge")
    speed: float = param(5.0, unit="deg/s", above=0.0, doc="how fast")
    direction: float = param(0.0, unit="deg", doc="where it goes, 0 right, 90 up")
    pause: float = param(0.0, unit="s", at_least=0.0, doc="empty time after each sweep")

    @property
    def sweep(self) -> float:
        """Seconds of one sweep, without the pause."""
        angle, (y, x) = math.radians(self.direction), self.frame_shape
        extent = (x * abs(math.cos(angle)) + y * abs(math.sin(angle))) / self.resolution.pixels_per_degree
        return (extent + self.width) / self.speed

    def cover(self, start: int, n: int) -> np.ndarray:
        ppd = self.resolution.pixels_per_degree
        since = np.mod(self.times(start, n), self.sweep + self.pause)
        at = self.speed * (since - self.sweep / 2)
        across = 1.0 if math.isinf(self.bar_length) else covered(self.along(self.direction + 90) * ppd, self.bar_length * ppd)
        return covered((self.along(self.direction) - at) * ppd, self.width * ppd) * across


@stimulus
class Flash(Placed):
    """The whole frame bright for a while, once or again and again. Through a mask: a spot, an annulus, a letter.

    Args:
    Raises: ParameterError.

    >>> Flash((1, 1), delay=0.001, duration=0.002, period=0.004).array(6).ravel().astype(int)
    array([  0, 255, 255,   0,   0, 255])
    >>> from neurosim.stimuli import CircularMask
    >>> spot = Flash((30, 30)) * CircularMask(radius=0.5)
    """

    delay: float = param(0.5, unit="s", at_least=0.0, doc="time before the first")
    duration: float = param(0.5, unit="s", above=0.0, doc="of each")
    period: float = param(math.inf, unit="s", above=0.0, finite=False, doc="from one to the next; inf: there is one only")

    def _prepare(self) -> None:
        if self.period < self.duration:
            raise ParameterError("Flash", "period", f"must be at least the duration, {self.duration:g} s", self.period)

    def cover(self, start: int, n: int) -> np.ndarray:
        h = self.resolution.frame
        since = np.arange(start, start + n)[:, None, None] - self.delay / h + TINY  # in frames
        return ((since >= 0) & (np.mod(since, self.period / h) < self.duration / h)).astype(float)


@stimulus
class MovingDots(Placed):
    """Dots of which a part moves in one direction and each other one in a direction of its own.

    A dot lives for a while, then begins again elsewhere; births are spread over time. Dots that leave the frame come back
    on the other side.

    Args:
    Raises: ParameterError.
    Reference: W. T. Newsome & E. B. Paré, J. Neurosci. 8 (1988): coherent motion.

    >>> dots = MovingDots((20, 20), density=2.0, radius=0.2, seed=1)
    >>> dots.dots, float(dots.array(50).max())
    (8, 255.0)
    """

    density: float = param(1.0, unit="1/deg²", above=0.0, doc="dots per square degree")
    radius: float = param(0.1, unit="deg", above=0.0, doc="of a dot")
    speed: float = param(5.0, unit="deg/s", at_least=0.0, doc="how fast each moves")
    direction: float = param(0.0, unit="deg", doc="where the coherent ones go, 0 right, 90 up")
    coherence: float = param(0.5, at_least=0.0, at_most=1.0, doc="part of the dots that move together")
    lifetime: float = param(0.2, unit="s", above=0.0, doc="of a dot")
    seed: int = param(0, whole=True, at_least=0, at_most=2**63, doc="of the random numbers")

    @property
    def dots(self) -> int:
        """How many there are."""
        y, x = self.frame_shape
        return max(1, round(self.density * y * x / self.resolution.pixels_per_degree**2))

    def cover(self, start: int, n: int) -> np.ndarray:
        size, ppd = np.array(self.frame_shape), self.resolution.pixels_per_degree
        born = uniforms(self.seed, 1, 0, 1, self.dots)[0]
        lives = np.arange(start, start + n)[:, None] * (self.resolution.frame / self.lifetime) + born  # (n, dots)
        life = np.floor(lives).astype(np.int64)
        first = int(life[0].min())
        drawn = uniforms(self.seed, 0, first, int(life[-1].max()) - first + 1, 4 * self.dots)
        chance = drawn.reshape(-1, 4, self.dots)
        rows, columns = np.ogrid[:size[0], :size[1]]
        out = np.zeros((n, *size))
        for i in range(n):
            y, x, own, which = chance[life[i] - first, :, np.arange(self.dots)].T
            angle = np.where(which < self.coherence, math.radians(self.direction), 2 * math.pi * own)
            gone = self.speed * ppd * self.lifetime * (lives[i] - life[i])
            middle_y = np.mod(y * size[0] - gone * np.sin(angle), size[0])
            middle_x = np.mod(x * size[1] + gone * np.cos(angle), size[1])
            for cy, cx in zip(middle_y, middle_x):
                # the nearest of the dot and its images beyond the edges
                away_y = np.abs(rows + 0.5 - cy)
                away_x = np.abs(columns + 0.5 - cx)
                away = np.hypot(np.minimum(away_y, size[0] - away_y), np.minimum(away_x, size[1] - away_x))
                np.maximum(out[i], np.clip(self.radius * ppd - away + 0.5, 0.0, 1.0), out=out[i])
        return out
