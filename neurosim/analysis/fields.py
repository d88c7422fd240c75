"""Shapes of receptive fields: time course times space, and the ellipse of a spatial field."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._errors import InputError
from ..streams.base import to_numbers


class Ellipse(NamedTuple):
    """A Gaussian over space: centre and standard deviations in pixels, angle of the long axis from x towards y, amplitude.

    Fields: `x`, `y`, pixels from the first one; `sigma_long`, `sigma_short`; `angle` in radians; `amplitude` above `offset`, in
    the unit of the field.

    >>> y, x = np.mgrid[:15, :15]
    >>> fit = ellipse(2 * np.exp(-((x - 7.0)**2 + (y - 5.0)**2 / 4) / 2) + 1)
    >>> isinstance(fit, Ellipse), round(fit.sigma_long, 3), round(fit.offset, 3)
    (True, 2.0, 1.0)
    """

    x: float
    y: float
    sigma_long: float
    sigma_short: float
    angle: float
    amplitude: float
    offset: float


def separate(field: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """The nearest product of a time course and a spatial field.

    Args:
        field: (lags, ...) with at least one axis of space.
    Returns: time course (lags,) of length 1, spatial field (...) that carries the size, positive where it is strongest, and the
        fraction of the power that the product explains.
    Raises: InputError.
    Reference: Eckart & Young (1936): the first singular vectors.

    >>> time, space, explained = separate(np.outer([1.0, 2.0], [3.0, 0.0, 4.0]))
    >>> (space.round(6) + 0.0).tolist(), round(explained, 6)
    ([6.708204, 0.0, 8.944272], 1.0)
    """
    x = to_numbers(field, "separate").astype(np.float64)
    if x.ndim < 2 or not x.size or not np.isfinite(x).all():
        raise InputError(f"separate: needs a finite field (lags, ...) with an axis of space (got shape {x.shape})")
    u, s, v = np.linalg.svd(x.reshape(len(x), -1), full_matrices=False)
    time, space = u[:, 0], s[0] * v[0]
    if space[np.abs(space).argmax()] < 0:
        time, space = -time, -space
    power = (s**2).sum()
    return time, space.reshape(x.shape[1:]), float(s[0]**2 / power) if power > 0 else float("nan")


def ellipse(space: Any) -> Ellipse:
    """The Gaussian that fits a spatial field best, in the sense of least squares.

    Args:
        space: (y, x), at least 4 by 4 pixels.
    Returns: `Ellipse`; its amplitude is negative for an OFF field.
    Raises: InputError, also when no Gaussian can be fitted.

    >>> y, x = np.mgrid[:20, :20]
    >>> fit = ellipse(np.exp(-((x - 8.0)**2 / 8 + (y - 11.0)**2 / 2)))
    >>> [round(value, 3) for value in fit[:4]]
    [8.0, 11.0, 2.0, 1.0]
    """
    from scipy.optimize import least_squares

    z = to_numbers(space, "ellipse").astype(np.float64)
    if z.ndim != 2 or min(z.shape) < 4 or not np.isfinite(z).all() or not np.ptp(z):
        raise InputError(f"ellipse: needs a finite field (y, x) of at least 4 by 4 pixels that varies (got shape {z.shape})")
    y, x = np.mgrid[:z.shape[0], :z.shape[1]].reshape(2, -1)
    base = float(np.median(z))
    flat = (z - base).ravel()
    peak = int(np.abs(flat).argmax())
    weight = np.where(np.sign(flat) == np.sign(flat[peak]), np.abs(flat), 0.0)
    weight = np.where(weight > weight.max() / 4, weight, 0.0)
    cx, cy = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.cov(np.stack([x, y]), ddof=0, aweights=weight) + 0.1 * np.eye(2)
    root = np.linalg.cholesky(np.linalg.inv(spread))  # precision = root root', so that every step stays a Gaussian

    def miss(p: np.ndarray) -> np.ndarray:
        cx, cy, a, b, c, amplitude, offset = p
        u, v = a * (x - cx) + b * (y - cy), c * (y - cy)
        return np.asarray(amplitude * np.exp(-(u**2 + v**2) / 2) + offset - z.ravel())

    found = least_squares(miss, (cx, cy, root[0, 0], root[1, 0], root[1, 1], flat[peak], base), max_nfev=2000)
    best = found.x
    try:
        if not found.success:
            raise InputError(f"ellipse: no Gaussian fits this field ({found.message})")
        lower = np.array([[best[2], 0.0], [best[3], best[4]]])
        values, vectors = np.linalg.eigh(np.linalg.inv(lower @ lower.T))
    except np.linalg.LinAlgError as error:
        raise InputError(f"ellipse: no Gaussian fits this field ({error})") from error
    long = vectors[:, 1]
    return Ellipse(*map(float, (best[0], best[1], np.sqrt(values[1]), np.sqrt(values[0]),
                                np.arctan2(long[1], long[0]) % np.pi, best[5], best[6])))
