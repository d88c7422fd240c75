"""Spikes without a membrane: Poisson counts, and motion sensors that signal change."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError
from ..kernels.random import NOISE, uniform
from .surrogates import Surrogate

MOST_SPIKES = 500.0  # expected in a frame; for more, probabilities would underflow
RAREST = 2.0**-60  # far below the spacing of the uniform numbers


class PoissonState(NamedTuple):
    """Number of the next `frame` and the seed `key` of all randomness, int64 0-d."""

    frame: Tensor
    key: Tensor


class MotionState(NamedTuple):
    """What a motion sensor compares with, the shape of a frame."""

    f: Tensor


def poisson_step(rate: Tensor, state: PoissonState, h: float, rows: int) -> tuple[Tensor, PoissonState]:
    """Poisson counts of one frame with mean h rate, by inversion of one uniform number each.

    The gradient of a count is that of its mean. Uniform numbers have 24 bits, so that events rarer than 6e-8 do not happen.

    Args:
        rate: in Hz, at least 0, of one frame. rows: product of the axes before time.
        state: of the frame.
        h: length of the frame in s.
    Returns: counts (NaN where the rate is not a number), next state.
    Raises: InputError for a negative rate, or one of more than 500 spikes per frame.
    Reference: Devroye, Non-Uniform Random Variate Generation (1986), sec. X.3.3.
    """
    wide = (h * rate.detach()).double()
    if (wide < 0).any() or (wide > MOST_SPIKES).any():
        worst = float(rate.detach()[(wide < 0) | (wide > MOST_SPIKES)][0])
        raise InputError(f"poisson: rates must lie in [0, {MOST_SPIKES / h:g}] Hz, at most {MOST_SPIKES:g} spikes a frame (got "
                         f"{worst:g})")
    dice = uniform(state.key, NOISE, state.frame, rows, rate.numel() // max(rows, 1), torch.float64).reshape(rate.shape)
    count, term = torch.zeros_like(wide), torch.exp(-wide)
    below = term.clone()
    while bool((more := (dice >= below) & ((term > RAREST) | (count < wide))).any()):
        count = count + more
        term = torch.where(more, term * wide / count.clamp(min=1), term)
        below = torch.where(more, below + term, below)
    mean = h * rate
    return count.to(rate.dtype) + 0 * mean.detach() + (mean - mean.detach()), PoissonState(state.frame + 1, state.key)


def integrating_motion_step(x: Tensor, state: MotionState, h: float, *, threshold: Tensor,
                            surrogate: Surrogate) -> tuple[Tensor, Tensor, MotionState]:
    """One frame of df/dt = x; an ON event and f -= threshold at f >= threshold, an OFF one and f += threshold at
    f <= -threshold.

    At most one event a frame; what is left of f waits for the next.

    Args:
        x: change in 1/s (threshold units per second). h: length of the frame in s.
        state: f. threshold: 0-d. surrogate: gradient of an event, over the distance to threshold.
    Returns: ON events, OFF events, next state.
    Reference: Lichtsteiner, Posch & Delbruck, IEEE J Solid-State Circuits 43:566 (2008), the pixel without its logarithm.
    """
    f = state.f + h * x
    on, off = surrogate.spike(f - threshold), surrogate.spike(-f - threshold)
    return on, off, MotionState(torch.where(on > 0, f - threshold, torch.where(off > 0, f + threshold, f)))


def ratio_motion_step(x: Tensor, state: MotionState, *, threshold: Tensor,
                      surrogate: Surrogate) -> tuple[Tensor, Tensor, MotionState]:
    """One frame of an intensity compared with a level f: ON and f *= threshold at x / f >= threshold, OFF and f /= threshold
    at x / f <= 1 / threshold. At most one event a frame.

    Args:
        x: intensity, above 0. state: f. threshold: 0-d, above 1. surrogate: gradient of an event, over log(x / f / threshold).
    Returns: ON events, OFF events, next state.
    Reference: Lichtsteiner, Posch & Delbruck, IEEE J Solid-State Circuits 43:566 (2008).
    """
    rise, bound = torch.log(x / state.f), torch.log(threshold)
    on, off = surrogate.spike(rise - bound), surrogate.spike(-rise - bound)
    return on, off, MotionState(torch.where(on > 0, state.f * threshold, torch.where(off > 0, state.f / threshold, state.f)))


def rows_before(x: Tensor, axis: int) -> int:
    """Product of the axes before time."""
    return math.prod(x.shape[:axis])
