"""Penalties on parameters: what is added to the loss while fitting, by the path of a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .._errors import ParameterError

Penalty = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Weighted:
    """What the penalties share: a weight, at least 0.

    Args:
        weight: factor of the penalty, at least 0.
    Raises: ParameterError.
    """

    weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ParameterError(type(self).__name__, "weight", "must be finite and at least 0", self.weight)


@dataclass(frozen=True)
class Ridge(_Weighted):
    """weight times the sum of squares: keeps a parameter small.

    Args:
        weight: factor of the penalty, at least 0.
    Raises: ParameterError.
    Reference: Hoerl & Kennard, Technometrics 12:55 (1970).

    >>> import torch
    >>> float(Ridge(0.5)(torch.tensor([1.0, 2.0])))
    2.5
    """

    def __call__(self, value: Tensor) -> Tensor:
        """The penalty of a value of any shape, a scalar."""
        return self.weight * value.square().sum()


@dataclass(frozen=True)
class Sparse(_Weighted):
    """weight times the sum of absolute values: lets few elements be large, most of them small.

    Args:
        weight: factor of the penalty, at least 0.
    Raises: ParameterError.
    Reference: Tibshirani, J R Stat Soc B 58:267 (1996).

    >>> import torch
    >>> float(Sparse(0.5)(torch.tensor([1.0, -2.0])))
    1.5
    """

    def __call__(self, value: Tensor) -> Tensor:
        """The penalty of a value of any shape, a scalar."""
        return self.weight * value.abs().sum()


@dataclass(frozen=True)
class Smooth(_Weighted):
    """weight times the sum of squared differences between neighbours along the axes of a kernel.

    Args:
        weight: factor of the penalty, at least 0.
        axes: which axes have neighbours; None: the last three of a kernel (out, in, lag, y, x), all of a smaller array.
    Raises: ParameterError.
    Reference: Park & Pillow, PLoS Comput Biol 7:e1002219 (2011), the smoothness prior.

    >>> import torch
    >>> float(Smooth(1.0)(torch.tensor([0.0, 1.0, 3.0])))
    5.0
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, value: Tensor) -> Tensor:
        """The penalty of a value of any shape, a scalar."""
        axes = self.axes if self.axes is not None else range(max(value.ndim - 3, 0), value.ndim)
        total = value.new_zeros(())
        for axis in axes:
            total = total + value.diff(dim=axis).square().sum()
        return self.weight * total
