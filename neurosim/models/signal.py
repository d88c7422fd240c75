"""Models of videos over signals: a feature is a channel of a video of one pixel."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._axes import SIGNAL, VIDEO
from .._errors import InputError, ParameterError
from ..filters import Conv1d
from ..layer import Layer
from ..streams.base import whole
from .containers import as_part, first


def to_video(x: Tensor) -> Tensor:
    """A signal (batch, time, feature) as a video (batch, feature, time, 1, 1)."""
    return x.transpose(1, 2)[..., None, None]


def to_signal(x: Tensor) -> Tensor:
    """A video of one pixel as a signal."""
    return x[..., 0, 0].transpose(1, 2)


class OnSignal(Layer):
    """Any model of videos over signals: features are its channels, and frames have one pixel.

    So LN cascades, the bipolar cells' gain control and all filters of videos work on sound, current or light without space.

    Args:
        inner: a layer of videos that keeps frames of one pixel; it stays reachable as `inner`.
    Shape: signal (batch, time, in) to (batch, time, out), channels of `inner`.
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> ln = neurosim.models.LN((1, 1, 20, 1, 1), bias=True)  # (out, in, time, y, x)
    >>> ln.nonlinearity = torch.exp
    >>> neurosim.models.OnSignal(ln).run(np.zeros(100), dt=30)[0].shape
    torch.Size([1, 100, 1])
    """

    axes = SIGNAL

    def __init__(self, inner: Layer) -> None:
        if not isinstance(inner, Layer) or inner.axes != VIDEO:
            raise ParameterError("OnSignal", "inner", "must be a layer of videos", inner)
        super().__init__(resolution=inner.resolution)
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The model over a video of one pixel."""
        y = first(self.inner(to_video(x)))
        if y.ndim != 5 or y.shape[3:] != (1, 1):
            raise InputError(f"OnSignal: {type(self.inner).__name__} must give one pixel for one (got {tuple(y.shape)})")
        return to_signal(y)


class Subunits(Layer):
    """Rate of a cell that sums rectified subunits: y = exp(b + sum_j a_j softplus(k_j * x + c_j)).

    `filters` holds k and c, `pool` a and b; `nonlinearity` and `output` may be replaced.

    Args:
        subunits: how many.
        lags: frames of each subunit's kernel, the present one included.
        features, cells: of input and output.
        seed: of the kernels' small random start, without which all subunits would stay alike.
    Shape: signal (batch, time, features) to expected counts per frame (batch, time, cells).
    Raises: ParameterError, InputError, StateError.
    Reference: McFarland, Cui & Butts, PLoS Comput Biol 9:e1003143 (2013), the nonlinear input model.

    >>> import neurosim, numpy as np
    >>> model = neurosim.models.Subunits(4, lags=20)
    >>> model.run(np.zeros(100), dt=30)[0].shape
    torch.Size([1, 100, 1])
    """

    axes = SIGNAL

    def __init__(self, subunits: int, lags: int, features: int = 1, cells: int = 1, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        options["resolution"] = self.resolution
        for what, n in (("subunits", subunits), ("lags", lags), ("features", features), ("cells", cells)):
            whole("Subunits", what, n, 1)
        self.filters = Conv1d(features, subunits, lags, **options)
        self.pool = Conv1d(subunits, cells, 1, **options)
        generator = torch.Generator().manual_seed(seed)
        for conv, size in ((self.filters, lags * features), (self.pool, subunits)):
            conv.p.weight = torch.randn(conv.weight.shape, generator=generator) / math.sqrt(size)
        self.nonlinearity: nn.Module = nn.Softplus()
        self.output: nn.Module = as_part(torch.exp, "Subunits")

    def __setattr__(self, name: str, value: Any) -> None:
        replaces = name in ("nonlinearity", "output") and not isinstance(value, nn.Module)
        super().__setattr__(name, as_part(value, "Subunits") if replaces else value)

    def forward(self, x: Tensor) -> Tensor:
        """Subunits, their sum, the output's nonlinearity."""
        return to_signal(self.output(self.pool(self.nonlinearity(self.filters(to_video(x))))))
