"""An image seen by an eye that drifts and makes small saccades, and images with the spectrum of natural ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from .._errors import InputError
from ..streams.base import shape_of, to_numbers
from ._declare import Rule, param, stimulus
from ._random import normals, uniforms
from ._spectrum import Coloured
from .base import Drawn


def natural_image(size: Sequence[int], *, mean: float = 127.5, contrast: float = 0.3, exponent: float = 2.0,
                  seed: int = 0) -> np.ndarray:
    """A random image whose power falls as 1 / f^exponent, as that of natural images does.

    It goes on at the opposite edge. Values are not clipped.

    Args:
        size: (y, x) in pixels.
        mean: luminance.
        contrast: standard deviation over mean, expected.
        exponent: of the power over spatial frequency.
        seed: whole number of at least 0.
    Returns: (y, x) float64.
    Raises: ParameterError.
    Reference: D. J. Field, J. Opt. Soc. Am. A 4 (1987).

    >>> natural_image((32, 48), seed=1).shape
    (32, 48)
    """
    shape = shape_of("natural_image", "size", size)
    low, high = -math.inf, math.inf
    for what, value, rule in [("mean", mean, Rule("", "", low, 0.0, high, False, False, True, ())),
                              ("contrast", contrast, Rule("", "", low, -1.0, 1.0, False, False, True, ())),
                              ("exponent", exponent, Rule("", "", low, 0.0, 4.0, False, False, True, ())),
                              ("seed", seed, Rule("", "", low, 0, 2**63, True, False, True, ()))]:
        rule.checked("natural_image", what, value)
    white = normals(seed, 0, 0, 1, math.prod(shape)).reshape(shape)
    return mean * (1 + contrast * Coloured(shape, exponent)(white))


@stimulus
class NaturalMotion(Drawn):
    """An image under the movements of a fixating eye: slow Brownian drift, and microsaccades that end it.

    Each 1 / rate seconds one microsaccade, at a time of its own by chance, brings the eye to a point around the middle of the
    image, normally distributed with standard deviation `scatter` along y and x. From there it drifts: its variance grows by
    2 * diffusion per second along each axis. Between pixels the image is interpolated linearly; beyond its edges it is
    mirrored.

    Args:
        image: (y, x) luminances, of the resolution of the frame; None: a `natural_image` twice the size of the frame.
    Raises: ParameterError; InputError for an image that is not one.
    Reference: X. Kuang, M. Poletti, J. D. Victor & M. Rucci, Curr. Biol. 22 (2012): drift as Brownian motion, 40 arcmin²/s; R.
        Engbert & K. Mergenthaler, PNAS 103 (2006): microsaccades.

    >>> motion = NaturalMotion((20, 30), seed=4)
    >>> motion.gaze(0, 2).shape  # degrees, (time, (y, x))
    (2, 2)
    """

    diffusion: float = param(40 / 3600, unit="deg²/s", at_least=0.0, doc="constant of the drift along each axis")
    rate: float = param(1.5, unit="Hz", above=0.0, doc="microsaccades per second")
    scatter: float = param(0.2, unit="deg", at_least=0.0, doc="standard deviation of the points they lead to")
    seed: int = param(0, whole=True, at_least=0, at_most=2**63, doc="of the random numbers")
    image: np.ndarray | None = dataclasses.field(default=None)

    def _prepare(self) -> None:
        if self.image is None:
            self.image = natural_image([2 * n for n in self.frame_shape], seed=self.seed)
        image = to_numbers(self.image, "NaturalMotion.image").astype(float)
        if image.ndim != 2 or not image.size or not np.isfinite(image).all():
            raise InputError(f"NaturalMotion.image: must be finite luminances (y, x) (got shape {image.shape})")
        self.image = image

    @property
    def ground(self) -> float:  # type: ignore[override]
        """The mean of the image."""
        assert self.image is not None
        return float(self.image.mean())

    def gaze(self, start: int, n: int) -> np.ndarray:
        """Where the eye looks in frames start to start + n - 1: (n, 2), y and x in degrees from the image's middle."""
        h = self.resolution.frame
        window = int(np.floor(start * h * self.rate)) - 1  # the fixation that `start` is in began here or one later
        windows = int(np.floor((start + n) * h * self.rate)) - window + 1
        early = max(window, 0)
        chance = uniforms(self.seed, 1, early, windows, 1)[:, 0]
        begins = np.ceil((early + np.arange(windows) + chance) / (h * self.rate)).astype(np.int64)
        points = self.scatter * normals(self.seed, 2, early, windows, 2)
        if window < 0:  # before the first microsaccade the eye is where it begins, in the middle
            begins, points = np.append(0, begins), np.concatenate([np.zeros((1, 2)), points])
        out = np.empty((n, 2))
        sigma = math.sqrt(2 * self.diffusion * h)
        for i in range(len(begins)):
            end = int(begins[i + 1]) if i + 1 < len(begins) else start + n
            low, high = max(start, int(begins[i])), min(start + n, end)
            if low < high:  # drift is summed from the beginning of the fixation, whichever frame is asked for
                steps = normals(self.seed, 3, int(begins[i]) + 1, high - int(begins[i]) - 1, 2)
                path = np.cumsum(np.concatenate([points[i:i + 1], sigma * steps]), axis=0)
                out[low - start:high - start] = path[low - int(begins[i]):]
        return out

    def frames(self, start: int, n: int) -> np.ndarray:
        assert self.image is not None
        at = self.gaze(start, n) * self.resolution.pixels_per_degree + (np.array(self.image.shape) - self.frame_shape) / 2
        out = np.empty((n, *self.frame_shape))
        for i, corner in enumerate(at):
            whole = np.floor(corner).astype(int)
            part = corner - whole
            rows, columns = (mirrored(whole[k] + np.arange(self.frame_shape[k] + 1), self.image.shape[k]) for k in (0, 1))
            seen = self.image[rows][:, columns]
            seen = seen[:-1] * (1 - part[0]) + seen[1:] * part[0]
            out[i] = seen[:, :-1] * (1 - part[1]) + seen[:, 1:] * part[1]
        return out


def mirrored(index: np.ndarray, n: int) -> np.ndarray:
    """Indices of any size within 0..n-1, going back and forth, the outermost twice."""
    folded = np.mod(index, 2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)
