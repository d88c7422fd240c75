"""Poisson counts by their distribution, motion sensors against convis and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from neurosim import SIGNAL, InputError, Resolution
from neurosim.spiking import IntegrativeMotionSensor, Poisson, RatioMotionSensor

GOLDEN = Path(__file__).parents[1] / "data" / "convis" / "spiking_models.npz"
F64 = torch.float64


@pytest.mark.parametrize("mean", [0.03, 1.0, 7.0, 300.0])
def test_counts_are_poisson(mean: float) -> None:
    counts = Poisson(SIGNAL, seed=5).run(torch.full((20, 2000), mean / 0.001))[0].flatten().numpy()
    low, high = stats.poisson.ppf([0.001, 0.999], mean).astype(int)
    bins = [-np.inf, *(np.linspace(low, high, min(high - low, 20) + 1).round() + 0.5), np.inf]
    expected = np.diff(stats.poisson.cdf(bins, mean)) * len(counts)
    observed = np.histogram(counts, bins)[0]
    keep = expected > 5
    assert stats.chisquare([*observed[keep], observed[~keep].sum()] if (~keep).any() else observed,
                           [*expected[keep], expected[~keep].sum()] if (~keep).any() else expected).pvalue > 0.01
    assert abs(counts.mean() - mean) < 3 * np.sqrt(mean / len(counts))


def test_counts_are_independent_and_have_the_gradient_of_their_mean() -> None:
    x = torch.full((1, 2000, 2), 400.0, requires_grad=True)
    counts = Poisson(SIGNAL)(x)
    counts.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 0.001))
    a, b = counts[0].detach().numpy().T
    assert abs(np.corrcoef(a, b)[0, 1]) < 3 / np.sqrt(2000) and abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 3 / np.sqrt(2000)


def test_refuses_what_is_no_rate() -> None:
    with pytest.raises(InputError, match=r"poisson: rates must lie in \[0, 500000\] Hz, at most 500 spikes a frame \(got -1\)"):
        Poisson(SIGNAL).run(torch.full((3, 2), -1.0))
    with pytest.raises(InputError, match=r"at most 500 spikes a frame \(got 1e\+06\)"):
        Poisson(SIGNAL).run(torch.full((3, 2), 1e6))


def test_motion_sensors_of_convis() -> None:
    """convis adds its input once per frame: divided by the frame, it is ours. Its ratios need no units."""
    golden = np.load(GOLDEN)
    layer = IntegrativeMotionSensor(dtype=F64, resolution=Resolution(frame=0.001))
    np.testing.assert_array_equal(layer.run(golden["x_ims_lin"] / 0.001, 40)[0][0, :, :, 0, 0], golden["ims_lin_1px"])
    layer = RatioMotionSensor(threshold=1.2, dtype=F64)
    np.testing.assert_array_equal(layer.run(golden["x_ims_log"], 40)[0][0, :, :, 0, 0], golden["ims_log_1px"])


def test_pixels_do_not_mix() -> None:
    x = 900 * torch.randn(2, 3, 40, 4, 5, generator=torch.Generator().manual_seed(0), dtype=F64)
    whole = IntegrativeMotionSensor(dtype=F64).run(x)[0]
    one = IntegrativeMotionSensor(dtype=F64).run(x[1:, 2:, :, 3:, 1:2])[0]
    assert torch.equal(whole[1, [2, 5], :, 3, 1], one[0, :, :, 0, 0]) and one.sum() > 5


def test_frames_of_another_length_give_the_same_events() -> None:
    """12.6 Hz for 0.4 s are 5.04 thresholds."""
    total = []
    for h in (0.001, 0.002):
        layer = IntegrativeMotionSensor(SIGNAL, dtype=F64, resolution=Resolution(frame=h))
        total.append(layer.run(torch.full((round(0.4 / h), 1), 12.6, dtype=F64))[0].sum(1).tolist())
    assert total[0] == total[1] == [[5.0, 0.0]]
