"""What a layer can take aside and bring back: state, parameters, optimizer; by stack or by name."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._errors import ParameterError, StateError, UnknownName
from ._files import load_arrays, save_arrays
from ._state import StateDict, fields, mapped
from ._tree import Parameters, Shown, State, Tree


class Remembering(nn.Module):
    """The part of a layer that copies its values out and in. Everything handed out or kept is a copy."""

    axes: Any
    state: Any
    _left_by: tuple[Any, ...] | None  # shape, dtype and device of the frames that left the state; None: look closely
    optimizer: torch.optim.Optimizer | None
    _stacks: dict[str, list[Any]]
    _stored: dict[str, Any]

    # ---- state ----------------------------------------------------------------------------------------------------
    def _leaves(self) -> dict[str, Any]:
        return {path: module for path, module in self.named_modules() if isinstance(module, Remembering)}

    def _layers(self) -> list[Remembering]:
        """This layer and all below it, in no particular order."""
        found: dict[int, nn.Module] = {}
        waiting: list[nn.Module | None] = [self]
        while waiting:
            module = waiting.pop()
            if module is not None and id(module) not in found:
                found[id(module)] = module
                waiting.extend(module._modules.values())
        return [module for module in found.values() if isinstance(module, Remembering)]

    def _snapshot(self) -> list[tuple[Any, Any, Any]]:
        """Every layer with its state; states are values, so references will do."""
        return [(layer, layer.state, layer._left_by) for layer in self._layers()]

    def _restore(self, snapshot: list[tuple[Any, Any, Any]]) -> None:
        for layer, state, left_by in snapshot:
            layer.state, layer._left_by = state, left_by

    def _state_now(self) -> StateDict:
        return {f"{path}.{name}" if path else name: x for path, layer in self._leaves().items()
                for name, x in fields(layer.state).items()}

    def _install(self, state: Mapping[str, Tensor] | None) -> None:
        """Puts a flat state into the layers; what it does not mention is at rest. Raises StateError."""
        leaves = self._leaves()
        parts: dict[str, dict[str, Tensor]] = {}
        if state is not None and not isinstance(state, Mapping):
            raise StateError(f"{type(self).__name__}: a state is a dict of tensors, as get_state gives it "
                             f"(got {type(state).__name__})")
        for name, x in (state or {}).items():
            path, _, field = name.rpartition(".")
            if path not in leaves:
                raise StateError(f"{type(self).__name__}: the state holds {name!r}, but there is no layer {path!r}; "
                                 f"layers are {[p for p in leaves if p]}")
            if not isinstance(x, Tensor):
                raise StateError(f"{type(self).__name__}: state {name!r} must be a tensor (got {type(x).__name__})")
            parts.setdefault(path, {})[field] = x
        for path, given in parts.items():
            known = leaves[path].state
            if isinstance(known, tuple) and fields(known).keys() != given.keys():
                raise StateError(f"{type(leaves[path]).__name__}: a state has the fields {list(fields(known))} "
                                 f"(got {list(given)})")
        for path, layer in leaves.items():
            old = layer.state
            part = parts.get(path)
            layer._left_by = None
            # a layer at rest does not know its fields yet; the next chunk checks what is put here
            layer.state = type(old)(**part) if part and old is not None and fields(old).keys() == part.keys() else part

    def get_state(self) -> StateDict:
        """A copy of the state of this layer and all below it, `{"path.field": tensor}`; empty at rest."""
        return {name: x.detach().clone() for name, x in self._state_now().items()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Puts a state from `get_state` back; shapes are checked with the next chunk. Raises StateError."""
        self._install({name: x.detach().clone() if isinstance(x, Tensor) else x for name, x in state.items()})

    def clear_state(self) -> None:
        """Puts this layer and all below it at rest: the next frame is the first of a new recording."""
        self._install(None)

    def detach_state(self) -> None:
        """Cuts the state off the graph that led to it."""
        self._detach(self._layers())

    @staticmethod
    def _detach(layers: Iterable[Remembering]) -> None:
        for layer in layers:
            if any(x.requires_grad for x in fields(layer.state).values()):
                layer.state = mapped(layer.state, torch.Tensor.detach)

    def push_state(self) -> None:
        """Puts a copy of the state on a stack."""
        self._push("state", self.get_state())

    def pop_state(self) -> None:
        """Brings back the state that was pushed last. Raises StateError when there is none."""
        self._install(self._top("state"))
        self._stacks["state"].pop()

    # ---- parameters -----------------------------------------------------------------------------------------------
    def get_parameters(self) -> dict[str, np.ndarray]:
        """A copy of every parameter by its flat name (`opl_center_tau`), at least 1-D so that `[0]` can be set."""
        tree = Tree(self, Parameters(), "_")
        return {name: np.atleast_1d(getattr(value, "value", value).detach().cpu().numpy().copy())
                for name, value in tree.items()}

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Sets parameters by flat or dotted name; those not named stay.

        Raises: UnknownName, ParameterError; then nothing has changed.
        """
        flat, dotted = Tree(self, Parameters(), "_"), Tree(self, Parameters())
        form, before = self._form(), self._raw_parameters()
        try:
            self._take_form(values)
            for name in values:
                if name not in flat and name not in dotted:
                    raise UnknownName(f"{type(self).__name__}.set_parameters", name, flat.keys())
            for name, value in values.items():
                (dotted if name in dotted else flat)[name] = value
        except Exception:
            self._set_form(form)
            self._set_raw_parameters(before)
            raise

    def _form(self) -> list[tuple[Any, dict[str, Any], dict[str, Any]]]:
        """Every layer with the parameters and modules that it has now."""
        return [(layer, dict(layer._parameters), dict(layer._modules)) for layer in self._leaves().values()]

    @staticmethod
    def _set_form(form: list[tuple[Any, dict[str, Any], dict[str, Any]]]) -> None:
        for layer, parameters, modules in form:
            layer._parameters, layer._modules = parameters, modules

    def _take_form(self, values: Mapping[str, Any]) -> None:
        """Lets every layer below take the form that the values, by flat or dotted name, need."""
        flat = {name.replace(".", "_"): value for name, value in values.items()}
        for path, layer in self._leaves().items():
            mine = path.replace(".", "_") + "_" if path else ""
            layer._make_room({name.removeprefix(mine): value for name, value in flat.items() if name.startswith(mine)})

    def _make_room(self, values: Mapping[str, Any]) -> None:
        """Takes the form that these values, by flat name below here, need; for layers whose parameters have no fixed one."""

    def _raw_parameters(self) -> dict[str, Tensor]:
        return {name: x.detach().clone() for name, x in self.state_dict(keep_vars=True).items()
                if isinstance(x, Tensor)}

    def _set_raw_parameters(self, values: Mapping[str, Tensor]) -> None:
        form = self._form()
        self._take_form(values)
        now = self.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, x in values.items():
                if name not in now or now[name].shape != x.shape:
                    self._set_form(form)
                    raise ParameterError(type(self).__name__, name, "is no longer there with this shape",
                                         tuple(x.shape))
            for name, x in values.items():
                now[name].copy_(x)

    def push_parameters(self) -> None:
        """Puts a copy of every parameter and buffer on a stack."""
        self._push("parameters", self._raw_parameters())

    def pop_parameters(self) -> None:
        """Brings back the parameters that were pushed last. Raises StateError when there are none."""
        self._set_raw_parameters(self._top("parameters"))
        self._stacks["parameters"].pop()

    def save_parameters(self, path: str | Path) -> None:
        """Writes every parameter to a `.npz`, `.h5` or `.safetensors` file, under its flat name. Raises StreamError."""
        save_arrays(path, self.get_parameters())

    def load_parameters(self, path: str | Path) -> None:
        """Sets the parameters from such a file. Raises StreamError, UnknownName, ParameterError."""
        self.set_parameters(load_arrays(path))

    # ---- optimizer, and all together ------------------------------------------------------------------------------
    def _optimizer_copy(self) -> Any:
        return None if self.optimizer is None else (self.optimizer, copy.deepcopy(self.optimizer.state_dict()))

    def _set_optimizer_copy(self, kept: Any) -> None:
        self.optimizer = None if kept is None else kept[0]
        if kept is not None:
            kept[0].load_state_dict(copy.deepcopy(kept[1]))  # torch keeps references to what it loads

    def push_optimizer(self) -> None:
        """Puts the optimizer and a copy of its internal state (moments) on a stack."""
        self._push("optimizer", self._optimizer_copy())

    def pop_optimizer(self) -> None:
        """Brings back the optimizer that was pushed last, moments included. Raises StateError when there is none."""
        self._set_optimizer_copy(self._top("optimizer"))
        self._stacks["optimizer"].pop()

    def push_all(self) -> None:
        """Pushes state, parameters and optimizer."""
        self.push_state()
        self.push_parameters()
        self.push_optimizer()

    def pop_all(self) -> None:
        """Pops state, parameters and optimizer. Raises StateError when one of the stacks is empty; then none is popped."""
        for stack in ("state", "parameters", "optimizer"):
            self._top(stack)
        self.pop_parameters()
        self.pop_state()
        self.pop_optimizer()

    def store_all(self, name: str) -> None:
        """Keeps a copy of state, parameters and optimizer under a name."""
        self._stored[name] = (self._raw_parameters(), self.get_state(), self._optimizer_copy())

    def retrieve_all(self, name: str) -> None:
        """Brings back what was stored under the name, as often as wanted. Raises UnknownName."""
        if name not in self._stored:
            raise UnknownName(f"{type(self).__name__}.retrieve_all", name, self._stored)
        parameters, state, optimizer = self._stored[name]
        self._set_raw_parameters(parameters)
        self.set_state(state)
        self._set_optimizer_copy(optimizer)

    def _push(self, stack: str, value: Any) -> None:
        self._stacks.setdefault(stack, []).append(value)

    def _top(self, stack: str) -> Any:
        if not self._stacks.get(stack):
            raise StateError(f"{type(self).__name__}: nothing to pop; push_{stack}() comes first")
        return self._stacks[stack][-1]

    s = Shown(lambda layer: Tree(layer, State()), "The state of this layer and those below it, as a tree.")
