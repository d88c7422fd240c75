"""Filters: recursive ones in time and space, and causal convolutions."""

from .conv import Conv1d, Conv2d, Conv3d
from .delay import Delay
from .recursive import LeakyHeat, SpatialRecursive, TemporalHighPass, TemporalLowPass

__all__ = ["Conv1d", "Conv2d", "Conv3d", "Delay", "LeakyHeat", "SpatialRecursive", "TemporalHighPass", "TemporalLowPass"]
