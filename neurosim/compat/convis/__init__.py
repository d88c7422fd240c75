"""What scripts of convis call and neurosim itself has in another form: `from neurosim.compat import convis`."""

from . import samples

__all__ = ["samples"]
