"""What a layer takes when it is not told: read once, when the layer is built."""

from ._units import default_resolution as resolution

grad_enabled = True

__all__ = ["grad_enabled", "resolution"]
