"""Kernels for convolutions, computed from their parameters: Gaussians over space, exponentials over time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._errors import ParameterError
from .temporal import Number

GAUSSIAN_REACH = 4.0  # standard deviations; what is cut off is 6e-5 of the whole
EXPONENTIAL_REACH = 1e-4  # the part of the whole that an automatic length cuts off


def gaussian_kernel_1d(sigma_px: Number) -> Tensor:
    """A sampled Gaussian that sums to one; the gradient reaches sigma.

    Args:
        sigma_px: 0-d, standard deviation in pixels; 0 gives the kernel [1].
    Returns: (2 r + 1,) with r = ceil(4 sigma_px).
    Raises: ParameterError when sigma is negative or not finite.
    Reference: exp(-i^2 / (2 sigma^2)) / sum.
    """
    sigma = torch.as_tensor(sigma_px)
    value = float(sigma.detach())
    if not (math.isfinite(value) and value >= 0):
        raise ParameterError("gaussian_kernel_1d", "sigma_px", "must be finite and at least 0 px", value)
    sigma = sigma if sigma.is_floating_point() else sigma.to(torch.get_default_dtype())
    radius = math.ceil(GAUSSIAN_REACH * value)
    if not radius:
        return torch.ones(1, dtype=sigma.dtype, device=sigma.device)
    i = torch.arange(-radius, radius + 1, dtype=sigma.dtype, device=sigma.device)
    return torch.softmax(-0.5 * (i / sigma) ** 2, 0)


def gaussian_kernel_2d(sigma_px: Number) -> Tensor:
    """The outer product of `gaussian_kernel_1d` with itself, (2 r + 1, 2 r + 1); the arguments are the same."""
    line = gaussian_kernel_1d(sigma_px)
    return line[:, None] * line


def exponential_kernel(tau: Number, h: float, length: int | None = None) -> Tensor:
    """An exponential decay that sums to one, integrated exactly over every frame; the gradient reaches tau.

    Args:
        tau: 0-d, time constant in s; 0 gives [1, 0, ...].
        h: frame length in s.
        length: number of frames; by default so many that 1e-4 of the whole is cut off.
    Returns: (length,), [0] is lag 0.
    Raises: ParameterError when tau is negative or not finite, or length below 1.
    Reference: the integral of exp(-t / tau) / tau from i h to (i + 1) h, divided by their sum.
    """
    tau = torch.as_tensor(tau)
    tau = tau if tau.is_floating_point() else tau.to(torch.get_default_dtype())
    value = float(tau.detach())
    if not (math.isfinite(value) and value >= 0):
        raise ParameterError("exponential_kernel", "tau", "must be finite and at least 0 s", value)
    if length is None:
        length = max(1, math.ceil(-math.log(EXPONENTIAL_REACH) * value / h))
    if length < 1:
        raise ParameterError("exponential_kernel", "length", "must be at least 1 frame", length)
    i = torch.arange(length, dtype=tau.dtype, device=tau.device)
    if value < 1e-3 * h:  # all of it falls into the first frame
        return (i == 0).to(tau.dtype)
    return torch.softmax(-i * h / tau, 0)  # the integrals differ from the samples by a common factor


def highpass_kernel(tau: Number, weight: Number, h: float, length: int | None = None) -> Tensor:
    """The present frame less `weight` times `exponential_kernel`; sums to 1 - weight. Arguments and errors as there."""
    mean = exponential_kernel(tau, h, length)
    present = torch.zeros_like(mean)
    present[0] = 1.0
    return present - weight * mean
