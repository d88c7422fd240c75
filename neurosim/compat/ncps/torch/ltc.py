"""LTC of ncps: the same names, arguments and state_dict, computed by `functional.ltc` on the synapses that exist."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...._errors import ParameterError
from ....functional.ltc import LTCParams, LTCState, Wires, ltc_scan
from ....functional.timespans import elapsed
from ....liquid._scan import Cell
from ....liquid._start import ltc_start
from .. import wirings
from ._sequence import LSTMCell, Sequence, per_row

SYNAPSE = ("w", "sigma", "mu", "erev")


class LTCCell(nn.Module):
    """One step of an LTC network; see `neurosim.liquid.LTC` for the equation.

    Parameters are matrices over all pairs of neurons, as in ncps; only the entries of synapses that exist have an effect.

    Args:
        wiring: of `neurosim.compat.ncps.wirings`.
        in_features: number of inputs, unless the wiring is built.
        input_mapping, output_mapping, ode_unfolds, epsilon: as for `neurosim.liquid.LTC`.
        implicit_param_constraints: conductances are positive by softplus, not by `apply_weight_constraints`.
    Shape: inputs (batch, features), states (batch, units) to output (batch, outputs) and next states.
    Raises: ParameterError.

    >>> cell = LTCCell(wirings.AutoNCP(16, 4), in_features=3)
    >>> cell.apply_weight_constraints()
    >>> y, v = cell(torch.ones(2, 3), torch.zeros(2, cell.state_size), 0.1)
    >>> y.shape[1] == cell.output_size == cell.motor_size, cell.sensory_size, cell.synapse_count > cell.sensory_synapse_count
    (True, 3, True)
    >>> cell.bound()(torch.ones(2, 1, 3), v, torch.ones(2, 1)).shape  # over a time axis
    torch.Size([2, 1, 16])
    """

    sparsity_mask: Tensor
    sensory_sparsity_mask: Tensor
    gleak: Tensor
    vleak: Tensor
    cm: Tensor
    _pairs: Tensor
    _sensory_pairs: Tensor

    def __init__(self, wiring: wirings.Wiring, in_features: int | None = None, input_mapping: str | None = "affine",
                 output_mapping: str | None = "affine", ode_unfolds: int = 6, epsilon: float = 1e-8,
                 implicit_param_constraints: bool = False) -> None:
        super().__init__()
        if in_features is not None:
            wiring.build(in_features)
        if not wiring.is_built():
            raise ParameterError("LTCCell", "in_features", "unknown number of inputs; pass it or call wiring.build()")
        self._wiring, made = wiring, wiring.to_wiring()
        self._motor_size = made.outputs
        self._input_mapping, self._output_mapping = input_mapping, output_mapping
        self._ode_unfolds, self._epsilon = ode_unfolds, epsilon
        self._implicit_param_constraints = implicit_param_constraints
        start = ltc_start(made.inputs, made.units, torch.default_generator)
        for prefix, matrix in (("", made.internal), ("sensory_", made.sensory)):
            signs = torch.tensor(matrix, dtype=torch.float32)
            start[f"{prefix}erev"] = signs
            self.register_buffer(f"{prefix}sparsity_mask", signs.abs())
            pairs = signs.T.nonzero().T.flip(0).contiguous()  # sorted by target
            self.register_buffer(f"_{prefix}pairs", pairs, persistent=False)
        for which, mapping, size in (("input", input_mapping, made.inputs), ("output", output_mapping, made.outputs)):
            if mapping in ("affine", "linear"):
                start[f"{which}_w"] = torch.ones(size)
            if mapping == "affine":
                start[f"{which}_b"] = torch.zeros(size)
        for name, value in start.items():
            self.register_parameter(name, nn.Parameter(value))

    @property
    def state_size(self) -> int:
        """Number of neurons."""
        return self._wiring.units

    @property
    def sensory_size(self) -> int | None:
        """Number of inputs."""
        return self._wiring.input_dim

    @property
    def motor_size(self) -> int:
        """Number of outputs."""
        return self._motor_size

    @property
    def output_size(self) -> int:
        """Number of outputs."""
        return self._motor_size

    @property
    def synapse_count(self) -> int:
        """Number of synapses between neurons."""
        return self._wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return self._wiring.sensory_synapse_count

    def apply_weight_constraints(self) -> None:
        """Clips conductances and capacitances at 0, unless they are positive by softplus."""
        if not self._implicit_param_constraints:
            with torch.no_grad():
                for name in ("w", "sensory_w", "cm", "gleak"):
                    getattr(self, name).clamp_(min=0)

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        def positive(x: Tensor) -> Tensor:
            return softplus(x) if self._implicit_param_constraints else x

        def listed(prefix: str, pairs: Tensor) -> list[Tensor]:
            where = pairs[0] * self._wiring.units + pairs[1]
            w, *rest = (getattr(self, prefix + name).reshape(-1).index_select(0, where) for name in SYNAPSE)
            return [positive(w), *rest]

        p = LTCParams(positive(self.gleak), self.vleak, positive(self.cm), *listed("", self._pairs),
                      *listed("sensory_", self._sensory_pairs))
        wires = Wires(*self._pairs, *self._sensory_pairs)

        def cell(x: Tensor, v: Tensor, timespans: Tensor) -> Tensor:
            return ltc_scan(p, wires, LTCState(v), self._mapped(x, "input"), timespans, unfolds=self._ode_unfolds,
                            epsilon=self._epsilon)[0]

        return cell

    def read(self, states: Tensor) -> Tensor:
        """The output map of the motor neurons, from `states` (..., units)."""
        return self._mapped(states[..., :self._motor_size], "output")

    def _mapped(self, x: Tensor, which: str) -> Tensor:
        mapping = self._input_mapping if which == "input" else self._output_mapping
        if mapping in ("affine", "linear"):
            x = x * getattr(self, f"{which}_w")
        return x + getattr(self, f"{which}_b") if mapping == "affine" else x

    def forward(self, inputs: Tensor, states: Tensor, elapsed_time: Any = 1.0) -> tuple[Tensor, Tensor]:
        """Output and next state, both (batch, .); elapsed_time a number or one for each row."""
        spans = elapsed(per_row(elapsed_time, inputs), inputs.shape[0], 1, inputs, "LTCCell")
        v = self.bound()(inputs[:, None], states, spans)[:, 0]
        return self.read(v), v


class LTC(Sequence):
    """LTC network over sequences, with the arguments of `ncps.torch.LTC`; see `Sequence.forward`.

    Args:
        input_size: number of features.
        units: a wiring of `neurosim.compat.ncps.wirings`, or a number of units, then fully connected.
        return_sequences: all outputs, or the last one alone.
        batch_first: (batch, time, features), or (time, batch, features).
        mixed_memory: an LSTM in front of the network.
        input_mapping, output_mapping, ode_unfolds, epsilon, implicit_param_constraints: as for `LTCCell`.
    Shape: as the input, (batch, time, features) to (batch, time, outputs), and the state (batch, units).
    Raises: ParameterError, InputError, StateError.

    >>> ltc = LTC(3, wirings.AutoNCP(16, 4))
    >>> y, hx = ltc(torch.ones(2, 10, 3))
    >>> y.shape, hx.shape
    (torch.Size([2, 10, 4]), torch.Size([2, 16]))
    """

    def __init__(self, input_size: int, units: Any, return_sequences: bool = True, batch_first: bool = True,
                 mixed_memory: bool = False, input_mapping: str | None = "affine", output_mapping: str | None = "affine",
                 ode_unfolds: int = 6, epsilon: float = 1e-8, implicit_param_constraints: bool = True) -> None:
        super().__init__()
        self.input_size, self.wiring_or_units = input_size, units
        self.batch_first, self.return_sequences = batch_first, return_sequences
        wiring = units if isinstance(units, wirings.Wiring) else wirings.FullyConnected(units)
        self.rnn_cell = LTCCell(wiring, input_size, input_mapping, output_mapping, ode_unfolds, epsilon,
                                implicit_param_constraints)
        self._wiring, self.use_mixed = wiring, mixed_memory
        self.state_size = wiring.units
        if mixed_memory:
            self.lstm = LSTMCell(input_size, wiring.units)

    @property
    def sensory_size(self) -> int | None:
        """Number of inputs."""
        return self._wiring.input_dim

    @property
    def motor_size(self) -> int:
        """Number of outputs."""
        return self.rnn_cell.motor_size

    @property
    def output_size(self) -> int:
        """Number of outputs."""
        return self.rnn_cell.motor_size

    @property
    def synapse_count(self) -> int:
        """Number of synapses between neurons."""
        return self._wiring.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """Number of synapses from inputs."""
        return self._wiring.sensory_synapse_count

    def bound(self) -> Cell:
        """The cell with its parameters as they are now."""
        return self.rnn_cell.bound()

    def read(self, states: Tensor) -> Tensor:
        """The output map of the motor neurons, from `states` (..., units)."""
        return self.rnn_cell.read(states)
