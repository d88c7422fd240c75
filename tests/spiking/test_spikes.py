"""Neurons that count spikes frame by frame tell them one by one as well: in outputs, in the background, in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import neurosim
from neurosim import ParameterError, Runner, UnknownName
from neurosim.models import GLM, Parallel, Sequential
from neurosim.spiking import (
    LIF,
    AdaptiveExponential,
    FitzHughNagumo,
    IntegrativeMotionSensor,
    Izhikevich,
    Poisson,
    RatioMotionSensor,
    RefractoryLIF,
)
from neurosim.streams import SequenceStream, read_events

COARSE = neurosim.Resolution(frame=0.004, pixels_per_degree=10.0)
NEURONS: dict[str, tuple[Callable[[], neurosim.Layer], float]] = {
    "LIF": (lambda: LIF(resolution=COARSE), 200.0),
    "RefractoryLIF": (lambda: RefractoryLIF(resolution=COARSE), 200.0),
    "Izhikevich": (lambda: Izhikevich(resolution=COARSE), 14.0),
    "AdaptiveExponential": (lambda: AdaptiveExponential(resolution=COARSE), 1e-9),
    "Poisson": (lambda: Poisson(seed=1, resolution=COARSE), 300.0),
    "IntegrativeMotionSensor": (lambda: IntegrativeMotionSensor(resolution=COARSE), 150.0),
    "RatioMotionSensor": (lambda: RatioMotionSensor(resolution=COARSE), 3.0),
    "Sequential": (lambda: Sequential(neurosim.filters.TemporalLowPass(resolution=COARSE), LIF(resolution=COARSE)), 200.0),
    "Parallel": (lambda: Parallel(LIF(resolution=COARSE), Poisson(resolution=COARSE)), 200.0),
}


def drive(level: float) -> np.ndarray:
    """60 frames that grow from pixel to pixel."""
    return level * np.linspace(0.2, 2.0, 6).reshape(2, 3) * np.ones((60, 1, 1))


@pytest.mark.parametrize("name", NEURONS)
def test_spikes_are_those_that_were_counted(name: str) -> None:
    make, level = NEURONS[name]
    out = make().run(SequenceStream(drive(level), frame_rate=250.0, start_time=3.0), dt=60)
    units, times = (x.numpy() for x in out.spikes)
    counts = out[0][0].movedim(1, 0).flatten(1).numpy()
    assert len(units) == counts.sum() > 0
    frame = np.floor((times - 3.0) / COARSE.frame).astype(int)
    found = np.zeros_like(counts)
    np.add.at(found, (frame, units), 1)
    np.testing.assert_array_equal(found, counts)
    np.testing.assert_allclose(times, 3.0 + (frame + 0.5) * COARSE.frame)
    (events,) = out.events.values()
    assert events.cells == counts.shape[1]


@pytest.mark.parametrize("dt", [1, 7, 60])
def test_spikes_do_not_depend_on_chunks(dt: int) -> None:
    whole = LIF(noise_sigma=0.3, resolution=COARSE).run(drive(200.0))
    cut = LIF(noise_sigma=0.3, resolution=COARSE).run(drive(200.0), dt=dt)
    for a, b in zip(whole.spikes, cut.spikes, strict=True):
        assert torch.equal(a, b)


def test_a_glm_tells_its_spikes_and_potentials_tell_none() -> None:
    out = GLM(1, history=2, resolution=COARSE).spiking(seed=3).run(np.ones(200))
    assert len(out.spikes.units) == int(out[0].sum()) > 0
    for layer in (FitzHughNagumo(), Sequential(LIF(), neurosim.filters.TemporalLowPass()), Parallel(LIF(), FitzHughNagumo())):
        assert not layer.counts_spikes
        with pytest.raises(UnknownName, match=r"Output.spikes: unknown"):
            _ = layer.run(drive(1.0)).spikes


def test_batch_entries_are_apart_and_counts_above_one_are_repeated() -> None:
    rates = torch.zeros(2, 10, 3)
    rates[1, 4, 2] = 2000.0  # about 8 spikes in a frame of 4 ms
    out = Poisson(neurosim.SIGNAL, seed=0, resolution=COARSE).run(rates)
    assert len(out.spikes.units) == 0
    units, times = out.spikes_of(1)
    assert len(units) == int(out[0][1, 4, 2]) > 1
    assert set(units.tolist()) == {2} and times.tolist() == pytest.approx([4.5 * 0.004] * len(units))


@pytest.mark.parametrize("suffix", [".txt", ".h5"])
def test_a_runner_writes_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"spikes{suffix}"
    with Runner(LIF(resolution=COARSE), drive(200.0), events=path, dt=7) as runner:
        runner.start().wait(20)
    units, times = read_events(path)
    expected = LIF(resolution=COARSE).run(drive(200.0)).spikes_in_order()
    order, wanted = np.lexsort((units, times)), np.lexsort(expected)
    np.testing.assert_array_equal(units[order], expected[0][wanted])
    np.testing.assert_allclose(times[order], expected[1][wanted])


def test_a_runner_refuses_spikes_of_what_has_none(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"Runner.events: TemporalLowPass has no layer that tells single spikes"):
        Runner(neurosim.filters.TemporalLowPass(), drive(1.0), events=tmp_path / "spikes.txt")
    assert not (tmp_path / "spikes.txt").exists()
