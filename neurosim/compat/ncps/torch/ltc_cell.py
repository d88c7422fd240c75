"""LTCCell of ncps: the same names, arguments and state_dict, computed by `functional.ltc` on the synapses that exist."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...._errors import ParameterError
from ....functional.ltc import ltc_network
from ....functional.memory import LSTMWeights
from ....kernels._ltc_values import AS_IT_IS, SOFTPLUS
from ....kernels._op import transformed
from ....kernels.ltc import positive_values
from ....liquid._base import Cell
from ....liquid._start import ltc_start
from .. import wirings
from ._sequence import one_step
from ._wired import Wired

NEURON = ("gleak", "vleak", "cm")
SYNAPSE = tuple(prefix + name for prefix in ("", "sensory_") for name in ("w", "sigma", "mu", "erev"))
POSITIVE = ("gleak", "cm", "w", "sensory_w")
MAPPINGS: dict[Any, tuple[str, ...]] = {"linear": ("w",), "affine": ("w", "b")}
MASKS = ("sparsity_mask", "sensory_sparsity_mask")


class LTCCell(Wired, nn.Module):
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
    >>> cell.bound()(torch.ones(2, 1, 3), v, None, torch.ones(2, 1))[0].shape  # over a time axis
    torch.Size([2, 1, 16])
    """

    sparsity_mask: Tensor
    sensory_sparsity_mask: Tensor
    gleak: Tensor
    vleak: Tensor
    cm: Tensor
    _wires: Tensor
    _places: Tensor

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
        start["erev"], start["sensory_erev"] = (torch.tensor(matrix, dtype=torch.float32)
                                                for matrix in (made.internal, made.sensory))
        for which, mapping, size in (("input", input_mapping, made.inputs), ("output", output_mapping, made.outputs)):
            for part in MAPPINGS.get(mapping, ()):
                start[f"{which}_{part}"] = torch.ones(size) if part == "w" else torch.zeros(size)
        order = ["gleak", "vleak", "cm", *(prefix + name for prefix in ("", "sensory_") for name in
                                           ("sigma", "mu", "w", "erev"))]  # that of ncps, for optimizers and norms
        maps = [name for name in start if name not in order]
        for name in [*order, *maps]:
            self.register_parameter(name, nn.Parameter(start[name]))
        self._order = (*NEURON, *SYNAPSE, *maps)  # that of the kernel
        for prefix, matrix in (("", made.internal), ("sensory_", made.sensory)):
            self.register_buffer(f"{prefix}sparsity_mask", torch.tensor(np.abs(matrix), dtype=torch.float32))
        wires, places = self._found([torch.from_numpy(np.array(matrix)) for matrix in (made.internal, made.sensory)])
        self.register_buffer("_wires", wires.to(self.sparsity_mask.device), persistent=False)
        self.register_buffer("_places", places.to(self.sparsity_mask.device), persistent=False)
        self._synapses, self._weighted, self._listed = len(made.synapses.source), False, self._masks()

    @property
    def state_size(self) -> int:
        """Number of neurons."""
        return self._wiring.units

    @property
    def motor_size(self) -> int:
        """Number of outputs."""
        return self._motor_size

    def apply_weight_constraints(self) -> None:
        """Clips conductances and capacitances at 0, unless they are positive by softplus."""
        if not self._implicit_param_constraints:
            with torch.no_grad():
                for name in ("w", "sensory_w", "cm", "gleak"):
                    getattr(self, name).clamp_(min=0)

    def _masks(self) -> list[tuple[Any, int | None]]:
        """The masks, and how often each has been written into, as far as torch counts."""
        held: dict[str, Any] = self._buffers  # the module's own attributes take longer to find
        return [(mask, None if mask.is_inference() else mask._version) for mask in (held[name] for name in MASKS)]

    def _list_synapses(self) -> None:
        """Lists the synapses anew when a mask has been loaded, moved or changed."""
        masks = self._masks()
        if all(old is new and count is not None and before == count
               for (old, before), (new, count) in zip(self._listed, masks, strict=True)):
            return
        self._wires, self._places = self._found([mask for mask, _ in masks])
        self._synapses = int(self.sparsity_mask.count_nonzero())
        self._weighted = not all(bool(((mask == 0) | (mask == 1)).all()) for mask, _ in masks)
        self._listed = masks

    def bound(self, memory: LSTMWeights | None = None) -> Cell:
        """The cell with its parameters as they are now, after an LSTM with the weights `memory`."""
        if not torch.compiler.is_compiling() and not transformed():
            self._list_synapses()

        kind = SOFTPLUS if self._implicit_param_constraints else AS_IT_IS
        own: dict[str, Any] = self._parameters  # a look-up is a tenth of an attribute, which parametrizations need
        values = [own[name] if name in own else getattr(self, name) for name in self._order]
        values = [value if value.ndim == 1 else value.reshape(-1) for value in values]
        if self._weighted:  # ncps multiplies by the masks, whatever they hold
            values = [self._masked(name, positive_values(x, kind) if name in POSITIVE else x)
                      for name, x in zip(self._order, values, strict=True)]
            kind = AS_IT_IS
        whole = torch.cat(values).index_select(0, self._places)

        def cell(x: Tensor, v: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            values = whole if x.dtype == whole.dtype else whole.to(x.dtype)
            maps = [len(MAPPINGS.get(mapping, ())) for mapping in (self._input_mapping, self._output_mapping)]
            return ltc_network(values, self._wires, self._synapses, v, x, timespans, unfolds=self._ode_unfolds,
                               epsilon=self._epsilon, positive=kind, input_map=maps[0], output_map=maps[1],
                               outputs=self._motor_size, memory=memory, c=c)

        return cell

    def _masked(self, name: str, value: Tensor) -> Tensor:
        if name not in ("w", "sensory_w"):
            return value
        return value * (self.sparsity_mask if name == "w" else self.sensory_sparsity_mask).reshape(-1)

    def _found(self, matrices: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Synapses by target, (2, all of them), and where in all parameters side by side the values are that count."""
        pairs = [matrix.T.nonzero().T.flip(0) for matrix in matrices]
        units, places, start = self._wiring.units, [], 0
        for name in self._order:
            size = getattr(self, name).numel()
            if name in SYNAPSE:
                source, target = pairs[name.startswith("sensory_")]
                places.append(start + source * units + target)
            else:
                places.append(torch.arange(start, start + size, device=pairs[0].device))
            start += size
        return torch.cat(pairs, 1).contiguous(), torch.cat(places)

    def _compute_dtype(self, x: Tensor) -> torch.dtype:
        """What the network computes in: the wider type of its own and that of the input."""
        return torch.promote_types(x.dtype, self.gleak.dtype)

    def forward(self, inputs: Tensor, states: Tensor, elapsed_time: Any = 1.0) -> tuple[Tensor, Tensor]:
        """Output and next state, both (batch, .); elapsed_time a number or one for each row. Raises InputError."""
        return one_step(self, inputs, states, elapsed_time)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.sparsity_mask.device.type != "meta":
            self._list_synapses()

    def extra_repr(self) -> str:
        """Sizes, for `repr`."""
        return (f"{self.sensory_size} inputs, {self.state_size} units, {self.motor_size} outputs, "
                f"{self.synapse_count} + {self.sensory_synapse_count} synapses")
