"""Wiring: who is connected to whom in a liquid network, and with which sign."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._errors import ConfigError, MissingExtra, ParameterError
from .._tree import html_table

KINDS = ("inter", "command", "motor")


class SynapseList(NamedTuple):
    """Synapses sorted by target, then by source; int64 arrays of one length.

    Fields: `source` and `target`, numbers of neurons (or of an input, as source); `polarity`, +1 excites, -1 inhibits.

    >>> synapses = Wiring.empty(1, 3).add_synapse(2, 1, +1).add_synapse(1, 0, -1).synapses
    >>> isinstance(synapses, SynapseList), synapses.source.tolist(), synapses.polarity.tolist()
    (True, [1, 2], [-1, 1])
    """

    source: np.ndarray
    target: np.ndarray
    polarity: np.ndarray  # +1 excites, -1 inhibits


@dataclass(frozen=True, eq=False, repr=False)
class Wiring:
    """Signed adjacency of a network: +1 excites, -1 inhibits, 0 is no synapse. It never changes once made.

    Args:
        sensory: (inputs, units), from input to neuron.
        internal: (units, units), from neuron (row) to neuron (column).
        outputs: the first `outputs` neurons are read out; all of them without it.
        kinds: "inter", "command" or "motor" for each neuron; without it the outputs are motor neurons, all others
            inter neurons.
        layers: neuron numbers of each layer in order of evaluation; together every neuron once. Without it one layer.
    Raises: ParameterError when something does not fit.

    >>> wiring = Wiring.empty(inputs=1, units=3, outputs=1)
    >>> wiring = wiring.add_sensory_synapse(0, 2, +1).add_synapse(2, 1, +1).add_synapse(1, 0, -1)
    >>> wiring
    Wiring(inputs=1, units=3, outputs=1, synapses=2, sensory synapses=1)
    >>> wiring.inputs, wiring.sensory_synapses.target.tolist(), wiring.with_inputs(1) is wiring
    (1, [2], True)
    >>> sorted(wiring.to_networkx().successors("neuron_2"))
    ['neuron_1']
    """

    sensory: np.ndarray
    internal: np.ndarray
    outputs: int = -1
    kinds: tuple[str, ...] = ()
    layers: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        internal, sensory = _signs(self.internal, "internal"), _signs(self.sensory, "sensory")
        units = internal.shape[1]
        if internal.shape[0] != units or units == 0:
            raise ParameterError("Wiring", "internal", "must be square, (units, units)", internal.shape)
        if sensory.shape[1] != units or sensory.shape[0] == 0:
            raise ParameterError("Wiring", "sensory", f"must be (inputs, {units}), at least one input", sensory.shape)
        outputs = units if self.outputs == -1 else int(self.outputs)
        if not 1 <= outputs <= units:
            raise ParameterError("Wiring", "outputs", f"must lie in 1..{units}", self.outputs)
        kinds = tuple(self.kinds) or ("motor",) * outputs + ("inter",) * (units - outputs)
        if len(kinds) != units or not set(kinds) <= set(KINDS):
            raise ParameterError("Wiring", "kinds", f"needs one of {list(KINDS)} for each of {units} neurons", kinds)
        layers = tuple(tuple(int(i) for i in layer) for layer in self.layers) or (tuple(range(units)),)
        if sorted(i for layer in layers for i in layer) != list(range(units)) or not all(layers):
            raise ParameterError("Wiring", "layers", f"must hold each of the neurons 0..{units - 1} once", layers)
        values = {"sensory": sensory, "internal": internal, "outputs": outputs, "kinds": kinds, "layers": layers}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def empty(cls, inputs: int, units: int, outputs: int = -1, kinds: Sequence[str] = (),
              layers: Iterable[Sequence[int]] = ()) -> Wiring:
        """A wiring without synapses, to be filled by `add_synapse` and `add_sensory_synapse`.

        Args:
            inputs, units: how many.
            outputs, kinds, layers: as for `Wiring`.
        Raises: ParameterError.
        """
        return cls(np.zeros((inputs, units)), np.zeros((units, units)), outputs, tuple(kinds),
                   tuple(tuple(layer) for layer in layers))

    @property
    def inputs(self) -> int:
        """Number of input features."""
        return self.sensory.shape[0]

    @property
    def units(self) -> int:
        """Number of neurons."""
        return self.internal.shape[1]

    @property
    def synapses(self) -> SynapseList:
        """The synapses between neurons."""
        return _listed(self.internal)

    @property
    def sensory_synapses(self) -> SynapseList:
        """The synapses from inputs (their source) to neurons."""
        return _listed(self.sensory)

    def with_inputs(self, inputs: int) -> Wiring:
        """This wiring; raises ParameterError when it has another number of inputs."""
        if inputs != self.inputs:
            raise ParameterError("Wiring", "inputs", f"this wiring was made for {self.inputs} inputs", inputs)
        return self

    def add_synapse(self, source: int, target: int, polarity: int) -> Wiring:
        """A copy with a synapse from neuron `source` to neuron `target` of `polarity` +1 or -1, in place of one that was there.
        Raises ParameterError."""
        return self._with("internal", "add_synapse", source, target, polarity)

    def add_sensory_synapse(self, source: int, target: int, polarity: int) -> Wiring:
        """A copy with a synapse from input `source` to neuron `target` of `polarity` +1 or -1, in place of one that was there.
        Raises ParameterError."""
        return self._with("sensory", "add_sensory_synapse", source, target, polarity)

    def _with(self, field: str, name: str, source: int, target: int, polarity: int) -> Wiring:
        matrix: np.ndarray = getattr(self, field).copy()
        for what, number, size in (("source", source, matrix.shape[0]), ("target", target, matrix.shape[1])):
            if not 0 <= number < size:
                raise ParameterError(f"Wiring.{name}", what, f"must lie in 0..{size - 1}", number)
        if polarity not in (-1, 1):
            raise ParameterError(f"Wiring.{name}", "polarity", "must be +1 (excites) or -1 (inhibits)", polarity)
        matrix[source, target] = polarity
        matrices = {"sensory": self.sensory, "internal": self.internal, field: matrix}
        return Wiring(**matrices, outputs=self.outputs, kinds=self.kinds, layers=self.layers)

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers, strings and lists, fit for JSON; `from_dict` makes it again."""
        return {"wiring": "Wiring", "inputs": self.inputs, "units": self.units, "outputs": self.outputs,
                "kinds": list(self.kinds), "layers": [list(layer) for layer in self.layers],
                "synapses": _triples(self.synapses), "sensory_synapses": _triples(self.sensory_synapses)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Wiring:
        """The wiring that `to_dict` described. Raises ConfigError when the description is malformed."""
        keys = {"wiring", "inputs", "units", "outputs", "kinds", "layers", "synapses", "sensory_synapses"}
        if description.get("wiring") != "Wiring" or set(description) != keys:
            raise ConfigError(f"Wiring.from_dict: needs wiring='Wiring' and the keys {sorted(keys)} "
                              f"(got {dict(description)!r:.200})")
        sensory = np.zeros((description["inputs"], description["units"]))
        internal = np.zeros((description["units"], description["units"]))
        for matrix, key in ((internal, "synapses"), (sensory, "sensory_synapses")):
            for source, target, polarity in description[key]:
                if not (0 <= source < matrix.shape[0] and 0 <= target < matrix.shape[1]):
                    raise ConfigError(f"Wiring.from_dict: {key}: no such neurons or input ({source}, {target})")
                matrix[source, target] = polarity
        return cls(sensory, internal, description["outputs"], tuple(description["kinds"]), description["layers"])

    def to_networkx(self) -> Any:
        """A `networkx.DiGraph`: nodes `sensory_i` and `neuron_i` with `neuron_type`, edges with `polarity`.

        Raises: MissingExtra without networkx.
        """
        try:
            networkx = importlib.import_module("networkx")  # has no type hints
        except ImportError as error:
            raise MissingExtra("Wiring.to_networkx", "graph") from error
        graph = networkx.DiGraph()
        graph.add_nodes_from((f"neuron_{i}", {"neuron_type": kind}) for i, kind in enumerate(self.kinds))
        graph.add_nodes_from((f"sensory_{i}", {"neuron_type": "sensory"}) for i in range(self.inputs))
        for prefix, matrix in (("sensory", self.sensory), ("neuron", self.internal)):
            for source, target in np.argwhere(matrix):  # by source: the order of ncps, which some layouts follow
                graph.add_edge(f"{prefix}_{source}", f"neuron_{target}",
                               polarity="excitatory" if matrix[source, target] == 1 else "inhibitory")
        return graph

    def draw_graph(self, layout: str = "layers", neuron_colors: Mapping[str, str] | None = None,
                   synapse_colors: Mapping[str, str] | str | None = None, draw_labels: bool = False,
                   axes: Any = None) -> list[Any]:
        """Draws the network.

        Args:
            layout: "layers", "shell", "circular", and others that networkx makes; an unknown one is refused with the choices.
            neuron_colors: by kind of neuron. synapse_colors: by "excitatory" and "inhibitory", or one for all.
            draw_labels: whether neurons are named.
            axes: of matplotlib; the current ones when not given.
        Returns: the patches of a legend.
        Raises: ParameterError; MissingExtra for a layout of networkx without it.
        """
        from .draw import draw_graph

        return draw_graph(self, layout, neuron_colors, synapse_colors, draw_labels, axes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wiring) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.internal.tobytes(), self.sensory.tobytes(), self.outputs, self.kinds, self.layers))

    def __repr__(self) -> str:
        return (f"Wiring(inputs={self.inputs}, units={self.units}, outputs={self.outputs}, "
                f"synapses={np.count_nonzero(self.internal)}, sensory synapses={np.count_nonzero(self.sensory)})")


    def _repr_html_(self) -> str:
        rows = []
        for kind in dict.fromkeys(("sensory", *self.kinds)):
            mine = [i for i, other in enumerate(self.kinds) if other == kind]
            out = self.sensory if kind == "sensory" else self.internal[mine]
            rows.append((kind, str(self.inputs if kind == "sensory" else len(mine)), str(int((out > 0).sum())),
                         str(int((out < 0).sum()))))
        table = html_table(("neurons", "how many", "excitatory synapses from them", "inhibitory"), rows)
        return f"<details open><summary><b>{html.escape(repr(self))}</b></summary>{table}</details>"


def _signs(matrix: Any, what: str) -> np.ndarray:
    """`matrix` as a read-only int32 copy; raises ParameterError unless it is 2-D with entries -1, 0 and 1."""
    given = np.asarray(matrix)
    if given.ndim != 2:
        raise ParameterError("Wiring", what, "must be a matrix", given.shape)
    if not np.isin(given, (-1, 0, 1)).all():
        raise ParameterError("Wiring", what, "entries must be -1, 0 or 1", given)
    signs = given.astype(np.int32)
    signs.setflags(write=False)
    return signs


def _listed(matrix: np.ndarray) -> SynapseList:
    target, source = np.nonzero(matrix.T)
    return SynapseList(source, target, matrix[source, target].astype(np.int64))


def _triples(synapses: SynapseList) -> list[list[int]]:
    return [list(triple) for triple in zip(*(column.tolist() for column in synapses), strict=True)]
