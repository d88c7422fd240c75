"""Pictures of wirings: four kinds of neurons, two kinds of synapses, curved arrows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import MissingExtra, ParameterError

if TYPE_CHECKING:
    from .wirings import Wiring

NEURON_COLORS = {"sensory": "tab:olive", "inter": "tab:blue", "command": "tab:cyan", "motor": "tab:orange"}
SYNAPSE_COLORS = {"excitatory": "tab:green", "inhibitory": "tab:red"}

Groups = list[list[int]]  # numbers of the nodes of each kind; the inputs are numbered after the neurons


def draw_graph(wiring: Wiring, layout: str = "layers", neuron_colors: Mapping[str, str] | None = None,
               synapse_colors: Mapping[str, str] | str | None = None, draw_labels: bool = False,
               axes: Any = None) -> list[Any]:
    """Draws a wiring on matplotlib axes.

    Args:
        wiring: what to draw.
        layout: "layers" (columns from the inputs on the left to the outputs on the right), "shell", "circular",
            "spiral", "random"; or, with networkx, "kamada", "spring", "spectral".
        neuron_colors: colours for some of "sensory", "inter", "command", "motor"; the others keep theirs.
        synapse_colors: colours for "excitatory", "inhibitory" or both, or one colour for all synapses.
        draw_labels: writes each number into its node.
        axes: where to draw; the current axes without it.
    Returns: legend patches, one for each kind of neuron and synapse that occurs.
    Raises: ParameterError for an unknown layout or kind; MissingExtra when a layout needs networkx.
    """
    import matplotlib.patches
    import matplotlib.pyplot as plt

    colors = _merged("neuron_colors", NEURON_COLORS, neuron_colors)
    if isinstance(synapse_colors, str):
        synapse_colors = dict.fromkeys(SYNAPSE_COLORS, synapse_colors)
    synapse_colors = _merged("synapse_colors", SYNAPSE_COLORS, synapse_colors)
    if layout not in LAYOUTS:
        raise ParameterError("draw_graph", "layout", f"choose from {list(LAYOUTS)}", layout)
    axes = plt.gca() if axes is None else axes

    kinds = np.array([*wiring.kinds, *["sensory"] * wiring.inputs])
    groups = [list(range(wiring.units, len(kinds))), *map(list, _shown_layers(wiring))]
    position = _fitted(LAYOUTS[layout](wiring, groups))
    radius = _radius(position)

    legend = [matplotlib.patches.Patch(color=color, label=f"{kind.capitalize()} neurons")
              for kind, color in colors.items() if kind in kinds]
    edges = [(source + shift, target, sign) for shift, synapses in ((0, wiring.synapses),
                                                                    (wiring.units, wiring.sensory_synapses))
             for source, target, sign in zip(*synapses, strict=True)]
    for sign, kind in ((1, "excitatory"), (-1, "inhibitory")):
        pairs = np.array([edge[:2] for edge in edges if edge[2] == sign], dtype=int).reshape(-1, 2)
        if len(pairs):
            _draw_synapses(axes, position, pairs, radius, synapse_colors[kind], dense=len(edges) > 150)
            legend.append(matplotlib.patches.Patch(color=synapse_colors[kind], label=f"{kind.capitalize()} synapses"))
    _draw_neurons(axes, position, [colors[kind] for kind in kinds], radius)
    if draw_labels:
        for number, (x, y) in enumerate(position):
            axes.text(x, y, str(number if number < wiring.units else number - wiring.units),
                      ha="center", va="center", fontsize=min(9.0, 110 * radius), color="white", zorder=4)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.autoscale_view()
    return legend


def _merged(what: str, known: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """`known` with the values of `given`; raises ParameterError for a key that is not known."""
    unknown = set(given or {}) - set(known)
    if unknown:
        raise ParameterError("draw_graph", what, f"keys must be some of {list(known)}", sorted(unknown))
    return {**known, **(given or {})}


def _shown_layers(wiring: Wiring) -> list[tuple[int, ...]]:
    """The layers of a wiring; one that has but one layer is split into those that are read out and the others."""
    if len(wiring.layers) > 1 or len(set(wiring.kinds)) == 1:
        return list(wiring.layers)
    return [tuple(i for i in range(wiring.units) if wiring.kinds[i] == kind)
            for kind in ("inter", "command", "motor") if kind in wiring.kinds]


def _layers(wiring: Wiring, groups: Groups) -> np.ndarray:
    """Columns; a tall one is staggered so that its neurons stay apart."""
    position = np.zeros((sum(map(len, groups)), 2))
    height = float(np.clip(0.12 * max(map(len, groups)), 2.0, 4.0))
    for column, group in enumerate(groups):
        count = len(group)
        rank = np.arange(count)
        position[group, 1] = (0.5 * (count - 1) - rank) / max(count, 4) * height
        position[group, 0] = column * 1.1 + (0.22 * (rank % 2 - 0.5) if count > 8 else 0.0)
    return position


def _circle(numbers: list[int], radius: float, position: np.ndarray) -> None:
    angle = 2 * np.pi * np.arange(len(numbers)) / len(numbers) + np.pi / 2
    position[numbers] = radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def _shell(wiring: Wiring, groups: Groups) -> np.ndarray:
    """Rings: outputs inside, inputs outside."""
    position = np.zeros((sum(map(len, groups)), 2))
    radius = 0.0
    for group in reversed(groups):
        radius = 0.0 if radius == 0.0 and len(group) == 1 else max(radius + 1.0, len(group) / 9)
        _circle(group, radius, position)
    return position


def _circular(wiring: Wiring, groups: Groups) -> np.ndarray:
    position = np.zeros((sum(map(len, groups)), 2))
    _circle([number for group in groups for number in group], 1.0, position)
    return position


def _spiral(wiring: Wiring, groups: Groups) -> np.ndarray:
    """Outputs at the centre; nodes at equal distances along the arm."""
    position = np.zeros((sum(map(len, groups)), 2))
    angle = 3.0 * np.sqrt(np.arange(len(position)) + 1.0)
    order = [number for group in reversed(groups) for number in group]
    position[order] = angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return position


def _random(wiring: Wiring, groups: Groups) -> np.ndarray:
    """Places drawn with a fixed seed, so that a picture can be drawn again."""
    return np.random.default_rng(0).uniform(size=(sum(map(len, groups)), 2))


def _networkx(name: str) -> Callable[[Wiring, Groups], np.ndarray]:
    """A layout of networkx on the undirected graph."""

    def layout(wiring: Wiring, groups: Groups) -> np.ndarray:
        try:
            networkx = importlib.import_module("networkx")  # has no type hints
        except ImportError as error:
            raise MissingExtra(f"draw_graph: the layout of networkx.{name}", "graph") from error
        seed = {"seed": 0} if name == "spring_layout" else {}
        place = getattr(networkx, name)(wiring.to_networkx().to_undirected(), **seed)
        return np.array([*(place[f"neuron_{i}"] for i in range(wiring.units)),
                         *(place[f"sensory_{i}"] for i in range(wiring.inputs))])

    return layout


LAYOUTS: dict[str, Callable[[Wiring, Groups], np.ndarray]] = {
    "layers": _layers, "shell": _shell, "circular": _circular, "spiral": _spiral, "random": _random,
    "kamada": _networkx("kamada_kawai_layout"), "spring": _networkx("spring_layout"),
    "spectral": _networkx("spectral_layout")}


def _fitted(position: np.ndarray) -> np.ndarray:
    """Shifted and scaled so that the longer side goes from -1 to 1."""
    centre = 0.5 * (position.max(0) + position.min(0))
    return (position - centre) / max(0.5 * float(np.ptp(position, axis=0).max()), 1e-9)


def _radius(position: np.ndarray) -> float:
    """Of a node: two fifths of the distance to the nearest other, within limits that can be seen."""
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return float(np.clip(0.4 * np.quantile(distance.min(1), 0.2), 0.018, 0.075)) if len(position) > 1 else 0.075


def _draw_neurons(axes: Any, position: np.ndarray, colors: list[str], radius: float) -> None:
    from matplotlib.collections import EllipseCollection

    size = np.full(len(position), 2 * radius)
    axes.add_collection(EllipseCollection(size, size, np.zeros(len(position)), units="xy", offsets=position,
                                          offset_transform=axes.transData, facecolors=colors, edgecolors="white",
                                          linewidths=0.8, zorder=3))
    axes.update_datalim([position.min(0) - 2 * radius, position.max(0) + 2 * radius])


def _draw_synapses(axes: Any, position: np.ndarray, pairs: np.ndarray, radius: float, color: str,
                   dense: bool) -> None:
    """All of one sign as two collections, lines and heads: one object for each arrow would take minutes."""
    from matplotlib.collections import LineCollection, PolyCollection

    curve = _curves(position[pairs[:, 0]], position[pairs[:, 1]], radius)
    tip, before = curve[:, -1], curve[:, -4]
    along = (tip - before) / np.maximum(np.linalg.norm(tip - before, axis=1, keepdims=True), 1e-12)
    across = along[:, ::-1] * [-1, 1]
    head = min(0.55 * radius, 0.03)
    heads = np.stack([tip, tip - head * (along + 0.45 * across), tip - head * (along - 0.45 * across)], axis=1)
    alpha = 0.35 if dense else 0.7
    axes.add_collection(LineCollection(list(curve), colors=color, linewidths=0.6 if dense else 1.1, alpha=alpha,
                                       zorder=1))
    axes.add_collection(PolyCollection(list(heads), facecolors=color, linewidths=0, alpha=min(1.0, alpha + 0.2), zorder=2))


def _curves(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Bezier curves (arrows, points, 2) from rim to rim, bent a little so that two opposite ones stay apart."""
    step = end - start
    length = np.linalg.norm(step, axis=1, keepdims=True)
    loop = length[:, 0] < 1e-9
    along = np.where(loop[:, None], [0.0, 1.0], step / np.maximum(length, 1e-12))
    across = along[:, ::-1] * [-1, 1]
    bend = 0.12 * length
    out = np.where(loop[:, None], [-0.6, 0.8], _unit(along * length / 2 + across * bend))
    back = np.where(loop[:, None], [0.6, 0.8], _unit(-along * length / 2 + across * bend))
    first, last = start + radius * out, end + 1.15 * radius * back
    reach = np.where(loop[:, None], 3.2 * radius, 0.35 * length)
    t = np.linspace(0, 1, 24)[None, :, None]
    first, last, leave, arrive = (point[:, None] for point in (first, last, first + reach * out, last + reach * back))
    return (1 - t) ** 3 * first + 3 * (1 - t) ** 2 * t * leave + 3 * (1 - t) * t ** 2 * arrive + t ** 3 * last


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
