"""Pointwise nonlinearities as layers: videos by default, signals with `axes=SIGNAL`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .._axes import VIDEO, Axes
from .._param import Param
from ..functional import nonlinear
from ..layer import Layer


class _Pointwise(Layer):
    """What the nonlinearities share: they take data of any axes and keep its shape."""

    def __init__(self, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes


class _Scaled(_Pointwise):
    """A nonlinearity of bias + scale x."""

    scale = Param(1.0, doc="factor of the input")
    bias = Param(0.0, doc="added to the scaled input")


class NLRectify(_Pointwise):
    """Rectification: y = x between 0 and 1e6, else the nearer end.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
    Shape: as the input.
    Raises: InputError.

    >>> import neurosim
    >>> neurosim.filters.NLRectify(neurosim.SIGNAL)([-1.0, 2.0]).flatten()
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.rectify`."""
        return nonlinear.rectify(x)


class NLRectifyScale(_Scaled):
    """Scaled rectification: y = bias + scale x between 0 and 1e6, else the nearer end.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        scale, bias: 1 and 0 when not given.
    Shape: as the input.
    Raises: ParameterError, InputError.

    >>> import neurosim
    >>> neurosim.filters.NLRectifyScale(neurosim.SIGNAL, scale=2.0, bias=-1.0)([0.0, 3.0]).flatten().tolist()
    [0.0, 5.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.rectify_scale`."""
        return nonlinear.rectify_scale(x, self.scale, self.bias)


class NLSquare(_Scaled):
    """Square: y = (bias + scale x)^2. Arguments, shape and errors as for `NLRectifyScale`.

    >>> import neurosim
    >>> neurosim.filters.NLSquare(neurosim.SIGNAL)([-2.0, 3.0]).flatten().tolist()
    [4.0, 9.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.square`."""
        return nonlinear.square(x, self.scale, self.bias)


class NLRectifySquare(_Scaled):
    """Square of the positive part: y = r^2, r = bias + scale x between 0 and 1e6. Arguments as for `NLRectifyScale`.

    >>> import neurosim
    >>> neurosim.filters.NLRectifySquare(neurosim.SIGNAL)([-2.0, 3.0]).flatten().tolist()
    [0.0, 9.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.rectify_square`."""
        return nonlinear.rectify_square(x, self.scale, self.bias)


class Sigmoid(_Scaled):
    """Saturation: y = 1 / (1 + exp(-(bias + scale x))). Arguments, shape and errors as for `NLRectifyScale`.

    >>> import neurosim
    >>> neurosim.filters.Sigmoid(neurosim.SIGNAL)([0.0]).item()
    0.5
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.sigmoid`."""
        return nonlinear.sigmoid(x, self.scale, self.bias)


class Exp(_Scaled):
    """Exponential: y = exp(bias + scale x). Arguments, shape and errors as for `NLRectifyScale`.

    >>> import neurosim
    >>> neurosim.filters.Exp(neurosim.SIGNAL)([0.0]).item()
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.exponential`."""
        return nonlinear.exponential(x, self.scale, self.bias)


class Softplus(_Scaled):
    """Smooth rectification: y = log(1 + exp(bias + scale x)). Arguments, shape and errors as for `NLRectifyScale`.

    >>> import neurosim
    >>> round(neurosim.filters.Softplus(neurosim.SIGNAL)([0.0]).item(), 4)  # log 2
    0.6931
    """

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.nonlinear.softplus`."""
        return nonlinear.softplus(x, self.scale, self.bias)
