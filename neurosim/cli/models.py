"""Models by name, as the command line builds them, and what it says about them."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

import neurosim
from neurosim._record import recordable
from neurosim._tree import text_table

from .errors import UsageError

MAX_PICTURE = 60_000  # letters of the picture of a model that is stored with results


def public_layers() -> dict[str, type[neurosim.Layer]]:
    """Every public layer that can be built without arguments, by the name that it is imported by, less `neurosim.`."""
    found = {}
    for home in neurosim.__all__:
        module = getattr(neurosim, home)
        for name in getattr(module, "__all__", ()) if isinstance(module, ModuleType) else ():
            kind = getattr(module, name)
            if inspect.isclass(kind) and issubclass(kind, neurosim.Layer) and not inspect.isabstract(kind) \
                    and not needed(kind):
                found[f"{home}.{name}"] = kind
    return found


def needed(kind: type) -> list[str]:
    """Arguments without which the class cannot be built."""
    return [name for name, p in inspect.signature(kind).parameters.items()
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def layer_class(name: str) -> type[neurosim.Layer]:
    """The layer of this name; the sub-module may be left out. Raises UsageError."""
    known = public_layers()
    meant = [path for path in known if name in (path, path.rpartition(".")[2])]
    if len(meant) != 1:
        short = [path.rpartition(".")[2] for path in known]
        near = [] if meant else difflib.get_close_matches(name.rpartition(".")[2], short, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {meant or list(known)}"
        raise UsageError(f"MODEL: {'several models are called' if meant else 'no model is called'} {name!r}; {hint}")
    return known[meant[0]]


def number(path: str, text: str) -> Any:
    """A number or a JSON list of numbers. Raises UsageError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise UsageError(f"--set {path}: must be a number or a list of numbers such as [1, 2] (got {text!r})") from None


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`path=value` as a dict. Raises UsageError."""
    values = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not (path and equals):
            raise UsageError(f"--set: must be path=value, such as opl.center_tau=0.02 (got {setting!r})")
        values[path.strip()] = number(path, text)
    return values


def build(name: str, *, config: str | None = None, settings: Sequence[str] = (), steps_per_second: float | None = None,
          pixels_per_degree: float | None = None, dtype: str = "float32", device: str = "cpu",
          seed: int | None = None) -> neurosim.Layer:
    """The model that the options ask for. Raises UsageError, NeurosimError."""
    kind = layer_class(name)
    default = neurosim.default_resolution.current
    options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    if seed is not None:
        if "seed" not in inspect.signature(kind).parameters:
            raise UsageError(f"--seed: {kind.__name__} draws no random numbers")
        options["seed"] = seed
    if config is not None:
        if not hasattr(kind, "from_xml"):
            raise UsageError(f"--config: {kind.__name__} is not configured by a file")
        if steps_per_second is not None or pixels_per_degree is not None:
            raise UsageError("--config: the file says steps per second and pixels per degree; leave these options out")
        model = kind.from_xml(config, **options)
    else:
        options["resolution"] = neurosim.Resolution(
            default.frame if steps_per_second is None else 1.0 / steps_per_second,
            default.pixels_per_degree if pixels_per_degree is None else pixels_per_degree)
        model = kind(**options)
    try:
        model.set_parameters(parse_settings(settings))
    except neurosim.ParameterError as error:
        raise UsageError(f"--set: {error}") from None
    return model.to(place(device))


def about(model: neurosim.Layer, input: str, seed: int | None) -> dict[str, Any]:
    """What is stored beside the results, for who finds them later."""
    if seed is None and (drawn := inspect.signature(type(model)).parameters.get("seed")) is not None:
        seed = drawn.default
    return {"neurosim": neurosim.__version__, "model": type(model).__name__, "input": input, "seed": seed,
            "steps_per_second": model.resolution.steps_per_second,
            "pixels_per_degree": model.resolution.pixels_per_degree,
            "graph": picture if len(picture := neurosim.plot.graph(model).svg) < MAX_PICTURE else None,
            "meanings": {path: [row[1], row[3]] for path, *row in model.p._rows()},
            "values": {path: plain(getattr(value, "value", value)) for path, value in model.p.items()}}


def plain(value: torch.Tensor) -> Any:
    """A value for JSON: a number with the digits that its dtype has, or nested lists."""
    array = value.detach().cpu().numpy()
    return array.tolist() if array.ndim else float(str(array))


def place(device: str) -> torch.device:
    """The device of this name, if it is there. Raises UsageError."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA says so by an assertion
        raise UsageError(f"--device: {device!r} is not to be had here ({str(error).splitlines()[0]})") from None
    return found


def first_line(kind: Any) -> str:
    """What a layer is, from its docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def list_text() -> str:
    """All models, one a line."""
    rows = [(path, first_line(kind)) for path, kind in public_layers().items()]
    return text_table(("model", "what it is"), rows)


def info_text(model: neurosim.Layer) -> str:
    """Parameters of a model with value, unit, range and meaning, and what can be recorded of it."""
    resolution = model.resolution
    parts = [f"{type(model).__name__}: {first_line(type(model))}",
             f"{resolution.steps_per_second:g} steps per second, {resolution.pixels_per_degree:g} pixels per degree",
             "", repr(model.p)]
    if paths := recordable(model):
        parts += ["", "--record takes", *(f"  {path}" for path in paths)]
    return "\n".join(parts)
