"""Measures of a fit against scipy and scikit-learn, and against responses whose signal and noise are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import d2_tweedie_score, r2_score

from neurosim import InputError, analysis

rng = np.random.default_rng(0)
PREDICTED = rng.uniform(0.1, 2.0, (200, 3))
RECORDED = rng.poisson(PREDICTED).astype(float)


def test_correlation_and_explained_variance_are_those_of_scipy_and_scikit_learn() -> None:
    r = [stats.pearsonr(PREDICTED[:, i], RECORDED[:, i]).statistic for i in range(3)]
    np.testing.assert_allclose(analysis.correlation(PREDICTED, RECORDED), r, rtol=1e-12)
    assert analysis.correlation(PREDICTED[:, 0], RECORDED[:, 0]) == pytest.approx(r[0], rel=1e-12)
    np.testing.assert_allclose(analysis.explained_variance(PREDICTED, RECORDED),
                               r2_score(RECORDED, PREDICTED, multioutput="raw_values"), rtol=1e-12)


def test_bits_per_spike_are_likelihoods() -> None:
    x, n = PREDICTED[:, 0], RECORDED[:, 0]
    gain = stats.poisson.logpmf(n, x).sum() - stats.poisson.logpmf(n, n.mean()).sum()
    assert analysis.bits_per_spike(x, n) == pytest.approx(gain / n.sum() / np.log(2), rel=1e-12)
    against = stats.poisson.logpmf(n, x).sum() - stats.poisson.logpmf(n, 0.7).sum()
    assert analysis.bits_per_spike(x, n, 0.7) == pytest.approx(against / n.sum() / np.log(2), rel=1e-12)
    # The gain over the best possible gain is scikit-learn's fraction of deviance.
    best = stats.poisson.logpmf(n, np.where(n > 0, n, 1e-300)).sum() - stats.poisson.logpmf(n, n.mean()).sum()
    assert gain / best == pytest.approx(d2_tweedie_score(n, x, power=1), rel=1e-9)
    np.testing.assert_allclose(analysis.bits_per_spike(PREDICTED, RECORDED)[0], analysis.bits_per_spike(x, n), rtol=1e-12)
    assert analysis.bits_per_spike([0.0, 1.0], [1.0, 1.0]) == -np.inf


def test_noise_ceilings_know_signal_and_noise() -> None:
    signal = np.sin(np.arange(4000) / 20.0)  # power 1/2
    trials = signal + rng.normal(scale=2.0, size=(10, 4000))
    power, noise = analysis.signal_power(trials)
    assert power == pytest.approx(0.5, abs=0.06)  # its standard error is about 0.02
    assert noise == pytest.approx(4.0, abs=0.1)
    ceiling = np.sqrt(0.5 / (0.5 + 4.0 / 10))
    assert analysis.cc_max(trials) == pytest.approx(ceiling, abs=0.03)
    assert analysis.cc_norm(signal, trials) == pytest.approx(1.0, abs=0.04)
    assert analysis.cc_norm(signal, trials) == pytest.approx(
        float(analysis.correlation(signal, trials.mean(0)) / analysis.cc_max(trials)), rel=1e-12)
    assert analysis.explainable_variance(signal, trials) == pytest.approx(1.0, abs=0.06)
    half = signal + np.cos(np.arange(4000) / 7.0)  # half of the prediction's power is wrong
    assert analysis.cc_norm(half, trials) == pytest.approx(np.sqrt(0.5), abs=0.04)


def test_signal_power_is_the_mean_covariance_of_pairs_of_trials() -> None:
    trials = rng.normal(size=(4, 30, 2)) + rng.normal(size=(1, 30, 2))
    for cell in range(2):
        c = np.cov(trials[..., cell])
        power, noise = analysis.signal_power(trials)
        assert power[cell] == pytest.approx(c[np.triu_indices(4, 1)].mean(), rel=1e-12)
        assert noise[cell] == pytest.approx(np.trace(c) / 4 - power[cell], rel=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"bits_per_spike: .* must have one shape.* \(200, 3\) and \(200,\)"):
        analysis.bits_per_spike(PREDICTED, RECORDED[:, 0])
    with pytest.raises(InputError, match="must not be negative"):
        analysis.bits_per_spike(-PREDICTED, RECORDED)
    with pytest.raises(InputError, match="correlation: the recording holds NaN"):
        analysis.correlation(PREDICTED, RECORDED * np.nan)
    with pytest.raises(InputError, match=r"cc_max: needs finite responses \(trials, time\)"):
        analysis.cc_max(RECORDED[:1])
