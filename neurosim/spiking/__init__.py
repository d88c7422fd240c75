"""Spiking neurons, from integrate-and-fire to Hodgkin-Huxley, Poisson spikes, motion sensors, and surrogate gradients."""

from ..functional.izhikevich import IZHIKEVICH_SETS, IzhikevichSet
from ..functional.surrogates import ArcTan, Logistic, SuperSpike, Surrogate, Triangle
from .conductance import AdaptiveExponential, FitzHughNagumo, HodgkinHuxley
from .events import IntegrativeMotionSensor, Poisson, RatioMotionSensor
from .izhikevich import Izhikevich
from .lif import LIF, RefractoryLIF

__all__ = ["IZHIKEVICH_SETS", "LIF", "AdaptiveExponential", "ArcTan", "FitzHughNagumo", "HodgkinHuxley",
           "IntegrativeMotionSensor", "Izhikevich", "IzhikevichSet", "Logistic", "Poisson", "RatioMotionSensor",
           "RefractoryLIF", "SuperSpike", "Surrogate", "Triangle"]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
