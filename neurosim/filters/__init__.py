"""Filters: recursive ones in time and space, causal convolutions, receptive fields, delays, nonlinearities."""

from .basis import BSplines, RaisedCosines
from .combine import Diff, Sum
from .conv import Conv1d, Conv2d, Conv3d
from .delay import Delay, TimePadding, VariableDelay
from .nonlinear import Exp, NLRectify, NLRectifyScale, NLRectifySquare, NLSquare, Sigmoid, Softplus
from .recursive import LeakyHeat, SpatialRecursive, TemporalHighPass, TemporalLowPass
from .rf import RF
from .smooth import SmoothConv

__all__ = [
    "BSplines", "Conv1d", "Conv2d", "Conv3d", "Delay", "Diff", "Exp", "LeakyHeat", "NLRectify", "NLRectifyScale",
    "NLRectifySquare", "NLSquare", "RF", "RaisedCosines", "Sigmoid", "SmoothConv", "Softplus", "SpatialRecursive", "Sum",
    "TemporalHighPass", "TemporalLowPass", "TimePadding", "VariableDelay",
]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
