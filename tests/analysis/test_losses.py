"""Losses against scipy's distributions and numpy's correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gammaln

from neurosim import analysis

rng = np.random.default_rng(0)
RATE = rng.uniform(0.1, 3.0, (2, 50, 3))
COUNTS = rng.poisson(RATE).astype(float)
SPIKES = (COUNTS > 0).astype(float)
PROBABILITY = rng.uniform(0.05, 0.95, RATE.shape)


def expected(name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Output, goal and what the loss must be."""
    poisson = -np.mean(stats.poisson.logpmf(COUNTS, RATE) + gammaln(COUNTS + 1))
    bernoulli = -np.mean(stats.bernoulli.logpmf(SPIKES, PROBABILITY))
    return {
        "mse": (RATE, COUNTS, np.mean((RATE - COUNTS) ** 2)),
        "poisson": (RATE, COUNTS, poisson),
        "poisson_log": (np.log(RATE), COUNTS, poisson),
        "bernoulli": (PROBABILITY, SPIKES, bernoulli),
        "bernoulli_logit": (np.log(PROBABILITY / (1 - PROBABILITY)), SPIKES, bernoulli),
        "negative_correlation": (RATE, COUNTS, -np.corrcoef(RATE.ravel(), COUNTS.ravel())[0, 1]),
    }[name]


@pytest.mark.parametrize("name", list(analysis.LOSSES))
def test_losses_are_what_the_distributions_say(name: str) -> None:
    output, goal, value = expected(name)
    loss = analysis.LOSSES[name](torch.tensor(output), torch.tensor(goal))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(value, rel=1e-7)  # 1e-8 stands beside the logarithms' arguments


@pytest.mark.parametrize("name", list(analysis.LOSSES))
def test_losses_have_the_gradients_of_their_values(name: str) -> None:
    output, goal, _ = expected(name)
    x = torch.tensor(output[:1, :4], requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: analysis.LOSSES[name](x, torch.tensor(goal[:1, :4])), [x])


def test_silence_that_was_predicted_costs_nothing_and_a_surprise_is_finite() -> None:
    zero = torch.zeros(3)
    assert float(analysis.poisson(zero, zero)) == 0.0
    assert float(analysis.poisson(zero, zero + 1)) == pytest.approx(-np.log(1e-8), rel=1e-6)
    assert torch.isnan(analysis.poisson(zero - 1, zero))
