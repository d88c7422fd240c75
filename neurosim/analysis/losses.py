"""Losses for fitting: `loss_fn(output, goal)`, a tensor each, gives a scalar that gradients go through."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]

TINY = 1e-8  # an expected count of exactly 0 costs log(TINY) per spike instead of infinity


def mse(output: Tensor, goal: Tensor) -> Tensor:
    """Mean of (output - goal)^2 over all elements.

    >>> float(mse(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])))
    2.0
    """
    return functional.mse_loss(output, goal)


def poisson(output: Tensor, goal: Tensor) -> Tensor:
    """Negative log-likelihood of counts given their expectation, per bin: mean of output - goal log(output + 1e-8).

    Args:
        output: expected counts per bin, not negative (a negative one gives NaN).
        goal: counts of the same shape.
    Returns: scalar in nats per bin, without log(goal!), which no parameter changes.

    >>> round(float(poisson(torch.tensor([0.5, 2.0]), torch.tensor([0.0, 2.0]))), 4)  # (0.5 + 2 - 2 log 2) / 2
    0.5569
    """
    return (output - goal * torch.log(output + TINY)).mean()


def poisson_log(output: Tensor, goal: Tensor) -> Tensor:
    """As `poisson`, for a model that gives the logarithm of the expected count: mean of exp(output) - goal output.

    >>> float(poisson_log(torch.tensor([0.0]), torch.tensor([3.0])))
    1.0
    """
    return (torch.exp(output) - goal * output).mean()


def bernoulli(output: Tensor, goal: Tensor) -> Tensor:
    """Negative log-likelihood of spikes (0 or 1) given their probability, in nats per bin.

    Args:
        output: probabilities in [0, 1]; outside, the loss is NaN.
        goal: spikes of the same shape.

    >>> round(float(bernoulli(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))), 4)  # log 2
    0.6931
    """
    return -(goal * torch.log(output + TINY) + (1 - goal) * torch.log(1 - output + TINY)).mean()


def bernoulli_logit(output: Tensor, goal: Tensor) -> Tensor:
    """As `bernoulli`, for an `output` that is the log odds of a spike; `goal` as there.

    >>> round(float(bernoulli_logit(torch.tensor([0.0]), torch.tensor([1.0]))), 4)
    0.6931
    """
    return functional.binary_cross_entropy_with_logits(output, goal)


def negative_correlation(output: Tensor, goal: Tensor) -> Tensor:
    """Less Pearson's correlation of `output` and `goal` over all elements: from -1, perfect, to 1; NaN when one is constant.

    >>> round(float(negative_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0]))), 4)
    -1.0
    """
    x, y = output - output.mean(), goal - goal.mean()
    return -(x * y).sum() / torch.sqrt(x.square().sum() * y.square().sum())


LOSSES: dict[str, Loss] = {loss.__name__: loss for loss in (
    mse, poisson, poisson_log, bernoulli, bernoulli_logit, negative_correlation)}
