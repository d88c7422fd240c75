"""Smoothing in space: Deriche's recursive filter, and the leaky heat equation that applies it at every step of time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from ..kernels import deriche as deriche_kernel
from ..kernels import leaky_heat as heat_kernel
from ..kernels._op import as_number, derived, is_tensor_with_grad
from .temporal import Number, check_state, first_order, last_frame

DERICHE_WIDTH = 1.695
ROUNDED_WIDTH = 1.6950000524520874  # in float32, as in Virtual Retina
NO_SMOOTHING_BELOW = 0.1  # pixels


def deriche_coefficients(sigma_px: Number, exact: bool = False) -> Tensor:
    """Coefficients of Deriche's second-order smoothing filter; the gradient reaches sigma.

    Args:
        sigma_px: 0-d, nominal width in pixels.
        exact: Virtual Retina rounds sigma and the constant 1.695 to float32, so that its results and those without
            rounding differ by 1e-7; by default so do we (the gradient ignores it). True: no rounding.
    Returns: (5,) float64, [a0, a1, a2, a3, e]:
        y+[i] = a0 x[i] + a1 x[i-1] + 2e y+[i-1] - e^2 y+[i-2],
        y-[i] = a2 x[i+1] + a3 x[i+2] + 2e y-[i+1] - e^2 y-[i+2], and y = y+ + y-.
        The identity [1, 0, 0, 0, 0] below 0.1 pixels.
    Reference: R. Deriche, INRIA report 1893 (1993); with a = 1.695 / sigma, e = exp(-a), a0 = (1 - e)^2 / (1 + 2 a e - e^2),
        a1 = a0 (a - 1) e, a2 = a0 (a + 1) e, a3 = -a0 e^2.
    """
    width = DERICHE_WIDTH if exact else ROUNDED_WIDTH

    def by_value(sigma: float) -> list[float]:
        sigma = sigma if exact else float(np.float32(sigma))
        if sigma < NO_SMOOTHING_BELOW:
            return [1.0, 0.0, 0.0, 0.0, 0.0]
        return _coefficients(width / sigma, math.exp(-width / sigma))

    def by_graph(sigma: Number) -> Tensor:
        sigma = torch.as_tensor(sigma).to(torch.float64)
        if not exact:
            sigma = sigma + (sigma.to(torch.float32).to(torch.float64) - sigma).detach()
        narrow = sigma < NO_SMOOTHING_BELOW
        a = width / torch.where(narrow, torch.ones_like(sigma), sigma)
        coefficients = torch.stack(_coefficients(a, torch.exp(-a)))
        identity = torch.zeros_like(coefficients)
        identity[0] = 1.0
        return torch.where(narrow, identity, coefficients)

    return derived((sigma_px,), by_value, by_graph)


def _coefficients(a: Any, e: Any) -> list[Any]:
    """[a0, a1, a2, a3, e] for tensors or floats a = 1.695 / sigma and e = exp(-a)."""
    k = (1 - e) ** 2 / (1 + 2 * a * e - e**2)
    return [k, k * (a - 1) * e, k * (a + 1) * e, -k * e**2, e]


def deriche(x: Tensor, sigma_px: Number, exact: bool = False) -> Tensor:
    """Smooths the last two axes with replicated borders, x first, then y; constants stay, the cost does not depend on sigma.

    Args:
        x: (..., y, x).
        sigma_px: 0-d, nominal width in pixels; the standard deviation of the kernel is 1.18 times that. Below 0.1 the
            result is x.
        exact: see `deriche_coefficients`.
    Returns: the shape of x.
    Raises: InputError for fewer than two axes.
    Reference: see `deriche_coefficients`.
    """
    if x.ndim < 2:
        raise InputError(f"deriche: x must have at least the axes (y, x) (got {x.ndim}-D of shape {tuple(x.shape)})")
    if not is_tensor_with_grad(sigma_px) and (width := as_number(sigma_px)) is not None and width < NO_SMOOTHING_BELOW:
        return x
    frames = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    return deriche_kernel.deriche(frames, deriche_coefficients(sigma_px, exact).to(x.device)).reshape(x.shape)


def leaky_heat(x: Tensor, y: Tensor, sigma_px: Number, tau: Number, h: float,
               gain: Number = 1.0) -> tuple[Tensor, Tensor]:
    """Low-pass over time whose content spreads in space: y[k] = B(c y[k-1] + gain (1 - c) x[k]), c = exp(-h / tau).

    B is `deriche` with sigma sqrt(h / tau) pixels. Because B is wider than its nominal width, and does nothing below 0.1
    pixels, the result depends on h, as in Virtual Retina.

    Args:
        x: video (batch, channel, time, y, x).
        y: the state, (batch, channel, y, x).
        sigma_px: 0-d, nominal width in pixels after a time tau.
        tau: 0-d, time constant in s, above 0.
        h: frame length in s.
        gain: 0-d, of a constant input.
    Returns: output of the shape of x, next state.
    Raises: InputError unless x is 5-D, StateError when the state does not fit.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), section 2.1; discretised as in the authors' program.
    """
    if x.ndim != 5:
        raise InputError(f"leaky_heat: x must be (batch, channel, time, y, x) (got {x.ndim}-D of shape {tuple(x.shape)})")
    check_state("leaky_heat", y.shape, x, 2)
    c, b = first_order(tau, h, gain, x)
    per_step = derived((sigma_px, tau), lambda sigma, tau: sigma * math.sqrt(h / tau), lambda sigma, tau: (
        torch.as_tensor(sigma).to(torch.float64) * torch.sqrt(h / torch.as_tensor(tau).to(torch.float64))))
    rows = math.prod(x.shape[:2])
    ys = heat_kernel.leaky_heat(x.reshape(rows, *x.shape[2:]), y.reshape(rows, *y.shape[2:]), c, b,
                                deriche_coefficients(per_step).to(x.device)).reshape(x.shape)
    return ys, last_frame(ys, y, 2)
