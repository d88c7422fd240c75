"""What the modules of ncps tell about their wiring."""

from __future__ import annotations

from abc import abstractmethod

from .. import wirings


class Wired:
    """Numbers of a wiring: fill in `motor_size`."""

    _wiring: wirings.Wiring

    @property
    @abstractmethod
    def motor_size(self) -> int | None:
        """Number of outputs."""

    @property
    def output_size(self) -> int | None:
        """Number of outputs."""
        return self.motor_size

    @property
    def sensory_size(self) -> int | None:
        """Number of inputs."""
        return self._wiring.input_dim

    @property
    def synapse_count(self) -> int:
        """Number of synapses between neurons."""
        return self._wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return self._wiring.sensory_synapse_count
