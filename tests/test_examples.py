"""The examples run, and do what they say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.linear_model import PoissonRegressor

from neurosim import analysis, datasets
from neurosim.streams import HDF5Reader, read_events

PROJECT = Path(__file__).parents[1]
CLIP = PROJECT / "neurosim" / "data" / "ucsb-pedestrians.mp4"
EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))


def load(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES if f'load("{path.stem}")' not in text] == []


def test_retina_movie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("retina_movie").main(CLIP, tmp_path / "out.h5")
    units, times = read_events(tmp_path / "out.h5")
    with HDF5Reader(tmp_path / "out.h5", "bipolar") as bipolar:
        assert bipolar.length == 303 and bipolar.frame_shape == (48, 48)  # 1.51 s at 200 steps per second
    assert len(units) > 1000 and 0 <= times.min() <= times.max() <= 303 / 200
    assert (tmp_path / "out.png").stat().st_size > 5000
    assert f"{len(units)} spikes" in capsys.readouterr().out


def test_own_neuron(tmp_path: Path) -> None:
    assert load("own_neuron").main(tmp_path / "own.png") == pytest.approx(1.5, abs=1e-2)  # the strength that made the goal
    assert (tmp_path / "own.png").stat().st_size > 5000


def test_live_runner(tmp_path: Path) -> None:
    assert load("live_runner").main(tmp_path / "runner.png", 0.6) > 0
    assert (tmp_path / "runner.png").stat().st_size > 5000


def test_liquid_sine(tmp_path: Path) -> None:
    assert load("liquid_sine").main(tmp_path / "sine.png", steps=100) < 0.1  # a constant has 0.5
    assert (tmp_path / "sine.png").stat().st_size > 5000


def test_liquid_spiral(tmp_path: Path) -> None:
    assert load("liquid_spiral").main(tmp_path / "spiral.png", epochs=10) < 0.06  # a constant has 0.17
    assert (tmp_path / "spiral.png").stat().st_size > 5000


def test_liquid_irregular(tmp_path: Path) -> None:
    told, not_told = load("liquid_irregular").main(tmp_path / "irregular.png", steps=60)
    assert told < 0.3 * not_told
    assert (tmp_path / "irregular.png").stat().st_size > 5000


def test_liquid_live(tmp_path: Path) -> None:
    assert load("liquid_live").main(tmp_path / "live.png", seconds=0.5) > 0
    assert (tmp_path / "live.png").stat().st_size > 5000


def test_stimuli_gallery(tmp_path: Path) -> None:
    assert load("stimuli_gallery").main(tmp_path / "stimuli.png", seconds=0.3) == 18
    assert (tmp_path / "stimuli.png").stat().st_size > 50_000


def test_fit_xor(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        predicted = load("fit_xor").main(tmp_path / "xor.png", tmp_path / "runs", epochs=350)
    assert min(predicted.values()) > 0.95
    assert (tmp_path / "xor.png").stat().st_size > 5000
    assert {path.parent.name for path in (tmp_path / "runs").rglob("events.*")} == {"SGD", "Adam"}


def test_fit_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load("fit_line").main(tmp_path / "line.png")
    for slope, offset in found.values():
        assert abs(slope + 0.5) < 0.1 and abs(offset - 1.8) < 0.15  # the noise leaves 0.025 and 0.045
    assert (tmp_path / "line.png").stat().st_size > 5000
    assert "epoch 60  loss 1.0" in capsys.readouterr().err


def test_fit_distributed(tmp_path: Path) -> None:
    found = load("fit_distributed").main(tmp_path / "one.png", epochs=3, frames=200)
    assert (tmp_path / "one.png").stat().st_size > 5000 and found.shape == (6, 5, 5)


@pytest.mark.slow
def test_fit_distributed_in_two_processes(tmp_path: Path) -> None:
    alone = load("fit_distributed").main(tmp_path / "one.png")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               PROJECT / "examples" / "fit_distributed.py", tmp_path / "two.png"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "two.npy"), alone, rtol=0, atol=1e-6)
    assert float(done.stdout.splitlines()[0].split()[-1]) < 1e-6  # the loop with DistributedDataParallel


def test_fit_ln_kernel(tmp_path: Path) -> None:
    assert load("fit_ln_kernel").main(tmp_path / "ln.png") < 1e-2
    assert (tmp_path / "ln.png").stat().st_size > 5000


def test_fit_opl(tmp_path: Path) -> None:
    assert load("fit_opl").main(tmp_path / "opl.png", epochs=60) < 0.1
    assert (tmp_path / "opl.png").stat().st_size > 5000


@pytest.mark.slow
def test_fit_opl_to_the_end(tmp_path: Path) -> None:
    assert load("fit_opl").main(tmp_path / "opl.png") < 0.02


def test_fit_background(tmp_path: Path) -> None:
    assert load("fit_background").main(tmp_path / "background.png", rounds=20) > 1.0
    assert (tmp_path / "background.png").stat().st_size > 5000


def test_fit_spike_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording, _ = datasets.grasshopper(1).split(3.0)
    datasets.save(recording, tmp_path / "cell.npz")
    scores = load("fit_spike_trains").main(tmp_path / "spikes.png", [str(tmp_path / "cell.npz")], folds=0, epochs=2, seeds=1,
                                           weights=[1e-5])
    assert (tmp_path / "spikes.png").stat().st_size > 5000
    assert scores["LN", 15].bits > scores["LN", 0].bits > 0.5
    assert all(np.isfinite(score.bits) and score.rate.shape == (3000,) for score in scores.values())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| model | parameters | cell: bits per spike | variance explained |" and len(lines) == 2 + 12


@pytest.mark.parametrize(("number", "ln", "glm"), [(1, 0.93, 1.64), (2, 0.70, 1.29)])
def test_fit_spike_trains_reaches_what_the_field_reports(number: int, ln: float, glm: float) -> None:
    example = load("fit_spike_trains")
    x, counts = example.arrays(datasets.grasshopper(number))[0]
    x, keep = np.log(x), np.arange(len(x)) < 7000
    padded, past = np.concatenate([np.repeat(x[:1], 19, 0), x]), np.concatenate([np.zeros((15, 1)), counts])
    stimulus = (np.concatenate([padded[19 - lag:len(padded) - lag] for lag in range(20)], 1) - x.mean()) / x.std()
    before = np.concatenate([past[14 - lag:len(past) - 1 - lag] for lag in range(15)], 1)
    for history, design, reported in ((0, stimulus, ln), (15, np.concatenate([stimulus, before], 1), glm)):
        ours = example.score(example.convex(x, counts, keep, history, 0.0), x, counts, keep).bits
        theirs = PoissonRegressor(alpha=0, tol=1e-6, max_iter=5000).fit(design[:7000], counts[:7000, 0]).predict(design[7000:])
        assert ours == pytest.approx(analysis.bits_per_spike(theirs, counts[7000:, 0], counts[:7000].mean()), abs=1e-3)
        assert ours > reported - 0.03


@pytest.mark.slow
def test_fit_spike_trains_finds_more_than_a_linear_filter() -> None:
    example = load("fit_spike_trains")
    for number, names in ((1, ["LN", "subunits"]), (2, ["LN", "LNLN"])):
        (scores,) = example.compare(datasets.grasshopper(number), folds=0, names=names, seeds=1, weights=[1e-5])
        assert scores[names[1], 0].bits > 1.1 * scores["LN", 0].bits
        assert scores[names[1], 15].bits > 1.5 * scores["LN", 0].bits


@pytest.mark.slow
def test_pictures(tmp_path: Path) -> None:
    assert load("pictures").main(tmp_path / "out", frames=6000) > 0.5
    made = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert set(made) == {"pictures.png", "kernel.png", "raster.png", "prediction.png", "landscape.png", "noise.gif",
                         "graph.html"}
    assert min(made.values()) > 2000
