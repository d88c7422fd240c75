"""The tree view: parameters, state and sub-layers of a model, for people at the prompt.

A tree holds nothing: it looks at the modules when asked, so it is never out of date. Names are found without touching
a value, so completion with Tab is safe on any model.
"""

from __future__ import annotations

import html
import keyword
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ._errors import ParameterError, StateError, UnknownName
from ._param import Param, Parameter, as_number, declared, value_text
from ._state import fields

Row = tuple[str, ...]
MAX_ROWS = 400  # a representation stays readable
MAX_HTML_ROWS, MAX_CELL = 100, 200  # rows, and letters of a cell: a notebook is sent 128 kB at most


class Constrained:
    """A parameter under a `torch.nn.utils.parametrize` constraint, as the tree shows it; computed when `.value` is."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self._module, self._name = module, name

    @property
    def value(self) -> Tensor:
        """The constrained value, with its graph."""
        return getattr(self._module, self._name)

    def set(self, value: Any) -> None:
        """Sets the value; the constraint's inverse finds the unconstrained one. Raises ParameterError."""
        old = self.value.detach()
        new = as_number(type(self._module).__name__, self._name, value, old.dtype, old.device).expand(old.shape)
        spec = spec_of(self._module, self._name)
        if spec is not None:
            spec.check(type(self._module).__name__, new)
        with torch.no_grad():
            setattr(self._module, self._name, new)

    def __repr__(self) -> str:
        return f"{self._name} = {value_text(self.value)} (constrained)"


def spec_of(module: nn.Module, name: str) -> Param | None:
    """The declaration of a parameter, or None when it is not a layer's own."""
    return declared(type(module)).get(name)


class Parameters:
    """What `.p` shows: parameters and constants."""

    title = "parameters"

    def names(self, module: nn.Module) -> list[str]:
        names = [name for name, value in module._parameters.items() if value is not None]
        names += [name for name in module._buffers if spec_of(module, name) is not None]
        names += [name for name in getattr(module, "parametrizations", ()) if name not in names]
        order = list(declared(type(module)))
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def get(self, module: nn.Module, name: str) -> Any:
        if parametrize.is_parametrized(module, name):
            return Constrained(module, name)
        return module._parameters[name] if name in module._parameters else module._buffers[name]

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        target = self.get(module, name)
        if isinstance(target, Tensor) and not hasattr(target, "set"):  # a parameter of a plain torch module
            bare = Param(None, doc="parameter of a torch module")
            bare.name = name
            target = Parameter(target.data, False, bare, type(module).__name__)
        target.set(value)

    def row(self, module: nn.Module, name: str) -> Row:
        value, spec = self.get(module, name), spec_of(module, name)
        shown = value_text(value.value if isinstance(value, Constrained) else value)
        return (shown, spec.unit, spec.range, spec.doc) if spec else (shown, "", "", "")

    columns = ("value", "unit", "range", "meaning")


class UserParameters(Parameters):
    """What `user_parameters` shows: those meant to be set by a person."""

    title = "parameters to set"

    def names(self, module: nn.Module) -> list[str]:
        return [name for name in super().names(module) if (spec := spec_of(module, name)) is not None and spec.user]


class State:
    """What `.s` shows: the tensors that layers remember."""

    title = "state"
    columns = ("value",)

    def names(self, module: nn.Module) -> list[str]:
        return list(fields(module.__dict__.get("state")))

    def get(self, module: nn.Module, name: str) -> Any:
        return fields(module.state)[name]

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        old = self.get(module, name)
        new = torch.as_tensor(value, dtype=old.dtype, device=old.device)
        try:
            new = new.expand(old.shape).clone()
        except RuntimeError:
            raise StateError(f"{type(module).__name__}.s.{name}: must fit the shape {tuple(old.shape)} "
                             f"(got {tuple(new.shape)})") from None
        state: Any = module.state
        changed: Any = {**state, name: new} if isinstance(state, dict) else state._replace(**{name: new})
        module.state = changed

    def row(self, module: nn.Module, name: str) -> Row:
        return (value_text(self.get(module, name)),)


class Modules:
    """What `.m` shows: the sub-layers."""

    title = "sub-layers"
    columns = ("layer", "meaning")

    def names(self, module: nn.Module) -> list[str]:
        return [name for name, child in module._modules.items() if child is not None and name != "parametrizations"]

    def get(self, module: nn.Module, name: str) -> Any:
        return module._modules[name]

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        raise ParameterError(type(module).__name__, name, "a sub-layer is replaced on the layer itself, not in .m")

    def row(self, module: nn.Module, name: str) -> Row:
        child = self.get(module, name)
        return type(child).__name__, (type(child).__doc__ or "").strip().partition("\n")[0]


View = Parameters | State | Modules


class Shown:
    """An attribute that is made when asked for, such as `layer.p`.

    Not a property: completion would not look through one.
    """

    def __init__(self, make: Callable[[Any], Any], doc: str) -> None:
        self.make, self.__doc__ = make, doc

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else self.make(owner)


class Tree:
    """A view of the parameters, the state or the sub-layers below a module.

    Attributes follow the modules; `["a.b"]` takes a dotted path; `_all` is the flat view, with underscores for dots;
    `_search.part` the flat view of the names that contain `part`. Iterating gives the values, `items()` names and
    values. Assigning to a name sets the value in place.
    """

    def __init__(self, module: nn.Module, view: View, separator: str = ".", part: str = "") -> None:
        vars(self).update(_module=module, _view=view, _separator=separator, _part=part)

    # ---- names ----------------------------------------------------------------------------------------------------
    def _entries(self) -> dict[str, tuple[nn.Module, str]]:
        """Every name below here, in the order of the modules, with the module it belongs to."""
        found = {}
        for path, module in self._module.named_modules():
            if "parametrizations" in path.split("."):
                continue
            for name in self._view.names(module):
                dotted = f"{path}.{name}" if path else name
                found[dotted.replace(".", self._separator)] = (module, name)
        return {name: entry for name, entry in found.items() if self._part in name}

    def _branches(self) -> dict[str, Tree]:
        if self._separator != "." or isinstance(self._view, Modules):
            return {}
        children = {name: Tree(child, self._view) for name, child in self._module.named_children()
                    if name != "parametrizations"}
        return {name: child for name, child in children.items() if child._entries()}

    def __dir__(self) -> list[str]:
        if self._separator != ".":
            return list(self._entries())
        return [*self._view.names(self._module), *self._branches(), "_all", "_search"]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._entries())

    def keys(self) -> list[str]:
        """The names below here, dotted (or flat)."""
        return list(self._entries())

    # ---- values ---------------------------------------------------------------------------------------------------
    def _where(self) -> str:
        return f"{type(self._module).__name__} {self._view.title}"

    def _find(self, name: str) -> tuple[nn.Module, str]:
        entries = self._entries()
        if name not in entries:
            raise UnknownName(self._where(), name, entries)
        return entries[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_ipython", "_repr")):  # what Python and IPython ask every object for
            raise AttributeError(name)
        if name == "_all":
            return Tree(self._module, self._view, "_")
        if name == "_search":
            return Search(self)
        if (branch := self._branches().get(name)) is not None:
            return branch
        return self._view.get(*self._find(name))

    def __setattr__(self, name: str, value: Any) -> None:
        if (branch := self._branches().get(name)) is not None:
            raise ParameterError(self._where(), name, f"is a group; set one of its members {branch.keys()}", value)
        self._view.set(*self._find(name), value)

    def __getitem__(self, path: str) -> Any:
        tree, _, name = path.rpartition(self._separator) if self._separator == "." else ("", "", path)
        branch: Any = self
        for part in tree.split(".") if tree else ():
            branch = branch._branches().get(part) or branch._view.get(*branch._find(part))
        if isinstance(branch, Tree):
            return getattr(branch, name)
        return self._view.get(*self._find(path))  # sub-layers of sub-layers

    def __setitem__(self, path: str, value: Any) -> None:
        self._view.set(*self._find(path), value)

    def __contains__(self, path: object) -> bool:
        return path in self._entries()

    def __iter__(self) -> Iterator[Any]:
        return iter([self._view.get(*entry) for entry in self._entries().values()])

    def items(self) -> list[tuple[str, Any]]:
        """Names and values below here."""
        return [(name, self._view.get(*entry)) for name, entry in self._entries().items()]

    __iteritems__ = items  # its name in convis

    def __len__(self) -> int:
        return len(self._entries())

    # ---- what a person sees ---------------------------------------------------------------------------------------
    def _rows(self) -> list[Row]:
        return [(name, *self._view.row(*entry)) for name, entry in self._entries().items()]

    def __repr__(self) -> str:
        rows = self._rows()
        if not rows:
            return f"{self._where()}: none"
        return f"{self._where()}\n{text_table(('name', *self._view.columns), rows[:MAX_ROWS])}" + more(rows)

    def _repr_html_(self) -> str:
        return (f"<details open><summary><b>{html.escape(self._where())}</b></summary>"
                f"{self._html_body([MAX_HTML_ROWS])}</details>")

    def _html_body(self, room: list[int]) -> str:
        """Tables of this branch and those below; `room` is how many rows may still come, for all of them together."""
        if self._separator != "." or isinstance(self._view, Modules):
            return html_table(("name", *self._view.columns), self._rows())
        own = [(name, *self._view.row(self._module, name)) for name in self._view.names(self._module)]
        parts = [html_table(("name", *self._view.columns), own, max(room[0], 0))] if own else []
        room[0] -= len(own)
        branches = self._branches()
        for number, (name, branch) in enumerate(branches.items()):
            if room[0] <= 0:
                parts.append(f"<p>... and {len(branches) - number} more</p>")
                break
            parts.append(f"<details style='margin-left:1em'><summary>{html.escape(name)}</summary>"
                         f"{branch._html_body(room)}</details>")
        return "".join(parts)


class Search:
    """`tree._search.part`: the flat view of the names that contain `part`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def __getattr__(self, part: str):  # type: ignore[no-untyped-def]
        if part.startswith("__") or part.startswith(("_repr", "_ipython")):
            raise AttributeError(part)
        return self[part]

    def __getitem__(self, part: str) -> Tree:
        found = Tree(self._tree._module, self._tree._view, "_", part)
        if not len(found):
            raise UnknownName(f"{self._tree._where()}._search", part, dir(self))
        return found

    def __dir__(self) -> list[str]:
        """The words that names are made of."""
        words = {word for name in self._tree._all.keys() for word in name.split("_") }
        return sorted(word for word in words | set(self._tree._all.keys())
                      if word.isidentifier() and not keyword.iskeyword(word))

    def _ipython_key_completions_(self) -> list[str]:
        return dir(self)

    def __repr__(self) -> str:
        return f"{self._tree._where()}: ._search.<part of a name>"


def text_table(head: Row, rows: Sequence[Row]) -> str:
    """Rows as columns of equal width."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in [head, *rows])


def html_table(head: Row, rows: Sequence[Row], most: int = MAX_HTML_ROWS) -> str:
    """Rows as a small HTML table, escaped and capped."""
    def line(row: Row, tag: str) -> str:
        short = (cell if len(cell) <= MAX_CELL else f"{cell[:MAX_CELL]} ..." for cell in row)
        cells = (f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>" for cell in short)
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows[:most])
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>{html.escape(more(rows, most))}"


def more(rows: Sequence[Row], most: int = MAX_ROWS) -> str:
    """What a capped table leaves out, in words."""
    return f"\n  ... and {len(rows) - most} more" if len(rows) > most else ""
