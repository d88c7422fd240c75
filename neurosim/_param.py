"""Parameters: one declaration line says default, unit, range and meaning; all else reads that line."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._errors import ParameterError


class Param:
    """Declares a parameter of a layer, as a class attribute.

    Args:
        default: its value when the layer is built without one; `None` when the layer makes it itself (a kernel).
        unit: unit of the value, such as "s" or "Hz"; empty for a pure number.
        above, at_least, at_most: bounds, open or closed; a value outside is refused.
        choices: the finite set of values, when there is one.
        fit: whether an optimizer may change it. One that it may not is a constant, kept among the buffers.
        user: whether it is meant to be set by a person (a time constant), not only fitted (a kernel's weights).
        doc: what it means, in one line.

    A value of a layer's parameter is a `Parameter` (or a `Constant`), reached as an attribute of the layer.

    >>> import neurosim
    >>> class Gain(neurosim.Layer):
    ...     gain = Param(2.0, unit="mV", at_least=0.0, doc="output per input")
    ...     def forward(self, x):
    ...         return self.gain * x
    >>> Gain(gain=3.0)
    Gain(gain=3)
    >>> Gain.gain.range
    '[0, inf)'
    """

    name: str = "parameter"

    def __init__(self, default: float | None, *, unit: str = "", above: float | None = None,
                 at_least: float | None = None, at_most: float | None = None,
                 choices: Sequence[float] | None = None, fit: bool = True, user: bool = True, doc: str) -> None:
        self.default = default
        self.unit = unit
        self.above = above
        self.at_least = at_least
        self.at_most = at_most
        self.choices = None if choices is None else list(choices)
        self.fit = fit
        self.user = user
        self.doc = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        for registry in ("_parameters", "_buffers"):
            if self.name in layer.__dict__.get(registry, ()):
                return layer.__dict__[registry][self.name]
        raise AttributeError(f"{type(layer).__name__}.{self.name}: declared, but this layer was built without it")

    def __set__(self, layer: Any, value: Any) -> None:
        raise ParameterError(type(layer).__name__, self.name,
                             f"plain assignment would destroy the parameter; write layer.p.{self.name} = value or "
                             f"layer.{self.name}.set(value)", value)

    @property
    def range(self) -> str:
        """The values allowed, as text: `(0, inf)`, `[0, 1]` or the list of choices; empty when all are."""
        if self.choices is not None:
            few = len(self.choices) < 5
            return str(self.choices) if few else f"[{self.choices[0]}, {self.choices[1]}, ..., {self.choices[-1]}]"
        if self.above is None and self.at_least is None and self.at_most is None:
            return ""
        low = f"({self.above:g}" if self.above is not None else f"[{self.at_least:g}" if self.at_least is not None \
            else "(-inf"
        return f"{low}, {self.at_most:g}]" if self.at_most is not None else f"{low}, inf)"

    def check(self, where: str, value: Tensor) -> None:
        """Raises `ParameterError`, which names `where`, when an element of `value` is not finite or outside the range.

        >>> Param(0.1, at_least=0.0, doc="a time").check("Here", torch.tensor([0.0, 3.0]))
        """
        if value.is_meta:  # no numbers yet
            return
        inside = torch.isfinite(value)
        if self.choices is not None:
            inside &= torch.isin(value, torch.tensor(self.choices, dtype=value.dtype, device=value.device))
        if self.above is not None:
            inside &= value > self.above
        if self.at_least is not None:
            inside &= value >= self.at_least
        if self.at_most is not None:
            inside &= value <= self.at_most
        if not bool(inside.all()):
            need = f"choose from {self.choices}" if self.choices else \
                f"must lie in {self.range} {self.unit}".rstrip() if self.range else \
                "must not be NaN" if bool(value.isnan().any()) else "must be finite"
            raise ParameterError(where, self.name, need, value[~inside].flatten()[0].item())

    def make(self, where: str, value: Any, *, requires_grad: bool, dtype: torch.dtype | None = None,
             device: torch.device | str | None = None) -> Parameter | Constant:
        """The checked value as a `Parameter`, or as a `Constant` when it is not to be fitted.

        Args:
            where: the layer's class, for messages.
            value: number or array.
            requires_grad: whether gradients are taken with respect to it.
            dtype, device: as in torch.
        Raises: ParameterError.

        >>> Param(0.1, doc="a time").make("Here", 0.2, requires_grad=True).requires_grad
        True
        """
        data = as_number(where, self.name, value, dtype or torch.get_default_dtype(), device)
        if self.default is not None and data.numel() == 1:
            data = data.reshape(())  # declared as a number, also when it comes as an array of one
        if self.default is not None and data.ndim:
            raise ParameterError(where, self.name, f"must be a single number, has shape {tuple(data.shape)}", value)
        self.check(where, data)
        data = data.clone()
        return Parameter(data, requires_grad, self, where) if self.fit else Constant(data, False, self, where)


def as_number(where: str, what: str, value: Any, dtype: torch.dtype, device: Any) -> Tensor:
    """`value` as a detached tensor; raises `ParameterError` when it is not numeric."""
    if isinstance(value, np.ndarray) and any(step < 0 for step in value.strides):
        value = value.copy()  # torch cannot hold reversed arrays
    try:
        return torch.as_tensor(value, dtype=dtype, device=device).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(where, what, "must be a number or an array of numbers", value) from error


class _Value(Tensor):
    """What `Parameter` and `Constant` have in common: a tensor that knows its declaration and sets itself."""

    spec: Param
    owner: str

    def set(self, value: Any) -> None:
        """Sets the value in place: broadcast, cast to this dtype and device, checked against the range.

        Raises: ParameterError, and then nothing has changed.
        """
        new = as_number(self.owner, self.spec.name, value, self.dtype, self.device)
        if new.numel() == 1:
            new = new.reshape(())
        try:
            new = new.expand(self.shape)
        except RuntimeError:
            raise ParameterError(self.owner, self.spec.name, f"must fit the shape {tuple(self.shape)}",
                                 tuple(new.shape)) from None
        self.spec.check(self.owner, new)
        with torch.no_grad():
            self.copy_(new)

    def __float__(self) -> float:
        return float(self.item())  # without torch's warning about a graph: who asks for a float wants none

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        spec = self.spec
        lines = [f"{spec.name} = {value_text(self)}" + (f" {spec.unit}" if spec.unit else "")]
        if spec.range:
            lines.append(f"  range: {spec.range}")
        lines.append(f"  {spec.doc}")
        if not spec.fit:
            lines.append("  constant: set by hand, not fitted")
        return "\n".join(lines)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = _rebuild(type(self), self.data.clone(), self.requires_grad, self.spec, self.owner)
            if self.grad is not None:
                memo[id(self)].grad = copy.deepcopy(self.grad, memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.data.as_subclass(Tensor), self.requires_grad, self.spec, self.owner)


class Parameter(_Value, nn.Parameter):
    """A parameter of a layer: a `torch.nn.Parameter` with `.set`, and with unit, range and meaning in `.spec`.

    Args:
        data: the value.
        requires_grad: whether gradients are taken with respect to it.
        spec: its declaration.
        where: what messages name it after.

    >>> import neurosim
    >>> tau = neurosim.filters.TemporalLowPass().tau
    >>> tau.set(0.05)
    >>> tau
    tau = 0.05 s
      range: [0, inf)
      time constant
    """

    def __new__(cls, data: Any, requires_grad: bool = True, spec: Param | None = None, where: str = "Parameter") -> Parameter:
        if not isinstance(data, Tensor):
            data = torch.as_tensor(data, dtype=torch.get_default_dtype())
        spec = spec or Param(None, doc="a parameter by itself")
        self = torch.Tensor._make_subclass(cls, data.detach(), requires_grad)
        self.spec, self.owner = spec, where
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class Constant(_Value):
    """A value of a layer that a person may set and no optimizer changes (a buffer), such as a sign.

    Args:
        data: the value.
        requires_grad: False; there for the likeness with `Parameter`.
        spec: its declaration.
        where: what messages name it after.

    >>> import neurosim
    >>> delays = neurosim.filters.VariableDelay(3).delays
    >>> isinstance(delays, Constant), delays.item()
    (True, 3.0)
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Tensor, requires_grad: bool, spec: Param, where: str) -> Constant:
        self = torch.Tensor._make_subclass(cls, data, False)
        self.spec, self.owner = spec, where
        return self

    def __init__(self, *args: Any) -> None:
        pass


def _rebuild(cls: Any, data: Tensor, requires_grad: bool, spec: Param, where: str) -> Any:
    return cls(data, requires_grad, spec, where)


def value_text(x: Tensor) -> str:
    """A short text for a value: the number, or shape and range of an array."""
    data = x.detach()
    if data.is_meta:
        return f"{str(data.dtype).removeprefix('torch.')}{list(data.shape)} without numbers (meta)"
    if data.numel() == 1:
        return f"{data.item():.6g}"
    if data.numel() == 0 or not data.is_floating_point():
        return f"{str(data.dtype).removeprefix('torch.')}{list(data.shape)}"
    return f"array{list(data.shape)} from {data.min().item():.4g} to {data.max().item():.4g}"


def declared(cls: type) -> dict[str, Param]:
    """Every parameter that a layer class declares, base classes first."""
    return _declared(cls)


@functools.cache
def _declared(cls: Any) -> dict[str, Param]:
    return {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()
            if isinstance(value, Param)}
