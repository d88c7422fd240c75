"""Convolutions whose kernels are smooth in time: sums of cascaded low-passes, each with its own spatial kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .._errors import ParameterError
from ..layer import Layer
from ..streams.base import shape_of, whole
from .conv import Conv2d
from .recursive import TemporalLowPass


class SmoothConv(Layer):
    """A kernel smooth in time: y = sum over i of W_i * E^i x, i = 1 to n, E a low-pass of time constant tau.

    The time courses are t^(i-1) exp(-t / tau), so few weights give a long kernel, at a cost that does not depend on tau.

    Args:
        n: how many low-passes follow one another.
        tau: time constant of each in s; they are set one by one as `p.lowpass_0.tau`.
        spatial_filter: (y, x), size of every W_i.
        in_channels, out_channels: channels of input and output.
        bias: whether a bias is added to each output channel.
        seed: of the weights, normal with variance 1 / (weights per output); `conv.weight` is (out, n in, 1, y, x), the
            input channels after the first low-pass first.
    Shape: video (batch, in, time, y, x) to (batch, out, time, y, x); borders are replicated.
    Raises: ParameterError, InputError, StateError.
    Reference: convis, `SmoothConv`; the low-passes have gain 1 here.

    >>> import neurosim, torch
    >>> smooth = neurosim.filters.SmoothConv(n=3, tau=0.02, spatial_filter=(3, 3))
    >>> smooth.run(torch.rand(20, 8, 8), dt=6)[0].shape
    torch.Size([1, 1, 20, 8, 8])
    """

    signals: ClassVar[Mapping[str, str]] = {"components": "W_i * E^i x (batch, n out, time, y, x), without the bias"}

    def __init__(self, n: int = 3, tau: float = 0.1, spatial_filter: tuple[int, int] = (10, 10), *, in_channels: int = 1,
                 out_channels: int = 1, bias: bool = True, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.n = whole("SmoothConv", "n", n, 1)
        size = shape_of("SmoothConv", "spatial_filter", spatial_filter)
        if len(size) != 2:
            raise ParameterError("SmoothConv", "spatial_filter", "must be (y, x)", spatial_filter)
        whole("SmoothConv", "in_channels", in_channels, 1)
        whole("SmoothConv", "out_channels", out_channels, 1)
        options["resolution"] = self.resolution
        for i in range(n):
            setattr(self, f"lowpass_{i}", TemporalLowPass(tau=tau, **options))
        self.conv = Conv2d(n * in_channels, out_channels, size, bias=bias, **options)
        shape = (out_channels, n * in_channels, 1, *size)
        g = torch.Generator().manual_seed(seed)
        weight = torch.randn(shape, generator=g, dtype=torch.float64) / (n * in_channels * size[0] * size[1]) ** 0.5
        self.conv.set_weight(weight)

    def forward(self, x: Tensor) -> Tensor:
        """The weighted sum of the low-passes."""
        stages = []
        for i in range(self.n):
            x = getattr(self, f"lowpass_{i}")(x)
            stages.append(x)
        if self.wants("components"):
            w, c = self.conv.impulse_response(), x.shape[1]
            self.emit("components", torch.cat([self.conv._filtered(stage, w[:, i * c:(i + 1) * c], None)
                                               for i, stage in enumerate(stages)], 1))
        return self.conv(torch.cat(stages, 1))
