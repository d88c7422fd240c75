"""Liquid time-constant networks as a layer."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .._errors import ParameterError
from .._param import Param, declared
from ..functional.ltc import SOLVERS, LTCParams, LTCState, Wires, ltc_network, ltc_time_constants
from ..kernels._ltc_values import AFFINE, CLAMP, LEAST_CM, LINEAR, NO_MAP, SOFTPLUS
from ..kernels.ltc import positive_values
from ._base import Cell, _Liquid, wired
from ._start import ltc_start
from .recipes import Recipe
from .wirings import Wiring

MAPPINGS = {"affine": AFFINE, "linear": LINEAR, None: NO_MAP}
POSITIVE = {"softplus": SOFTPLUS, "clamp": CLAMP}
VALUES = ("gleak", "vleak", "cm", *(prefix + name for prefix in ("", "sensory_") for name in ("w", "sigma", "mu", "erev")),
          "input_w", "input_b", "output_w", "output_b")  # in the order of the kernel


class LTC(_Liquid):
    """Liquid time-constant network: neurons whose time constants follow their input, on sparse conductance synapses.

    Every neuron j obeys cm_j dv_j/dt = gleak_j (vleak_j - v_j) + sum over its synapses of g (erev - v_j), each with the
    conductance g = w s(sigma (v_pre - mu)), s the logistic function. There is one value for each synapse that exists,
    sorted by target. gleak, cm, w and sensory_w act through `positive` and are free parameters: no optimizer step
    makes what acts negative. `acting()` gives the values that act.

    Args:
        inputs: number of input features.
        wiring: a wiring, a recipe (`AutoNCP(16, 4)`), or a number of units, then fully connected.
        input_mapping, output_mapping: "affine" (weight and bias per feature), "linear" (weight) or None.
        ode_unfolds: sub-steps of a step.
        epsilon: added to the summed conductance.
        positive: "softplus", or "clamp" (0 where the parameter is negative, 1e-6 for cm; no gradient there).
        mixed_memory: an LSTM in front of the network that keeps what time constants forget.
        solver: "semi_implicit", "euler" or "rk4"; see `functional.ltc.ltc_scan`.
        batch_first: False takes and gives (time, batch, feature), time spans (time, batch) too; the state stays (batch, units).
        seed: of the initial values; they are those of ncps after torch.manual_seed(seed).
        resolution, dtype, device: as for `Layer`.
        values: initial values by name, such as gleak=0.5.
    Shape: signal (batch, time, inputs) to (batch, time, outputs of the wiring); as in torch.nn.LSTM a call takes and gives
        (time, ...) without a batch too. At rest v = 0.
    Raises: ParameterError, InputError, StateError.
    Reference: Hasani et al., Liquid time-constant networks, AAAI 2021; Lechner et al., Neural circuit policies, Nature
        Machine Intelligence 2020, whose synapses and solver these are. Departs from ncps: a step of 0 s keeps the state.

    >>> import neurosim, torch
    >>> ltc = neurosim.liquid.LTC(2, neurosim.liquid.AutoNCP(16, 3))
    >>> ltc(torch.ones(4, 10, 2), timespans=torch.rand(4, 10)).shape
    torch.Size([4, 10, 3])
    """

    state_type = LTCState
    signals: ClassVar = {"v": "potential of every neuron", "tau": "effective time constant of every neuron in s"}

    gleak = Param(None, unit="1/s", doc="leak conductance per unit of capacitance, before `positive`")
    vleak = Param(None, doc="resting potential")
    cm = Param(None, doc="membrane capacitance, before `positive`")
    w = Param(None, unit="1/s", doc="conductance of each open synapse, before `positive`")
    sigma = Param(None, doc="steepness of each synapse's activation")
    mu = Param(None, doc="presynaptic potential at which each synapse is half open")
    erev = Param(None, doc="reversal potential of each synapse; positive excites")
    sensory_w = Param(None, unit="1/s", doc="conductance of each open sensory synapse, before `positive`")
    sensory_sigma = Param(None, doc="steepness of each sensory synapse's activation")
    sensory_mu = Param(None, doc="input at which each sensory synapse is half open")
    sensory_erev = Param(None, doc="reversal potential of each sensory synapse")
    input_w = Param(None, user=False, doc="weight of each input feature")
    input_b = Param(None, user=False, doc="bias of each input feature")
    output_w = Param(None, user=False, doc="weight of each output")
    output_b = Param(None, user=False, doc="bias of each output")

    _wires: Tensor

    def __init__(self, inputs: int, wiring: Wiring | Recipe | int, *, input_mapping: str | None = "affine",
                 output_mapping: str | None = "affine", ode_unfolds: int = 6, epsilon: float = 1e-8,
                 positive: str = "softplus", mixed_memory: bool = False, solver: str = "semi_implicit",
                 batch_first: bool = True, seed: int = 0, resolution: Any = None, dtype: torch.dtype | None = None,
                 device: Any = None, **values: Any) -> None:
        made = wired(wiring, inputs, "LTC")
        super().__init__(made.inputs, made.units, made, mixed_memory, batch_first, resolution=resolution)
        for name, choice, choices in (("input_mapping", input_mapping, MAPPINGS), ("positive", positive, POSITIVE),
                                      ("output_mapping", output_mapping, MAPPINGS), ("solver", solver, SOLVERS)):
            if choice not in choices:
                raise ParameterError("LTC", name, f"choose from {list(choices)}", choice)
        if ode_unfolds < 1:
            raise ParameterError("LTC", "ode_unfolds", "must be at least 1", ode_unfolds)
        self.input_mapping, self.output_mapping = input_mapping, output_mapping
        self.outputs, self.ode_unfolds, self.epsilon = made.outputs, ode_unfolds, epsilon
        self.positive, self.solver = positive, solver
        self._lay_wires(device)
        generator = torch.Generator().manual_seed(seed)
        start = self._sparse(ltc_start(made.inputs, made.units, generator))
        start["erev"] = torch.as_tensor(made.synapses.polarity, dtype=torch.float32)
        start["sensory_erev"] = torch.as_tensor(made.sensory_synapses.polarity, dtype=torch.float32)
        for which, mapping, size in (("input", input_mapping, made.inputs), ("output", output_mapping, made.outputs)):
            if mapping is not None:
                start[f"{which}_w"] = torch.ones(size)
            if mapping == "affine":
                start[f"{which}_b"] = torch.zeros(size)
        for name, value in start.items():
            self._add(declared(LTC)[name], value, dtype, device)
        self._values = tuple(name for name in VALUES if name in start)
        self._add_memory(generator, dtype, device)
        for name, value in values.items():
            if name not in self._parameters:
                raise ParameterError("LTC", name, f"unknown; choose from {list(self._parameters)}", value)
            self.p[name] = value

    def _lay_wires(self, device: Any) -> None:
        assert self.wiring is not None
        kinds = (self.wiring.synapses, self.wiring.sensory_synapses)
        wires = [torch.cat([torch.tensor(kind[side], device=device) for kind in kinds]) for side in (0, 1)]
        self._synapses = len(kinds[0].source)
        self.register_buffer("_wires", torch.stack(wires), persistent=False)

    def _sparse(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """Values at the synapses that exist, from matrices over all pairs; others as they are."""
        assert self.wiring is not None
        pairs = {False: self.wiring.synapses, True: self.wiring.sensory_synapses}
        return {name: value if value.ndim == 1 else value[pairs[name.startswith("sensory_")][:2]]
                for name, value in dense.items()}

    @property
    def wires(self) -> Wires:
        """Where each synapse starts and ends: numbers of neurons and inputs, int64 (synapses,), in the order of `w`."""
        return Wires(*self._wires[:, :self._synapses], *self._wires[:, self._synapses:])

    def acting(self) -> LTCParams:
        """The values as they act, conductances and capacitances made positive.

        >>> import neurosim
        >>> ltc = LTC(1, 4, gleak=-1.0)
        >>> bool((ltc.acting().gleak > 0).all()), len(ltc.wires[0]) == len(ltc.acting().w)
        (True, True)
        """
        made = POSITIVE[self.positive]
        return LTCParams(positive_values(self.gleak, made), self.vleak, positive_values(self.cm, made, LEAST_CM),
                         positive_values(self.w, made), self.sigma, self.mu, self.erev,
                         positive_values(self.sensory_w, made), self.sensory_sigma, self.sensory_mu, self.sensory_erev)

    def mapped(self, x: Tensor, which: str) -> Tensor:
        """The features `x` through the map of `which`, "input" or "output"."""
        for name, apply in ((f"{which}_w", torch.mul), (f"{which}_b", torch.add)):
            if name in self._parameters:
                x = apply(x, getattr(self, name))
        return x

    def bound(self) -> Cell:
        """See `functional.ltc.ltc_scan`."""
        own: dict[str, Any] = self._parameters  # a look-up is a tenth of an attribute, which parametrizations need
        values, memory = torch.cat([own[name] if name in own else getattr(self, name) for name in self._values]), self._memory()

        def cell(x: Tensor, v: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            return ltc_network(values, self._wires, self._synapses, v, x, timespans, unfolds=self.ode_unfolds,
                               epsilon=self.epsilon, solver=self.solver, positive=POSITIVE[self.positive],
                               input_map=MAPPINGS[self.input_mapping], output_map=MAPPINGS[self.output_mapping],
                               outputs=self.outputs, memory=memory, c=c)

        return cell

    def extra_repr(self) -> str:
        """The wiring and the solver, for `repr`."""
        return self._told(solver=self.solver, ode_unfolds=self.ode_unfolds)

    def _signals(self, x: Tensor, states: Tensor) -> None:
        self.emit("v", states)
        if self.wants("tau"):
            self.emit("tau", self._tau(x, states))

    def _tau(self, x: Tensor, states: Tensor) -> Tensor:
        return ltc_time_constants(self.acting(), self.wires, states, self.mapped(x, "input"))

    def time_constants(self, x: Any, timespans: Any = None) -> Tensor:
        """Effective time constant of every neuron after every step of a recording that starts at rest.

        Args: x, timespans: as for calling the layer; its state is neither used nor changed.
        Returns: (batch, time, units), seconds, in the layout of x. While running, `record=["tau"]` gives the same.
        Reference: Hasani et al. 2021, theorem 1 (tau_sys).
        """
        inputs = self._turned(self._door(x))
        self._check_features(inputs)
        inputs, timespans, _ = self._parts(inputs, timespans, None)
        rest = self.initial_state(inputs)
        c = rest.c if self.mixed_memory else None
        states, _, _ = self.bound()(inputs, rest[0], c, timespans)
        return self._batched_as(x, self._turned(self._tau(inputs, states)))
