"""Spike trains by themselves: distances between two, and rates over trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._errors import InputError, ParameterError
from .._units import positive
from ..streams.base import to_numbers

EDGE = 1e-6  # of a bin: a spike so close before an edge belongs behind it, times are rounded decimal numbers


def train(where: str, times: Any) -> np.ndarray:
    """Spike times, sorted; raises `InputError` unless they are finite and have one axis."""
    x = to_numbers(times, where).astype(np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise InputError(f"{where}: spike times must be finite and have one axis (got shape {x.shape})")
    return np.sort(x)


def victor_purpura(first: Any, second: Any, cost: float) -> float:
    """Least cost of turning one spike train into the other: 1 to add or delete a spike, `cost` times the interval to move one.

    Args:
        first, second: spike times in s.
        cost: per second of moving a spike, at least 0; 0 compares numbers of spikes, infinity counts those not in common.
    Returns: the distance. Raises: InputError, ParameterError.
    Reference: Victor & Purpura, J Neurophysiol 76:1310 (1996).

    >>> round(victor_purpura([0.1, 0.5], [0.12], cost=10.0), 9)  # move one by 20 ms, delete one
    1.2
    """
    a, b = train("victor_purpura.first", first), train("victor_purpura.second", second)
    if not cost >= 0:
        raise ParameterError("victor_purpura", "cost", "must be at least 0 per second", cost)
    row = np.arange(len(b) + 1, dtype=np.float64)  # cost of making the first j spikes of b from nothing
    for i, t in enumerate(a, 1):
        moved = np.abs(b - t)
        with np.errstate(invalid="ignore"):  # an infinite cost of no distance is none
            moved = np.where(moved == 0, 0.0, moved * cost)
        # Without the last choice, adding a spike: that one runs along the row, as a running minimum of cost - j.
        best = np.concatenate([[float(i)], np.minimum(row[1:] + 1, row[:-1] + moved)])
        steps = np.arange(len(row))
        row = np.minimum.accumulate(best - steps) + steps
    return float(row[-1])


def van_rossum(first: Any, second: Any, tau: float) -> float:
    """Distance of two spike trains, each spike an exponential: sqrt of 1/tau times the integral of (f - g)^2.

    Args:
        first, second: spike times in s.
        tau: time constant of the exponentials in s.
    Returns: the distance; two trains of one spike each, far apart, have 1, a train of one spike and none sqrt(1/2).
    Raises: InputError, ParameterError.
    Reference: van Rossum, Neural Comput 13:751 (2001); the sums of exponentials in linear time by Houghton & Kreuz (2012).

    >>> round(van_rossum([0.1], [], tau=0.01) ** 2, 12)
    0.5
    """
    a, b = train("van_rossum.first", first), train("van_rossum.second", second)
    positive("van_rossum", "tau", tau, "s")
    times = np.concatenate([a, b])
    signs = np.concatenate([np.ones(len(a)), -np.ones(len(b))])
    order = np.argsort(times, kind="stable")
    times, signs = times[order], signs[order]
    total, trace, before = 0.0, 0.0, 0.0
    for t, sign in zip(times.tolist(), signs.tolist(), strict=True):
        trace *= np.exp((before - t) / tau)  # sum over earlier spikes of sign exp(-(t - s) / tau)
        total += 0.5 + sign * trace
        trace, before = trace + sign, t
    return float(np.sqrt(max(total, 0.0)))


def psth(trials: Sequence[Any], h: float, stop: float, start: float = 0.0) -> np.ndarray:
    """Rate over trials: spikes per second in bins of `h` seconds, averaged over trials.

    Args:
        trials: spike times in s of each trial, on the clock of the trial.
        h: width of a bin in s.
        stop, start: of the time looked at in s; whole bins only.
    Returns: (bins,) in Hz. Raises: InputError, ParameterError.

    >>> psth([[0.01, 0.02], [0.01, 0.11]], h=0.1, stop=0.2)
    array([15.,  5.])
    """
    rate = 1.0 / positive("psth", "h", h, "s")
    if not len(trials):
        raise InputError("psth: needs at least one trial")
    if not stop > start:
        raise ParameterError("psth", "stop", f"must lie after start, {start:g} s", stop)
    bins = int((stop - start) * rate + EDGE)
    numbers = np.floor((np.concatenate([train("psth", one) for one in trials]) - start) * rate + EDGE)
    numbers = numbers[(numbers >= 0) & (numbers < bins)].astype(np.int64)
    return np.bincount(numbers, minlength=bins) * rate / len(trials)
