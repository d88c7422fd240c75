"""FullyConnected, Random, NCP and AutoNCP: rules that make a `Wiring` once the number of inputs is known.

The draws, their order and their generators are those of ncps 1.0.1: the same arguments and seeds give the same
matrices. Making a wiring changes nothing in its recipe, so one recipe used twice gives two identical networks.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.random import RandomState

from .._errors import ConfigError, ParameterError
from .wirings import Wiring


class Recipe(ABC):
    """A wiring but for its number of inputs, which `with_inputs` gives. The four below are frozen dataclasses.

    >>> import neurosim
    >>> recipe = neurosim.liquid.AutoNCP(16, 4)
    >>> isinstance(recipe, neurosim.liquid.Recipe), recipe.outputs, recipe.with_inputs(3).units
    (True, 4, 16)
    >>> neurosim.liquid.wiring_from_dict(recipe.to_dict()) == recipe
    True
    """

    def __post_init__(self) -> None:
        self._check()

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of neurons that are read out, the first ones."""

    @abstractmethod
    def _check(self) -> None:
        """Raises ParameterError when the arguments do not fit each other."""

    @abstractmethod
    def _make(self, inputs: int) -> Wiring:
        """The wiring for this number of inputs."""

    def with_inputs(self, inputs: int) -> Wiring:
        """The wiring for `inputs` input features. Raises ParameterError unless it is at least one."""
        if inputs < 1:
            raise ParameterError(type(self).__name__, "inputs", "must be at least 1", inputs)
        return self._make(int(inputs))

    def to_dict(self) -> dict[str, Any]:
        """The arguments, fit for JSON; `from_dict` makes the recipe again."""
        return {"wiring": type(self).__name__, **vars(self)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Self:
        """The recipe that `to_dict` described. Raises ConfigError when the description is malformed."""
        arguments = {key: value for key, value in description.items() if key != "wiring"}
        names = list(inspect.signature(cls).parameters)
        if description.get("wiring") != cls.__name__ or not set(arguments) <= set(names):
            raise ConfigError(f"{cls.__name__}.from_dict: needs wiring={cls.__name__!r} and keys out of "
                              f"{names} (got {dict(description)})")
        return cls(**arguments)


@dataclass(frozen=True)
class FullyConnected(Recipe):
    """Every neuron to every neuron, every input to every neuron; one synapse in three inhibits.

    Args:
        units: number of neurons.
        output_dim: number of neurons that are read out; all of them without it.
        erev_init_seed: seed of the signs.
        self_connections: whether a neuron has a synapse onto itself.

    >>> import neurosim
    >>> neurosim.liquid.FullyConnected(4, output_dim=1).with_inputs(2)
    Wiring(inputs=2, units=4, outputs=1, synapses=16, sensory synapses=8)
    """

    units: int
    output_dim: int | None = None
    erev_init_seed: int = 1111
    self_connections: bool = True

    @property
    def outputs(self) -> int:
        """Number of neurons that are read out, the first ones."""
        return self.units if self.output_dim is None else self.output_dim

    def _check(self) -> None:
        _check_sizes(self)

    def _make(self, inputs: int) -> Wiring:
        rng = np.random.default_rng(self.erev_init_seed)
        internal, sensory = np.zeros((self.units, self.units)), np.zeros((inputs, self.units))
        for matrix in (internal, sensory):
            for source, target in np.ndindex(matrix.shape):
                if matrix is sensory or self.self_connections or source != target:
                    matrix[source, target] = rng.choice([-1, 1, 1])
        return Wiring(sensory, internal, self.outputs)


@dataclass(frozen=True)
class Random(Recipe):
    """A random part of all synapses; one in three inhibits.

    Args:
        units: number of neurons.
        output_dim: number of neurons that are read out; all of them without it.
        sparsity_level: share of the synapses that are absent, in [0, 1).
        random_seed: seed of the choice and of the signs.

    >>> import neurosim
    >>> neurosim.liquid.Random(8, sparsity_level=0.75).with_inputs(2)
    Wiring(inputs=2, units=8, outputs=8, synapses=16, sensory synapses=4)
    """

    units: int
    output_dim: int | None = None
    sparsity_level: float = 0.0
    random_seed: int = 1111

    @property
    def outputs(self) -> int:
        """Number of neurons that are read out, the first ones."""
        return self.units if self.output_dim is None else self.output_dim

    def _check(self) -> None:
        _check_sizes(self)
        if not 0.0 <= self.sparsity_level < 1.0:
            raise ParameterError("Random", "sparsity_level", "must lie in [0, 1)", self.sparsity_level)

    def _make(self, inputs: int) -> Wiring:
        rng = np.random.default_rng(self.random_seed)
        # ncps draws the sign of a sensory synapse twice and keeps the second: so that its numbers come out.
        internal = self._part(rng, self.units, draws=1)
        sensory = self._part(rng, inputs, draws=2)
        return Wiring(sensory, internal, self.outputs)

    def _part(self, rng: np.random.Generator, sources: int, draws: int) -> np.ndarray:
        matrix = np.zeros((sources, self.units))
        pairs = list(np.ndindex(matrix.shape))
        count = int(np.round(sources * self.units * (1 - self.sparsity_level)))
        for source, target in rng.choice(pairs, size=count, replace=False):
            for _ in range(draws):
                matrix[source, target] = rng.choice([-1, 1, 1])
        return matrix


def _check_sizes(recipe: FullyConnected | Random) -> None:
    name = type(recipe).__name__
    if recipe.units < 1:
        raise ParameterError(name, "units", "must be at least 1", recipe.units)
    if not 1 <= recipe.outputs <= recipe.units:
        raise ParameterError(name, "output_dim", f"must lie in 1..{recipe.units}", recipe.output_dim)


@dataclass(frozen=True)
class NCP(Recipe):
    """Neural circuit policy: inputs -> inter -> command (recurrent) -> motor neurons; half of the synapses inhibit.

    Neurons are numbered motor first, then command, then inter.

    Args:
        inter_neurons, command_neurons, motor_neurons: sizes of the layers.
        sensory_fanout: synapses from each input to inter neurons.
        inter_fanout: synapses from each inter neuron to command neurons.
        recurrent_command_synapses: synapses drawn among the command neurons; one drawn twice counts once.
        motor_fanin: synapses from command neurons to each motor neuron.
        seed: seed of the choice and of the signs.
    Reference: Lechner et al., Neural circuit policies enabling auditable autonomy, 2020, methods.

    >>> import neurosim
    >>> ncp = neurosim.liquid.NCP(6, 4, 2, sensory_fanout=3, inter_fanout=2, recurrent_command_synapses=3, motor_fanin=2)
    >>> ncp.with_inputs(2).kinds
    ('motor', 'motor', 'command', 'command', 'command', 'command', 'inter', 'inter', 'inter', 'inter', 'inter', 'inter')
    """

    inter_neurons: int
    command_neurons: int
    motor_neurons: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int = 22222

    @property
    def units(self) -> int:
        """Number of neurons."""
        return self.inter_neurons + self.command_neurons + self.motor_neurons

    @property
    def outputs(self) -> int:
        """Number of neurons that are read out, the motor neurons."""
        return self.motor_neurons

    def _check(self) -> None:
        for name in ("inter_neurons", "command_neurons", "motor_neurons"):
            if getattr(self, name) < 1:
                raise ParameterError("NCP", name, "must be at least 1", getattr(self, name))
        for name, most in (("sensory_fanout", self.inter_neurons), ("inter_fanout", self.command_neurons),
                           ("motor_fanin", self.command_neurons)):
            if not 0 <= getattr(self, name) <= most:
                raise ParameterError("NCP", name, f"must lie in 0..{most}, the neurons there are to connect",
                                     getattr(self, name))
        if self.recurrent_command_synapses < 0:
            raise ParameterError("NCP", "recurrent_command_synapses", "must be at least 0",
                                 self.recurrent_command_synapses)

    def _make(self, inputs: int) -> Wiring:
        rng = RandomState(self.seed)  # the generator of ncps
        motor = np.arange(self.motor_neurons)
        command = np.arange(self.command_neurons) + len(motor)
        inter = np.arange(self.inter_neurons) + len(motor) + len(command)
        sensory, internal = np.zeros((inputs, self.units)), np.zeros((self.units, self.units))

        _fan_out(rng, sensory, np.arange(inputs), inter, self.sensory_fanout)
        _fan_out(rng, internal, inter, command, self.inter_fanout)
        for _ in range(self.recurrent_command_synapses):
            source, target = rng.choice(command), rng.choice(command)
            internal[source, target] = rng.choice([-1, 1])
        # Seen from the motor neurons the fan-in is a fan-out, in the transposed matrix.
        _fan_out(rng, internal.T, motor, command, self.motor_fanin)

        kinds = ("motor",) * len(motor) + ("command",) * len(command) + ("inter",) * len(inter)
        layers = tuple(tuple(layer.tolist()) for layer in (inter, command, motor))
        return Wiring(sensory, internal, self.motor_neurons, kinds, layers)


def _fan_out(rng: RandomState, matrix: np.ndarray, near: np.ndarray, far: np.ndarray, fanout: int) -> None:
    """Connects each of `near` (rows) to `fanout` of `far` (columns), then each of `far` that was left out."""
    for source in near:
        for target in rng.choice(far, size=fanout, replace=False):
            matrix[source, target] = rng.choice([-1, 1])
    back = min(max(int(len(near) * fanout / len(far)), 1), len(near))
    for target in far[~matrix[np.ix_(near, far)].any(axis=0)]:
        for source in rng.choice(near, size=back, replace=False):
            matrix[source, target] = rng.choice([-1, 1])


@dataclass(frozen=True)
class AutoNCP(Recipe):
    """An `NCP` of a given number of neurons, two fifths of those that are not outputs being command neurons.

    Args:
        units: number of neurons.
        output_size: number of motor neurons, at most units - 3.
        sparsity_level: share of the possible synapses that are absent, in [0.1, 1].
        seed: seed of the choice and of the signs.

    >>> import neurosim
    >>> neurosim.liquid.AutoNCP(16, 4).ncp
    NCP(inter_neurons=8, command_neurons=4, motor_neurons=4, sensory_fanout=4, inter_fanout=2, ...)
    """

    units: int
    output_size: int
    sparsity_level: float = 0.5
    seed: int = 22222

    @property
    def outputs(self) -> int:
        """Number of neurons that are read out, the motor neurons."""
        return self.output_size

    @property
    def ncp(self) -> NCP:
        """The same as an `NCP`, with its counts."""
        rest = self.units - self.output_size
        density = 1.0 - self.sparsity_level
        command = max(int(0.4 * rest), 1)
        inter = rest - command
        return NCP(inter, command, self.output_size,
                   sensory_fanout=max(int(inter * density), 1),
                   inter_fanout=max(int(command * density), 1),
                   recurrent_command_synapses=max(int(command * 2 * density), 1),
                   motor_fanin=max(int(command * density), 1), seed=self.seed)

    def _check(self) -> None:
        if not 1 <= self.output_size < self.units - 2:
            raise ParameterError("AutoNCP", "output_size", f"must lie in 1..{self.units - 3}, "
                                 "less than the units by three or more", self.output_size)
        if not 0.1 <= self.sparsity_level <= 1.0:
            raise ParameterError("AutoNCP", "sparsity_level", "must lie in [0.1, 1]", self.sparsity_level)

    def _make(self, inputs: int) -> Wiring:
        return self.ncp.with_inputs(inputs)


def wiring_from_dict(description: Mapping[str, Any]) -> Wiring | Recipe:
    """The wiring or recipe whose `to_dict` gave `description`. Raises ConfigError when it is malformed."""
    kinds: list[type[Wiring] | type[Recipe]] = [Wiring, FullyConnected, Random, NCP, AutoNCP]
    for kind in kinds:
        if kind.__name__ == description.get("wiring"):
            return kind.from_dict(description)
    raise ConfigError(f"wiring_from_dict: wiring must be one of {[kind.__name__ for kind in kinds]} "
                      f"(got {description.get('wiring')!r})")
