"""State of a tree of layers as one flat value: `{"path.of.layer.field": tensor}`; at rest it is empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from ._errors import StateError

StateDict = dict[str, Tensor]


def fields(state: Any) -> dict[str, Tensor]:
    """The named tensors of one layer's state (a NamedTuple, or a mapping that is not fitted to the layer yet)."""
    if state is None:
        return {}
    return dict(state) if isinstance(state, Mapping) else state._asdict()


def mapped(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same state with `function` applied to every tensor."""
    if state is None:
        return None
    if isinstance(state, Mapping):
        return {name: function(x) for name, x in state.items()}
    return type(state)(*map(function, state))


def fitted(state: Any, expected: Any, where: str) -> Any:
    """`state` as the NamedTuple type of `expected`; raises `StateError` when fields, shapes or dtypes differ."""
    have, need = fields(state), fields(expected)
    if have.keys() != need.keys():
        raise StateError(f"{where}: a state has the fields {list(need)} (got {list(have)})")
    for name, x in have.items():
        if x.shape != need[name].shape or x.dtype != need[name].dtype or x.device != need[name].device:
            raise StateError(
                f"{where}: the state was left by other frames than these; its {name} is {describe(x)}, the new chunk "
                f"needs {describe(need[name])}. Call clear_state() before a new recording.")
    return type(expected)(**have)


def is_state(state: Any) -> bool:
    """Whether `state` is a NamedTuple of tensors."""
    return isinstance(state, tuple) and hasattr(state, "_asdict") and all(isinstance(x, Tensor) for x in state)


def describe(x: Tensor) -> str:
    """Shape, dtype and device of a tensor in words."""
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')} on {x.device}"
