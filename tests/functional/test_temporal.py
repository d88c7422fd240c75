"""Recursive filters over time against scipy and closed forms; cuts, states, gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from scipy.special import comb

from neurosim._errors import ParameterError, StateError
from neurosim.functional.temporal import cascade, decay, highpass, lowpass

H = 0.002


def video(dtype: torch.dtype = torch.float64, time: int = 23) -> torch.Tensor:
    return torch.randn(2, 2, time, 3, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))


def zeros(x: torch.Tensor, *stages: int) -> torch.Tensor:
    return x.new_zeros(*stages, 2, 2, 3, 4)


def test_lowpass_is_scipys_filter() -> None:
    x, c = video(), math.exp(-H / 0.01)
    y, state = lowpass(x, zeros(x), 0.01, H, 2, gain=3.0)
    np.testing.assert_allclose(y.numpy(), lfilter([3 * (1 - c)], [1, -c], x.numpy(), axis=2), rtol=1e-12, atol=1e-13)
    assert torch.equal(state, y[:, :, -1])


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_cascade_is_the_filter_of_the_reference(n: int) -> None:
    x = video()
    c = math.exp(-H / (0.01 / max(n, 1)))
    stages = n + 1
    a = [(-c) ** i * comb(stages, i) for i in range(stages + 1)]
    y, state = cascade(x, zeros(x, stages), 0.01, n, H, 2)
    np.testing.assert_allclose(y.numpy(), lfilter([(1 - c) ** stages], a, x.numpy(), axis=2), rtol=1e-10, atol=1e-11)
    assert state.shape == (stages, 2, 2, 3, 4)


def test_highpass_is_scipys_filter_and_passes_one_minus_weight_of_a_constant() -> None:
    x, c, w = video(), math.exp(-H / 0.01), 0.7
    y, _ = highpass(x, zeros(x), 0.01, w, H, 2)
    np.testing.assert_allclose(y.numpy(), lfilter([1 - w * (1 - c), -c], [1, -c], x.numpy(), axis=2), rtol=1e-12, atol=1e-13)
    long = torch.ones(1, 200, 1, dtype=torch.float64)
    y, _ = highpass(long, torch.zeros(1, 1, dtype=torch.float64), 0.01, w, H, 1)
    assert float(y[0, -1, 0]) == pytest.approx(1 - w, abs=1e-12)  # exp(-40) of the start is left


def run(name: str, x: torch.Tensor, cuts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    state = zeros(x, 3) if name == "cascade" else zeros(x)
    out = []
    for part in x.split(cuts, 2):
        y, state = {"lowpass": lambda x, s: lowpass(x, s, 0.01, H, 2, gain=2.0),
                    "cascade": lambda x, s: cascade(x, s, 0.01, 2, H, 2),
                    "highpass": lambda x, s: highpass(x, s, 0.01, 0.7, H, 2)}[name](part, state)
        out.append(y)
    return torch.cat(out, 2), state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["lowpass", "cascade", "highpass"])
def test_cuts_do_not_change_a_bit(name: str, dtype: torch.dtype) -> None:
    whole = run(name, video(dtype), [23])
    for cuts in ([1] * 23, [7, 7, 7, 2], [0, 10, 0, 13]):
        parts = run(name, video(dtype), cuts)
        assert torch.equal(parts[0], whole[0]) and torch.equal(parts[1], whole[1])


@pytest.mark.parametrize("function", [lowpass, highpass])
def test_tau_zero_is_no_memory(function: Any) -> None:
    x = video()
    tau = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    extra = (0.7,) if function is highpass else ()
    y, _ = function(x, zeros(x), tau, *extra, H, 2)
    torch.testing.assert_close(y, x * (1 - 0.7) if extra else x, rtol=1e-15, atol=1e-15)
    y.sum().backward()
    assert float(tau.grad) == 0.0  # not NaN


def test_an_empty_chunk_changes_nothing() -> None:
    x, state = video(time=0), torch.ones(2, 2, 3, 4, dtype=torch.float64)
    y, after = lowpass(x, state, 0.01, H, 2)
    assert y.shape == x.shape and torch.equal(after, state)


def test_the_state_is_not_a_view_of_the_output() -> None:
    x = video()
    y, state = lowpass(x, zeros(x), 0.01, H, 2)
    kept = state.clone()
    y.zero_()
    assert torch.equal(state, kept)


def test_gradients_reach_tau_weight_gain_state_and_input() -> None:
    def filters(x: torch.Tensor, y: torch.Tensor, tau: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (*lowpass(x, y, tau, H, 1, gain=w), *highpass(x, y, tau, w, H, 1), *cascade(x, y[None], tau, 0, H, 1, gain=w))

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(1, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.01, 0.7)]
    assert torch.autograd.gradcheck(filters, (x, y, *numbers))
    assert torch.autograd.gradgradcheck(filters, (x, y, *numbers))


def test_nan_tau_is_not_taken_for_zero() -> None:
    for grad in (False, True):
        assert decay(torch.tensor(float("nan"), requires_grad=grad), H, torch.zeros(1)).isnan()


@pytest.mark.slow
@pytest.mark.parametrize("grad", [False, True])
def test_compiles_without_graph_breaks(grad: bool) -> None:
    x, tau = video(), torch.tensor(0.01, dtype=torch.float64, requires_grad=grad)
    fast = torch.compile(lambda x, tau: cascade(x, zeros(x, 3), tau, 2, H, 2)[0], fullgraph=True, backend="aot_eager")
    expected = cascade(x, zeros(x, 3), tau, 2, H, 2)[0]
    torch.testing.assert_close(fast(x, tau), expected, rtol=1e-14, atol=1e-15)
    if grad:
        ours, theirs = (torch.autograd.grad(y.square().sum(), tau) for y in (fast(x, tau), expected))
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("grad", [False, True])
def test_decay_is_the_same_number_with_and_without_gradient(grad: bool) -> None:
    for tau in (0.0, 1e-9, 0.003, 7.0):
        c = decay(torch.tensor(tau, dtype=torch.float64, requires_grad=grad), H, torch.zeros(1))
        assert float(c.detach()) == pytest.approx(math.exp(-H / tau) if tau else 0.0, rel=1e-15)


def test_errors() -> None:
    x = video()
    shapes = r"\(2, 2, 3, 4\) \(got \(2, 2, 3, 3\)\)"
    with pytest.raises(StateError, match=f"lowpass: the state must have the shape of a frame, {shapes}"):
        lowpass(x, x.new_zeros(2, 2, 3, 3), 0.01, H, 2)
    with pytest.raises(StateError, match=r"cascade: the state must have 3 stages \(got 2\)"):
        cascade(x, zeros(x, 2), 0.01, 2, H, 2)
    with pytest.raises(ParameterError, match=r"cascade.n: must be at least 0 \(got -1\)"):
        cascade(x, zeros(x, 1), 0.01, -1, H, 2)
    with pytest.raises(StateError, match="highpass: the state"):
        highpass(x, x.new_zeros(1), 0.01, 0.7, H, 2)
