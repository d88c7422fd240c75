"""Wirings with the interface of ncps: made without the number of inputs, built with it, changed in place."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ... import liquid
from ..._errors import ParameterError

__all__ = ["Wiring", "FullyConnected", "Random", "NCP", "AutoNCP"]


class Wiring:
    """A wiring of `units` neurons without synapses, to be filled by `add_synapse` and `add_sensory_synapse`.

    >>> wiring = Wiring(3)
    >>> wiring.set_output_dim(1)
    >>> wiring.is_built(), wiring.build(2), wiring.is_built()
    (False, None, True)
    >>> wiring.add_sensory_synapse(1, 2, +1)
    >>> wiring.add_synapse(2, 0, -1)
    >>> wiring.synapse_count, wiring.sensory_synapse_count, wiring.erev_initializer()[2].tolist()
    (1, 1, [-1, 0, 0])
    >>> wiring.sensory_erev_initializer().shape, wiring.to_wiring().outputs, sorted(wiring.get_graph().nodes)[0]
    ((2, 3), 1, 'neuron_0')
    >>> again = Wiring.from_config(wiring.get_config())
    >>> again.set_input_dim(5)  # without synapses
    >>> again.input_dim, again.sensory_synapse_count
    (5, 0)
    """

    def __init__(self, units: int) -> None:
        self.units = units
        self.adjacency_matrix = np.zeros((units, units), dtype=np.int32)
        self.sensory_adjacency_matrix: np.ndarray | None = None
        self.input_dim: int | None = None
        self.output_dim: int | None = None

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return 1

    def get_neurons_of_layer(self, layer_id: int) -> list[int]:
        """Numbers of the neurons of layer `layer_id`."""
        return list(range(self.units))

    def is_built(self) -> bool:
        """Whether the number of inputs is known."""
        return self.input_dim is not None

    def build(self, input_dim: int) -> None:
        """Gives the number of inputs, `input_dim`. Raises ParameterError (a ValueError) when another one was given before."""
        if self.input_dim is not None:
            if self.input_dim != input_dim:
                raise ParameterError(f"{type(self).__name__}.build", "input_dim",
                                     f"this wiring was built for {self.input_dim} inputs; make another one", input_dim)
            return
        self.set_input_dim(int(input_dim))
        self._make()

    def _make(self) -> None:
        """Draws the synapses that a recipe adds once the number of inputs is known."""

    def set_input_dim(self, input_dim: int) -> None:
        """Gives the number of inputs, `input_dim`, all of them without synapses."""
        self.input_dim = input_dim
        self.sensory_adjacency_matrix = np.zeros((input_dim, self.units), dtype=np.int32)

    def set_output_dim(self, output_dim: int) -> None:
        """Gives the number of neurons that are read out, the first `output_dim`."""
        self.output_dim = output_dim

    def get_type_of_neuron(self, neuron_id: int) -> str:
        """"motor" for a `neuron_id` that is read out, else "inter"."""
        return "motor" if neuron_id < (self.output_dim or 0) else "inter"

    def add_synapse(self, src: int, dest: int, polarity: int) -> None:
        """Adds or replaces the synapse from neuron `src` to `dest`, of `polarity` +1 or -1.

        Raises: ParameterError (a ValueError).
        """
        self.adjacency_matrix = self._wiring(1).add_synapse(src, dest, polarity).internal.copy()

    def add_sensory_synapse(self, src: int, dest: int, polarity: int) -> None:
        """Adds or replaces the synapse from input `src` to neuron `dest`, of `polarity` +1 or -1.

        Raises: ParameterError (a ValueError).
        """
        if not self.is_built():
            raise ParameterError(f"{type(self).__name__}.add_sensory_synapse", "input_dim", "call build(input_dim) first")
        self.sensory_adjacency_matrix = self.to_wiring().add_sensory_synapse(src, dest, polarity).sensory.copy()

    def erev_initializer(self, shape: Any = None, dtype: Any = None) -> np.ndarray:
        """Reversal potentials at the start: a copy of the adjacency; `shape` and `dtype` are there for ncps's sake."""
        return np.copy(self.adjacency_matrix)

    def sensory_erev_initializer(self, shape: Any = None, dtype: Any = None) -> np.ndarray:
        """The same for the synapses from inputs; `shape` and `dtype` are there for ncps's sake."""
        return self.to_wiring().sensory.copy()

    @property
    def synapse_count(self) -> int:
        """Number of synapses between neurons."""
        return int(np.abs(self.adjacency_matrix).sum())

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return int(np.abs(self.to_wiring().sensory).sum())

    def _wiring(self, inputs: int) -> liquid.Wiring:
        sensory = self.sensory_adjacency_matrix
        layers = tuple(tuple(self.get_neurons_of_layer(layer)) for layer in range(self.num_layers))
        return liquid.Wiring(np.zeros((inputs, self.units)) if sensory is None else sensory, self.adjacency_matrix,
                             self.units if self.output_dim is None else self.output_dim,
                             tuple(self.get_type_of_neuron(i) for i in range(self.units)), layers)

    def to_wiring(self) -> liquid.Wiring:
        """The same as a `neurosim.liquid.Wiring`. Raises ParameterError before `build`."""
        if self.input_dim is None:
            raise ParameterError(type(self).__name__, "input_dim", "unknown number of inputs; call build(input_dim) first")
        return self._wiring(self.input_dim)

    def get_graph(self, include_sensory_neurons: bool = True) -> Any:
        """A `networkx.DiGraph` of the wiring, with inputs unless `include_sensory_neurons` is False."""
        graph = self.to_wiring().to_networkx()
        if not include_sensory_neurons:
            graph.remove_nodes_from([node for node, kind in graph.nodes("neuron_type") if kind == "sensory"])
        return graph

    def draw_graph(self, layout: str = "shell", neuron_colors: Any = None, synapse_colors: Any = None,
                   draw_labels: bool = False) -> list[Any]:
        """Draws the wiring on the current axes; `layout`, `neuron_colors`, `synapse_colors` and `draw_labels` as for
        `neurosim.liquid.Wiring.draw_graph`. Returns the patches of a legend."""
        return self.to_wiring().draw_graph(layout, neuron_colors, synapse_colors, draw_labels)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        sensory = self.sensory_adjacency_matrix
        return {"units": self.units, "adjacency_matrix": self.adjacency_matrix.tolist(),
                "sensory_adjacency_matrix": None if sensory is None else sensory.tolist(),
                "input_dim": self.input_dim, "output_dim": self.output_dim}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Wiring:
        """The wiring that `get_config` described as `config`."""
        wiring = Wiring(config["units"])
        wiring.adjacency_matrix = np.array(config["adjacency_matrix"], dtype=np.int32)
        if config["sensory_adjacency_matrix"] is not None:
            wiring.sensory_adjacency_matrix = np.array(config["sensory_adjacency_matrix"], dtype=np.int32)
        wiring.input_dim, wiring.output_dim = config["input_dim"], config["output_dim"]
        return wiring


class _Drawn(Wiring):
    """A wiring whose synapses a recipe draws."""

    recipe: liquid.Recipe

    def _draw(self, recipe: Any, internal: bool) -> None:
        self.recipe = recipe
        Wiring.__init__(self, recipe.units)
        self.set_output_dim(recipe.outputs)
        if internal:  # those between neurons do not depend on the inputs
            self.adjacency_matrix = recipe.with_inputs(1).internal.copy()

    def _make(self) -> None:
        assert self.input_dim is not None
        made = self.recipe.with_inputs(self.input_dim)
        self.sensory_adjacency_matrix = made.sensory.copy()

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        arguments = {name: value for name, value in self.recipe.to_dict().items() if name != "wiring"}
        return arguments | ({"output_dim": self.output_dim} if "output_dim" in arguments else {})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The wiring with the arguments in `config`."""
        return cls(**config)


class FullyConnected(_Drawn):
    """Arguments as for `neurosim.liquid.FullyConnected`, `output_dim`, `erev_init_seed` and `self_connections` included.

    >>> FullyConnected(4, output_dim=1).synapse_count
    16
    """

    def __init__(self, units: int, output_dim: int | None = None, erev_init_seed: int = 1111,
                 self_connections: bool = True) -> None:
        self.self_connections = self_connections
        self._draw(liquid.FullyConnected(units, output_dim, erev_init_seed, self_connections), internal=True)


class Random(_Drawn):
    """Arguments as for `neurosim.liquid.Random`, `sparsity_level` and `random_seed` included.

    >>> Random(8, sparsity_level=0.75).synapse_count
    16
    """

    def __init__(self, units: int, output_dim: int | None = None, sparsity_level: float = 0.0,
                 random_seed: int = 1111) -> None:
        self.sparsity_level = sparsity_level
        self._draw(liquid.Random(units, output_dim, sparsity_level, random_seed), internal=True)


class NCP(_Drawn):
    """Arguments as for `neurosim.liquid.NCP`.

    >>> ncp = NCP(6, 4, 2, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=2)
    >>> ncp.num_layers, ncp.get_neurons_of_layer(2), ncp.get_type_of_neuron(0)
    (3, [0, 1], 'motor')
    """

    def __init__(self, inter_neurons: int, command_neurons: int, motor_neurons: int, sensory_fanout: int, inter_fanout: int,
                 recurrent_command_synapses: int, motor_fanin: int, seed: int = 22222) -> None:
        self._draw_ncp(liquid.NCP(inter_neurons, command_neurons, motor_neurons, sensory_fanout, inter_fanout,
                                  recurrent_command_synapses, motor_fanin, seed))

    def _draw_ncp(self, ncp: liquid.NCP) -> None:
        self._draw(ncp, internal=False)
        made = ncp.with_inputs(1)
        self._kinds, self._layers = made.kinds, made.layers

    def _make(self) -> None:
        assert self.input_dim is not None
        self.adjacency_matrix = self.recipe.with_inputs(self.input_dim).internal.copy()
        super()._make()

    @property
    def num_layers(self) -> int:
        """Inter, command and motor neurons."""
        return 3

    def get_neurons_of_layer(self, layer_id: int) -> list[int]:
        """Numbers of the neurons of layer `layer_id`: 0 inter, 1 command, 2 motor. Raises ParameterError."""
        if layer_id not in (0, 1, 2):
            raise ParameterError(f"{type(self).__name__}.get_neurons_of_layer", "layer_id", "choose from [0, 1, 2]", layer_id)
        return list(self._layers[layer_id])

    def get_type_of_neuron(self, neuron_id: int) -> str:
        """"motor", "command" or "inter", for the neuron `neuron_id`."""
        return self._kinds[neuron_id]


class AutoNCP(NCP):
    """Arguments as for `neurosim.liquid.AutoNCP`.

    >>> AutoNCP(16, 4).get_config()
    {'units': 16, 'output_size': 4, 'sparsity_level': 0.5, 'seed': 22222}
    """

    def __init__(self, units: int, output_size: int, sparsity_level: float = 0.5, seed: int = 22222) -> None:
        auto = liquid.AutoNCP(units, output_size, sparsity_level, seed)
        self.output_size, self.sparsity_level, self.seed = output_size, sparsity_level, seed
        self._draw_ncp(auto.ncp)
        self._auto = auto

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {name: value for name, value in self._auto.to_dict().items() if name != "wiring"}
