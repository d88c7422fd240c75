"""Neurons given by differential equations: FitzHugh-Nagumo, Hodgkin-Huxley, adaptive exponential; Runge-Kutta, order 4."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .integrate import Solver, Values, rk4, steps_in
from .surrogates import Surrogate

Number = Tensor | float
LARGEST_EXPONENT = 10.0  # there v runs away: with the published values by 0.5 V in 0.1 ms


class FitzHughNagumoState(NamedTuple):
    """Potential `v` and recovery `w`, both without unit, the shape of a frame."""

    v: Tensor
    w: Tensor


class HodgkinHuxleyState(NamedTuple):
    """Potential `v` in mV from rest; open fractions of the gates `n`, `m` and `h`; the shape of a frame."""

    v: Tensor
    n: Tensor
    m: Tensor
    h: Tensor


class AdaptiveExponentialState(NamedTuple):
    """Potential `v` in V and adaptation current `w` in A, the shape of a frame."""

    v: Tensor
    w: Tensor


def fitzhugh_nagumo_step(x: Tensor, state: FitzHughNagumoState, h: float, *, a: Number, b: Number, epsilon: Number,
                         time_unit: float, longest_step: float, solver: Solver = rk4) -> FitzHughNagumoState:
    """One frame of dv/dt = v - v^3 / 3 - w + x, dw/dt = epsilon (v + a - b w), in equal steps.

    Args:
        x: current of the frame, without unit.
        state: v and w.
        h: length of the frame in s. time_unit: of the equations, in s. longest_step: in s.
        solver: `rk4`, or `euler` of order 1.
    Reference: FitzHugh, Biophys J 1:445 (1961), in the form of Nagumo et al. 1962 with x added.
    """
    def slope(y: Values) -> Values:
        v, w = y
        return v - v * v * v / 3 - w + x, epsilon * (v + a - b * w)

    steps = steps_in(h, longest_step)
    y: Values = state
    for _ in range(steps):
        y = solver(slope, y, h / steps / time_unit)
    return FitzHughNagumoState(*y)


def linoid(x: Tensor) -> Tensor:
    """x / (exp(x) - 1), 1 at x = 0."""
    near = x.abs() < 1e-4
    return torch.where(near, 1 - x / 2 + x * x / 12, x / torch.expm1(torch.where(near, torch.ones_like(x), x)))


def gate_rates(v: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """Opening and closing rates in 1/ms of the gates n, m and h at a potential in mV from rest.

    Reference: Hodgkin & Huxley, J Physiol 117:500 (1952), eq. 12, 13, 20, 21, 23, 24; with their sign of v turned.
    """
    return ((0.1 * linoid((10 - v) / 10), 0.125 * torch.exp(-v / 80)),
            (linoid((25 - v) / 10), 4 * torch.exp(-v / 18)),
            (0.07 * torch.exp(-v / 20), 1 / (torch.exp((30 - v) / 10) + 1)))


def hodgkin_huxley_start(frame: Tensor) -> HodgkinHuxleyState:
    """The state before the first frame: v = 0, gates at their steady state."""
    v = torch.zeros_like(frame)
    return HodgkinHuxleyState(v, *(opening / (opening + closing) for opening, closing in gate_rates(v)))


def hodgkin_huxley_step(x: Tensor, state: HodgkinHuxleyState, h: float, *, g_k: Number, g_na: Number, g_l: Number, c_m: Number,
                        v_k: Number, v_na: Number, v_l: Number, longest_step: float,
                        solver: Solver = rk4) -> HodgkinHuxleyState:
    """One frame of c_m dv/dt = x - g_k n^4 (v - v_k) - g_na m^3 h (v - v_na) - g_l (v - v_l), in equal steps.

    Args:
        x: current of the frame in uA/cm2.
        state: v in mV and the gates.
        h: length of the frame in s. longest_step: in s. solver: `rk4`, or `euler` of order 1.
        g_k, g_na, g_l: mS/cm2. c_m: uF/cm2. v_k, v_na, v_l: mV from rest.
    Reference: Hodgkin & Huxley, J Physiol 117:500 (1952), eq. 26; sign of v turned: depolarisation is positive.
    """
    def slope(y: Values) -> Values:
        v, n, m, inactive = y
        current = (x - g_k * (n * n) * (n * n) * (v - v_k) - g_na * m * m * m * inactive * (v - v_na) - g_l * (v - v_l))
        gates = (opening * (1 - gate) - closing * gate
                 for (opening, closing), gate in zip(gate_rates(v), (n, m, inactive), strict=True))
        return (current / c_m, *gates)

    steps = steps_in(h, longest_step)
    y: Values = state
    for _ in range(steps):
        y = solver(slope, y, 1000 * h / steps)
    return HodgkinHuxleyState(*y)


def adaptive_exponential_step(x: Tensor, state: AdaptiveExponentialState, h: float, *, c_m: Number, g_leak: Number,
                              e_leak: Number, v_threshold: Number, delta: Number, tau_w: Number, a: Number, b: Number,
                              v_reset: Number, v_peak: Number, longest_step: float,
                              surrogate: Surrogate) -> tuple[Tensor, AdaptiveExponentialState]:
    """One frame of c_m dv/dt = g_leak (e_leak - v + delta exp((v - v_threshold) / delta)) - w + x and
    tau_w dw/dt = a (v - e_leak) - w, in steps of order 4; at the end of a step with v >= v_peak a spike, v = v_reset, w += b.

    Spike times are on the grid of the steps: order 1. Within the step of a spike the exponent is held at 10 and the potential
    that drives w at v_peak, so that what a step overshoots leaves no trace; with the published values that delays a spike by
    11 us.

    Args:
        x: current of the frame in A.
        state: v in V and w in A.
        h: length of the frame in s. longest_step: in s.
        c_m: F. g_leak, a: S. e_leak, v_threshold, delta, v_reset, v_peak: V. tau_w: s. b: A.
        surrogate: what a spike has as its gradient, over (v - v_peak) / delta.
    Returns: spike counts of the frame, next state.
    Reference: Brette & Gerstner, J Neurophysiol 94:3637 (2005), eq. 2 to 4.
    """
    def slope(y: Values) -> Values:
        v, w = y
        rise = delta * torch.exp(((v - v_threshold) / delta).clamp(max=LARGEST_EXPONENT))
        return (g_leak * (e_leak - v + rise) - w + x) / c_m, (a * (torch.minimum(v, peak) - e_leak) - w) / tau_w

    steps = steps_in(h, longest_step)
    peak = torch.as_tensor(v_peak, dtype=x.dtype, device=x.device)
    v, w, count = *state, torch.zeros_like(x)
    for _ in range(steps):
        v, w = rk4(slope, (v, w), h / steps)
        spike = surrogate.spike((v - peak) / delta)
        count, fires = count + spike, spike > 0
        v, w = torch.where(fires, v_reset + 0 * v.detach(), v), torch.where(fires, w + b, w)
    return count, AdaptiveExponentialState(v, w)
