"""Windows through which a stimulus is seen: discs, rings, rectangles and Gaussians, with places in degrees."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .._errors import ParameterError


@dataclass(frozen=True)
class Mask(ABC):
    """A window: called with places y and x in degrees from the middle of the frame, it says how open it is.

    `stimulus * mask` applies it. Called with `pixel`, the size of a pixel in degrees, edges are a pixel wide and smooth.

    >>> from neurosim.stimuli import Flash, Mask
    >>> class Half(Mask):  # a window of your own
    ...     def __call__(self, y, x, pixel):
    ...         return (x > 0) * (y == y)
    >>> (Flash((1, 4), delay=0.0) * Half()).array(1)
    array([[[  0.,   0., 255., 255.]]], dtype=float32)
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = np.asarray(value, dtype=object).ravel()
            pair = field.name == "centre"
            try:
                fits = len(numbers) == 1 + pair and all(
                    math.isfinite(x) and (pair or x > 0 or (x == 0 and field.name == "inner")) for x in numbers)
            except TypeError:
                fits = False
            if not fits:
                need = "must be (y, x) in degrees" if pair else "must be finite and above 0 deg"
                raise ParameterError(type(self).__name__, field.name, need, value)

    @abstractmethod
    def __call__(self, y: Any, x: Any, pixel: float) -> Any:
        """Openness in [0, 1] at places y and x (deg), which broadcast; `pixel` in degrees."""


def inside(distance: Any, pixel: float) -> Any:
    """1 where `distance` from an edge is positive, 0 where it is negative, a ramp over one pixel between."""
    return np.clip(distance / pixel + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class CircularMask(Mask):
    """A disc.

    Args:
        radius: in degrees.
        centre: (y, x) in degrees from the middle of the frame, y downwards.
    Raises: ParameterError.

    >>> CircularMask(1.0)(0.0, np.array([0.0, 1.0, 2.0]), 0.1)
    array([1. , 0.5, 0. ])
    """

    radius: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def __call__(self, y: Any, x: Any, pixel: float) -> Any:
        return inside(self.radius - np.hypot(y - self.centre[0], x - self.centre[1]), pixel)


@dataclass(frozen=True)
class AnnulusMask(Mask):
    """A ring.

    Args:
        inner, outer: radii in degrees.
        centre: (y, x) in degrees from the middle of the frame, y downwards.
    Raises: ParameterError.

    >>> AnnulusMask(1.0, 2.0)(0.0, np.array([0.0, 1.5, 3.0]), 0.1)
    array([0., 1., 0.])
    """

    inner: float = 1.0
    outer: float = 2.0
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner >= self.outer:
            raise ParameterError("AnnulusMask", "outer", f"must be above the inner radius, {self.inner:g} deg", self.outer)

    def __call__(self, y: Any, x: Any, pixel: float) -> Any:
        away = np.hypot(y - self.centre[0], x - self.centre[1])
        return inside(self.outer - away, pixel) - inside(self.inner - away, pixel) * (self.inner > 0)


@dataclass(frozen=True)
class RectangularMask(Mask):
    """A rectangle.

    Args:
        height, width: in degrees.
        centre: (y, x) in degrees from the middle of the frame, y downwards.
    Raises: ParameterError.

    >>> RectangularMask(1.0, 2.0)(0.0, np.array([0.0, 0.9, 1.1]), 0.1)
    array([1., 1., 0.])
    """

    height: float = 1.0
    width: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def __call__(self, y: Any, x: Any, pixel: float) -> Any:
        return inside(self.height / 2 - np.abs(y - self.centre[0]), pixel) * \
            inside(self.width / 2 - np.abs(x - self.centre[1]), pixel)


@dataclass(frozen=True)
class GaussianMask(Mask):
    """A Gaussian window, 1 in its middle; a grating through it is a Gabor patch.

    Args:
        sigma: standard deviation in degrees.
        centre: (y, x) in degrees from the middle of the frame, y downwards.
    Raises: ParameterError.

    >>> float(GaussianMask(2.0)(0.0, 2.0, 0.1).round(4))  # exp(-1/2)
    0.6065
    """

    sigma: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def __call__(self, y: Any, x: Any, pixel: float) -> Any:
        return np.exp(-((y - self.centre[0])**2 + (x - self.centre[1])**2) / (2 * self.sigma**2))
