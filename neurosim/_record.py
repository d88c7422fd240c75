"""Recording inner outputs and signals of a model while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ._axes import Axes, kind_of_rank
from ._errors import ParameterError, StateError, UnknownName
from ._output import EVENTS, Events, Output
from ._stacks import Remembering


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
        self._layouts = [module.axes for module in modules.values() if isinstance(module, Remembering)]
        self._wanted: dict[str, tuple[Any, str]] = {}
        self._plain: dict[str, nn.Module] = {}  # modules of torch, which do not tell what they compute
        self._hooks: list[Any] = []
        self._passed: dict[str, Any] = {}
        for path in paths:
            owner, _, signal = path.rpartition(".")
            if signal == EVENTS and owner in modules and EVENTS in getattr(modules[owner], "signals", ()):
                continue  # spikes are always listened to
            if path in modules and path and not isinstance(modules[path], Remembering):
                self._plain[path] = modules[path]
            elif path in modules and path:
                self._wanted[path] = (modules[path], "output")
            elif owner in modules and signal in getattr(modules[owner], "signals", ()):
                self._wanted[path] = (modules[owner], signal)
            else:
                raise UnknownName(f"{type(model).__name__}.record", path, recordable(model))
        self.spiking = {path: module for path, module in modules.items() if EVENTS in getattr(module, "signals", ())}

    def __enter__(self) -> Recorder:
        for layer, name in [*self._wanted.values(), *((layer, EVENTS) for layer in self.spiking.values())]:
            layer._taps = {**(layer._taps or {}), name: None}
        for path, module in self._plain.items():
            self._hooks.append(module.register_forward_hook(
                lambda module, x, y, path=path: self._passed.__setitem__(path, y)))
        return self

    def __exit__(self, *error: object) -> None:
        for layer in [*(layer for layer, _ in self._wanted.values()), *self.spiking.values()]:
            layer._taps = None
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._passed = [], {}

    def take(self) -> tuple[dict[str, Tensor], dict[str, Axes], dict[str, Events]]:
        """What was heard since the last chunk, by path: values, their axes, and events. Raises StateError."""
        values: dict[str, Tensor] = {}
        axes: dict[str, Axes] = {}
        found = {path: layer._taps[name] for path, (layer, name) in self._wanted.items()}
        for path, heard in {**found, **{path: self._passed.get(path) for path in self._plain}}.items():
            if heard is None:
                raise StateError(f"record: {path!r} was not computed in this run; is its layer in use?")
            if isinstance(heard, Output):
                values.update({f"{path}.{inner}": x for inner, x in heard.items()})
                axes.update({f"{path}.{inner}": heard.axes_of(inner) for inner in heard.keys()})
            else:
                values[path] = heard
                own = [self._wanted[path][0].axes] if path in self._wanted else []
                if kind := kind_of_rank(heard.ndim, *own, *self._layouts):
                    axes[path] = kind
        events = {path: layer._taps[EVENTS] for path, layer in self.spiking.items() if layer._taps[EVENTS] is not None}
        return values, axes, events
