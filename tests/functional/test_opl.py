"""The OPL as a function: against the slow loop and the original program, in chunks, at rest, its gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosim.functional.opl import later, opl, opl_start
from tests.reference import virtualretina as slow

DATA = Path(__file__).parents[1] / "data" / "virtualretina"
F64 = torch.float64
H, PPD, RANGE = 0.002, 12.5, 400.0
NAMES = ("center", "receptor", "surround", "opl")
LEAKY = dict(center_sigma=0.05, center_tau=0.01, surround_sigma=0.15, surround_tau=0.012, weight=0.9, leaky_heat=True)
CASES = {
    "leaky": LEAKY,
    "leaky undershoot": {**LEAKY, "undershoot": (0.6, 0.08)},
    "no surround": {**LEAKY, "weight": 0.0},
    "separable": dict(center_sigma=0.06, center_tau=0.012, center_n=2, surround_sigma=0.2, surround_tau=0.015, weight=0.8,
                      amplification=12.0, undershoot=(0.6, 0.08)),
    "sharp and instant": dict(center_sigma=0.0, center_tau=0.0, surround_sigma=0.0, surround_tau=0.0, weight=0.5),
}


def movie(seed: int = 0, time: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (time, 9, 11)).astype(float)


def run(frames: Tensor, p: dict, initial: float, delays: bool, dtype: torch.dtype, dt: int | None = None,
        **changes: Any) -> list[Tensor]:
    """The four signals for a configuration of the slow loop."""
    p = {**slow.OPL, **p}
    weight, tau = p["undershoot"] or (0.0, 0.0)
    named = dict(center_sigma=PPD * p["center_sigma"], center_tau=p["center_tau"], gain=p["amplification"] / RANGE,
                 undershoot_tau=tau, undershoot_weight=weight, surround_sigma=PPD * p["surround_sigma"],
                 surround_tau=p["surround_tau"], surround_weight=p["weight"])
    named = {key: torch.tensor(value, dtype=dtype) for key, value in named.items()} | changes
    stages = 1 if p["leaky_heat"] else p["center_n"] + 1
    state = opl_start(frames[:, :, 0], initial, named["gain"], named["undershoot_weight"], named["surround_weight"], stages)
    parts = []
    for chunk in frames.split(dt or frames.shape[2], 2):
        signals, state = opl(chunk, state, H, center_n=p["center_n"], leaky=p["leaky_heat"],
                             undershoot=p["undershoot"] is not None, stage_delays=delays, **named)
        parts.append(signals)
    return [torch.cat(part, 2) for part in zip(*parts, strict=True)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("delays", [False, True])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-6), (F64, 1e-13)])
def test_agrees_with_slow_loop(case: str, delays: bool, dtype: torch.dtype, bound: float) -> None:
    frames = movie()
    expected = slow.opl(frames, {**slow.OPL, **CASES[case]}, H, PPD, RANGE, 60.0, delays)
    ours = run(torch.tensor(frames, dtype=dtype)[None, None], CASES[case], 60.0, delays, dtype)
    for name, signal in zip(NAMES, ours, strict=True):
        scale = np.abs(expected["center"]).max()
        np.testing.assert_allclose(signal[0, 0].numpy(), expected[name], rtol=0, atol=bound * scale, err_msg=name)


@pytest.mark.parametrize("case", ["A_default_gain_control", "D_custom_gain_control"])
def test_slow_loop_agrees_with_the_original_program(case: str) -> None:
    """What every other comparison stands on: all maps and spikes to 1e-12 of their range."""
    golden = np.load(DATA / f"{case}.npz")
    frames = np.load(DATA / "A_default_gain_control.npz")["stimulus"]
    out = slow.retina(frames, slow.read_xml(str(DATA / f"{case}.xml")))
    out["horizontal"] = out["surround"]
    x, y = golden["pixels_xy"].T
    for name in [key.removeprefix("series_") for key in golden.files if key.startswith("series_")]:
        series = golden[f"series_{name}"]
        np.testing.assert_allclose(out[name][:, y, x], series, rtol=0, atol=1e-12 * np.ptp(series), err_msg=name)
        maps = golden[f"map_{name}"]  # stored as float32
        np.testing.assert_allclose(out[name][golden["frames"]], maps, rtol=0, atol=1.2e-7 * np.abs(maps).max())
    for unit, times in enumerate(out["spikes"]):
        np.testing.assert_allclose(times, golden["spike_time_s"][golden["spike_unit"] == unit], rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("dt", [1, 7, 40])
def test_chunks_give_the_same_bits(case: str, dtype: torch.dtype, dt: int) -> None:
    frames = torch.tensor(np.stack([movie(1), movie(2)]), dtype=dtype)[:, None].expand(2, 2, 40, 9, 11)
    whole = run(frames, CASES[case], 60.0, True, dtype)
    for ours, expected in zip(run(frames, CASES[case], 60.0, True, dtype, dt), whole, strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("delays", [False, True])
def test_uniform_light_changes_nothing(case: str, delays: bool) -> None:
    frames = torch.full((1, 1, 30, 6, 7), 60.0, dtype=F64)
    p = {**slow.OPL, **CASES[case]}
    center = p["amplification"] * 60 / RANGE
    receptor = center * (1 - (p["undershoot"] or (0.0,))[0])
    exact = (center, receptor, p["weight"] * receptor, receptor * (1 - p["weight"]))
    for ours, level in zip(run(frames, CASES[case], 60.0, delays, F64), exact, strict=True):
        torch.testing.assert_close(ours, torch.full_like(ours, level), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", ["leaky undershoot", "separable"])
def test_gradients_reach_every_parameter(case: str) -> None:
    frames = torch.tensor(movie(3, 4)[:, :4, :5] / 100)[None, None]
    values = dict(center_sigma=0.8, center_tau=0.01, gain=0.5, undershoot_tau=0.08, undershoot_weight=0.6, surround_sigma=1.5,
                  surround_tau=0.012, surround_weight=0.8)
    named = {key: torch.tensor(value, dtype=F64, requires_grad=True) for key, value in values.items()}
    # The width of a blur is rounded to float32, which finite differences see; in the leaky heat equation it depends on tau.
    smooth = ["center_sigma", "surround_sigma"] + (["center_tau", "surround_tau"] if "leaky" in case else [])

    def signals(x: Tensor, *numbers: Tensor) -> Tensor:
        return run(x, CASES[case], 1.0, True, F64, 3, **{**named, **dict(zip(exact, numbers, strict=True))})[3]

    exact = [key for key in named if key not in smooth]
    assert torch.autograd.gradcheck(signals, (frames.requires_grad_(), *(named[key] for key in exact)))
    grads = torch.autograd.grad(signals(frames, *(named[key] for key in exact)).square().sum(),
                                [named[key] for key in smooth])
    with torch.no_grad():
        for key, grad in zip(smooth, grads, strict=True):
            step = 1e-3 * named[key]
            below, above = (run(frames, CASES[case], 1.0, True, F64, 3, **{**named, key: named[key] + shift})[3]
                            for shift in (-step, step))
            found = (above.square().sum() - below.square().sum()) / (2 * step)
            assert float(grad) == pytest.approx(float(found), rel=1e-3)  # a float32 step of sigma is 1e-4 of the change


def test_later() -> None:
    x = torch.arange(5.0)[None, None, :, None, None]
    assert later(x, torch.full((1, 1, 1, 1), -1.0)).ravel().tolist() == [-1, 0, 1, 2, 3]
    assert later(x[:, :, :0], torch.zeros(1, 1, 1, 1)).shape == (1, 1, 0, 1, 1)


@pytest.mark.parametrize("case", CASES)
def test_no_frames_leave_the_state(case: str) -> None:
    p = {**slow.OPL, **CASES[case]}
    state = opl_start(torch.zeros(1, 2, 3, 4, dtype=F64), 60.0, 0.1, 0.2, 0.3, 1 if p["leaky_heat"] else p["center_n"] + 1)
    signals, after = opl(torch.zeros(1, 2, 0, 3, 4, dtype=F64), state, H, center_sigma=0.5, center_tau=0.01,
                         center_n=p["center_n"], gain=0.1, undershoot_tau=0.1, undershoot_weight=0.2, surround_sigma=1.0,
                         surround_tau=0.01, surround_weight=0.3, leaky=p["leaky_heat"],
                         undershoot=p["undershoot"] is not None, stage_delays=True)
    for ours, before in zip(after, state, strict=True):
        assert torch.equal(ours, before)
    assert all(signal.shape == (1, 2, 0, 3, 4) for signal in signals)
