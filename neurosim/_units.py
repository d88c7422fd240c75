"""Resolution: how long a frame lasts and how large a pixel is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ._errors import ParameterError


def positive(where: str, what: str, value: float, unit: str) -> float:
    """`value` as a float; raises `ParameterError` unless it is finite and above zero."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ParameterError(where, what, f"must be finite and above 0 {unit}", value)
    return number


@dataclass(frozen=True)
class Resolution:
    """Seconds per frame and pixels per degree of visual angle.

    Args:
        frame: length of one frame `h` in seconds.
        pixels_per_degree: pixels per degree of the visual field.
    Raises: ParameterError when one of them is not finite and positive.

    >>> Resolution(frame=0.005).steps_per_second
    200.0
    """

    frame: float = 0.001
    pixels_per_degree: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", positive("Resolution", "frame", self.frame, "s"))
        object.__setattr__(self, "pixels_per_degree",
                           positive("Resolution", "pixels_per_degree", self.pixels_per_degree, "px/deg"))

    @property
    def steps_per_second(self) -> float:
        """Frames per second, 1 / frame."""
        return 1.0 / self.frame


class DefaultResolution:
    """The resolution that a layer takes when it is built without one of its own.

    Set its attributes; layers that exist keep theirs.

    >>> default = DefaultResolution()
    >>> default.steps_per_second = 200
    >>> default.current
    Resolution(frame=0.005, pixels_per_degree=10.0)
    """

    def __init__(self) -> None:
        self._current = Resolution()

    @property
    def current(self) -> Resolution:
        """The present values as a frozen `Resolution`."""
        return self._current

    @property
    def pixel_per_degree(self) -> float:
        """Pixels per degree of the visual field."""
        return self._current.pixels_per_degree

    @pixel_per_degree.setter
    def pixel_per_degree(self, value: float) -> None:
        self._current = Resolution(self._current.frame, value)

    @property
    def steps_per_second(self) -> float:
        """Frames per second."""
        return self._current.steps_per_second

    @steps_per_second.setter
    def steps_per_second(self, value: float) -> None:
        rate = positive("default_resolution", "steps_per_second", value, "Hz")
        self._current = Resolution(1.0 / rate, self._current.pixels_per_degree)

    def __repr__(self) -> str:
        return (f"default_resolution(pixel_per_degree={self.pixel_per_degree:g}, "
                f"steps_per_second={self.steps_per_second:g})")


default_resolution = DefaultResolution()
