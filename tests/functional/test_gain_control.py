"""Contrast gain control as a function: against the slow loop, in chunks, gradients to taus and sigma, and what it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosim.functional.gain_control import GainControlState, gain_control
from tests.reference import virtualretina as slow

F64 = torch.float64
H, PPD = 0.002, 12.5
CASES: dict[str, dict[str, Any]] = {
    "standard": dict(amplification=120.0, leak=20.0, sigma=0.3, tau=0.02, feedback=250.0),
    "custom": dict(exponent=1.5, e_inh=-0.3, symmetric=False, threshold=0.1, transient_weight=0.4, transient_tau=0.04),
    "symmetric custom": dict(exponent=1.3, e_inh=-0.2, threshold=-0.05, transient_weight=30.0, sigma=0.1),
    "no blur, no memory": dict(sigma=0.0, tau=0.0, transient_tau=0.0, transient_weight=2.0),
    "none": dict(feedback=0.0),
}


def movie(batch: int = 1, channels: int = 1, time: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (batch, channels, time, 7, 9))


def run(o: Tensor, p: dict, dt: int | None = None, **changes: Any) -> tuple[Tensor, Tensor]:
    """V and g for a configuration of the slow loop."""
    p = {**slow.GAIN, **p}
    named = dict(input_amp=p["amplification"], g_leak=p["leak"], sigma_px=PPD * p["sigma"], tau=p["tau"],
                 feedback=p["feedback"], exponent=p["exponent"], e_inh=p["e_inh"], threshold=p["threshold"],
                 transient_weight=p["transient_weight"], transient_tau=p["transient_tau"])
    named = {key: torch.tensor(value, dtype=o.dtype) for key, value in named.items()} | changes
    state = GainControlState(*(torch.zeros_like(o[:, :, 0]) for _ in range(3)))
    parts = []
    for chunk in o.split(dt or o.shape[2], 2):
        *signals, state = gain_control(chunk, state, H, symmetric=p["symmetric"], **named)
        parts.append(signals)
    return tuple(torch.cat(part, 2) for part in zip(*parts, strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (F64, 1e-13)])
def test_agrees_with_slow_loop(case: str, dtype: torch.dtype, bound: float) -> None:
    o = movie(2, 1)
    for ours, frames in zip(zip(*run(torch.tensor(o, dtype=dtype), CASES[case]), strict=True), o, strict=True):
        expected = slow.bipolar(frames[0], {**slow.GAIN, **CASES[case]}, H, PPD)
        for name, signal in zip(("bipolar", "adaptation"), ours, strict=True):
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(signal[0].numpy(), expected[name], rtol=0, atol=bound * scale, err_msg=name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("dt", [1, 7, 40])
def test_chunks_give_the_same_bits(case: str, dtype: torch.dtype, dt: int) -> None:
    o = torch.tensor(movie(2, 2), dtype=dtype)
    for ours, expected in zip(run(o, CASES[case], dt), run(o, CASES[case]), strict=True):
        assert torch.equal(ours, expected)


def test_gradients_reach_time_constants_and_sigma() -> None:
    o = torch.tensor(movie(time=5)[..., :3, :4], requires_grad=True)
    taus = [torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.005, 0.03)]

    def v(o: Tensor, tau: Tensor, transient_tau: Tensor) -> Tensor:
        return run(o, CASES["custom"], 2, tau=tau, transient_tau=transient_tau)[0]

    assert torch.autograd.gradcheck(v, (o, *taus))
    sigma = torch.tensor(1.5, dtype=F64, requires_grad=True)
    loss = run(o.detach(), CASES["custom"], 2, sigma_px=sigma)[0].square().sum()
    grad, = torch.autograd.grad(loss, sigma)
    near = [float(run(o.detach(), CASES["custom"], 2, sigma_px=sigma.detach() + shift)[0].square().sum())
            for shift in (-1e-2, 1e-2)]  # large steps: sigma is rounded to float32
    assert float(grad) == pytest.approx((near[1] - near[0]) / 2e-2, rel=1e-3)


def test_response_grows_less_than_contrast() -> None:
    """The purpose: four times the contrast gives much less than four times the response; without feedback just four times."""
    o = torch.tensor(movie(), dtype=F64)
    for case, low, high in (("standard", 1.0, 2.5), ("none", 3.999, 4.001)):
        weak, strong = (run(scale * o, CASES[case])[0][:, :, 20:].std() for scale in (1, 4))
        assert low < strong / weak < high


def test_no_frames_leave_the_state() -> None:
    state = GainControlState(*(torch.rand(1, 2, 3, 4, dtype=F64) for _ in range(3)))
    v, g, after = gain_control(torch.zeros(1, 2, 0, 3, 4, dtype=F64), state, H, symmetric=True, input_amp=1.0, g_leak=1.0,
                               sigma_px=1.0, tau=0.01, feedback=1.0, exponent=2.0, e_inh=0.0, threshold=0.0,
                               transient_weight=0.0, transient_tau=0.01)
    assert v.shape == g.shape == (1, 2, 0, 3, 4)
    for ours, before in zip(after, state, strict=True):
        assert torch.equal(ours, before)
