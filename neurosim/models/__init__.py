"""Models: linear-nonlinear cascades, models of spike trains, containers that join layers, and torch's recurrent modules."""

from .containers import Bidirectional, Dict, List, Parallel, Sequential
from .glm import GLM, SpikingGLM
from .ln import LN, LNFDLNF, LNLN, LNLNLN, LNLNLNLN, RF, RFN, L, LNCascade
from .mcintosh import McIntosh
from .recurrent import Recurrent
from .signal import OnSignal, Subunits

__all__ = [
    "L", "RF", "LN", "RFN", "LNLN", "LNLNLN", "LNLNLNLN", "LNCascade", "LNFDLNF", "McIntosh", "Sequential", "Parallel",
    "Bidirectional", "List", "Dict", "Recurrent", "OnSignal", "Subunits", "GLM", "SpikingGLM",
]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
