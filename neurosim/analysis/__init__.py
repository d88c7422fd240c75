"""Analysis of responses and of fits: losses, measures of quality, distances of spike trains, receptive fields."""

from .losses import LOSSES, bernoulli, bernoulli_logit, mse, negative_correlation, poisson, poisson_log

__all__ = ["LOSSES", "bernoulli", "bernoulli_logit", "mse", "negative_correlation", "poisson", "poisson_log"]
