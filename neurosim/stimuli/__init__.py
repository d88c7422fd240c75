"""Stimuli in degrees and seconds, each an endless stream and an array: gratings, bars, noise, chirps, images in motion."""

from .base import Stimulus
from .chirp import Chirp
from .combine import Concatenated, Masked, Superposed
from .gratings import Checkerboard, CounterphaseGrating, DriftingGrating
from .kernels import gabor_kernel, text_kernel
from .masks import AnnulusMask, CircularMask, GaussianMask, Mask, RectangularMask
from .natural import NaturalMotion, natural_image
from .noise import BinaryNoise, GaussianNoise, PinkNoise, SparseNoise
from .shapes import Flash, MovingBar, MovingDots

__all__ = [
    "AnnulusMask", "BinaryNoise", "Checkerboard", "Chirp", "CircularMask", "Concatenated", "CounterphaseGrating",
    "DriftingGrating", "Flash", "GaussianMask", "GaussianNoise", "Mask", "Masked", "MovingBar", "MovingDots",
    "NaturalMotion", "PinkNoise", "RectangularMask", "SparseNoise", "Stimulus", "Superposed", "gabor_kernel",
    "natural_image", "text_kernel",
]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
