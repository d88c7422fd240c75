"""Models: linear-nonlinear cascades, containers that join layers, and torch's recurrent modules as layers."""

from .containers import Dict, List, Parallel, Sequential
from .ln import LN, LNFDLNF, LNLN, LNLNLN, LNLNLNLN, RF, RFN, L, LNCascade
from .mcintosh import McIntosh
from .recurrent import Recurrent

__all__ = [
    "L", "RF", "LN", "RFN", "LNLN", "LNLNLN", "LNLNLNLN", "LNCascade", "LNFDLNF", "McIntosh", "Sequential", "Parallel",
    "List", "Dict", "Recurrent",
]
