"""Ganglion current as a function: against the slow loop with and without delay, in chunks, gradients to tau and sigma."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosim.functional.ganglion import GanglionState, ganglion_current
from tests.reference import virtualretina as slow

F64 = torch.float64
H, PPD = 0.002, 12.5
CASES: dict[str, dict[str, Any]] = {
    "on": dict(transient_tau=0.02, transient_weight=0.8, v0=0.02, i0=60.0, gain=150.0, sigma_pool=0.1),
    "off": dict(sign=-1.0, transient_weight=1.0, gain=400.0),
    "silent at rest": dict(sign=-1.0, i0=0.0, sigma_pool=0.2),
    "no transient": dict(sign=-1.0, transient_weight=0.0, i0=80.0, sigma_pool=0.1),
    "instant": dict(transient_tau=0.0, transient_weight=0.5),
}


def movie(batch: int = 1, channels: int = 1, time: int = 40) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.5, (batch, channels, time, 7, 9))


def run(v: Tensor, p: dict, delays: bool, dt: int | None = None, **changes: Any) -> tuple[Tensor, Tensor]:
    """T and the current for a configuration of the slow loop."""
    p = {**slow.GANGLION, **p}
    named = dict(transient_tau=p["transient_tau"], transient_weight=p["transient_weight"], sign=p["sign"], v_0=p["v0"],
                 i_0=p["i0"], gain=p["gain"], sigma_px=PPD * p["sigma_pool"])
    named = {key: torch.tensor(value, dtype=v.dtype) for key, value in named.items()} | changes
    state = GanglionState(torch.zeros_like(v[:, :, 0]), torch.zeros_like(v[:, :, 0]))
    parts = []
    for chunk in v.split(dt or v.shape[2], 2):
        *signals, state = ganglion_current(chunk, state, H, stage_delays=delays, **named)
        parts.append(signals)
    return tuple(torch.cat(part, 2) for part in zip(*parts, strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-6), (F64, 1e-14)])
def test_agrees_with_slow_loop(case: str, delays: bool, dtype: torch.dtype, bound: float) -> None:
    v, p = movie(2, 1), {**slow.GANGLION, **CASES[case]}
    for ours, frames in zip(zip(*run(torch.tensor(v, dtype=dtype), p, delays), strict=True), v, strict=True):
        transient = slow.transient(frames[0], p, H) if p["transient_weight"] else frames[0]
        late = slow.delayed(transient) if delays and p["transient_weight"] else transient
        for signal, expected in zip(ours, (transient, slow.current(late, p, PPD)), strict=True):
            np.testing.assert_allclose(signal[0].numpy(), expected, rtol=0, atol=2 * bound * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("dt", [1, 7, 40])
def test_chunks_give_the_same_bits(case: str, delays: bool, dtype: torch.dtype, dt: int) -> None:
    v = torch.tensor(movie(2, 2), dtype=dtype)
    for ours, expected in zip(run(v, CASES[case], delays, dt), run(v, CASES[case], delays), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("delays", [False, True])
def test_gradients(delays: bool) -> None:
    v = torch.tensor(movie(time=5)[..., :3, :4], requires_grad=True)
    values = dict(transient_tau=0.02, transient_weight=0.8, v_0=0.02, i_0=60.0, gain=150.0)
    numbers = [torch.tensor(value, dtype=F64, requires_grad=True) for value in values.values()]

    def current(v: Tensor, *numbers: Tensor) -> Tensor:
        return run(v, CASES["on"], delays, 2, **dict(zip(values, numbers, strict=True)))[1]

    assert torch.autograd.gradcheck(current, (v, *numbers))


def test_no_frames_leave_the_state() -> None:
    state = GanglionState(torch.rand(1, 2, 3, 4, dtype=F64), torch.rand(1, 2, 3, 4, dtype=F64))
    t, n, after = ganglion_current(torch.zeros(1, 2, 0, 3, 4, dtype=F64), state, H, transient_tau=0.02, v_0=0.0, i_0=60.0,
                                   transient_weight=0.5, sign=torch.tensor(1.0), gain=100.0, sigma_px=1.0,
                                   stage_delays=True)
    assert t.shape == n.shape == (1, 2, 0, 3, 4)
    for ours, before in zip(after, state, strict=True):
        assert torch.equal(ours, before)
