"""Drawing the graph of a model as SVG: boxes in boxes, data from top to bottom."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._graph import Edge, Node

LETTER, LINE, PAD, GAP, STEP = 6.7, 16.0, 10.0, 18.0, 30.0  # pixels
SHADES = ("#ffffff", "#f1f5fa", "#e2eaf4", "#d3dfee")
INK, WIRE = "#1f2d3d", "#0072B2"


@dataclass
class Box:
    """A node with its size and place; `wires` are the arrows among its parts, as points."""

    node: Node | None
    width: float
    height: float
    parts: list[Box] = field(default_factory=list)
    wires: list[list[tuple[float, float]]] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    row: float = 0.0  # height of the row that it stands in

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + self.width / 2

    @property
    def foot(self) -> tuple[float, float]:
        """Below it, where its row ends: from there a wire may turn aside."""
        return self.middle, self.y + self.row


def drawing(root: Node) -> str:
    """The SVG of a graph."""
    box = _box(root)
    box.x, box.y = PAD, 2 * STEP
    _move(box, box.x, box.y)
    width, height = box.width + 2 * PAD, box.height + 4 * STEP
    middle, bottom = box.middle, box.y + box.height
    lines = [_wire([(middle, STEP), (middle, box.y)]), _wire([(middle, bottom), (middle, bottom + STEP)]),
             _text(middle, STEP - 8, "input", "middle"), _text(middle, bottom + STEP + 16, "output", "middle")]
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
            f"viewBox='0 0 {width:.0f} {height:.0f}' font-family='sans-serif' font-size='12' role='img'>"
            f"<title>{html.escape(root.kind)}</title><rect width='100%' height='100%' fill='white'/>"
            f"{_drawn(box, 0)}{''.join(lines)}</svg>")


def _lines(node: Node) -> list[str]:
    return [f"{node.name}: {node.kind}" if node.name else node.kind, *node.detail]


def _box(node: Node) -> Box:
    """The size of a node and, relative to it, the places of its parts."""
    text = _lines(node)
    width, head = LETTER * max(map(len, text)) + 2 * PAD, LINE * len(text) + PAD
    if not node.parts:
        return Box(node, width, head + PAD / 2)
    boxes = {name: _box(part) for name, part in node.parts.items()}
    edges = [edge for edge in node.edges or () if all(end == "" or end in boxes for end in edge)]
    rows = _rows(boxes, edges) if node.edges is not None else [[box] for box in boxes.values()]
    chains = _through(rows, boxes, edges) if node.edges is not None else []
    width = max(width, *(sum(box.width for box in row) + GAP * (len(row) - 1) + 2 * PAD for row in rows))
    step = STEP if node.edges is not None else 8.0
    y = head + step
    for row in rows:
        x = (width - sum(box.width for box in row) - GAP * (len(row) - 1)) / 2
        height = max(box.height for box in row)
        for box in row:
            box.x, box.y, box.row = x, y, height
            x += box.width + GAP
        y += height + step
    whole = Box(node, width, y, [box for row in rows for box in row])
    for start, *passed, end in chains:
        wire = [(width / 2, head)] if start is None else [(start.middle, start.y + start.height), start.foot]
        wire += [point for place in passed if place is not None for point in ((place.middle, place.y), place.foot)]
        whole.wires.append([*wire, (width / 2, y) if end is None else (end.middle, end.y)])
    return whole


def _rows(boxes: dict[str, Box], edges: list[Edge]) -> list[list[Box]]:
    """Boxes by the longest way from the input."""
    rank = dict.fromkeys(boxes, 0)
    for _ in boxes:  # as many rounds as the longest way can have steps
        for a, b in edges:
            if a and b:
                rank[b] = min(max(rank[b], rank[a] + 1), len(boxes))
    return [[boxes[name] for name in boxes if rank[name] == level] for level in sorted(set(rank.values()))]


def _through(rows: list[list[Box]], boxes: dict[str, Box], edges: list[Edge]) -> list[list[Box | None]]:
    """For each edge the boxes that its wire runs through, narrow ones in rows that it passes; None for the border."""
    row_of = {id(box): level for level, row in enumerate(rows) for box in row}
    found = []
    for a, b in edges:
        first = -1 if not a else row_of[id(boxes[a])]
        last = len(rows) if not b else row_of[id(boxes[b])]
        passed = [Box(None, 6.0, 0.0) for _ in range(first + 1, last)]
        for level, place in enumerate(passed, first + 1):
            rows[level].append(place)
        found.append([boxes[a] if a else None, *passed, boxes[b] if b else None])
    return found


def _move(box: Box, x: float, y: float) -> None:
    """Places that were relative to the box become absolute."""
    box.wires = [[(px + x, py + y) for px, py in wire] for wire in box.wires]
    for part in box.parts:
        part.x, part.y = part.x + x, part.y + y
        _move(part, part.x, part.y)


def _drawn(box: Box, depth: int) -> str:
    if box.node is None:
        return ""
    dash = " stroke-dasharray='5 4'" if box.node.parts and box.node.edges is None else ""
    parts = [f"<rect x='{box.x:.1f}' y='{box.y:.1f}' width='{box.width:.1f}' height='{box.height:.1f}' rx='5' "
             f"fill='{SHADES[(depth + 1) % len(SHADES)] if box.node.parts else '#ffffff'}' stroke='{INK}'{dash}/>"]
    for number, line in enumerate(_lines(box.node)):
        parts.append(_text(box.middle, box.y + LINE * (number + 1), line, "middle", number == 0))
    parts += [_drawn(part, depth + 1) for part in box.parts]
    parts += [_wire(wire) for wire in box.wires]
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, bold: bool = False) -> str:
    weight = " font-weight='bold'" if bold else ""
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{INK}'{weight}>{html.escape(text)}</text>"


def _wire(points: list[tuple[float, float]]) -> str:
    """A bent line with a head at its end."""
    (x, y), path = points[-1], f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        half = (y0 + y1) / 2
        path += f" C{x0:.1f},{half:.1f} {x1:.1f},{half:.1f} {x1:.1f},{y1:.1f}"
    return (f"<path d='{path}' fill='none' stroke='{WIRE}' stroke-width='1.4'/>"
            f"<path d='M{x:.1f},{y:.1f} l-4,-8 h8 z' fill='{WIRE}'/>")
