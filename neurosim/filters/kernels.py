"""Kernels that follow a parameter, for the convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._param import Param
from ..functional.kernels1d import exponential_kernel, gaussian_kernel_2d, highpass_kernel
from ..layer import Layer


class Kernel(Layer):
    """Part of a convolution that makes its kernel from parameters; not a filter by itself."""


class Gaussian(Kernel):
    """Kernel of a convolution: a Gaussian over space that sums to one."""

    sigma = Param(0.1, unit="deg", at_least=0.0, doc="standard deviation")

    def forward(self, x: Tensor) -> Tensor:
        """The kernel (1, 1, 1, y, x), on dtype and device of `x`."""
        return gaussian_kernel_2d(self.sigma * self.resolution.pixels_per_degree).to(x)[None, None, None]


class Exponential(Kernel):
    """Kernel of a convolution: an exponential decay over time that sums to one."""

    tau = Param(0.01, unit="s", at_least=0.0, doc="time constant")

    def forward(self, x: Tensor) -> Tensor:
        """The kernel (1, 1, time, 1, 1), on dtype and device of `x`."""
        return exponential_kernel(self.tau, self.resolution.frame).to(x)[None, None, :, None, None]


class HighPassExponential(Kernel):
    """Kernel of a convolution: the present frame less a weighted exponential average."""

    tau = Param(0.01, unit="s", at_least=0.0, doc="time constant of the average")
    relative_weight = Param(1.0, doc="weight of the average")

    def forward(self, x: Tensor) -> Tensor:
        """The kernel (1, 1, time, 1, 1), on dtype and device of `x`."""
        kernel = highpass_kernel(self.tau, self.relative_weight, self.resolution.frame)
        return kernel.to(x)[None, None, :, None, None]


class Basis(Kernel):
    """Kernel of a convolution: a weighted sum of given functions of time.

    Args:
        functions: (n, lag).
        weights: (out, in, n, y, x).
    """

    functions: Tensor
    weights = Param(None, user=False, doc="of each function (out, in, n, y, x)")

    def __init__(self, functions: Tensor, weights: Tensor, **options: Any) -> None:
        super().__init__(**options)
        self.register_buffer("functions", functions)
        self._add(type(self).weights, weights, weights.dtype, weights.device)

    def forward(self, x: Tensor) -> Tensor:
        """The kernel (out, in, time, y, x), on dtype and device of `x`."""
        return torch.einsum("oinyx,nt->oityx", self.weights, self.functions).to(x)
