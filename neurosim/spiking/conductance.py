"""Neurons given by differential equations: FitzHugh-Nagumo, Hodgkin-Huxley, adaptive exponential."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import torch
from torch import Tensor

from .._axes import VIDEO, Axes
from .._errors import InputError, ParameterError
from .._param import Param
from ..functional.conductance import (
    AdaptiveExponentialState,
    FitzHughNagumoState,
    HodgkinHuxleyState,
    adaptive_exponential_step,
    fitzhugh_nagumo_step,
    hodgkin_huxley_start,
    hodgkin_huxley_step,
)
from ..functional.integrate import SOLVERS
from ..functional.surrogates import SuperSpike, Surrogate
from ..stateful import scan
from ._neuron import _Neuron

NEEDS_RANGE = "must not be float16: numbers are in SI units, currents of 1e-9 A, and it has none below 6e-8; take float32"


class _Integrated(_Neuron, ABC):
    """A neuron whose equations are integrated by a method that is chosen by its name."""

    def __init__(self, axes: Axes = VIDEO, *, solver: str = "rk4", **options: Any) -> None:
        super().__init__(axes, **options)
        if solver not in SOLVERS:
            raise ParameterError(type(self).__name__, "solver", f"choose from {list(SOLVERS)}", solver)
        self.solver = solver


class FitzHughNagumo(_Integrated):
    """FitzHugh and Nagumo's neuron: dv/dt = v - v^3 / 3 - w + x, dw/dt = epsilon (v + a - b w); gives v.

    Runge-Kutta, order 4, or Euler, order 1, in steps of at most `longest_step`. Noise is added to the input.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        solver: "rk4", or "euler", which has the numbers of convis with its steps.
        a, b, epsilon: of the recovery w.
        time_unit: one unit of time of the equations, in s.
        longest_step: of the solver, in s.
    Shape: input without unit, held over a frame, to v without unit at the end of each frame, of the same shape. At rest
        v = w = 0.
    Raises: ParameterError, InputError, StateError.
    Reference: FitzHugh, Biophys J 1:445 (1961). convis has v - a in place of v + a.

    >>> import neurosim, torch
    >>> v = neurosim.spiking.FitzHughNagumo().run(torch.full((300, 1, 1), 0.5), dt=50)[0]
    >>> bool(v.max() > 1.5) and bool(v[0, 0, 100:].min() < -1.5)  # it oscillates
    True
    """

    a = Param(0.7, doc="of the recovery")
    b = Param(0.8, doc="of the recovery")
    epsilon = Param(0.08, doc="speed of the recovery relative to v")
    time_unit = Param(0.001, unit="s", above=0.0, fit=False, doc="unit of time of the equations")
    longest_step = Param(0.0001, unit="s", above=0.0, fit=False, doc="longest step of integration")

    signals: ClassVar = {"v": "potential at the end of each frame", "w": "recovery at the end of each frame"}

    def initial_state(self, x: Tensor) -> FitzHughNagumoState:
        """v = w = 0."""
        zeros = torch.zeros_like(x.select(self.axes.time, 0))
        return FitzHughNagumoState(zeros, zeros.clone())

    def respond(self, x: Tensor, state: FitzHughNagumoState) -> tuple[Tensor, FitzHughNagumoState]:
        """See `functional.conductance.fitzhugh_nagumo_step`."""
        time_unit, longest = float(self.time_unit), float(self.longest_step)

        def step(state: FitzHughNagumoState, frame: Tensor) -> tuple[Tensor, FitzHughNagumoState]:
            state = fitzhugh_nagumo_step(frame, state, self.resolution.frame, a=self.a, b=self.b, epsilon=self.epsilon,
                                         time_unit=time_unit, longest_step=longest, solver=SOLVERS[self.solver])
            return state.v, state

        return scan(step, state, x, self.axes.time)


class HodgkinHuxley(_Integrated):
    """Hodgkin and Huxley's membrane of the squid axon; gives the potential in mV from rest.

    Runge-Kutta, order 4, or Euler, order 1, in steps of at most `longest_step`. Noise is added to the input.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        solver: "rk4", or "euler", which has the numbers of convis with its steps.
        g_K, g_Na, g_L: largest conductances in mS/cm2.
        C_m: capacitance in uF/cm2.
        V_K, V_Na, V_L: reversal potentials in mV from rest.
        longest_step: of the solver, in s.
    Shape: input in uA/cm2 (0.01 A/m2), held over a frame, to mV at the end of each frame, of the same shape. At rest v = 0 and
        the gates are in their steady state.
    Raises: ParameterError, InputError, StateError.
    Reference: Hodgkin & Huxley, J Physiol 117:500 (1952), eq. 26 and table 3; depolarisation is positive here.

    >>> import neurosim, torch
    >>> v = neurosim.spiking.HodgkinHuxley().run(torch.full((20, 1, 1), 10.0), dt=5)[0]  # 20 ms
    >>> bool(v.max() > 80)
    True
    """

    g_K = Param(36.0, unit="mS/cm2", at_least=0.0, doc="conductance of potassium channels, all open")
    g_Na = Param(120.0, unit="mS/cm2", at_least=0.0, doc="conductance of sodium channels, all open")
    g_L = Param(0.3, unit="mS/cm2", at_least=0.0, doc="leak")
    C_m = Param(1.0, unit="uF/cm2", above=0.0, doc="capacitance")
    V_K = Param(-12.0, unit="mV", doc="reversal potential of potassium, from rest")
    V_Na = Param(115.0, unit="mV", doc="reversal potential of sodium, from rest")
    V_L = Param(10.613, unit="mV", doc="reversal potential of the leak, from rest")
    longest_step = Param(0.00005, unit="s", above=0.0, fit=False, doc="longest step of integration")

    signals: ClassVar = {"v": "potential at the end of each frame", "n": "potassium activation", "m": "sodium activation",
                         "h": "sodium inactivation"}

    def initial_state(self, x: Tensor) -> HodgkinHuxleyState:
        """v = 0, gates in their steady state."""
        return hodgkin_huxley_start(x.select(self.axes.time, 0))

    def respond(self, x: Tensor, state: HodgkinHuxleyState) -> tuple[Tensor, HodgkinHuxleyState]:
        """See `functional.conductance.hodgkin_huxley_step`."""
        longest = float(self.longest_step)

        def step(state: HodgkinHuxleyState, frame: Tensor) -> tuple[Tensor, HodgkinHuxleyState]:
            state = hodgkin_huxley_step(frame, state, self.resolution.frame, g_k=self.g_K, g_na=self.g_Na, g_l=self.g_L,
                                        c_m=self.C_m, v_k=self.V_K, v_na=self.V_Na, v_l=self.V_L, longest_step=longest,
                                        solver=SOLVERS[self.solver])
            return state.v, state

        return scan(step, state, x, self.axes.time)


class AdaptiveExponential(_Neuron):
    """Adaptive exponential integrate-and-fire neurons: C dv/dt = g_L (E_L - v + delta_T exp((v - V_T) / delta_T)) - w + x.

    tau_w dw/dt = a (v - E_L) - w; at v >= V_peak a spike, v = V_reset, w += b. Runge-Kutta, order 4, in steps of at most
    `longest_step`, at whose ends spikes are looked for: their times have order 1.

    Args:
        axes: VIDEO, or SIGNAL for (batch, time, feature).
        surrogate: what a spike has as its gradient, over (v - V_peak) / delta_T.
        C_m: capacitance in F.
        g_L: leak in S.
        E_L: reversal potential of the leak in V.
        V_T: threshold of the exponential in V.
        delta_T: its steepness in V.
        V_peak: potential of a spike in V.
        V_reset: potential after it in V.
        tau_w: time constant of the adaptation in s.
        a: coupling of the adaptation to v in S.
        b: its step at a spike in A.
        longest_step: of the solver, in s.
    Shape: input in A, held over a frame, to spike counts of the same shape. At rest v = E_L, w = 0. In float16 capacitances and
        currents would be 0: it is refused.
    Raises: ParameterError, InputError, StateError.
    Reference: Brette & Gerstner, J Neurophysiol 94:3637 (2005), eq. 2 to 4; its values, with V_reset = E_L.

    >>> import neurosim, torch
    >>> neurons = neurosim.spiking.AdaptiveExponential()
    >>> int(neurons.run(torch.full((200, 1, 1), 1e-9), dt=50)[0].sum())  # 1 nA for 0.2 s
    8
    """

    C_m = Param(281e-12, unit="F", above=0.0, doc="capacitance")
    g_L = Param(30e-9, unit="S", above=0.0, doc="leak")
    E_L = Param(-70.6e-3, unit="V", doc="resting potential")
    V_T = Param(-50.4e-3, unit="V", doc="threshold of the exponential")
    delta_T = Param(2e-3, unit="V", above=0.0, doc="width of the exponential")
    tau_w = Param(0.144, unit="s", above=0.0, doc="time constant of the adaptation")
    a = Param(4e-9, unit="S", doc="coupling of the adaptation to v")
    b = Param(80.5e-12, unit="A", doc="step of the adaptation at a spike")
    V_reset = Param(-70.6e-3, unit="V", doc="potential after a spike")
    V_peak = Param(20e-3, unit="V", doc="potential that makes a spike")
    longest_step = Param(0.0001, unit="s", above=0.0, fit=False, doc="longest step of integration")

    counts_spikes = True
    signals: ClassVar = {"v": "potential at the end of each frame", "w": "adaptation current at the end of each frame"}

    def __init__(self, axes: Axes = VIDEO, *, surrogate: Surrogate = SuperSpike(1.0), **options: Any) -> None:
        if options.get("dtype") == torch.float16:
            raise ParameterError(type(self).__name__, "dtype", NEEDS_RANGE)
        super().__init__(axes, **options)
        self.surrogate = surrogate

    def initial_state(self, x: Tensor) -> AdaptiveExponentialState:
        """v = E_L, no adaptation."""
        zeros = torch.zeros_like(x.select(self.axes.time, 0))
        return AdaptiveExponentialState(zeros + self.E_L.detach(), zeros.clone())

    def respond(self, x: Tensor, state: AdaptiveExponentialState) -> tuple[Tensor, AdaptiveExponentialState]:
        """See `functional.conductance.adaptive_exponential_step`."""
        if x.dtype == torch.float16:
            raise InputError(f"{type(self).__name__}: the dtype {NEEDS_RANGE}")
        longest = float(self.longest_step)

        def step(state: AdaptiveExponentialState, frame: Tensor) -> tuple[Tensor, AdaptiveExponentialState]:
            return adaptive_exponential_step(
                frame, state, self.resolution.frame, c_m=self.C_m, g_leak=self.g_L, e_leak=self.E_L, v_threshold=self.V_T,
                delta=self.delta_T, tau_w=self.tau_w, a=self.a, b=self.b, v_reset=self.V_reset, v_peak=self.V_peak,
                longest_step=longest, surrogate=self.surrogate)

        return scan(step, state, x, self.axes.time)
