"""Distances of spike trains against the recursion and the integral that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, analysis

trains = st.lists(st.floats(0, 1), max_size=8)


def edit(a: list[float], b: list[float], cost: float) -> float:
    """The recursion of Victor & Purpura, as published."""
    g = np.zeros((len(a) + 1, len(b) + 1))
    g[:, 0], g[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            g[i, j] = min(g[i - 1, j] + 1, g[i, j - 1] + 1, g[i - 1, j - 1] + cost * abs(a[i - 1] - b[j - 1]))
    return float(g[-1, -1])


@given(trains, trains, st.floats(0, 100))
@settings(max_examples=100, deadline=None)
def test_victor_purpura_is_its_recursion_and_a_metric(a: list[float], b: list[float], cost: float) -> None:
    d = analysis.victor_purpura(a, b, cost)
    assert d == pytest.approx(edit(sorted(a), sorted(b), cost), abs=1e-9)
    assert d == pytest.approx(analysis.victor_purpura(b, a, cost), abs=1e-9)
    assert analysis.victor_purpura(a, a, cost) == 0
    assert d <= analysis.victor_purpura(a, [0.3, 0.6], cost) + analysis.victor_purpura([0.3, 0.6], b, cost) + 1e-9


def test_victor_purpura_at_its_ends() -> None:
    a, b = [0.1, 0.2, 0.3], [0.1, 0.25]
    assert analysis.victor_purpura(a, b, 0.0) == 1
    assert analysis.victor_purpura(a, b, np.inf) == 3


@given(trains, trains)
@settings(max_examples=30, deadline=None)
def test_van_rossum_is_its_integral(a: list[float], b: list[float]) -> None:
    tau = 0.03
    x, y = np.array(a), np.array(b)

    def overlap(u: np.ndarray, v: np.ndarray) -> float:
        """1/tau times the integral of the product of the two sums of exponentials."""
        return float(np.exp(-np.abs(u[:, None] - v) / tau).sum() / 2)

    squared = overlap(x, x) + overlap(y, y) - 2 * overlap(x, y)
    assert analysis.van_rossum(a, b, tau) ** 2 == pytest.approx(squared, abs=1e-9)


def test_van_rossum_on_a_fine_grid() -> None:
    a, b, tau, t = [0.1, 0.15, 0.4], [0.12], 0.05, np.arange(0, 3, 1e-5)
    f, g = (sum(np.where(t >= s, np.exp(-(t - s) / tau), 0.0) for s in train) for train in (a, b))
    assert analysis.van_rossum(a, b, tau) ** 2 == pytest.approx(((f - g) ** 2).sum() * 1e-5 / tau, rel=1e-3)  # of the grid


def test_psth_is_a_histogram() -> None:
    g = np.random.default_rng(0)
    trials = [np.sort(g.uniform(0, 1, n)) for n in (5, 0, 9)]
    wanted = np.histogram(np.concatenate(trials), np.linspace(0.2, 0.8, 13))[0] / 3 / 0.05
    np.testing.assert_allclose(analysis.psth(trials, 0.05, 0.8, 0.2), wanted)


def test_what_is_no_train_is_refused() -> None:
    with pytest.raises(InputError, match=r"victor_purpura\.second: spike times must be finite"):
        analysis.victor_purpura([0.1], [np.nan], 1.0)
    with pytest.raises(ParameterError, match=r"victor_purpura\.cost: must be at least 0"):
        analysis.victor_purpura([0.1], [0.1], -1.0)
    with pytest.raises(ParameterError, match=r"van_rossum\.tau"):
        analysis.van_rossum([0.1], [0.1], 0.0)
    with pytest.raises(ParameterError, match=r"psth\.stop: must lie after start"):
        analysis.psth([[0.1]], 0.1, 0.0)
