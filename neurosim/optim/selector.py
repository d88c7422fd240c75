"""Choosing an optimizer with Tab."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from .._errors import ParameterError, UnknownName
from .optimizers import OWN, Scipy


def optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """Every optimizer of torch and of this package, by name."""
    found = {name: value for name, value in vars(torch.optim).items()
             if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer}
    return {**found, **OWN}


def fitted_parameters(layer: Any) -> list[Tensor]:
    """All parameters that require gradients. Raises ParameterError when none does."""
    fitted = [x for x in layer.parameters() if x.requires_grad]
    if not fitted:
        raise ParameterError("set_optimizer", "params", "no parameter requires a gradient; call "
                             "layer.requires_grad_(True) or pass the parameters to fit")
    return fitted


def made(layer: Any, optimizer: Any, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
    """An optimizer from an instance, a class or a name, bound to the layer's parameters unless others are given.

    Raises: ParameterError, UnknownName.
    """
    if isinstance(optimizer, torch.optim.Optimizer):
        if args or kwargs:
            raise ParameterError("set_optimizer", "optimizer", "is made already; give its options to it, or its class and "
                                 "options here", type(optimizer).__name__)
        return optimizer
    if isinstance(optimizer, str):
        if optimizer in Scipy.METHODS:
            return made(layer, Scipy, *args, method=optimizer, **kwargs)
        known = optimizers()
        if optimizer not in known:
            raise UnknownName("set_optimizer", optimizer, [*sorted(known), *Scipy.METHODS])
        return made(layer, known[optimizer], *args, **kwargs)
    if not (inspect.isclass(optimizer) and issubclass(optimizer, torch.optim.Optimizer)):
        raise ParameterError("set_optimizer", "optimizer", "must be a torch optimizer, its class or its name", optimizer)
    if not args and "params" not in kwargs:
        args = (fitted_parameters(layer),)
    elif args and isinstance(args[0], Tensor):
        args = ([args[0]], *args[1:])
    elif args and not isinstance(args[0], Iterable):
        raise ParameterError("set_optimizer", "params", "give options by name, set_optimizer.SGD(lr=0.1)", args[0])
    try:
        return optimizer(*args, **kwargs)
    except (TypeError, ValueError) as error:  # an option that it does not have, a value or a parameter that it does not take
        options = [name for name in inspect.signature(optimizer).parameters if name != "params"]
        raise ParameterError("set_optimizer", optimizer.__name__, f"{error}. Its options are {options}; the parameters to fit "
                             f"may be given first: set_optimizer.{optimizer.__name__}([layer.p.name], ...)") from error


class OptimizerSelector:
    """`layer.set_optimizer.<Tab>` lists the optimizers of torch and ours; calling one binds the layer's parameters.

    Args:
        layer: whose parameters are bound.

    >>> import neurosim
    >>> layer = neurosim.filters.TemporalLowPass()
    >>> isinstance(layer.set_optimizer, neurosim.optim.OptimizerSelector)
    True
    >>> layer.set_optimizer.Adam(lr=0.01)
    >>> type(layer.optimizer).__name__
    'Adam'
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __dir__(self) -> list[str]:
        return sorted(optimizers())

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        known = optimizers()
        if name not in known:
            raise UnknownName("set_optimizer", name, sorted(known))

        @functools.wraps(known[name])
        def choose(*args: Any, **kwargs: Any) -> None:
            self(known[name], *args, **kwargs)

        return choose

    def __call__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Binds an optimizer: an instance, or a class or its name (in torch.optim, ours, or a bounded method of scipy).

        The first argument may be the parameters to fit; without it they are all that require gradients.
        Raises: ParameterError, UnknownName.
        """
        self._layer.optimizer = made(self._layer, optimizer, *args, **kwargs)

    def __repr__(self) -> str:
        return f"set_optimizer.<one of {', '.join(dir(self))}>(options)"
