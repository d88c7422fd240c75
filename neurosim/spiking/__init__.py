"""Spiking neurons, from integrate-and-fire to Hodgkin-Huxley, Poisson spikes, and surrogate gradients."""

from ..functional.surrogates import ArcTan, Logistic, SuperSpike, Surrogate, Triangle
from .lif import LIF, RefractoryLIF

__all__ = ["LIF", "ArcTan", "Logistic", "RefractoryLIF", "SuperSpike", "Surrogate", "Triangle"]
