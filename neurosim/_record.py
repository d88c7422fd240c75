"""Recording inner outputs and signals of a model while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ._errors import ParameterError, StateError, UnknownName
from ._output import Events, Output

EVENTS = "events"


def recordable(model: nn.Module) -> list[str]:
    """Every path that `record` takes: sub-layers, and the signals that layers document."""
    paths = []
    for path, module in model.named_modules():
        if path:
            paths.append(path)
        paths += [f"{path}.{name}" if path else name for name in getattr(module, "signals", ()) if name != EVENTS]
    return paths


class Recorder:
    """Listens to layers of a model while it is entered; spike events are always listened to.

    Raises: UnknownName for a path that is not there, ParameterError for a record that is no list of paths.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str]) -> None:
        if isinstance(paths, str):
            raise ParameterError(type(model).__name__, "record", "must be a list of paths", paths)
        modules = dict(model.named_modules())
        self._wanted: dict[str, tuple[Any, str]] = {}
        for path in paths:
            owner, _, signal = path.rpartition(".")
            if path in modules and path:
                self._wanted[path] = (modules[path], "output")
            elif owner in modules and signal in getattr(modules[owner], "signals", ()):
                self._wanted[path] = (modules[owner], signal)
            else:
                raise UnknownName(f"{type(model).__name__}.record", path, recordable(model))
        self._spiking = {path: module for path, module in modules.items() if EVENTS in getattr(module, "signals", ())}

    def __enter__(self) -> Recorder:
        for layer, name in [*self._wanted.values(), *((layer, EVENTS) for layer in self._spiking.values())]:
            layer._taps = {**(layer._taps or {}), name: None}
        return self

    def __exit__(self, *error: object) -> None:
        for layer in [*(layer for layer, _ in self._wanted.values()), *self._spiking.values()]:
            layer._taps = None

    def take(self) -> tuple[dict[str, Tensor], dict[str, Events]]:
        """What was heard since the last chunk: values and events by path. Raises StateError."""
        values: dict[str, Tensor] = {}
        for path, (layer, name) in self._wanted.items():
            heard = layer._taps[name]
            if heard is None:
                raise StateError(f"record: {path!r} was not computed in this run; is its layer in use?")
            if isinstance(heard, Output):
                values.update({f"{path}.{inner}": x for inner, x in heard.items()})
            else:
                values[path] = heard
        events = {path: layer._taps[EVENTS] for path, layer in self._spiking.items() if layer._taps[EVENTS] is not None}
        return values, events
