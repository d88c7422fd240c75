"""Recursive filters in time and space: their memory is one frame, whatever the time constant."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from .._param import Param
from ..functional.spatial import deriche, leaky_heat
from ..functional.temporal import cascade, highpass
from ..layer import Layer
from ..stateful import ChunkLayer


class LowPassState(NamedTuple):
    """Last output of every stage, (stage, batch, channel, y, x)."""

    stages: Tensor


class TemporalLowPass(ChunkLayer):
    """Exponential low-pass in time, or a cascade of them: exact for input that is held over a frame.

    One stage is tau dy/dt = x - y; a cascade of n has n + 1 stages of tau / n each.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        tau: time constant in s; 0 passes the input on.
        n: order of the cascade, 0 for a single stage.
    Shape: as the input. At rest the past input was 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst, J Comput Neurosci 26:219 (2009), eq. 2 and 3.

    >>> import neurosim, torch
    >>> lowpass = neurosim.filters.TemporalLowPass(tau=0.02)
    >>> y = lowpass.run(torch.ones(100, 4, 4), dt=30)[0]
    >>> round(float(y[0, 0, 19, 0, 0]), 4)  # after one time constant: 1 - 1/e
    0.6321
    """

    tau = Param(0.01, unit="s", at_least=0.0, doc="time constant")
    n = Param(0, choices=range(21), fit=False, doc="order of the cascade; 0 is a single stage")

    def __init__(self, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes

    def initial_state(self, x: Tensor) -> LowPassState:
        """All stages at 0."""
        frame = x.select(self.axes.time, 0)
        return LowPassState(frame.new_zeros((int(self.n) + 1, *frame.shape)))

    def chunk(self, x: Tensor, state: LowPassState) -> tuple[Tensor, LowPassState]:
        """See `functional.temporal.cascade`."""
        y, stages = cascade(x, state.stages, self.tau, int(self.n), self.resolution.frame, self.axes.time)
        return y, LowPassState(stages)


class HighPassState(NamedTuple):
    """Last value of the average that is subtracted, the shape of a frame."""

    mean: Tensor


class TemporalHighPass(ChunkLayer):
    """The input less its weighted exponential average in time: y = x - k lowpass(x).

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        tau: time constant of the average in s.
        k: weight of the average; a constant input c comes out as (1 - k) c.
    Shape: as the input. At rest the average is 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst (2009), eq. 5.

    >>> import neurosim, torch
    >>> highpass = neurosim.filters.TemporalHighPass(tau=0.01, k=1.0)
    >>> bool(highpass.run(torch.ones(200, 2, 2))[0][0, 0, -1].abs().max() < 1e-5)
    True
    """

    tau = Param(0.01, unit="s", at_least=0.0, doc="time constant of the average")
    k = Param(0.5, doc="weight of the average")

    def __init__(self, axes: Axes = VIDEO, **options: Any) -> None:
        super().__init__(**options)
        self.axes = axes

    def initial_state(self, x: Tensor) -> HighPassState:
        """The average at 0."""
        return HighPassState(torch.zeros_like(x.select(self.axes.time, 0)))

    def chunk(self, x: Tensor, state: HighPassState) -> tuple[Tensor, HighPassState]:
        """See `functional.temporal.highpass`."""
        y, mean = highpass(x, state.mean, self.tau, self.k, self.resolution.frame, self.axes.time)
        return y, HighPassState(mean)


class SpatialRecursive(Layer):
    """Recursive smoothing of every frame, with replicated borders; the cost does not depend on sigma.

    The kernel is (1 + a|m|) exp(-a|m|) with a = 1.695 / s for s pixels, the second-order filter of Deriche. Its standard
    deviation is 1.18 s; below 0.1 pixels it passes the input on.

    Args:
        sigma: nominal width s in degrees.
        resolution, dtype, device, values: as for `Layer`.
    Shape: video, as the input.
    Raises: ParameterError, InputError.
    Reference: R. Deriche, INRIA report 1893 (1993).

    >>> import neurosim, torch
    >>> blur = neurosim.filters.SpatialRecursive(sigma=0.3)
    >>> bool((blur(torch.ones(1, 20, 20)) - 1).abs().max() < 1e-5)  # constants stay
    True
    """

    sigma = Param(0.1, unit="deg", at_least=0.0, doc="nominal width")

    def forward(self, x: Tensor) -> Tensor:
        """See `functional.spatial.deriche`."""
        return deriche(x, self.sigma * self.resolution.pixels_per_degree, exact=True)


class LeakyHeatState(NamedTuple):
    """Last output, (batch, channel, y, x)."""

    y: Tensor


class LeakyHeat(ChunkLayer):
    """The leaky heat equation: a low-pass in time whose content spreads in space as it decays.

    Each step decays, takes in the frame and smooths the whole: y[k] = B(c y[k-1] + gain (1 - c) x[k]), c = exp(-h / tau), B
    the filter of `SpatialRecursive` with sigma sqrt(h / tau). The result depends on the length h of a frame.

    Args:
        tau: time constant in s.
        sigma: nominal width in degrees that the content has spread to after tau.
        gain: of a constant input.
        resolution, dtype, device, values: as for `Layer`.
    Shape: video, as the input. At rest y is 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Wohrer & Kornprobst (2009), sec. 2.1 and appendix.

    >>> import neurosim, torch
    >>> heat = neurosim.filters.LeakyHeat(tau=0.01, sigma=0.2)
    >>> heat.run(torch.rand(30, 16, 16), dt=8)[0].shape
    torch.Size([1, 1, 30, 16, 16])
    """

    tau = Param(0.01, unit="s", above=0.0, doc="time constant")
    sigma = Param(0.1, unit="deg", at_least=0.0, doc="nominal width after one time constant")
    gain = Param(1.0, doc="gain of a constant input")

    def initial_state(self, x: Tensor) -> LeakyHeatState:
        """Nothing there."""
        return LeakyHeatState(torch.zeros_like(x[:, :, 0]))

    def chunk(self, x: Tensor, state: LeakyHeatState) -> tuple[Tensor, LeakyHeatState]:
        """See `functional.spatial.leaky_heat`."""
        y, last = leaky_heat(x, state.y, self.sigma * self.resolution.pixels_per_degree, self.tau,
                             self.resolution.frame, self.gain)
        return y, LeakyHeatState(last)
