"""Temporal bases that a convolution's kernel can follow, `conv.basis(RaisedCosines(n=8))`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from .._errors import ParameterError
from ..functional.bases import bsplines, raised_cosines
from ..streams.base import whole


@dataclass(frozen=True)
class RaisedCosines:
    """Raised cosines that widen with time, for `conv.basis`.

    Args:
        n: how many, at least 2.
        first_peak, last_peak: times of their peaks in s.
        offset: in s; peaks are equally spaced in log(t + offset).
    Raises: ParameterError.
    Reference: Pillow et al., Nature 454:995 (2008).

    >>> import neurosim
    >>> conv = neurosim.filters.Conv1d()
    >>> conv.basis(neurosim.filters.RaisedCosines(n=5, last_peak=0.05), weights=[0, 1, 0.5, 0, -0.5])
    >>> conv.p.keys()
    ['bias', 'kernel.weights']
    """

    n: int = 8
    first_peak: float = 0.0
    last_peak: float = 0.1
    offset: float = 0.01

    def __post_init__(self) -> None:
        whole("RaisedCosines", "n", self.n, 2)
        if not 0 <= self.first_peak < self.last_peak < math.inf:
            raise ParameterError("RaisedCosines", "last_peak", "peaks must lie at 0 s or later, the last after the first",
                                 (self.first_peak, self.last_peak))
        if not 0 < self.offset < math.inf:
            raise ParameterError("RaisedCosines", "offset", "must lie in (0, inf) s", self.offset)

    def __call__(self, h: float) -> Tensor:
        """The functions sampled every `h` seconds, float64 (n, lag)."""
        return raised_cosines(self.n, self.first_peak, self.last_peak, self.offset, h)


@dataclass(frozen=True)
class BSplines:
    """B-splines over a time span, for `conv.basis`; they sum to one.

    Args:
        n: how many, at least degree + 1.
        duration: last time in s.
        degree: of the polynomials.
        offset: in s; knots are equally spaced in log(t + offset), or in t when it is None.
    Raises: ParameterError.
    Reference: de Boor, A Practical Guide to Splines (1978).

    >>> import neurosim
    >>> neurosim.filters.BSplines(n=6, duration=0.05)(0.001).shape
    torch.Size([6, 51])
    """

    n: int = 8
    duration: float = 0.1
    degree: int = 3
    offset: float | None = None

    def __post_init__(self) -> None:
        whole("BSplines", "degree", self.degree)
        whole("BSplines", "n", self.n, self.degree + 1)
        if not 0 < self.duration < math.inf:
            raise ParameterError("BSplines", "duration", "must lie in (0, inf) s", self.duration)
        if self.offset is not None and not 0 < self.offset < math.inf:
            raise ParameterError("BSplines", "offset", "must lie in (0, inf) s, or be None", self.offset)

    def __call__(self, h: float) -> Tensor:
        """The functions sampled every `h` seconds, float64 (n, lag)."""
        return bsplines(self.n, self.duration, self.degree, self.offset, h)
