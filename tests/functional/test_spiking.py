"""Spiking cells: the original program's spikes, closed forms, noise and jitter by their statistics, gradients, sampling."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from neurosim._errors import InputError, ParameterError
from neurosim.functional.spiking import RateSurrogate, SpikingState, sample_cells, spiking, spiking_start
from tests.reference import virtualretina as slow

DATA = Path(__file__).parents[1] / "data" / "virtualretina"
F64 = torch.float64


def parameters(dtype: torch.dtype = F64, g_leak: float = 50.0, noise_sigma: float = 0.0, refractory: float = 0.003,
               refractory_sigma: float = 0.0) -> dict[str, Tensor]:
    named = dict(g_leak=g_leak, noise_sigma=noise_sigma, refractory=refractory, refractory_sigma=refractory_sigma)
    return {name: torch.tensor(value, dtype=dtype) for name, value in named.items()}


def constant(hertz: float, frames: int, cells: int = 1, dtype: torch.dtype = F64) -> tuple[Tensor, SpikingState]:
    current = torch.full((1, 1, frames, cells), hertz, dtype=dtype)
    return current, spiking_start(current[:, :, 0], seed=0)


@pytest.fixture(scope="module")
def golden() -> dict:
    data = dict(np.load(DATA / "A_default_gain_control.npz"))
    data["config"] = slow.read_xml(str(DATA / "A_default_gain_control.xml"))
    data["maps"] = slow.retina(data["stimulus"], data["config"])
    return data


@pytest.mark.parametrize("layer", [0, 1])
def test_spikes_of_the_original_program(golden: dict, layer: int) -> None:
    config = golden["config"]
    maps = torch.from_numpy(slow.delayed(golden["maps"][f"ganglion_{layer}"]))[None, None]
    units = torch.from_numpy(golden["unit_xy_deg"][golden["unit_layer"] == layer])
    positions = torch.tensor([20.0, 16.0]) + config["ppd"] * units
    current = sample_cells(maps, positions)
    counts, spikes, state = spiking(current, spiking_start(current[:, :, 0], 0), config["h"], **parameters())
    assert int(state.frame) == 200
    for cell in range(len(units)):
        expected = golden["spike_time_s"][golden["spike_unit"] == cell + 80 * layer]
        ours = spikes.time[spikes.cell == cell]
        assert counts[0, 0, :, cell].sum() == len(ours) == len(expected)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("h", [0.1, 0.005, 0.0007])
@pytest.mark.parametrize("hertz", [51.0, 80.0, 400.0, 20_000.0])
def test_rate_without_noise_is_the_closed_form(h: float, hertz: float) -> None:
    current, state = constant(hertz, round(0.5 / h))
    counts, spikes, _ = spiking(current, state, h, **parameters())
    first = math.log(hertz / (hertz - 50)) / 50
    exact = first + (first + 0.003) * np.arange(int(counts.sum()))
    assert len(exact) > 3
    np.testing.assert_allclose(spikes.time, exact, rtol=0, atol=1e-12)
    assert exact[-1] + first + 0.003 > current.shape[2] * h - 1e-9  # none is missing
    frames = torch.div(spikes.time, h, rounding_mode="floor").long()
    assert torch.equal(counts[0, 0, :, 0], torch.bincount(frames, minlength=current.shape[2]).double())


def test_agrees_with_slow_loop_for_random_currents_and_starts() -> None:
    g = torch.Generator().manual_seed(0)
    current = 400 * torch.rand(1, 1, 60, 20, generator=g, dtype=F64) - 100
    state = spiking_start(current[:, :, 0], seed=3, random_init=True)
    _, spikes, _ = spiking(current, state, 0.004, **parameters(g_leak=20.0, refractory=0.0061))
    for cell in range(20):
        p = dict(g_leak=20.0, refr_mean=0.0061)
        expected = slow.spikes(current[0, 0, :, cell:cell + 1].numpy(), p, 0.004, float(state.v[0, 0, cell]))[0]
        np.testing.assert_allclose(spikes.time[spikes.cell == cell], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("dt", [1, 7, 40])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    current = 300 * torch.rand(2, 2, 40, 3, 4, generator=torch.Generator().manual_seed(0), dtype=F64).to(dtype)
    state = spiking_start(current[:, :, 0], seed=9, random_init=True)
    p = parameters(dtype, noise_sigma=0.1, refractory_sigma=0.001)
    counts, spikes, after = spiking(current, state, 0.005, **p)
    parts = []
    for chunk in current.split(dt, 2):
        *part, state = spiking(chunk, state, 0.005, **p)
        parts.append(part)
    assert torch.equal(torch.cat([part[0] for part in parts], 2), counts)
    for field in range(4):
        assert torch.equal(torch.cat([part[1][field] for part in parts]), spikes[field])
    for ours, expected in zip(state, after, strict=True):
        assert torch.equal(ours, expected)
    again = torch.zeros(counts.shape[:2] + (12,), dtype=dtype)
    again.index_put_((spikes.batch, spikes.channel, spikes.cell), torch.ones_like(spikes.time, dtype=dtype), accumulate=True)
    assert torch.equal(again, counts.sum(2).flatten(2))


@pytest.mark.parametrize("h", [0.005, 0.02])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_noise_has_the_stated_deviation(h: float, dtype: torch.dtype) -> None:
    g, s, cells = 50.0, 0.05, 40_000
    current, state = constant(10.0, round(0.3 / h), cells, dtype)  # exp(-0.3 s * g) = 3e-7: stationary
    counts, _, state = spiking(current, state, h, **parameters(dtype, g_leak=g, noise_sigma=s))
    assert counts.sum() == 0
    expected = s * math.sqrt(2 / (g * h) * math.tanh(g * h / 2))
    assert abs(state.v.double().std() - expected) < 3 * expected / math.sqrt(2 * cells)
    assert abs(state.v.double().mean() - 10 / g) < 3 * expected / math.sqrt(cells)
    assert stats.kstest((state.v.double().ravel() - 10 / g) / expected, "norm").pvalue > 0.01


def test_refractory_time_is_drawn_for_each_spike() -> None:
    current, state = constant(300.0, 200, 50)
    _, spikes, state = spiking(current, state, 0.005, **parameters(refractory_sigma=0.0005))
    times = [spikes.time[spikes.cell == cell] for cell in range(50)]
    pauses = torch.cat([t.diff() for t in times]) - math.log(300 / 250) / 50
    assert abs(pauses.mean() - 0.003) < 3 * 0.0005 / math.sqrt(len(pauses))
    assert abs(pauses.std() - 0.0005) < 3 * 0.0005 / math.sqrt(2 * len(pauses))
    assert stats.kstest((pauses - 0.003) / 0.0005, "norm").pvalue > 0.01
    assert [len(t) for t in times] == state.fired[0, 0].tolist()


def test_refractory_time_is_never_negative() -> None:
    current, state = constant(300.0, 100, 50)
    _, spikes, _ = spiking(current, state, 0.005, **parameters(refractory=0.0, refractory_sigma=0.001))
    pauses = torch.cat([spikes.time[spikes.cell == cell].diff() for cell in range(50)]) - math.log(300 / 250) / 50
    assert pauses.min() > -1e-12
    assert abs((pauses < 1e-12).double().mean() - 0.5) < 3 * 0.5 / math.sqrt(len(pauses))


def test_seed_and_start() -> None:
    frame = torch.zeros(2, 1, 50, 50)
    state = spiking_start(frame, seed=1, random_init=True)
    assert stats.kstest(state.v.ravel(), "uniform").pvalue > 0.01
    assert torch.equal(state.v, spiking_start(frame, seed=1, random_init=True).v)
    assert not torch.equal(state.v, spiking_start(frame, seed=2, random_init=True).v)
    assert (spiking_start(frame, seed=1).v == 0).all()


def test_surrogate_is_the_rate_far_above_threshold_and_fades_below() -> None:
    g, pause = torch.tensor(50.0, dtype=F64), torch.tensor(0.003, dtype=F64)
    strong = torch.tensor([150.0, 300.0, 2000.0], dtype=F64)
    exact = 1 / (0.003 + torch.log(strong / (strong - 50)) / 50)
    torch.testing.assert_close(RateSurrogate()(strong, g, pause), exact, rtol=1e-8, atol=0)  # softplus: exp(-2 / 0.1)
    torch.testing.assert_close(RateSurrogate(0.01)(strong - 95, g, pause)[0],
                               torch.tensor(1 / (0.003 + math.log(55 / 5) / 50), dtype=F64), rtol=1e-4, atol=0)
    weak = torch.linspace(-1000, 49, 50, dtype=F64).requires_grad_()
    rate = RateSurrogate()(weak, g, pause)
    slope, = torch.autograd.grad(rate.sum(), weak)
    assert (slope > 0).all()
    assert (slope.diff() > 0).all()
    assert rate[0] < 1


def test_counts_have_the_gradient_of_the_surrogate() -> None:
    current = (60 + 100 * torch.rand(2, 1, 6, 5, generator=torch.Generator().manual_seed(0), dtype=F64)).requires_grad_()
    p = parameters(noise_sigma=0.1)
    for name in ("g_leak", "refractory"):
        p[name].requires_grad_()
    counts, _, state = spiking(current, spiking_start(current[:, :, 0], 0), 0.005, **p)
    wanted = [current, p["g_leak"], p["refractory"]]
    weights = torch.arange(60, dtype=F64).reshape(counts.shape)
    ours = torch.autograd.grad((weights * counts).sum(), wanted)
    rate = RateSurrogate()(*wanted)
    torch.testing.assert_close(ours, torch.autograd.grad((weights * 0.005 * rate).sum(), wanted), rtol=1e-12, atol=0)
    assert torch.equal(counts.detach(), counts.detach().round())
    assert not any(x.requires_grad for x in state)
    assert torch.autograd.gradcheck(RateSurrogate(), wanted)
    assert torch.autograd.gradgradcheck(RateSurrogate(), wanted)


def test_sampling_agrees_with_slow_loop() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 7, 9))
    units = [*rng.uniform(-1, 1, (30, 2)).tolist(), [0.0, 0.0], [9.0, -9.0]]
    positions = torch.tensor([4.5, 3.5], dtype=F64) + 5.3 * torch.tensor(units, dtype=F64)
    ours = sample_cells(torch.from_numpy(maps), positions)
    np.testing.assert_allclose(ours, slow.sample(maps, units, 5.3), rtol=0, atol=1e-14)


def test_sampling_is_exact_for_planes_and_clamped() -> None:
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(8.0), indexing="ij")
    positions = torch.tensor([[0.0, 0.0], [2.5, 1.25], [6.875, 3.5], [-3.0, 2.0], [99.0, 99.0]])
    ours = sample_cells(2 * x + 10 * y, positions)
    assert ours.tolist() == [0.0, 17.5, 48.75, 20.0, 54.0]


def test_refuses_what_does_not_fit() -> None:
    current, state = constant(100.0, 3)
    with pytest.raises(ParameterError, match=r"spiking\.h: must lie in \(0, 10\] s \(got 11\)"):
        spiking(current, state, 11, **parameters())
    with pytest.raises(InputError, match=r"for frames of shape \(1, 1, 1\), the current has frames of shape \(1, 1, 2\)"):
        spiking(current.expand(1, 1, 3, 2), state, 0.005, **parameters())
    with pytest.raises(InputError, match=r"positions must be \(cells, 2\) \(got \(3,\)\)"):
        sample_cells(torch.zeros(4, 4), torch.zeros(3))
