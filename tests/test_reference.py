"""Every public name says what it is: its arguments, shapes, errors and source, with an example that is run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from neurosim import Layer
from neurosim._param import declared

from .test_docs import PAGES, blocks

PROJECT = Path(__file__).parents[1]
MODULES = sorted(re.findall(r"^\.\. automodule:: (\S+)$", "\n".join(
    page.read_text() for page in sorted((PROJECT / "docs" / "api").glob("*.md"))), re.M))
HOOKS = ("forward", "chunk", "step", "initial_state", "extra_repr")  # filled in by a layer, called by its base
OWN_CHOICE = ("AttributeError", "NotImplementedError", "StopIteration", "AssertionError")  # the language asks for them
SOURCED = ("neurosim.spiking", "neurosim.retina", "neurosim.liquid")  # models that somebody has published
DOCTESTS = [line for path in (PROJECT / "neurosim").rglob("*.py") for line in path.read_text().splitlines()
            if line.lstrip().startswith((">>> ", "... "))]
EXECUTED = "\n".join([*DOCTESTS, *(source for page in PAGES for _, source in blocks(page.read_text())),
                      *(path.read_text() for path in sorted((PROJECT / "examples").glob("*.py")))])


def public() -> Iterator[tuple[str, Any]]:
    """Dotted name and object of all classes and functions that stand in an `__all__`."""
    for module in MODULES:
        found = importlib.import_module(module)
        for name in found.__all__:
            value = getattr(found, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield f"{module}.{name}", value


NAMES = dict(public())


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that the class itself defines, but for those whose contract is a base's."""
    for name, value in vars(cls).items():
        inner = value.__func__ if isinstance(value, classmethod | staticmethod) else getattr(value, "fget", value)
        filled_in = any(getattr(vars(base).get(name), "__isabstractmethod__", False)
                        or (hasattr(base, name) and base.__module__.startswith("lightning.")) for base in cls.__mro__[1:])
        if inspect.isfunction(inner) and not name.startswith("_") and name not in HOOKS and not filled_in:
            yield name, inner


METHODS = {f"{owner}.{name}": (cls, method) for owner, cls in NAMES.items() if inspect.isclass(cls)
           for name, method in methods(cls)}


def said(value: Any) -> str:
    """The docstring, with those that it refers to by "as for `X`"."""
    text = inspect.getdoc(value) or ""
    for other in re.findall(r"as for `([\w.]+)`", text):
        text += "".join("\n" + (inspect.getdoc(found) or "") for name, found in NAMES.items()
                        if f".{name}".endswith(f".{other}") and found is not value)
    return text


def arguments(value: Callable[..., Any]) -> list[str]:
    """Names of what one passes, without those that are handed on."""
    if inspect.isclass(value) and issubclass(value, BaseException) and "__init__" not in vars(value):
        return []  # a message
    return [name for name, arg in inspect.signature(value).parameters.items()
            if name not in ("self", "cls", "options") and arg.kind not in (arg.VAR_KEYWORD, arg.VAR_POSITIONAL)]


def raised(value: Any) -> set[str]:
    """Names of the errors that the code raises itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    names = (ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
             for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None)
    return {name for name in names if name[0].isupper() and name not in OWN_CHOICE}


def lacks(name: str, value: Any, cls: type | None = None) -> list[str]:
    """What the docstring of a class, a function, or a method of `cls` does not say."""
    text, short, found = said(value), name.rsplit(".", 1)[1], []
    if not text:
        return ["a docstring"]
    if not re.search(rf"{r'[.]' if cls else ''}\b{short}\b", EXECUTED) and ">>>" not in (value.__doc__ or ""):
        found.append("an example")
    unsaid = [] if inspect.isclass(value) and value.__init__ is object.__init__ else [
        arg for arg in arguments(value) if not re.search(rf"\b{arg}\b", text)]
    found += [f"the argument {arg}" for arg in unsaid]
    if not inspect.isclass(value):
        whole = text + (inspect.getdoc(cls) or "")
        found += [f"that it raises {error}" for error in sorted(raised(value)) if error not in whole]
    elif issubclass(value, nn.Module):
        found += [] if "Shape:" in text else ["shapes"]
        if issubclass(value, Layer):
            found += [f"what {key} means" for key, param in declared(value).items() if not param.doc]
            if name.startswith(SOURCED) and "Reference:" not in text:
                found.append("its source")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_described(name: str) -> None:
    missing = lacks(name, NAMES[name])
    assert not missing, f"{name} lacks {', '.join(missing)}"


@pytest.mark.parametrize("module", MODULES)
def test_public_methods_are_described(module: str) -> None:
    mine = {name: found for name, found in METHODS.items() if re.fullmatch(rf"{re.escape(module)}\.\w+\.\w+", name)}
    missing = {name: gaps for name, (cls, method) in mine.items() if (gaps := lacks(name, method, cls))}
    assert not missing, "\n".join(f"{name} lacks {', '.join(gaps)}" for name, gaps in missing.items())


LAYERS = {name: cls for name, cls in NAMES.items() if inspect.isclass(cls) and issubclass(cls, Layer)
          and name.split(".")[1] in ("filters", "models", "retina", "spiking", "liquid")}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_stands_with_its_parameters_on_a_page_of_models(name: str) -> None:
    pages = "\n".join(page.read_text() for page in sorted((PROJECT / "docs" / "models").glob("*.md")))
    wanted = [name.rsplit(".", 1)[1], *declared(LAYERS[name])]
    missing = [word for word in wanted if not re.search(rf"\b{word}\b", pages)]
    assert not missing, f"docs/models lacks {missing}"


def unheard_of(depth: int) -> None:
    """Nothing but this."""
    raise ValueError(depth)


class Bare(nn.Module):
    """A module that says little."""

    def unheard_of(self, width: int = 0) -> None:
        raise KeyError(width)


@pytest.mark.parametrize("name, value, cls, missing", [
    ("tests.unheard_of", unheard_of, None, ["an example", "the argument depth", "that it raises ValueError"]),
    ("tests.Bare", Bare, None, ["an example", "shapes"]),
    ("tests.Bare.unheard_of", Bare.unheard_of, Bare, ["a docstring"]),
    ("neurosim.spiking.Bare", type("Bare", (Layer,), {"__doc__": "Shape: any. No >>> example."}), None,
     ["the argument resolution", "the argument dtype", "the argument device", "its source"]),
])
def test_what_is_missing_is_seen(name: str, value: Any, cls: type | None, missing: list[str]) -> None:
    assert lacks(name, value, cls) == missing
