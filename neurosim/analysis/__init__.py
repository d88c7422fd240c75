"""Analysis of responses and of fits: losses, measures of quality, distances of spike trains, receptive fields."""

from .fields import Ellipse, ellipse, separate
from .losses import LOSSES, bernoulli, bernoulli_logit, mse, negative_correlation, poisson, poisson_log
from .quality import (
    bits_per_spike,
    cc_max,
    cc_norm,
    correlation,
    explainable_variance,
    explained_variance,
    signal_power,
)
from .receptive import STA, STC, stc_significance
from .trains import psth, van_rossum, victor_purpura

__all__ = [
    "LOSSES", "STA", "STC", "Ellipse", "bernoulli", "bernoulli_logit", "bits_per_spike", "cc_max", "cc_norm", "correlation",
    "ellipse", "explainable_variance", "explained_variance", "mse", "negative_correlation", "poisson", "poisson_log", "psth",
    "separate", "signal_power", "stc_significance", "van_rossum", "victor_purpura",
]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
