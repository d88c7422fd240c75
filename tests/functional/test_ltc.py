"""LTC as pure functions: the numbers of ncps, order of the solvers, time spans, chunks, time constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from neurosim._errors import InputError, ParameterError
from neurosim.functional.ltc import LTCParams, LTCState, Wires, ltc_scan, ltc_step, ltc_time_constants
from neurosim.functional.memory import LSTMState, lstm_step
from neurosim.liquid import AutoNCP, Recipe, Wiring
from tests.liquid.golden import Case, names

# float64: rounding of some thousand operations. float32: what we promise.
TOLERANCE = {torch.float64: (1e-12, 1e-10), torch.float32: (1e-5, 1e-4)}


def network(wiring: Wiring, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[LTCParams, Wires]:
    """Random values in the ranges that ncps starts from."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, n: int) -> Tensor:
        return torch.rand(n, generator=g, dtype=torch.float64).mul(high - low).add(low).to(dtype)

    synapses, sensory = wiring.synapses, wiring.sensory_synapses
    s, k, n = len(synapses.source), len(sensory.source), wiring.units
    p = LTCParams(uniform(0.1, 1, n), uniform(-0.2, 0.2, n), uniform(0.4, 0.6, n),
                  uniform(0.01, 1, s), uniform(3, 8, s), uniform(0.3, 0.8, s),
                  torch.from_numpy(synapses.polarity).to(dtype),
                  uniform(0.01, 1, k), uniform(3, 8, k), uniform(0.3, 0.8, k),
                  torch.from_numpy(sensory.polarity).to(dtype))
    return p, Wires(*map(torch.from_numpy, (synapses.source, synapses.target, sensory.source, sensory.target)))


def sequence(batch: int, time: int, inputs: int, units: int, dtype: torch.dtype = torch.float64
             ) -> tuple[LTCState, Tensor, Tensor]:
    """State, inputs and time spans."""
    g = torch.Generator().manual_seed(1)
    state = LTCState(torch.randn(batch, units, generator=g, dtype=dtype))
    u = torch.randn(batch, time, inputs, generator=g, dtype=dtype)
    return state, u, torch.rand(batch, time, generator=g, dtype=dtype) * 2


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", names("ltc"))
def test_the_numbers_of_ncps(name: str, dtype: torch.dtype) -> None:
    rtol, rtol_gradient = TOLERANCE[dtype]
    case = Case.load(name, dtype)
    p, wires = case.ltc()
    settings = {"unfolds": case.meta["ode_unfolds"], "epsilon": case.meta["epsilon"]}
    u = case.mapped(case.get("x"), "input")
    if case.meta["mixed_memory"]:
        memory = tuple(case.leaves[f"param/lstm.{part}"] for part in
                       ("input_map.weight", "input_map.bias", "recurrent_map.weight"))
        state = LSTMState(case.get("h0"), case.get("c0"))
        steps = []
        for t in range(u.shape[1]):
            state = lstm_step(memory, state, case.get("x")[:, t])
            v, _ = ltc_step(p, wires, LTCState(state.h), u[:, t], **settings)
            state = LSTMState(v, state.c)
            steps.append(v)
        vs = torch.stack(steps, 1)
        torch.testing.assert_close(state.c.double(), case.arrays["cn"], rtol=rtol, atol=rtol)
    else:
        vs, _ = ltc_scan(p, wires, LTCState(case.get("h0")), u, case.timespans, **settings)
    y = case.mapped(vs[..., :case.meta["output"]], "output")
    torch.testing.assert_close(vs.double(), case.arrays["states"], rtol=rtol, atol=rtol)
    torch.testing.assert_close(y.double(), case.arrays["y"], rtol=rtol, atol=rtol)
    case.check_gradients((y ** 2).sum(), rtol_gradient)


@pytest.mark.parametrize(("solver", "order"), [("semi_implicit", 1), ("euler", 1), ("rk4", 4)])
def test_order_of_convergence(solver: str, order: int) -> None:
    """Against scipy's solution of the equation, written out once more here, at a tolerance far below our errors."""
    wiring = AutoNCP(10, 2).with_inputs(2)
    p, wires = network(wiring)
    state, u, _ = sequence(1, 1, 2, 10)
    q = {name: value.numpy() for name, value in p._asdict().items()}

    def onto(v: np.ndarray, x: np.ndarray, prefix: str, source: Tensor, target: Tensor) -> np.ndarray:
        w, sigma, mu, erev = (q[f"{prefix}{name}"] for name in ("w", "sigma", "mu", "erev"))
        current = w / (1 + np.exp(-sigma * (x[source] - mu))) * (erev - v[target])
        return np.bincount(target, current, minlength=10)

    def slope(t: float, v: np.ndarray) -> np.ndarray:
        return (q["gleak"] * (q["vleak"] - v) + onto(v, v, "", wires.source, wires.target)
                + onto(v, u[0, 0].numpy(), "sensory_", wires.sensory_source, wires.sensory_target)) / q["cm"]

    exact = solve_ivp(slope, (0, 1), state.v[0].numpy(), method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    unfolds = np.array([16, 32, 64, 128])
    errors = [np.abs(ltc_step(p, wires, state, u[:, 0], unfolds=int(n), epsilon=0.0, solver=solver)[0][0].numpy()
                     - exact).max() for n in unfolds]
    measured = -np.polyfit(np.log(unfolds), np.log(errors), 1)[0]
    assert abs(measured - order) < 0.1 * order  # the coarsest step is not yet in the limit


@pytest.mark.parametrize("solver", ["semi_implicit", "euler", "rk4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2, 11])
@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_do_not_change_one_bit(solver: str, dtype: torch.dtype, batch: int, chunk: int) -> None:
    p, wires = network(AutoNCP(12, 2).with_inputs(3), dtype)
    state, u, spans = sequence(batch, 17, 3, 12, dtype)
    spans[:, 4] = 0
    whole, end = ltc_scan(p, wires, state, u, spans, solver=solver)
    parts = []
    for start in range(0, 17, chunk):
        part, state = ltc_scan(p, wires, state, u[:, start:start + chunk], spans[:, start:start + chunk], solver=solver)
        parts.append(part)
    assert torch.equal(torch.cat(parts, 1), whole) and torch.equal(state.v, end.v)


@pytest.mark.parametrize("solver", ["semi_implicit", "euler", "rk4"])
def test_no_time_no_change_and_no_frames_no_output(solver: str) -> None:
    p, wires = network(AutoNCP(12, 2).with_inputs(3))
    state, u, _ = sequence(2, 3, 3, 12)
    vs, end = ltc_scan(p, wires, state, u, 0.0, solver=solver)
    assert torch.equal(vs, state.v[:, None].expand_as(vs)) and torch.equal(end.v, state.v)
    vs, end = ltc_scan(p, wires, state, u[:, :0], solver=solver)
    assert vs.shape == (2, 0, 12) and torch.equal(end.v, state.v)


def test_each_sequence_of_a_batch_has_its_own_time() -> None:
    """Also where the batch is as large as the network, which ncps mixes up."""
    p, wires = network(AutoNCP(8, 2).with_inputs(3))
    state, u, spans = sequence(8, 5, 3, 8)
    whole, _ = ltc_scan(p, wires, state, u, spans)
    for row in range(8):
        alone, _ = ltc_scan(p, wires, LTCState(state.v[row:row + 1]), u[row:row + 1], spans[row])
        torch.testing.assert_close(whole[row:row + 1], alone, rtol=1e-13, atol=1e-13)  # order of the sums may differ
    same, _ = ltc_scan(p, wires, state, u, spans[0])
    each, _ = ltc_scan(p, wires, state, u, spans[:1].expand(8, 5))
    assert torch.equal(same, each)


def test_a_nan_stays_in_its_sequence() -> None:
    p, wires = network(AutoNCP(12, 2).with_inputs(3), torch.float32)
    state, u, _ = sequence(9, 5, 3, 12, torch.float32)
    clean, _ = ltc_scan(p, wires, state, u)
    u[4, 2, 0] = torch.nan
    vs, _ = ltc_scan(p, wires, state, u)
    others = [row for row in range(9) if row != 4]
    assert torch.equal(vs[others], clean[others])
    assert torch.equal(vs[4, :2], clean[4, :2]) and vs[4, 2:].isnan().any(-1).all()


@pytest.mark.parametrize(("spans", "text"), [
    (-1.0, r"ltc_scan\.timespans: must be finite and not negative \(got values from -1\.0 to -1\.0\)"),
    (torch.tensor([1.0, torch.nan, 1.0, 1.0, 1.0]), r"must be finite .*nan"),
    (float("inf"), r"must be finite .* to inf"),
    (torch.ones(4), r"\(time,\) = \(5,\) or \(batch, time\) = \(2, 5\) \(got shape \(4,\)\)"),
    (torch.ones(2, 5, 1), r"got shape \(2, 5, 1\)"),
])
def test_time_spans_that_do_not_fit_are_refused(spans: Any, text: str) -> None:
    p, wires = network(AutoNCP(12, 2).with_inputs(3))
    state, u, _ = sequence(2, 5, 3, 12)
    with pytest.raises(InputError, match=text):
        ltc_scan(p, wires, state, u, spans)


def test_unknown_solvers_and_no_sub_steps_are_refused() -> None:
    p, wires = network(AutoNCP(12, 2).with_inputs(3))
    state, u, _ = sequence(2, 5, 3, 12)
    with pytest.raises(ParameterError, match=r"solver: choose from \['semi_implicit', 'euler', 'rk4'\] \(got 'heun'\)"):
        ltc_scan(p, wires, state, u, solver="heun")
    with pytest.raises(ParameterError, match=r"unfolds: must be at least 1 \(got 0\)"):
        ltc_scan(p, wires, state, u, unfolds=0)


@pytest.mark.parametrize("recipe", [AutoNCP(8, 2)], ids=str)
def test_time_constants_are_those_of_the_linearised_leak(recipe: Recipe) -> None:
    """-1 / (d slope_j / d v_j) with the conductances held: by a difference of explicit Euler steps in v_j alone."""
    p, wires = network(recipe.with_inputs(3))
    no_self = wires.source != wires.target
    wires = Wires(wires.source[no_self], wires.target[no_self], wires.sensory_source, wires.sensory_target)
    p = p._replace(**{name: getattr(p, name)[no_self] for name in ("w", "sigma", "mu", "erev")})
    state, u, _ = sequence(2, 4, 3, 8)
    tau = ltc_time_constants(p, wires, state.v, u[:, 0])
    h = 1e-3
    for unit in range(8):
        moved = state.v.clone()
        moved[:, unit] += 1.0
        steps = [ltc_step(p, wires, LTCState(v), u[:, 0], h, unfolds=1, solver="euler")[0] for v in (state.v, moved)]
        decay = (steps[1] - steps[0])[:, unit]  # 1 - h / tau
        torch.testing.assert_close(h / (1 - decay), tau[:, unit], rtol=1e-10, atol=0)
    vs = state.v[:, None].expand(2, 4, 8)
    torch.testing.assert_close(ltc_time_constants(p, wires, vs, u)[:, 0], tau, rtol=1e-14, atol=0)
