"""The graph of a model: its layers, what they hold, and how data goes between them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._errors import ParameterError, StreamError
from ._svg import drawing

MAX_NODES = 150  # more boxes than can be told apart

Edge = tuple[str, str]


@dataclass
class Node:
    """A layer in the graph: name, class, lines of detail, sub-layers by name, and edges between these.

    An edge joins two names of sub-layers; "" is the layer's own input or output. None: the layer does not tell.
    """

    name: str
    kind: str
    detail: list[str]
    parts: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] | None = None


class Graph:
    """The graph of a model, as text for mermaid, as a picture and as a page. Made by `graph`.

    Args:
        root: the tree that is drawn.

    Attributes: `mermaid`, a flowchart; `svg`, a picture; `html`, a page that needs nothing else.

    >>> import neurosim
    >>> drawn = neurosim.plot.graph(neurosim.models.LN())
    >>> isinstance(drawn, Graph), drawn.mermaid.splitlines()[0], drawn.svg[:4]
    (True, 'flowchart TD', '<svg')
    """

    def __init__(self, root: Node) -> None:
        self.root = root
        self.mermaid = "\n".join(_mermaid(root))
        self.svg = drawing(root)

    @property
    def html(self) -> str:
        """A page with the picture and the text."""
        title = html.escape(self.root.kind)
        return (f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title></head>"
                f"<body style='font-family:sans-serif'><h1>{title}</h1>{self._repr_html_()}</body></html>\n")

    def save(self, path: str | Path) -> None:
        """Writes it to `path`: .html, .svg, or .mmd for mermaid; a file that is there is replaced.

        Raises: ParameterError, StreamError.
        """
        kinds = {".html": "html", ".svg": "svg", ".mmd": "mermaid"}
        path = Path(path)
        if path.suffix.lower() not in kinds:
            raise ParameterError("Graph.save", "path", f"the suffix must be one of {list(kinds)}", str(path))
        try:
            path.write_text(getattr(self, kinds[path.suffix.lower()]), encoding="utf-8")
        except OSError as error:
            raise StreamError(f"Graph.save: {path} cannot be written ({error})") from error

    def __repr__(self) -> str:
        return self.mermaid

    def _repr_html_(self) -> str:
        return (f"<div style='overflow-x:auto'>{self.svg}</div><details><summary>mermaid</summary>"
                f"<pre>{html.escape(self.mermaid)}</pre></details>")


def graph(model: Any, x: Any = None) -> Graph:
    """The graph of a model: containers with their layers, parameters counted, and arrows where data goes.

    Containers, the linear-nonlinear models and the retina tell how data goes through them; a layer of your own does by
    `_flow`. Where a layer does not tell, its sub-layers stand in one box with a broken border, without arrows.

    Args:
        model: any layer or torch module.
        x: an input, through which the model is run once, on a copy, to tell the shape of every output.
    Returns: `Graph`, with `.mermaid`, `.svg`, `.html` and `.save(path)`; a notebook shows the picture.
    Raises: ParameterError; the errors of the model for `x`.

    >>> import neurosim
    >>> model = neurosim.models.Sequential(neurosim.filters.TemporalLowPass(), neurosim.filters.NLRectify())
    >>> print(graph(model).mermaid)
    flowchart TD
      input([input])
      output([output])
      subgraph n0["Sequential<br/>1 parameter"]
        n1["layer_0: TemporalLowPass<br/>1 parameter"]
        n2["layer_1: NLRectify"]
      end
      input --> n1
      n1 --> n2
      n2 --> output
    """
    if not isinstance(model, nn.Module):
        raise ParameterError("plot.graph", "model", "must be a layer or a torch module", type(model).__name__)
    shapes = {} if x is None else _shapes(model, x)
    left = [MAX_NODES]
    return Graph(_node("", "", model, shapes, left))


def _node(path: str, name: str, module: nn.Module, shapes: dict[str, str], left: list[int]) -> Node:
    left[0] -= 1
    count = sum(p.numel() for p in module.parameters())
    detail = [f"{count:,} parameter{'s' if count > 1 else ''}"] if count else []
    detail += [f"gives {shapes[path]}"] if path in shapes else []
    flow = getattr(module, "_flow", None)  # torch's own modules have none
    node = Node(name, _kind(module), detail, edges=flow() if callable(flow) else None)
    parts = dict(_parts(module))
    for number, (below, part) in enumerate(parts.items()):
        if left[0] <= 0:
            more = len(parts) - number
            node.parts["..."] = Node("...", f"{more} more", [])
            node.edges = None
            break
        node.parts[below] = _node(f"{path}.{below}" if path else below, below, part, shapes, left)
    if isinstance(module, nn.Sequential):
        node.edges = chain(list(parts)) if "..." not in node.parts else None
    return node


def _kind(module: nn.Module) -> str:
    function = getattr(module, "function", None)
    return getattr(function, "__name__", type(module).__name__) if callable(function) else type(module).__name__


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Sub-modules; those in a torch list or dict by their path, parametrizations left out."""
    for name, part in module.named_children():
        if name == "parametrizations":
            continue
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            yield from ((f"{name}.{inner}", one) for inner, one in part.named_children())
        else:
            yield name, part


def chain(names: list[str]) -> list[Edge]:
    """The edges of layers one after another.

    >>> chain(["a", "b"])
    [('', 'a'), ('a', 'b'), ('b', '')]
    """
    return list(zip(["", *names], [*names, ""], strict=True))


def _shapes(model: nn.Module, x: Any) -> dict[str, str]:
    """Shapes of what each module gives for an input, by path."""
    import copy

    model = copy.deepcopy(model)  # state, random generators and counters of the caller's stay
    shapes: dict[str, str] = {}

    def look(path: str) -> Any:
        def hook(module: nn.Module, args: Any, y: Any) -> None:
            values = [y] if isinstance(y, torch.Tensor) else [v for v in y if isinstance(v, torch.Tensor)] \
                if hasattr(y, "__iter__") else []
            shapes[path] = ", ".join("x".join(map(str, v.shape)) for v in values)
        return hook

    for path, module in model.named_modules():
        module.register_forward_hook(look(path))
    with torch.no_grad():
        model(x)
    return {path: text for path, text in shapes.items() if text}


# ---- mermaid --------------------------------------------------------------------------------------------------------
def _mermaid(root: Node) -> list[str]:
    """The lines of a flowchart, arrows between the innermost layers that tell."""
    ids: dict[int, str] = {}
    lines = ["flowchart TD", "  input([input])", "  output([output])", *_boxes(root, ids, "  ")]
    arrows = [("input", first) for first in _ends(root, ids, 0)] + list(_arrows(root, ids))
    arrows += [(last, "output") for last in _ends(root, ids, 1)]
    return [*lines, *(f"  {a} --> {b}" for a, b in dict.fromkeys(arrows))]


def _label(node: Node) -> str:
    text = "<br/>".join(map(html.escape, [f"{node.name}: {node.kind}" if node.name else node.kind, *node.detail]))
    return text.replace("&lt;br/&gt;", "<br/>").replace("&quot;", "#quot;").replace("&#x27;", "'")


def _boxes(node: Node, ids: dict[int, str], indent: str) -> Iterator[str]:
    ids[id(node)] = f"n{len(ids)}"
    if not node.parts:
        yield f'{indent}{ids[id(node)]}["{_label(node)}"]'
        return
    yield f'{indent}subgraph {ids[id(node)]}["{_label(node)}"]'
    for part in node.parts.values():
        yield from _boxes(part, ids, indent + "  ")
    yield f"{indent}end"


def _ends(node: Node, ids: dict[int, str], side: int) -> list[str]:
    """Where data enters (0) or leaves (1) a node: the innermost layers that are known to."""
    if not node.parts or node.edges is None:
        return [ids[id(node)]]
    inner = [edge[1 - side] for edge in node.edges if edge[side] == "" and edge[1 - side] in node.parts]
    return [end for name in inner for end in _ends(node.parts[name], ids, side)]


def _arrows(node: Node, ids: dict[int, str]) -> Iterator[Edge]:
    for a, b in node.edges or ():
        if a in node.parts and b in node.parts:
            yield from ((one, other) for one in _ends(node.parts[a], ids, 1) for other in _ends(node.parts[b], ids, 0))
    for part in node.parts.values():
        yield from _arrows(part, ids)
