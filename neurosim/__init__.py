"""neurosim: streaming simulation of retinas, linear-nonlinear cascades and liquid networks, on PyTorch."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import _defaults, optim, plot, streams
from ._axes import SIGNAL, TIME_FIRST_SIGNAL, VIDEO, Axes
from ._errors import (
    ConfigError,
    InputError,
    MissingExtra,
    NeurosimError,
    ParameterError,
    RunnerError,
    StateError,
    StreamError,
    UnknownName,
)
from ._output import Events, Output, Spikes
from ._param import Constant, Param, Parameter
from ._units import Resolution, default_resolution
from .layer import Layer
from .runner import Runner, Stats
from .stateful import ChunkLayer, FrameLayer, scan

if TYPE_CHECKING:
    from . import analysis, datasets, filters, liquid, models, retina, spiking, stimuli

__version__ = "0.1.0"

__all__ = [
    "SIGNAL", "TIME_FIRST_SIGNAL", "VIDEO", "Axes", "ChunkLayer", "ConfigError", "Constant", "Events", "FrameLayer",
    "InputError", "Layer", "MissingExtra", "NeurosimError", "Output", "Param", "Parameter", "ParameterError", "Resolution",
    "Runner", "RunnerError", "Spikes", "StateError", "Stats", "StreamError", "UnknownName", "analysis", "datasets",
    "default_grad_enabled", "default_resolution", "filters", "liquid", "models", "optim", "plot", "retina", "scan",
    "spiking", "stimuli", "streams",
]


LATE = ("analysis", "datasets", "filters", "liquid", "models", "retina", "spiking", "stimuli")  # imported when first used


class _Package(ModuleType):
    """The package with `default_grad_enabled` as a setting that layers read when they are built."""

    def __getattr__(self, name: str) -> ModuleType:
        if name in LATE:
            return importlib.import_module(f"neurosim.{name}")
        raise AttributeError(f"module 'neurosim' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*(name for name in super().__dir__() if name.startswith("__")), *__all__]  # what Tab offers

    @property
    def default_grad_enabled(self) -> bool:
        """Whether parameters of new layers require gradients."""
        return _defaults.grad_enabled

    @default_grad_enabled.setter
    def default_grad_enabled(self, value: bool) -> None:
        _defaults.grad_enabled = bool(value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "default_resolution":
            raise ParameterError("neurosim", name, "set its attributes pixel_per_degree and steps_per_second", value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext neurosim`: completion through layers of keys, `layer.p["opl.<Tab>`, and without jedi."""
    from IPython.core.guarded_eval import EVALUATION_POLICIES  # not public: only where it is asked for

    policy: Any = EVALUATION_POLICIES["limited"]
    policy.allowed_getattr_external.update({("neurosim",), ("torch", "nn")})
