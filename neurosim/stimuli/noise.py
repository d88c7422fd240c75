"""Noise: binary and Gaussian white noise on checks, sparse noise, and pink noise in space and time."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from ._declare import param, stimulus
from ._random import normals, uniforms
from ._spectrum import Coloured
from .base import TINY, Modulated


@stimulus
class Noise(Modulated):
    """Noise of mean 0 and variance 1 around the mean luminance; its contrast is then the deviation over the mean (rms)."""

    contrast: float = param(0.3, at_least=-1.0, at_most=1.0, doc="standard deviation over mean")
    seed: int = param(0, whole=True, at_least=0, at_most=2**63, doc="of the random numbers")


@stimulus
class CheckNoise(Noise):
    """Independent values on squares, which change all at once."""

    check: float = param(0.0, unit="deg", at_least=0.0, finite=False,
                         doc="side of a square, the first at the top left; 0: a pixel, inf: the whole frame")
    interval: float = param(0.0, unit="s", at_least=0.0, doc="how long a pattern stays; 0: a frame")

    def pattern(self, start: int, n: int) -> np.ndarray:
        side = max(self.check * self.resolution.pixels_per_degree, 1.0)
        row, column = (np.floor(np.arange(count) / side + TINY).astype(int) for count in self.frame_shape)
        which = self.steps(start, n, max(self.interval, self.resolution.frame))
        shape = int(which[-1] - which[0]) + 1, int(row[-1]) + 1, int(column[-1]) + 1
        checks = self.values(int(which[0]), shape[0], shape[1] * shape[2]).reshape(shape)
        return checks[which - which[0]][:, row][:, :, column]

    @abstractmethod
    def values(self, start: int, n: int, checks: int) -> np.ndarray:
        """Values of the squares in patterns start to start + n - 1, (n, checks)."""


@stimulus
class BinaryNoise(CheckNoise):
    """Squares that are bright or dark by chance: the white noise by which receptive fields are mapped.

    Luminances are mean * (1 - contrast) and mean * (1 + contrast), each half of the time.

    Args:
    Raises: ParameterError.
    Reference: E. J. Chichilnisky, Network 12 (2001): white noise analysis.

    >>> np.unique(BinaryNoise((10, 10), check=0.2, interval=0.02, contrast=1.0).array(100))
    array([  0., 255.], dtype=float32)
    """

    def values(self, start: int, n: int, checks: int) -> np.ndarray:
        return np.where(uniforms(self.seed, 0, start, n, checks) < 0.5, -1.0, 1.0)


@stimulus
class GaussianNoise(CheckNoise):
    """Squares of normally distributed luminance, white in space and time.

    Nothing is clipped: with a high contrast some values are below 0 or above twice the mean.

    Args:
    Raises: ParameterError.

    >>> full_field = GaussianNoise((4, 4), check=math.inf, contrast=0.1).array(5000)
    >>> round(float(full_field.std() / full_field.mean()), 2)
    0.1
    """

    def values(self, start: int, n: int, checks: int) -> np.ndarray:
        return normals(self.seed, 0, start, n, checks)


@stimulus
class SparseNoise(CheckNoise):
    """A few squares bright, as many dark, the rest at the mean.

    Args:
    Raises: ParameterError.
    Reference: J. P. Jones & L. A. Palmer, J. Neurophysiol. 58 (1987), with several squares at a time.

    >>> noise = SparseNoise((10, 10), probability=0.1).array(1000)
    >>> np.unique(noise), round(float((noise != 127.5).mean()), 2)
    (array([  0. , 127.5, 255. ], dtype=float32), 0.1)
    """

    contrast: float = param(1.0, at_least=-1.0, at_most=1.0, doc="of a bright or dark square with the mean")
    probability: float = param(0.05, at_least=0.0, at_most=1.0, doc="that a square is bright or dark")

    def values(self, start: int, n: int, checks: int) -> np.ndarray:
        chance = uniforms(self.seed, 0, start, n, checks)
        return (chance < self.probability / 2) * 1.0 - (chance > 1 - self.probability / 2)


@stimulus
class PinkNoise(Noise):
    """Gaussian noise whose power falls as 1 / f^exponent in space and in time.

    In space each frame is filtered by its Fourier transform, so that it goes on at the opposite edge; the mean of a frame is
    as strong as its slowest wave. In time it is a sum of white noises that are held for 1, 2, 4, ... frames up to `slowest`
    (Voss and McCartney), so that any frame can be had without those before it. From 1 / slowest to a tenth of the frame
    rate its spectrum keeps within 1 dB of the power law for exponents up to 1, within 3 dB up to 1.5; below 1 / slowest it is
    flat.

    Args:
    Raises: ParameterError.
    Reference: D. J. Field, J. Opt. Soc. Am. A 4 (1987) for images; R. F. Voss & J. Clarke, J. Acoust. Soc. Am. 63 (1978) and
        M. Gardner, Sci. Am. 238(4) (1978) for the sum.

    >>> noise = PinkNoise((16, 16), spatial_exponent=2.0, temporal_exponent=1.0, seed=3)
    >>> bool((noise.array(4, start=10**9) == noise.array(14, start=10**9 - 10)[10:]).all())
    True
    """

    spatial_exponent: float = param(2.0, at_least=0.0, at_most=4.0, doc="of the power over spatial frequency; 0: white")
    temporal_exponent: float = param(1.0, at_least=0.0, at_most=1.5, doc="of the power over temporal frequency; 0: white")
    slowest: float = param(1.0, unit="s", above=0.0, doc="period of the slowest changes")

    def _prepare(self) -> None:
        steps = max(1.0, self.slowest / self.resolution.frame)
        octaves = 1 + math.ceil(math.log2(steps)) if self.temporal_exponent else 1
        power = 2.0 ** ((self.temporal_exponent - 1) * np.arange(octaves))
        self._weights = np.sqrt(power / power.sum())
        self._colour = Coloured(self.frame_shape, self.spatial_exponent)
        # each noise changes at times of its own, not all of them together
        self._shift = [int(uniforms(self.seed, 0, k, 1, 1)[0, 0] * 2**k) for k in range(octaves)]

    def pattern(self, start: int, n: int) -> np.ndarray:
        total = np.zeros((n, math.prod(self.frame_shape)))
        for k, (weight, shift) in enumerate(zip(self._weights, self._shift)):
            which = (np.arange(start, start + n) + shift) >> k
            first = int(which[0])
            total += weight * normals(self.seed, 1 + k, first, int(which[-1]) - first + 1, total.shape[1])[which - first]
        return np.stack([self._colour(frame) for frame in total.reshape(n, *self.frame_shape)])
