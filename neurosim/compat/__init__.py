"""Drop-in faces of the libraries that neurosim follows."""

from . import convis, ncps

__all__ = ["convis", "ncps"]
