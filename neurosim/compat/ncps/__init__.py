"""The names of ncps 1.0.1 for PyTorch, on neurosim: `from neurosim.compat import ncps` in place of `import ncps`."""

from . import torch, wirings

__all__ = ["torch", "wirings"]
