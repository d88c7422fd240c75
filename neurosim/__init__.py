"""neurosim: streaming simulation of retinas, linear-nonlinear cascades and liquid networks, on PyTorch."""

__version__ = "0.1.0"
