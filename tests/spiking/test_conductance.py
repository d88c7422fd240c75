"""FitzHugh-Nagumo, Hodgkin-Huxley and adaptive exponential neurons: order of convergence against scipy, convis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neurosim import SIGNAL, InputError, Layer, ParameterError, Resolution
from neurosim.functional.conductance import linoid
from neurosim.spiking import AdaptiveExponential, FitzHughNagumo, HodgkinHuxley

GOLDEN = Path(__file__).parents[1] / "data" / "convis" / "spiking_models.npz"
F64 = torch.float64


def order(make: Callable[[float], Layer], current: float, seconds: float, exact: np.ndarray, steps: list[float]) -> float:
    """Slope of the error of v at the end over the step, both as logarithms."""
    errors = []
    for step in steps:
        layer = make(step)
        layer.run(torch.full((round(seconds / layer.resolution.frame), 1), current, dtype=F64))
        errors.append(np.abs(np.array([float(value) for value in layer.state]) - exact).max())
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def test_fitzhugh_nagumo_has_order_four() -> None:
    def slope(t: float, y: np.ndarray) -> list[float]:
        return [y[0] - y[0] ** 3 / 3 - y[1] + 0.5, 0.08 * (y[0] + 0.7 - 0.8 * y[1])]

    exact = solve_ivp(slope, (0, 40), [0.0, 0.0], method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
    found = order(lambda step: FitzHughNagumo(SIGNAL, longest_step=step, dtype=F64), 0.5, 0.040, exact,
                  [0.0005, 0.00025, 0.000125])
    assert abs(found - 4) < 0.2


def squid(t: float, y: np.ndarray) -> list[float]:
    """The equations of 1952 in numpy, 10 uA/cm2; v is never at 10 or 25 exactly."""
    v, n, m, h = y
    return [10 - 36 * n**4 * (v + 12) - 120 * m**3 * h * (v - 115) - 0.3 * (v - 10.613),
            0.01 * (10 - v) / np.expm1((10 - v) / 10) * (1 - n) - 0.125 * np.exp(-v / 80) * n,
            0.1 * (25 - v) / np.expm1((25 - v) / 10) * (1 - m) - 4 * np.exp(-v / 18) * m,
            0.07 * np.exp(-v / 20) * (1 - h) - h / (np.exp((30 - v) / 10) + 1)]


def test_hodgkin_huxley_has_order_four() -> None:
    start = [float(x) for x in HodgkinHuxley(SIGNAL, dtype=F64).initial_state(torch.zeros(1, 1, 1, dtype=F64))]
    np.testing.assert_allclose(start, [0, 0.3177, 0.0529, 0.5961], atol=1e-4)  # as in every textbook
    exact = solve_ivp(squid, (0, 20), start, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
    found = order(lambda step: HodgkinHuxley(SIGNAL, longest_step=step, dtype=F64), 10.0, 0.020, exact,
                  [0.00004, 0.00002, 0.00001])
    assert abs(found - 4) < 0.3


def test_rates_are_smooth_where_they_are_nought_by_nought() -> None:
    x = torch.tensor([0.0, 1e-9, -1e-5, 9.9e-5, 1.1e-4, 1.0, -30.0], dtype=F64, requires_grad=True)
    y = linoid(x)
    expected = [1.0, *(float(v / np.expm1(v)) for v in x.detach().numpy()[1:])]
    np.testing.assert_allclose(y.detach(), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(linoid, (x,))


def adaptive(current: float, seconds: float, spikes: int) -> tuple[list[float], np.ndarray]:
    """Times of the first spikes of the published neuron, and v, w after `seconds` without any."""
    def slope(t: float, y: np.ndarray) -> list[float]:
        v, w = y
        return [(30e-9 * (-70.6e-3 - v + 2e-3 * np.exp(min((v + 50.4e-3) / 2e-3, 15))) - w + current) / 281e-12,
                (4e-9 * (v + 70.6e-3) - w) / 0.144]

    def peak(t: float, y: np.ndarray) -> float:
        return y[0] + 30.4e-3  # from here, exponent 10, it takes less than a microsecond

    peak.terminal = True
    begin, y, times = 0.0, [-70.6e-3, 0.0], []
    while len(times) < spikes:
        found = solve_ivp(slope, (begin, 10.0), y, method="LSODA", rtol=1e-10, atol=[1e-12, 1e-20], events=peak)
        begin = found.t[-1]
        times.append(begin)
        y = [-70.6e-3, found.y[1, -1] + 80.5e-12]
    rest = solve_ivp(slope, (0, seconds), [-70.6e-3, 0.0], method="DOP853", rtol=1e-12, atol=[1e-15, 1e-22]).y[:, -1]
    return times, rest


def test_adaptive_exponential_has_order_four_between_spikes() -> None:
    _, exact = adaptive(0.5e-9, 0.020, 0)
    steps, errors = [0.002, 0.001, 0.0005], []
    for step in steps:
        layer = AdaptiveExponential(SIGNAL, longest_step=step, dtype=F64, resolution=Resolution(frame=0.002))
        assert layer.run(torch.full((10, 1), 0.5e-9, dtype=F64))[0].sum() == 0
        errors.append(abs(float(layer.state.v) - exact[0]))
    assert abs(np.polyfit(np.log(steps), np.log(errors), 1)[0] - 4) < 0.3


def test_adaptive_exponential_spikes_have_order_one() -> None:
    exact, _ = adaptive(1e-9, 0.001, 4)
    for step in (1e-4, 1e-5):
        layer = AdaptiveExponential(SIGNAL, longest_step=step, dtype=F64, resolution=Resolution(frame=step))
        counts = layer.run(torch.full((round(0.12 / step), 1), 1e-9, dtype=F64))[0].flatten()
        times = (counts.nonzero().flatten().numpy()[:4] + 1) * step
        # Every spike is seen up to a step late, and the neuron starts again from there; the bound of the exponent delays it by
        # 11 us, 50 mV / (g_L delta_T exp(10) / C_m), and adaptation adds a little to that.
        late = times - exact
        assert (late > -0.2 * step).all() and (late < np.arange(1, 5) * 1.3 * (step + 11e-6)).all()


def test_adaptive_exponential_leaves_no_trace_of_the_runaway() -> None:
    layer = AdaptiveExponential(SIGNAL, longest_step=0.0001)
    x = torch.full((1, 100, 1), 3e-9, requires_grad=True)
    counts, state = layer.advance(x)
    counts.sum().backward()
    assert counts.sum() > 5 and x.grad.isfinite().all() and (x.grad != 0).any()
    assert 0 < float(state["w"].detach()) < 20 * 80.5e-12


def test_adaptive_exponential_refuses_float16_where_its_values_are_nought() -> None:
    with pytest.raises(ParameterError, match=r"AdaptiveExponential\.dtype: must not be float16: .* none below 6e-8"):
        AdaptiveExponential(SIGNAL, dtype=torch.float16)
    x = torch.full((100, 1), 3e-9)
    with pytest.raises(InputError, match=r"AdaptiveExponential: the dtype must not be float16: .* take float32"):
        AdaptiveExponential(SIGNAL).half()(x.half())


@pytest.mark.parametrize("name", ["fhn", "hh"])
def test_the_numbers_of_convis_with_its_euler_steps(name: str) -> None:
    """convis takes Euler steps of 0.1 (FitzHugh-Nagumo; a unit of time is a frame) and 0.05 ms (Hodgkin-Huxley), and has v - a
    where the paper has v + a. What is left are roundings, which spikes magnify; the range is 1.1 and 112."""
    golden = np.load(GOLDEN)
    options: dict = {"dtype": F64, "resolution": Resolution(frame=0.001), "solver": "euler"}
    layer = FitzHughNagumo(a=-0.7, **options) if name == "fhn" else HodgkinHuxley(**options)
    if name == "hh":  # it starts with all gates at 0
        layer.set_state({field: torch.zeros(1, 1, 3, 3, dtype=F64) for field in "vnmh"})
    ours = layer.run(golden[f"I_{name}"], 30)[0][0, 0].numpy()
    np.testing.assert_allclose(ours, golden[name], rtol=0, atol=1e-10)


def test_refuses_an_unknown_solver() -> None:
    with pytest.raises(ParameterError, match=r"HodgkinHuxley\.solver: choose from \['rk4', 'euler'\] \(got 'heun'\)"):
        HodgkinHuxley(solver="heun")
