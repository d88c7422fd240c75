"""Noise in space with the spectrum of natural images."""

from __future__ import annotations

import numpy as np


class Coloured:
    """White noise of unit variance made into noise of power 1 / f^exponent and unit variance.

    Args:
        shape: (y, x) of the images.
        exponent: of the power. The zero frequency has the power of the lowest that the image holds.
    """

    def __init__(self, shape: tuple[int, ...], exponent: float) -> None:
        fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
        f = np.hypot(fy, fx)
        f[0, 0] = 1 / max(shape)
        gain = f ** (-exponent / 2)
        full = np.hypot(fy, np.fft.fftfreq(shape[1])[None])
        full[0, 0] = f[0, 0]
        self.shape = shape
        self.gain = gain / np.sqrt((full ** -exponent).mean())

    def __call__(self, white: np.ndarray) -> np.ndarray:
        """One image, (y, x) -> (y, x)."""
        return np.fft.irfft2(np.fft.rfft2(white) * self.gain, s=self.shape)
