"""Temporal bases: few smooth functions of time whose weighted sums are the kernels that neurons have."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def raised_cosines(n: int, first_peak: float, last_peak: float, offset: float, h: float) -> Tensor:
    """Raised cosines that widen with time: fine shortly after the stimulus, coarse later.

    Four of them overlap everywhere; between the second peak and the last but one their sum is 2.

    Args:
        n: how many, at least 2.
        first_peak, last_peak: times of their peaks in s, at least 0, increasing.
        offset: in s; peaks are equally spaced in log(t + offset), so the larger it is, the more equally in t.
        h: frame length in s.
    Returns: float64 (n, lag), sampled at t = 0, h, ... until the last one has ended.
    Reference: Pillow et al., Nature 454:995 (2008), methods: b_j(t) = (cos(a log(t + c) - phi_j) + 1) / 2 within one period.
    """
    first, last = math.log(first_peak + offset), math.log(last_peak + offset)
    spacing = (last - first) / (n - 1)
    end = math.exp(last + 2 * spacing) - offset
    t = torch.arange(math.floor(end / h) + 1, dtype=torch.float64) * h
    centre = first + spacing * torch.arange(n, dtype=torch.float64)
    phase = (torch.log(t + offset) - centre[:, None]) * (math.pi / 2 / spacing)
    return (torch.cos(phase.clamp(-math.pi, math.pi)) + 1) / 2


def bsplines(n: int, duration: float, degree: int, offset: float | None, h: float) -> Tensor:
    """B-splines over [0, duration]; at every time they sum to one.

    Args:
        n: how many, at least degree + 1.
        duration: last time in s.
        degree: of the polynomials, 3 for cubic ones.
        offset: in s, knots equally spaced in log(t + offset); None for knots equally spaced in t.
        h: frame length in s.
    Returns: float64 (n, lag), sampled at t = 0, h, ... up to the duration.
    Reference: de Boor, A Practical Guide to Splines (1978), the recurrence of chapter X, with knots repeated at both ends.
    """
    t = np.arange(math.floor(duration / h * (1 + 1e-12)) + 1) * h  # a duration of whole frames keeps its last one
    u, low, high = (t, 0.0, duration) if offset is None else (np.log(t + offset), math.log(offset), math.log(duration + offset))
    inner = np.linspace(low, high, n - degree + 1)
    knots = np.concatenate([np.full(degree, low), inner, np.full(degree, high)])
    interval = np.clip(np.searchsorted(inner, u, side="right") - 1, 0, n - degree - 1)  # the last one holds its end
    values = np.zeros((len(knots) - 1, len(t)))
    values[interval + degree, np.arange(len(t))] = 1.0
    for k in range(1, degree + 1):
        higher = np.zeros((len(knots) - 1 - k, len(t)))
        for j in range(len(higher)):
            rise, fall = knots[j + k] - knots[j], knots[j + k + 1] - knots[j + 1]
            if rise > 0:
                higher[j] += (u - knots[j]) / rise * values[j]
            if fall > 0:
                higher[j] += (knots[j + k + 1] - u) / fall * values[j + 1]
        values = higher
    return torch.from_numpy(values)
