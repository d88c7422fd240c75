"""Surrogate gradients: smooth steps whose slope stands for the derivative of a spike, which has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .._errors import ParameterError
from ..kernels.surrogate import ARC_TAN, LOGISTIC, SUPER_SPIKE, TRIANGLE, smooth_step, spike_of


@dataclass(frozen=True)
class Surrogate:
    """A smooth step over the distance x to threshold; one of the classes below. Its slope is `height` at x = 0.

    Args:
        width: over which it rises, in the unit of the potential; above 0.
        height: slope at threshold, per unit of the potential.
    Raises: ParameterError.

    >>> import torch
    >>> from neurosim.spiking import Surrogate, Triangle
    >>> isinstance(Triangle(), Surrogate)
    True
    >>> above = torch.tensor([-0.5, 0.0, 0.5], requires_grad=True)  # distance to threshold
    >>> spikes = Triangle(width=1.0).spike(above)
    >>> spikes.sum().backward()
    >>> spikes.detach(), above.grad
    (tensor([0., 1., 1.]), tensor([0.5000, 1.0000, 0.5000]))
    """

    width: float = 1.0
    height: float = 1.0
    kind: ClassVar[int]

    def __post_init__(self) -> None:
        if not 0 < self.width < float("inf"):
            raise ParameterError(type(self).__name__, "width", "must lie in (0, inf)", self.width)

    def __call__(self, x: Tensor) -> Tensor:
        """The step at x, any shape; only its slope matters."""
        return smooth_step(x, self.kind, self.width, self.height)

    def spike(self, above: Tensor) -> Tensor:
        """1 where the distance `above` threshold is at least 0, else 0, NaN where it is not finite; the slope of the step."""
        return spike_of(above, self(above))


@dataclass(frozen=True)
class SuperSpike(Surrogate):
    """Fast sigmoid, slope height / (1 + abs(x) / width)^2.

    Reference: Zenke & Ganguli, Neural Comput 30:1514 (2018); their beta is 1 / width.

    >>> import torch
    >>> from neurosim.spiking import SuperSpike
    >>> x = torch.tensor([0.0, 0.1], requires_grad=True)
    >>> SuperSpike(width=0.1)(x).sum().backward()
    >>> x.grad
    tensor([1.0000, 0.2500])
    """

    width: float = 0.1
    kind: ClassVar[int] = SUPER_SPIKE


@dataclass(frozen=True)
class ArcTan(Surrogate):
    """Arc tangent, slope height / (1 + (x / width)^2).

    Reference: Fang et al., ICCV 2021, arXiv:2007.05785; their alpha is 2 / (pi width).

    >>> import torch
    >>> from neurosim.spiking import ArcTan
    >>> x = torch.tensor([0.0, 0.3], requires_grad=True)
    >>> ArcTan(width=0.3)(x).sum().backward()
    >>> x.grad
    tensor([1.0000, 0.5000])
    """

    width: float = 0.3
    kind: ClassVar[int] = ARC_TAN


@dataclass(frozen=True)
class Triangle(Surrogate):
    """Piecewise linear, slope height max(0, 1 - abs(x) / width).

    Reference: Bellec et al., NeurIPS 2018, arXiv:1803.09574, eq. 4, where width is the threshold and height 0.3.

    >>> import torch
    >>> from neurosim.spiking import Triangle
    >>> x = torch.tensor([0.0, 0.25, 2.0], requires_grad=True)
    >>> Triangle(width=1.0, height=0.3)(x).sum().backward()
    >>> x.grad
    tensor([0.3000, 0.2250, 0.0000])
    """

    kind: ClassVar[int] = TRIANGLE


@dataclass(frozen=True)
class Logistic(Surrogate):
    """Logistic curve, slope 4 height s (1 - s) with s = 1 / (1 + exp(-x / width)).

    Reference: the usual choice for a smooth step; Neftci et al., IEEE Signal Process Mag 36:51 (2019).

    >>> import torch
    >>> from neurosim.spiking import Logistic
    >>> x = torch.tensor([0.0], requires_grad=True)
    >>> Logistic(width=0.2)(x).sum().backward()
    >>> x.grad
    tensor([1.])
    """

    width: float = 0.1
    kind: ClassVar[int] = LOGISTIC
