"""Spiking neurons, from integrate-and-fire to Hodgkin-Huxley, Poisson spikes, and surrogate gradients."""

from ..functional.izhikevich import IZHIKEVICH_SETS, IzhikevichSet
from ..functional.surrogates import ArcTan, Logistic, SuperSpike, Surrogate, Triangle
from .izhikevich import Izhikevich
from .lif import LIF, RefractoryLIF

__all__ = ["IZHIKEVICH_SETS", "LIF", "ArcTan", "Izhikevich", "IzhikevichSet", "Logistic", "RefractoryLIF", "SuperSpike",
           "Surrogate", "Triangle"]
