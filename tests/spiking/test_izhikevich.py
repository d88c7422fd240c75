"""Izhikevich's neurons: convis step by step, order against scipy, the published behaviours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from neurosim import SIGNAL, InputError, ParameterError, Resolution
from neurosim.functional.integrate import steps_in
from neurosim.functional.izhikevich import izhikevich, izhikevich_start
from neurosim.spiking import IZHIKEVICH_SETS, Izhikevich

GOLDEN = Path(__file__).parents[1] / "data" / "convis" / "spiking_models.npz"
F64 = torch.float64


@pytest.mark.parametrize("name", ["Tonic_spiking", "Tonic_bursting", "Phasic_spiking"])
def test_steps_of_convis(name: str) -> None:
    """Its frames are 1 ms, its input is in mV/ms: nothing to convert. A spike chaotically magnifies roundings, about 1e-14."""
    golden = np.load(GOLDEN)
    layer = Izhikevich.named(name, dtype=F64, resolution=Resolution(frame=0.001))
    out = layer.run(golden["I_izh"], 70, record=["v", "u"])
    spikes, v, u = golden[f"izh_{name}"]
    np.testing.assert_array_equal(out[0].flatten(), spikes)
    np.testing.assert_allclose(out["v"].flatten(), v, rtol=0, atol=1e-8)
    np.testing.assert_allclose(out["u"].flatten(), u, rtol=0, atol=1e-8)
    assert spikes.sum() > 0


def test_order_one_against_scipy() -> None:
    """v and u below threshold, 20 ms at a constant current; the slope of the error over the step is 1."""
    def slope(t: float, y: np.ndarray) -> list[float]:
        return [0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + 2.0, 0.02 * (0.2 * y[0] - y[1])]

    exact = solve_ivp(slope, (0, 20), [-65.0, -13.0], rtol=1e-12, atol=1e-12).y[:, -1]
    steps, errors = [0.0005, 0.00025, 0.000125, 0.0000625], []
    for step in steps:
        layer = Izhikevich(SIGNAL, longest_step=step, dtype=F64)
        assert layer.run(torch.full((20, 1), 2.0, dtype=F64))[0].sum() == 0
        errors.append(np.abs([float(layer.state.v) - exact[0], float(layer.state.u) - exact[1]]).max())
    assert abs(np.polyfit(np.log(steps), np.log(errors), 1)[0] - 1) < 0.1


def spikes_of(name: str, current: np.ndarray, h: float = 0.00025) -> np.ndarray:
    """Frames of the spikes."""
    layer = Izhikevich.named(name, SIGNAL, dtype=F64, resolution=Resolution(frame=h))
    return np.repeat(np.arange(len(current)), layer.run(current)[0].flatten().long().numpy())


def step_current(name: str, h: float = 0.00025) -> np.ndarray:
    """100 ms at 0, 300 ms at the current of the set."""
    return np.repeat([0.0, IZHIKEVICH_SETS[name].current], [round(0.1 / h), round(0.3 / h)])


def test_behaviours_of_the_published_sets() -> None:
    tonic, phasic = (spikes_of(name, step_current(name)) for name in ("tonic_spiking", "phasic_spiking"))
    assert np.ptp(np.diff(tonic)[3:]) <= 4 and len(tonic) > 5  # regular to 1 ms
    assert len(phasic) == 1
    bursts = np.diff(spikes_of("tonic_bursting", step_current("tonic_bursting"))) * 0.25
    assert bursts.min() < 6 and bursts.max() > 20  # ms: short within a burst, long between two
    once = np.diff(spikes_of("phasic_bursting", step_current("phasic_bursting"))) * 0.25
    assert len(once) > 1 and once.max() < 15
    slower = np.diff(spikes_of("spike_frequency_adaptation", step_current("spike_frequency_adaptation")))
    assert slower[-1] > 2 * slower[0]
    rebound = np.zeros(1600)
    rebound[800:820] = -15
    assert len(spikes_of("rebound_spike", rebound)) == 1
    burst = spikes_of("rebound_burst", rebound)
    assert (burst > 820).sum() > 2  # others are at the start, which is not the resting state


def told(name: str, current: Callable[[float], float], ms: float, v: float,
         h: float = 0.00025) -> tuple[np.ndarray, np.ndarray]:
    """Times of the spikes in ms and v after each frame, from v and u = b v, for a current over the time in ms."""
    layer = Izhikevich.named(name, SIGNAL, dtype=F64, resolution=Resolution(frame=h))
    layer.set_state({"v": torch.full((1, 1), v, dtype=F64), "u": torch.full((1, 1), IZHIKEVICH_SETS[name].b * v, dtype=F64)})
    times = np.arange(round(ms / h / 1000)) * h * 1000
    out = layer.run(np.array([current(t) for t in times]), record=["v"])
    return np.repeat(times, out[0].flatten().long().numpy()), out["v"].flatten().numpy()


def pulses(height: float, length: float, *starts: float, base: float = 0.0) -> Callable[[float], float]:
    """So many pulses of a current."""
    return lambda t: base + height * any(start < t < start + length for start in starts)


def test_behaviours_of_the_other_sets() -> None:
    """Each with the current and the start of the program of the paper (figure1.m)."""
    mixed = np.diff(told("mixed_mode", lambda t: 10.0 * (t > 16), 160, -70)[0])
    assert mixed[:2].max() < 5 and mixed[2:].min() > 20  # a burst, then single spikes
    growing = told("class_1", lambda t: 0.075 * (t - 30) * (t > 30), 300, -60)[0]
    assert np.diff(growing)[0] > 35 and (np.diff(growing, 2) < 0).all()  # as slow as one likes, then faster and faster
    at_once = np.diff(told("class_2", lambda t: -0.5 + 0.015 * (t - 30) * (t > 30), 300, -64)[0])
    assert at_once.max() < 25 and len(at_once) > 10  # the lowest rate is 50 Hz
    late = told("spike_latency", pulses(7.04, 3, 9.99), 100, -70)[0]
    assert len(late) == 1 and late[0] > 15  # the pulse ended at 13
    one, v = told("subthreshold_oscillations", pulses(2, 5, 20), 200, -62)
    after = v[round(40 / 0.25):]
    turns = np.flatnonzero(np.diff(np.sign(np.diff(after))))
    assert len(one) == 1 and len(turns) >= 4 and np.ptp(after[-200:]) < 0.2 * np.ptp(after[:200])
    resonant = told("resonator", pulses(0.65, 4, 40, 60, 280, 320), 400, -62)[0]
    assert len(resonant) == 1 and resonant[0] > 320  # 40 ms between two pulses is its period, 20 are not
    integrated = told("integrator", pulses(9, 2, 100 / 11, 100 / 11 + 5, 70, 80), 100, -60)[0]
    assert len(integrated) == 1 and integrated[0] < 25  # pulses that are close add up
    variable = told("threshold_variability", lambda t: pulses(1, 5, 10, 80)(t) + pulses(-6, 5, 70)(t), 100, -64)[0]
    assert len(variable) == 1 and variable[0] > 80  # the same pulse, after an inhibitory one
    assert len(told("bistability", pulses(0, 5, 37.5, base=-65), 300, -50)[0]) == 0  # rests for ever,
    woken = told("bistability", pulses(1, 5, 37.5, base=-65), 300, -50)[0]
    assert len(woken) > 50 and woken[-1] > 290  # or spikes for ever, once a pulse has woken it
    spike, v = told("depolarizing_after_potential", pulses(20, 2, 9), 50, -70, 0.0002)
    after = v[round(spike[0] / 0.2) + 2:]
    assert len(spike) == 1 and after[0] > -60 and abs(after[-1] + 70) < 0.1 and after.min() > -71
    inhibited = told("inhibition_induced_spiking", lambda t: 80.0 if t < 50 or t > 250 else 75.0, 350, -63.8, 0.0005)[0]
    assert len(inhibited) >= 3 and (inhibited > 50).all() and (inhibited < 260).all()
    bursting = told("inhibition_induced_bursting", lambda t: 80.0 if t < 50 or t > 250 else 75.0, 350, -63.8, 0.0005)[0]
    assert (bursting > 50).all() and (bursting < 280).all() and np.diff(bursting).min() < 3 and np.diff(bursting).max() > 40


def test_twenty_sets() -> None:
    assert len(IZHIKEVICH_SETS) == 20
    for name, chosen in IZHIKEVICH_SETS.items():
        layer = Izhikevich.named(name, SIGNAL)
        assert float(layer.d) == pytest.approx(chosen.d) and float(layer.offset) == chosen.offset
        assert layer.run(torch.full((50, 1), chosen.current))[0].isfinite().all()


def test_long_frames_count_every_spike() -> None:
    """A frame of 10 ms in steps of 1 ms has the spikes of ten frames of 1 ms."""
    x = 20 * torch.rand(1, 40, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    coarse = Izhikevich(SIGNAL, dtype=F64, resolution=Resolution(frame=0.010)).run(x)[0]
    fine = Izhikevich(SIGNAL, dtype=F64, resolution=Resolution(frame=0.001)).run(x.repeat_interleave(10, 1))[0]
    assert coarse.sum() > 20
    torch.testing.assert_close(coarse, fine.reshape(1, 40, 10, 3).sum(2), rtol=0, atol=0)


def test_steps_in_a_frame() -> None:
    assert [steps_in(h, 0.001) for h in (0.0001, 0.001, 0.0010000001, 0.0011, 0.005)] == [1, 1, 1, 2, 5]
    with pytest.raises(ParameterError, match=r"cuts a frame of 1 into 1000000 steps, more than 100000"):
        steps_in(1.0, 1e-6 * (1 - 1e-9))


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ParameterError, match=r"Izhikevich\.named: choose from \['tonic_spiking', .* \(got 'tonic'\)"):
        Izhikevich.named("tonic")
    with pytest.raises(InputError, match=r"izhikevich: the state is for frames of shape \(1, 2\), the input has .* \(1, 3\)"):
        izhikevich(torch.zeros(1, 4, 3), izhikevich_start(torch.zeros(1, 2), 0.2, -65.0), 0.001, 1, a=0.02, b=0.2, c=-65.0,
                   d=6.0)
