"""Leaky integrate-and-fire neurons, with and without a refractory time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from .._axes import VIDEO, Axes
from .._param import Param
from ..functional.lif import LIFState, lif, lif_start
from ..functional.surrogates import SuperSpike, Surrogate
from ._neuron import _Neuron


class _IntegrateAndFire(_Neuron, ABC):
    """What both share: parameters, the state at rest and the noise."""

    counts_spikes = True

    g_L = Param(50.0, unit="Hz", above=0.0, doc="leak")
    threshold = Param(1.0, doc="potential that makes a spike")
    v_reset = Param(0.0, doc="potential after a spike, and at the start")
    noise_sigma = Param(0.0, at_least=0.0, doc="stationary deviation of the free potential")

    def __init__(self, axes: Axes = VIDEO, *, seed: int = 0, surrogate: Surrogate = SuperSpike(), **options: Any) -> None:
        super().__init__(axes, **options)
        self.seed, self.surrogate = int(seed), surrogate

    @abstractmethod
    def _refractory(self) -> tuple[Any, Any]:
        """Mean and deviation of the refractory time in s."""

    def initial_state(self, x: Tensor) -> LIFState:
        """Potentials at the reset."""
        return lif_start(x.select(self.axes.time, 0), self.v_reset, self.seed)

    def respond(self, x: Tensor, state: LIFState) -> tuple[Tensor, LIFState]:
        """See `functional.lif.lif`."""
        mean, sigma = self._refractory()
        return lif(x, state, self.resolution.frame, self.axes.time, g_leak=self.g_L, threshold=self.threshold,
                   v_reset=self.v_reset, noise_sigma=self.noise_sigma, refractory=mean, refractory_sigma=sigma,
                   surrogate=self.surrogate)


class LIF(_IntegrateAndFire):
    """Leaky integrate-and-fire neurons: dv/dt = x - g_L v + white noise; a spike and v = v_reset at the threshold.

    Exact between spikes for input held over a frame; the threshold is tested at the end of each frame. For exact spike times
    and several spikes in a frame see `neurosim.retina.GanglionSpiking`.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        seed: of the noise; the same seed gives the same numbers however the stream is cut.
        surrogate: what the spikes have as their gradient: SuperSpike, ArcTan, Triangle or Logistic.
        g_L: leak in Hz.
        threshold, v_reset: of the potential.
        noise_sigma: stationary deviation of the free potential; 0, the default, is no noise.
    Shape: input in Hz (potential per second) to spikes, 0 or 1, of the same shape. At rest v = v_reset.
    Raises: ParameterError, InputError, StateError.
    Reference: Gerstner et al., Neuronal Dynamics (2014), sec. 1.3 and 8.1; see `functional.lif.lif`.

    >>> import neurosim, torch
    >>> neurons = neurosim.spiking.LIF(g_L=50.0)
    >>> spikes = neurons.run(torch.full((100, 2, 2), 200.0), dt=30)[0]  # 200 Hz for 0.1 s
    >>> spikes[0, 0, :, 0, 0].nonzero().flatten()[:3]  # v crosses 1 after ln(4 / 3) / 50 Hz = 5.8 ms, at the end of frame 5
    tensor([ 5, 11, 17])
    """

    def _refractory(self) -> tuple[Any, Any]:
        """None."""
        return 0.0, 0.0


class RefractoryLIF(_IntegrateAndFire):
    """`LIF` that stays at the reset for a while after each spike; the time is rounded to whole frames.

    Args:
        axes, seed, surrogate: as for `LIF`.
        g_L, threshold, v_reset, noise_sigma: as for `LIF`.
        refr_mu, refr_sigma: refractory time in s, max(refr_mu + refr_sigma N(0, 1), 0), drawn for each spike.
    Shape: input in Hz (potential per second) to spikes, 0 or 1, of the same shape. At rest v = v_reset, and nothing waits.
    Raises: ParameterError, InputError, StateError.
    Reference: Gerstner et al., Neuronal Dynamics (2014), sec. 1.3; see `functional.lif.lif`.

    >>> import neurosim, torch
    >>> neurons = neurosim.spiking.RefractoryLIF(refr_mu=0.004)
    >>> spikes = neurons.run(torch.full((100, 2, 2), 200.0))[0]
    >>> spikes[0, 0, :, 0, 0].nonzero().flatten()[:3]
    tensor([ 5, 15, 25])
    """

    refr_mu = Param(0.003, unit="s", at_least=0.0, fit=False, doc="mean refractory time")
    refr_sigma = Param(0.0, unit="s", at_least=0.0, fit=False, doc="deviation of the refractory time from spike to spike")

    def _refractory(self) -> tuple[Any, Any]:
        """What the parameters say."""
        return self.refr_mu, self.refr_sigma
