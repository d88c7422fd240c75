"""How well a prediction fits what was recorded: correlation, explained variance, noise ceilings, bits per spike."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InputError
from ..streams.base import to_numbers


def matched(where: str, predicted: Any, recorded: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 arrays of one shape with at least two frames; raises `InputError`."""
    a, b = (to_numbers(x, where).astype(np.float64) for x in (predicted, recorded))
    if a.shape != b.shape or not a.ndim or len(a) < 2:
        raise InputError(f"{where}: prediction and recording must have one shape, (time,) or (time, cells), and two frames at "
                         f"least (got {a.shape} and {b.shape})")
    for name, x in (("prediction", a), ("recording", b)):
        if not np.isfinite(x).all():
            raise InputError(f"{where}: the {name} holds NaN or infinite values")
    return a, b


def repeated(where: str, trials: Any) -> np.ndarray:
    """Trials (trials, time, ...) as float64; raises `InputError` for fewer than two."""
    x = to_numbers(trials, where).astype(np.float64)
    if x.ndim < 2 or len(x) < 2 or x.shape[1] < 2 or not np.isfinite(x).all():
        raise InputError(f"{where}: needs finite responses (trials, time) or (trials, time, cells), two trials and two frames "
                         f"at least (got shape {x.shape})")
    return x


def correlation(predicted: Any, recorded: Any) -> Any:
    """Pearson's correlation over time, of each cell.

    Args:
        predicted, recorded: (time,) or (time, cells).
    Returns: number or (cells,); NaN for a cell that is constant in either.
    Raises: InputError.

    >>> float(correlation([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]))
    1.0
    """
    a, b = matched("correlation", predicted, recorded)
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)), -1.0, 1.0)


def explained_variance(predicted: Any, recorded: Any) -> Any:
    """Fraction of the variance over time that the prediction explains, 1 - mean (recorded - predicted)^2 / variance.

    Args:
        predicted, recorded: (time,) or (time, cells).
    Returns: number or (cells,); 1 is perfect, 0 as good as the mean, negative is worse; a constant recording gives NaN or
        -inf.
    Raises: InputError.
    Reference: the coefficient of determination, scikit-learn's `r2_score`; a constant offset counts as an error.

    >>> float(explained_variance([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]))
    1.0
    """
    a, b = matched("explained_variance", predicted, recorded)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1.0 - ((b - a)**2).mean(0) / b.var(0)


def signal_power(trials: Any) -> tuple[Any, Any]:
    """Power of the part of a response that repeats from trial to trial, and of that which does not.

    Args:
        trials: responses to one stimulus, (trials, time) or (trials, time, cells).
    Returns: signal power SP and noise power NP, numbers or (cells,). SP is an unbiased estimate, so it may come out negative
        where little repeats.
    Raises: InputError.
    Reference: Sahani & Linden, NIPS 15:125 (2003), eq. 1; variances over time with n - 1, as in Schoppe et al. (2016).

    >>> signal_power([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]])[1]  # every trial alike: no noise
    np.float64(0.0)
    """
    x = repeated("signal_power", trials)
    n = len(x)
    mean_power = x.var(1, ddof=1).mean(0)
    power = (n * x.mean(0).var(0, ddof=1) - mean_power) / (n - 1)
    return power, mean_power - power


def cc_max(trials: Any) -> Any:
    """Correlation that a perfect model has with the mean over these trials: the noise ceiling.

    Args:
        trials: as for `signal_power`.
    Returns: number or (cells,), sqrt(SP / variance of the mean over trials); NaN where SP is not positive.
    Raises: InputError.
    Reference: Schoppe et al., Front Comput Neurosci 10:10 (2016), eq. 7.

    >>> float(cc_max([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]))  # nothing but signal
    1.0
    """
    x = repeated("cc_max", trials)
    power, _ = signal_power(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.where(power > 0, power, np.nan) / x.mean(0).var(0, ddof=1))


def cc_norm(predicted: Any, trials: Any) -> Any:
    """Correlation of a prediction with the mean over trials, by the correlation that a perfect model has with it.

    Args:
        predicted: (time,) or (time, cells).
        trials: (trials, time) or (trials, time, cells).
    Returns: number or (cells,), Cov(predicted, mean) / sqrt(Var(predicted) SP); NaN where SP is not positive. An estimate, that
        may come out above 1.
    Raises: InputError.
    Reference: Schoppe et al., Front Comput Neurosci 10:10 (2016), eq. 6.

    >>> float(cc_norm([0.0, 2.0, 0.0, 2.0], [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]))
    1.0
    """
    x = repeated("cc_norm", trials)
    a, mean = matched("cc_norm", predicted, x.mean(0))
    power, _ = signal_power(x)
    covariance = ((a - a.mean(0)) * (mean - mean.mean(0))).sum(0) / (len(a) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / np.sqrt(a.var(0, ddof=1) * np.where(power > 0, power, np.nan))


def explainable_variance(predicted: Any, trials: Any) -> Any:
    """Fraction of the signal power that a prediction explains: (variance of the mean - mean squared error) / SP.

    Args:
        predicted, trials: as for `cc_norm`.
    Returns: number or (cells,); NaN where SP is not positive.
    Raises: InputError.
    Reference: Sahani & Linden, NIPS 15:125 (2003), the normalised signal power explained, here with Var(error) of the mean
        over trials.

    >>> float(explainable_variance([0.0, 0.5, 0.0, 0.5], [[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]))  # half as high
    0.75
    """
    x = repeated("explainable_variance", trials)
    a, mean = matched("explainable_variance", predicted, x.mean(0))
    power, _ = signal_power(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (mean.var(0, ddof=1) - (mean - a).var(0, ddof=1)) / np.where(power > 0, power, np.nan)


def bits_per_spike(predicted: Any, counts: Any, mean_rate: Any = None) -> Any:
    """Gain in Poisson log-likelihood over a constant rate, in bits per spike.

    Args:
        predicted: expected counts per bin, (time,) or (time, cells).
        counts: recorded ones, of the same shape.
        mean_rate: expected count per bin of the model compared with, a number or (cells,); None: the mean of these counts.
            When models are scored on data that was held out, it is the mean over the data that they were trained on.
    Returns: number or (cells,); -inf where a spike came although none was expected, NaN for a cell without spikes.
    Raises: InputError for negative or unequal arrays.
    Reference: Pillow et al., Nature 454:995 (2008), methods.

    >>> round(float(bits_per_spike([1.0, 0.0], [1.0, 0.0])), 6)  # one of two bins, known in advance
    1.0
    """
    rate, n = matched("bits_per_spike", predicted, counts)
    if (rate < 0).any() or (n < 0).any():
        raise InputError("bits_per_spike: expected and recorded counts must not be negative")
    mean = n.mean(0) if mean_rate is None else to_numbers(mean_rate, "bits_per_spike.mean_rate").astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(n > 0, n * np.log(rate / mean), 0.0).sum(0) - (rate - mean).sum(0)
        return gain / n.sum(0) / np.log(2.0)
