"""What a stimulus is: a source whose frame n depends on n alone, drawn in degrees of the visual field."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _defaults
from .._errors import ParameterError
from .._units import Resolution, positive
from ..streams import Source
from ..streams.base import shape_of, whole
from ._declare import param, rules, stimulus

TINY = 1e-6  # of a frame: an edge that falls on a frame belongs to it, however the time was rounded


class Stimulus(Source):
    """A source of luminances, 0 (black) to 255 (white) as the retina takes them, float32 (time, y, x).

    Frame n shows time n * h and depends on n (and the seed) alone: it can be read from anywhere, cut anywhere. Places
    are in degrees from the middle of the frame, y downwards as rows are counted, x to the right. Directions are in
    degrees, counter-clockwise as seen: 0 moves to the right, 90 upwards.

    `stimulus * mask` shows it through a mask, `a + b` adds the deviation of b from its ground to a.
    A stimulus of your own fills in `frames` and `ground`.

    Args:
        size: (y, x) of a frame in pixels.
        resolution: seconds per frame and pixels per degree; None: the default one as it is now.
        length: frames in all, or None when unbounded.
    Raises: ParameterError.

    >>> class Ramp(Stimulus):
    ...     ground = 0.0
    ...     def frames(self, start, n):
    ...         return np.full((n, *self.frame_shape), self.times(start, n))
    >>> ramp = Ramp((2, 3))
    >>> ramp.array(3)[:, 0, 0] * 1000
    array([0., 1., 2.], dtype=float32)
    >>> ramp.along(90.0).round(2) + 0.0  # degrees upwards, of two rows of 0.1 deg
    array([[ 0.05,  0.05,  0.05],
           [-0.05, -0.05, -0.05]])
    >>> ramp.steps(0, 5, interval=0.002)
    array([0, 0, 1, 1, 2])
    """

    resolution: Resolution
    ground: float  # the luminance where the stimulus shows nothing

    def __init__(self, size: Sequence[int], resolution: Resolution | None = None, *, length: int | None = None) -> None:
        name = type(self).__name__
        self.resolution = _defaults.resolution.current if resolution is None else resolution
        if not isinstance(self.resolution, Resolution):
            raise ParameterError(name, "resolution", "must be a neurosim.Resolution", resolution)
        shape = shape_of(name, "size", size)
        if len(shape) != 2:
            raise ParameterError(name, "size", "must be (y, x) in pixels", size)
        super().__init__(shape, frame_rate=self.resolution.steps_per_second, length=length, seekable=True)

    @abstractmethod
    def frames(self, start: int, n: int) -> np.ndarray:
        """Luminances of frames start to start + n - 1, broadcastable to (n, y, x)."""

    def array(self, frames: int, start: int = 0) -> np.ndarray:
        """The stimulus as an array; where the stream stands does not matter and does not change.

        Args:
            frames: how many.
            start: number of the first.
        Returns: float32 (time, y, x); fewer frames only where a stimulus ends.
        Raises: ParameterError.
        """
        where = f"{type(self).__name__}.array"
        return self._read(whole(where, "start", start), whole(where, "frames", frames))

    def _read(self, start: int, n: int) -> np.ndarray:
        n = n if self.length is None else max(0, min(n, self.length - start))
        out = np.empty((n, *self.frame_shape), np.float32)
        if n:
            out[...] = self.frames(start, n)
        return out

    def times(self, start: int, n: int) -> np.ndarray:
        """Times of frames start to start + n - 1 in seconds, (n, 1, 1)."""
        return np.arange(start, start + n)[:, None, None] * self.resolution.frame

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Middles of the pixels in degrees from the middle of the frame: y (rows, 1) and x (1, columns)."""
        rows, columns = ((np.arange(n) - (n - 1) / 2) / self.resolution.pixels_per_degree for n in self.frame_shape)
        return rows[:, None], columns[None]

    def along(self, direction: float, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """Degrees that each pixel lies from `centre` towards `direction`, (y, x)."""
        y, x = self.places()
        angle = math.radians(direction)
        return (x - centre[1]) * math.cos(angle) - (y - centre[0]) * math.sin(angle)

    def steps(self, start: int, n: int, interval: float) -> np.ndarray:
        """Number of the `interval` of so many seconds that each of `n` frames from `start` on lies in, (n,) int64."""
        return np.floor(np.arange(start, start + n) / (interval / self.resolution.frame) + TINY).astype(np.int64)

    def __mul__(self, mask: Any) -> Stimulus:
        from .combine import Masked

        return Masked(self, mask)

    def __add__(self, other: Any) -> Stimulus:
        from .combine import Superposed

        return Superposed(self, other) if isinstance(other, Stimulus) else NotImplemented

    def _shown(self) -> dict[str, tuple[Any, str]]:
        """Value and unit of what repr and HTML list."""
        return {"size": (self.frame_shape, "px")}

    def __repr__(self) -> str:
        words = [f"{name}={brief(value)}" for name, (value, _) in self._shown().items()]
        return f"{type(self).__name__}({', '.join(words)})"

    def _about(self) -> list[tuple[str, str]]:
        mine = [(name, f"{brief(value)} {unit}".strip()) for name, (value, unit) in self._shown().items()]
        return [*mine, ("length", "unbounded" if self.length is None else f"{self.length} frames"), *super()._about()]


def brief(value: Any) -> str:
    """A value in a few words."""
    return f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)


@stimulus
class Drawn(Stimulus):
    """A stimulus with declared parameters, which cannot be changed later: `dataclasses.replace` makes another."""

    size: Sequence[int] | None = dataclasses.field(default=None, kw_only=False)
    degrees: dataclasses.InitVar[Sequence[float] | None] = None
    resolution: Resolution = None  # type: ignore[assignment]

    def __post_init__(self, degrees: Sequence[float] | None) -> None:
        name = type(self).__name__
        if (self.size is None) == (degrees is None):
            raise ParameterError(name, "size", "give size=(y, x) in pixels or degrees=(y, x), one of them", self.size)
        size = self.size
        if degrees is not None:
            if len(degrees) != 2:
                raise ParameterError(name, "degrees", "must be (y, x) in degrees", degrees)
            ppd = (self.resolution or _defaults.resolution.current).pixels_per_degree
            size = tuple(max(1, round(positive(name, "degrees", x, "deg") * ppd)) for x in degrees)
        assert size is not None
        for what, rule in rules(self).items():
            setattr(self, what, rule.checked(name, what, getattr(self, what)))
        super().__init__(size, self.resolution)
        self.size = self.frame_shape
        self._prepare()
        self._built = True

    def _prepare(self) -> None:
        """What a stimulus computes once when it is built, and what it refuses."""

    def __setattr__(self, name: str, value: Any) -> None:
        if "_built" in self.__dict__ and name in {field.name for field in dataclasses.fields(self)}:
            raise ParameterError(type(self).__name__, name, f"is fixed; dataclasses.replace(stimulus, {name}=...) makes "
                                 f"a stimulus that differs in it", value)
        super().__setattr__(name, value)

    def _shown(self) -> dict[str, tuple[Any, str]]:
        mine = {name: (getattr(self, name), rule.unit) for name, rule in rules(self).items()}
        return {**super()._shown(), **mine}


@stimulus
class Modulated(Drawn):
    """A pattern of values around 0 that modulates a mean luminance: mean * (1 + contrast * pattern)."""

    mean: float = param(127.5, at_least=0.0, doc="mean luminance")
    contrast: float = param(1.0, at_least=-1.0, at_most=1.0, doc="Michelson contrast; below 0 with black for white")

    @property
    def ground(self) -> float:  # type: ignore[override]
        """The mean luminance."""
        return self.mean

    def frames(self, start: int, n: int) -> np.ndarray:
        return self.mean * (1 + self.contrast * self.pattern(start, n))

    @abstractmethod
    def pattern(self, start: int, n: int) -> np.ndarray:
        """Values in [-1, 1] (for noise: of mean 0 and variance 1), broadcastable to (n, y, x)."""


@stimulus
class Placed(Drawn):
    """Something that covers pixels wholly (1) or in part: background + (level - background) * cover."""

    level: float = param(255.0, at_least=0.0, doc="luminance of what is shown")
    background: float = param(0.0, at_least=0.0, doc="luminance of the rest")

    @property
    def ground(self) -> float:  # type: ignore[override]
        """The background."""
        return self.background

    def frames(self, start: int, n: int) -> np.ndarray:
        return self.background + (self.level - self.background) * self.cover(start, n)

    @abstractmethod
    def cover(self, start: int, n: int) -> np.ndarray:
        """Which part of each pixel is covered, in [0, 1], broadcastable to (n, y, x)."""
