"""Integrate-and-fire layers: closed forms, convis step by step, Siegert's rate, noise, surrogate gradients."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from neurosim import SIGNAL, InputError, ParameterError, Resolution
from neurosim.functional.lif import LIFState, lif, lif_start
from neurosim.retina import GanglionSpiking
from neurosim.spiking import LIF, ArcTan, Logistic, RefractoryLIF, SuperSpike, Triangle

GOLDEN = Path(__file__).parents[1] / "data" / "convis" / "spiking_models.npz"
F64 = torch.float64
SURROGATES = [SuperSpike(0.3), ArcTan(0.2, 0.5), Triangle(0.7), Logistic(0.1, 2.0)]


def siegert(mean: float, deviation: float, threshold: float, g_leak: float, refractory: float = 0.0) -> float:
    """Rate in Hz of a neuron with white noise, reset 0; mean and deviation are those of the free potential."""
    low, high = -mean / deviation / math.sqrt(2), (threshold - mean) / deviation / math.sqrt(2)
    area = integrate.quad(lambda u: special.erfcx(-u), low, high, epsabs=0, epsrel=1e-10)[0]
    return 1 / (refractory + math.sqrt(math.pi) / g_leak * area)


def seen_threshold(deviation: float, g_leak: float, h: float) -> float:
    """The threshold 1 as it acts when it is looked at once a frame: Broadie, Glasserman & Kou 1997."""
    return 1 + -special.zeta(0.5) / math.sqrt(2 * math.pi) * deviation * math.sqrt(2 * g_leak * h)


@pytest.mark.parametrize("hertz", [51.0, 80.0, 400.0])
@pytest.mark.parametrize("h", [0.002, 0.0003])
def test_spikes_at_the_frames_of_the_closed_form(hertz: float, h: float) -> None:
    """From the reset, v = hertz / g (1 - exp(-g t)) reaches 1 after a whole number of frames."""
    first = math.ceil(math.log(hertz / (hertz - 50)) / 50 / h)
    frames = round(0.4 / h)
    spikes = LIF(SIGNAL, dtype=F64, resolution=Resolution(frame=h)).run(torch.full((frames, 2), hertz, dtype=F64))[0][0, :, 0]
    assert spikes.nonzero().flatten().tolist() == list(range(first - 1, frames, first))
    waiting = RefractoryLIF(SIGNAL, refr_mu=0.006, dtype=F64, resolution=Resolution(frame=h))
    spikes = waiting.run(torch.full((frames, 2), hertz, dtype=F64))[0][0, :, 0]
    assert spikes.nonzero().flatten().tolist() == list(range(first - 1, frames, first + round(0.006 / h)))


def test_free_potential_is_exact_for_every_frame_length() -> None:
    """The order of a scheme that is exact has no end: between spikes h does not matter."""
    ends = []
    for frames in (1, 10, 300):
        layer = LIF(SIGNAL, g_L=30.0, threshold=9.0, dtype=F64, resolution=Resolution(frame=0.06 / frames))
        layer.run(torch.full((frames, 1), 40.0, dtype=F64))
        ends.append(float(layer.state.v))
    np.testing.assert_allclose(ends, 40 / 30 * (1 - math.exp(-30 * 0.06)), rtol=1e-13)


def test_integrate_and_fire_of_convis() -> None:
    """convis adds its input once per frame and decays by 1 - g D. Here decay is exp(-g' D) and the input I' is
    worth I' (1 - exp(-g' D)) / g': so g' = -ln(1 - g D) / D, and I' = I g' / (g D)."""
    golden = np.load(GOLDEN)
    g, d = 50.0, 0.001
    exact = -math.log1p(-g * d) / d
    for layer, name in ((LIF, "lif"), (RefractoryLIF, "rlif")):
        # Of 3 ms of refractory time convis holds one frame after a spike (it counts the frame of the spike, and lets go at 0),
        # and two at the start, where its cells are refractory.
        options = {"refr_mu": 0.001} if layer is RefractoryLIF else {}
        ours = layer(g_L=exact, resolution=Resolution(frame=d), dtype=F64, **options)
        x = torch.from_numpy(golden["I_lif"]) * exact / (g * d)
        start = lif_start(x[None, None, 0], 0.0, 0)
        start = start._replace(v=torch.from_numpy(golden[f"{name}_V0"])[None, None],
                               wait=torch.full_like(start.wait, 2.0 if options else 0.0))
        ours.set_state({f: getattr(start, f) for f in LIFState._fields})
        np.testing.assert_array_equal(ours.run(x, 40)[0][0, 0], golden[name])
        assert golden[name].sum() > 50


@pytest.mark.parametrize("h", [0.0001, 0.002])
def test_noise_has_the_stated_deviation_for_every_frame(h: float) -> None:
    layer = LIF(SIGNAL, noise_sigma=0.05, resolution=Resolution(frame=h))
    frames = round(0.2 / h)  # exp(-0.2 s * g_L) = 5e-5: stationary
    layer.run(torch.full((frames, 20_000), 10.0), 100)
    v = layer.state.v.double()
    assert abs(v.std() - 0.05) < 3 * 0.05 / math.sqrt(2 * v.numel())
    assert stats.kstest((v.ravel() - 0.2) / 0.05, "norm").pvalue > 0.01


def within_three_errors(counts: torch.Tensor, seconds: float, rate: float) -> None:
    """The mean rate of independent neurons against the expected one."""
    rates = counts.double() / seconds
    error = float(rates.std()) / math.sqrt(len(rates))
    assert error < 0.02 * rate
    assert abs(float(rates.mean()) - rate) < 3 * error, f"{float(rates.mean())} +- {error}, not {rate}"


def rate_counts(layer: torch.nn.Module, current: torch.Tensor, skip: int) -> torch.Tensor:
    """Spikes of each neuron after the first frames, run in pieces."""
    layer.run(current.narrow(layer.axes.time, 0, skip))
    total = torch.zeros(current.shape[-1])
    for _ in range(10):
        total += layer.run(current.narrow(layer.axes.time, 0, current.shape[layer.axes.time] // 10))[0].flatten(0, -2).sum(0)
    return total


@pytest.mark.parametrize(("hertz", "sigma"), [(30.0, 0.5), (45.0, 0.3), (80.0, 0.3)])
@pytest.mark.parametrize("refractory", [0.0, 0.004])
def test_rate_of_lif_is_siegerts(hertz: float, sigma: float, refractory: float) -> None:
    h = 0.0002
    options = {"g_L": 50.0, "noise_sigma": sigma, "resolution": Resolution(frame=h), "seed": 3}
    layer = RefractoryLIF(SIGNAL, refr_mu=refractory, **options) if refractory else LIF(SIGNAL, **options)
    counts = rate_counts(layer, torch.full((1, 5000, 400), hertz), 500)
    within_three_errors(counts, 1.0, siegert(hertz / 50, sigma, seen_threshold(sigma, 50.0, h), 50.0, refractory))


@pytest.mark.parametrize(("hertz", "sigma"), [(45.0, 0.3), (80.0, 0.3)])
def test_rate_of_ganglion_cells_is_siegerts(hertz: float, sigma: float) -> None:
    """Their noise is held over a frame: with short frames it is white, and crossings are seen as those of LIF are."""
    h = 0.0002
    layer = GanglionSpiking(noise_sigma=sigma, refr_mu=0.003, resolution=Resolution(frame=h), seed=4)
    counts = rate_counts(layer, torch.full((1, 1, 5000, 1, 400), hertz), 500)
    within_three_errors(counts, 1.0, siegert(hertz / 50, sigma, seen_threshold(sigma, 50.0, h), 50.0, 0.003))


def test_short_frames_give_siegerts_rate_itself() -> None:
    layer = LIF(SIGNAL, noise_sigma=0.3, resolution=Resolution(frame=2e-6))
    counts = rate_counts(layer, torch.full((1, 100_000, 60), 60.0), 10_000)
    rate = siegert(60 / 50, 0.3, 1.0, 50.0)
    error = float((counts / 0.2).double().std()) / math.sqrt(len(counts))
    assert abs(float(counts.double().mean()) / 0.2 - rate) < 3 * error


@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda s: type(s).__name__)
def test_gradient_by_hand(surrogate: object) -> None:
    """dL/dx[k] = sum over j >= k, up to the next spike of k: w[j] slope(v[j] - 1) gain decay^(j - k)."""
    h, g = 0.001, 50.0
    x = (400 * torch.rand(1, 30, 3, generator=torch.Generator().manual_seed(0), dtype=F64)).requires_grad_()
    w = torch.rand(1, 30, 3, generator=torch.Generator().manual_seed(1), dtype=F64)
    spikes, _ = lif(x, lif_start(x[:, 0], 0.0, 0), h, 1, g_leak=g, threshold=1.0, v_reset=0.0, surrogate=surrogate)
    found, = torch.autograd.grad((w * spikes).sum(), x)
    decay, gain = math.exp(-g * h), (1 - math.exp(-g * h)) / g
    expected = torch.zeros_like(x)
    for cell in range(3):
        v, before = 0.0, []
        for k in range(30):
            v = decay * v + gain * float(x[0, k, cell].detach())
            before.append(v)
            v = 0.0 if v >= 1 else v
        distance = (torch.tensor(before, dtype=F64) - 1).requires_grad_()
        slope, = torch.autograd.grad(surrogate(distance).sum(), distance)
        for k in range(30):
            for j in range(k, 30):
                expected[0, k, cell] += w[0, j, cell] * slope[j] * gain * decay ** (j - k)
                if before[j] >= 1:
                    break
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


def test_a_network_learns_to_fire_at_a_rate() -> None:
    layer = LIF(SIGNAL, g_L=50.0, surrogate=SuperSpike(0.3))
    weight = torch.tensor(40.0, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=3.0)
    for _ in range(60):
        spikes, _ = layer.advance(weight * torch.ones(1, 200, 1))
        loss = (spikes.mean() - 0.1) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(float(spikes.detach().mean()) - 0.1) < 0.02  # one spike in 200 frames is 0.005


def test_potential_is_recorded() -> None:
    x = torch.full((1, 40, 2), 300.0)
    out = LIF(SIGNAL).run(x, 15, record=["v"])
    layer = LIF(SIGNAL)
    expected = [(layer(x[:, k:k + 1]), layer.state.v)[1] for k in range(40)]
    assert torch.equal(out["v"], torch.stack(expected, 1))
    assert torch.equal(out[0], LIF(SIGNAL).run(x)[0])


def test_seeds_differ_and_repeat() -> None:
    x = torch.full((1, 100, 20), 50.0)
    one, again, other = (LIF(SIGNAL, noise_sigma=0.3, seed=seed).run(x)[0] for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ParameterError, match=r"SuperSpike\.width: must lie in \(0, inf\) \(got 0\)"):
        SuperSpike(width=0)
    with pytest.raises(ParameterError, match=r"LIF\.g_L: must lie in \(0, inf\) Hz \(got 0\.0\)"):
        LIF(g_L=0.0)
    with pytest.raises(InputError, match=r"lif: the state is for frames of shape \(1, 2\), the input has .* \(1, 3\)"):
        lif(torch.zeros(1, 4, 3), lif_start(torch.zeros(1, 2), 0.0, 0), 0.001, 1, g_leak=1.0, threshold=1.0, v_reset=0.0)
