"""Pointwise nonlinearities of linear-nonlinear models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .temporal import Number

CEILING = 1e6  # rectified rates end here, so that squares and sums of them stay finite in float32


def rectify(x: Tensor) -> Tensor:
    """x where it lies in [0, 1e6], else the nearer end. Reference: convis, `NLRectify`.

    The gradient at 0 is 1, so that a kernel that starts at zero can be fitted.
    """
    info = torch.finfo(x.dtype)
    below = -info.tiny * info.eps  # the next number below 0
    # As clamp(0, CEILING); its gradient costs a quarter.
    return F.hardtanh(F.threshold(x, below, 0.0), -1.0, min(CEILING, info.max))


def rectify_scale(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """`rectify(bias + scale x)`. Reference: convis, `NLRectifyScale`."""
    return rectify(bias + scale * x)


def square(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """(bias + scale x)^2. Reference: convis, `NLSquare`."""
    return (bias + scale * x) ** 2


def rectify_square(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """`rectify(bias + scale x)`^2. Reference: convis, `NLRectifySquare`."""
    return rectify(bias + scale * x) ** 2


def sigmoid(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """1 / (1 + exp(-(bias + scale x)))."""
    return torch.sigmoid(bias + scale * x)


def exponential(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """exp(bias + scale x). Reference: the inverse link of a Poisson generalized linear model."""
    return torch.exp(bias + scale * x)


def softplus(x: Tensor, scale: Number, bias: Number) -> Tensor:
    """log(1 + exp(bias + scale x)): a rectifier without a kink."""
    return F.softplus(bias + scale * x)
