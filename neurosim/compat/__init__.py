"""Drop-in faces of the libraries that neurosim follows."""

from . import ncps

__all__ = ["ncps"]
