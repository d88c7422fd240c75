"""Poisson spikes, and motion sensors that signal change."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from .._param import Param
from ..functional.events import (
    MotionState,
    PoissonState,
    integrating_motion_step,
    poisson_step,
    ratio_motion_step,
    rows_before,
)
from ..functional.surrogates import SuperSpike, Surrogate
from ..stateful import scan
from ._neuron import _Neuron


class Poisson(_Neuron):
    """Poisson spikes of a given rate: counts per frame, independent from frame to frame.

    The gradient of a count is that of its mean, rate times the length of a frame.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        seed: the same seed gives the same numbers however the stream is cut.
    Shape: rates in Hz, at least 0, to counts of the same shape.
    Raises: InputError for a negative rate or more than 500 spikes in a frame; ParameterError, StateError.
    Reference: see `functional.events.poisson_step`. convis takes a probability per step, and gives at most one spike.

    >>> import neurosim, torch
    >>> counts = neurosim.spiking.Poisson(seed=1).run(torch.full((1000, 4, 4), 50.0), dt=100)[0]  # 50 Hz for 1 s
    >>> 45 < float(counts.sum(2).mean()) < 55
    True
    """

    counts_spikes = True
    signals: ClassVar = {}

    def __init__(self, axes: Axes = VIDEO, *, seed: int = 0, **options: Any) -> None:
        super().__init__(axes, **options)
        self.seed = int(seed)

    def initial_state(self, x: Tensor) -> PoissonState:
        """Frame 0."""
        number = torch.zeros((), dtype=torch.int64, device=x.device)
        return PoissonState(number, torch.full_like(number, self.seed))

    def respond(self, x: Tensor, state: PoissonState) -> tuple[Tensor, PoissonState]:
        """See `functional.events.poisson_step`."""
        rows = rows_before(x, self.axes.time)
        return scan(lambda state, rate: poisson_step(rate, state, self.resolution.frame, rows), state, x, self.axes.time)


class IntegrativeMotionSensor(_Neuron):
    """Integrates its input, df/dt = x, and signals when f leaves the band of one threshold up or down.

    At most one event a frame; f keeps what is left.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        surrogate: what an event has as its gradient, over the distance of f to the threshold.
        threshold: of f.
    Shape: input in 1/s (f per second), (batch, channel, time, y, x) to events, (batch, 2 channel, time, y, x): first all ON,
        then all OFF channels; a signal to twice its features. At rest f = 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Lichtsteiner, Posch & Delbruck, IEEE J Solid-State Circuits 43:566 (2008), without the logarithm.

    >>> import neurosim, torch
    >>> events = neurosim.spiking.IntegrativeMotionSensor(threshold=1.0).run(torch.full((10, 1, 1), 250.0))[0]  # 1 ms frames
    >>> events[0, :, :, 0, 0].int()
    tensor([[0, 0, 0, 1, 0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    """

    threshold = Param(1.0, above=0.0, doc="half-width of the band")

    counts_spikes = True
    signals: ClassVar = {"f": "what is integrated, at the end of each frame"}

    def __init__(self, axes: Axes = VIDEO, *, surrogate: Surrogate = SuperSpike(), **options: Any) -> None:
        super().__init__(axes, **options)
        self.surrogate = surrogate

    def initial_state(self, x: Tensor) -> MotionState:
        """f = 0."""
        return MotionState(torch.zeros_like(x.select(self.axes.time, 0)))

    def respond(self, x: Tensor, state: MotionState) -> tuple[Tensor, MotionState]:
        """See `functional.events.integrating_motion_step`."""
        def step(state: MotionState, frame: Tensor) -> tuple[Tensor, MotionState]:
            on, off, state = integrating_motion_step(frame, state, self.resolution.frame, threshold=self.threshold,
                                                     surrogate=self.surrogate)
            return torch.cat([on, off], 1), state

        return scan(step, state, x, self.axes.time)


class RatioMotionSensor(_Neuron):
    """Compares an intensity with a level of its own and signals when their ratio leaves the band; the level then follows.

    At most one event a frame.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        surrogate: what an event has as its gradient, over the logarithm of the ratio less that of the threshold.
        threshold: ratio that makes an event.
        level: what the first frame is compared with.
    Shape: intensity, above 0, (batch, channel, time, y, x) to events, (batch, 2 channel, time, y, x): first all ON, then all
        OFF channels; a signal to twice its features. NaN for a negative intensity.
    Raises: ParameterError, InputError, StateError.
    Reference: Lichtsteiner, Posch & Delbruck, IEEE J Solid-State Circuits 43:566 (2008).

    >>> import neurosim, torch
    >>> intensity = torch.tensor([1.5, 3.0, 3.0, 0.5])[:, None, None]
    >>> events = neurosim.spiking.RatioMotionSensor(threshold=2.0, level=1.0).run(intensity)[0]
    >>> events[0, :, :, 0, 0].int()
    tensor([[0, 1, 0, 0],
            [0, 0, 0, 1]], dtype=torch.int32)
    """

    threshold = Param(1.5, above=1.0, doc="ratio that makes an event")
    level = Param(0.5, above=0.0, fit=False, doc="what the first frame is compared with")

    counts_spikes = True
    signals: ClassVar = {"f": "level that is compared with, at the end of each frame"}

    def __init__(self, axes: Axes = VIDEO, *, surrogate: Surrogate = SuperSpike(), **options: Any) -> None:
        super().__init__(axes, **options)
        self.surrogate = surrogate

    def initial_state(self, x: Tensor) -> MotionState:
        """f at the level."""
        return MotionState(torch.zeros_like(x.select(self.axes.time, 0)) + self.level)

    def respond(self, x: Tensor, state: MotionState) -> tuple[Tensor, MotionState]:
        """See `functional.events.ratio_motion_step`."""
        def step(state: MotionState, frame: Tensor) -> tuple[Tensor, MotionState]:
            on, off, state = ratio_motion_step(frame, state, threshold=self.threshold, surrogate=self.surrogate)
            return torch.cat([on, off], 1), state

        return scan(step, state, x, self.axes.time)
