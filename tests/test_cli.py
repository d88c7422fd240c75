"""The command line: what it writes, what it says, how it fails and how it is ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import neurosim
from neurosim.cli import main
from neurosim.cli.models import public_layers
from neurosim.streams import HDF5Reader, NWBReader, VideoReader, read_events, read_nwb_units

CLIP = Path(neurosim.__file__).parent / "data" / "ucsb-pedestrians.mp4"
FAST = ["--steps-per-second", "200", "--pixels-per-degree", "20"]


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Noise of 90 frames."""
    path = tmp_path / "movie.npy"
    np.save(path, np.random.default_rng(0).uniform(0, 255, (90, 10, 12)).astype("float32"))
    return path


def fails(capsys: pytest.CaptureFixture[str], code: int, *argv: str | Path) -> str:
    """The one line that is said when these arguments fail with this code."""
    capsys.readouterr()
    try:
        got = main([str(arg) for arg in argv])
    except SystemExit as end:  # argparse
        got = int(end.code or 0)
    captured = capsys.readouterr()
    lines = [line for line in re.split(r"[\r\n]+", captured.err) if line and "frames/s" not in line]
    assert (got, len(lines), captured.out) == (code, 1, ""), captured.err
    return lines[0]


# ---- info -----------------------------------------------------------------------------------------------------------
def test_info_lists_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert {"retina.Retina", "retina.OPL", "filters.TemporalLowPass", "filters.Conv3d"} <= set(public_layers())
    assert all(re.search(rf"^ +{re.escape(name)} +\S", out, re.M) for name in public_layers())


def test_info_shows_value_unit_range_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "TemporalLowPass", "--set", "tau=0.25"]) == 0
    assert re.search(r"^ +tau +0\.25 +s +\[0, inf\) +time constant$", capsys.readouterr().out, re.M)
    assert main(["info", "Retina"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ +gang_1_spikes\.refr_mu +\S+ +s +\[0, inf\) +mean refractory time$", out, re.M)
    assert "  opl.center\n" in out and "1000 steps per second, 10 pixels per degree" in out


# ---- run ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dt", ["7", "1000"])
def test_run_gives_what_the_layer_gives(movie: Path, tmp_path: Path, dt: str) -> None:
    assert main(["run", "TemporalLowPass", str(movie), "-o", str(tmp_path / "out.npy"), "--dt", dt, "--set", "tau=0.02",
                 "--frames", "80", *FAST]) == 0
    layer = neurosim.filters.TemporalLowPass(tau=0.02, resolution=neurosim.Resolution(0.005, 20.0))
    wanted = layer.run(np.load(movie)[:80])[0][0, 0]
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), wanted)


def test_run_writes_everything_to_hdf5(movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.h5"
    assert main(["run", "Retina", str(movie), "-o", str(out), "--dt", "40", "--record", "opl.center", "--record",
                 "gang_0_input", "--seed", "3", "--set", "bipolar.lambda_amp=50", "--dtype", "float64", *FAST]) == 0
    retina = neurosim.retina.Retina(seed=3, dtype=torch.float64, resolution=neurosim.Resolution(0.005, 20.0))
    retina.p.bipolar.lambda_amp = 50.0
    wanted = retina.run(np.load(movie), record=["opl.center", "gang_0_input"])
    units = {"opl.center": None, "gang_0_input": "Hz", "ganglion_on": "spikes per frame",
             "ganglion_off": "spikes per frame"}
    for name, unit in units.items():
        with HDF5Reader(out, name) as frames:
            np.testing.assert_array_equal(frames.read(100), wanted[name][0, 0])
            assert (frames.units, frames.frame_rate) == (unit, 200.0)
            about = frames.parameters
    assert about["values"]["bipolar.lambda_amp"] == 50.0 and about["seed"] == 3
    assert about["values"]["opl.center_sigma"] == 0.05
    assert about["units"] == {"gang_0_spikes": [0, 120], "gang_1_spikes": [120, 240]}
    unit, at = read_events(out)
    assert len(unit) and (np.diff(at) >= 0).all()
    order = np.lexsort((at, unit))
    np.testing.assert_array_equal(unit[order], wanted.spikes.units)
    np.testing.assert_array_equal(at[order], wanted.spikes.times)
    said = capsys.readouterr().out
    assert re.fullmatch(rf".*out\.h5: 90 frames, {len(unit)} spikes; .* s, after .* frames/s, .* x real time\n", said)


def test_run_writes_everything_to_nwb(movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "Retina", str(movie), "--dt", "40", "--record", "gang_0_input", "--seed", "3", *FAST]
    assert main([*argv, "-o", str(tmp_path / "out.h5")]) == main([*argv, "-o", str(tmp_path / "out.nwb")]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynwb

        assert list(pynwb.validate(path=str(tmp_path / "out.nwb"))) == []
    for name in ("gang_0_input", "ganglion_on", "ganglion_off"):
        with HDF5Reader(tmp_path / "out.h5", name) as one, NWBReader(tmp_path / "out.nwb", name) as other:
            np.testing.assert_array_equal(one.read(100), other.read(100))
            assert (other.frame_rate, other.units) == (200.0, one.units)
    unit, at = read_events(tmp_path / "out.h5")
    order = np.lexsort((at, unit))
    found = read_nwb_units(tmp_path / "out.nwb")
    np.testing.assert_array_equal(found[0], unit[order])
    np.testing.assert_array_equal(found[1], at[order])
    with h5py.File(tmp_path / "out.nwb") as file:
        assert len(file["units/id"]) == 240, "silent cells are units too"
    assert {path.name for path in tmp_path.iterdir()} == {"movie.npy", "out.h5", "out.nwb"}, "nothing else is left"
    assert main([*argv, "-o", str(tmp_path / "out.nwb")]) == 1
    assert "exists; --overwrite replaces it" in capsys.readouterr().err


def test_run_shows_progress_unless_it_is_to_be_quiet(movie: Path, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "TemporalLowPass", str(movie), "-o", str(tmp_path / "out.npy"), "--overwrite"]
    assert main(argv) == 0
    assert re.search(r"90/90 .* frames/s, .* x real time", capsys.readouterr().err)
    assert main([*argv, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_run_resamples_a_video_to_the_time_step(tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    assert main(["run", "SpatialRecursive", str(CLIP), "-o", str(out), "--size", "12x20", "--scaled", "-q",
                 "--set", "sigma=0", "--interpolation", "linear", *FAST]) == 0
    with HDF5Reader(out, "output") as frames, VideoReader(CLIP, (12, 20), frame_rate=200.0, scaled=True,
                                                          interpolation="linear") as wanted:
        assert frames.length == wanted.length == 303  # 36 frames over 1.468 s, and one more mean interval
        np.testing.assert_array_equal(frames.read(300), wanted.read(300))


def test_run_writes_a_single_output_as_video(movie: Path, tmp_path: Path) -> None:
    out = tmp_path / "opl.mkv"
    assert main(["run", "Retina", str(movie), "-o", str(out), "--only", "opl", "--limits", "-2", "2", *FAST]) == 0
    retina = neurosim.retina.Retina(resolution=neurosim.Resolution(0.005, 20.0))
    opl = retina.run(np.load(movie), record=["opl"])["opl"][0, 0].numpy()
    with VideoReader(out) as frames:
        np.testing.assert_allclose(frames.read(100), np.clip((opl + 2) / 4, 0, 1) * 255, atol=0.51)  # 8 bits


def test_run_takes_a_configuration(movie: Path, tmp_path: Path) -> None:
    neurosim.retina.Retina(spikes=False, resolution=neurosim.Resolution(0.005, 20.0)).to_xml(tmp_path / "retina.xml")
    out = tmp_path / "out.h5"
    assert main(["run", "Retina", str(movie), "-o", str(out), "--config", str(tmp_path / "retina.xml"), "-q"]) == 0
    with HDF5Reader(out, "ganglion_on") as frames:
        assert (frames.units, frames.frame_rate) == ("Hz", 200.0)


def test_run_writes_only_what_is_asked_for(movie: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    assert main(["run", "Retina", str(movie), "-o", str(out), "--only", "spikes", "--only", "bipolar", *FAST]) == 0
    with h5py.File(out) as file:
        assert set(file) == {"spikes", "bipolar"}


# ---- failures -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("argv", "text"), [
    (["run", "Retinal", "MOVIE", "-o", "OUT"], r"no model is called 'Retinal'; did you mean Retina\?"),
    (["run", "Brain", "MOVIE", "-o", "OUT"], r"no model is called 'Brain'; choose from \['filters\."),
    (["run", "RF", "MOVIE", "-o", "OUT"], r"several models are called 'RF'; choose from \['filters.RF', 'models.RF'\]"),
    (["run", "TemporalLowPass", "MOVIE"], "required: -o/--output"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--dt", "0"], "at least 1 .*'0'"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--set", "tau"], "must be path=value"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--set", "tau=fast"], "must be a number .*'fast'"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--set", "tau=-1"], r"tau: must lie in \[0, inf\) s \(got -1"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--set", "tua=1"], "tua: unknown; did you mean 'tau'"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--record", "inner"], "inner: unknown"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--only", "inner"], "--only inner: is no output; choose from"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--seed", "1"], "draws no random numbers"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--config", "a.xml"], "not configured by a file"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--device", "toaster"], "'toaster' is not to be had here"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT", "--size", "4"], "size: is no option of NumpyReader"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT.txt"], r"the suffix must be one of \['\.h5'"),
    (["run", "TemporalLowPass", "MOVIE", "-o", "OUT.mkv"], "--limits: video needs"),
    (["run", "Retina", "MOVIE", "-o", "OUT.npy"], r"holds one output, the model has \['ganglion_on', 'ganglion_off'\]"),
    (["run", "Retina", "MOVIE", "-o", "OUT", "--config", "a.xml", "--steps-per-second", "3"], "leave these options out"),
    (["walk"], "invalid choice: 'walk'"),
])
def test_wrong_usage_is_one_line_and_code_2(argv: list[str], text: str, movie: Path, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    names = {"MOVIE": str(movie), "OUT": str(tmp_path / "out.h5")}
    said = fails(capsys, 2, *(names.get(arg, arg.replace("OUT", str(tmp_path / "out"))) for arg in argv))
    assert re.search(text, said) and said.startswith("neurosim")
    assert [path.name for path in tmp_path.iterdir()] == ["movie.npy"], "nothing is written"


def test_failures_are_one_line_and_code_1(movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.npy"
    said = fails(capsys, 1, "run", "TemporalLowPass", tmp_path / "no.mp4", "-o", out)
    assert "there is no file" in said
    said = fails(capsys, 1, "run", "Retina", movie, "-o", out, "--config", tmp_path / "no.xml", "--only", "opl")
    assert "no.xml: no such file" in said
    with neurosim.streams.HDF5Writer(tmp_path / "slow.h5", frame_rate=50.0) as sink:
        sink.write(np.zeros((5, 3, 3), "float32"))
    said = fails(capsys, 1, "run", "TemporalLowPass", tmp_path / "slow.h5", "-o", out)
    assert "has 50 frames per second, the model takes 1000 steps per second; give --steps-per-second 50" in said
    np.save(tmp_path / "none.npy", np.zeros((0, 3, 3)))
    assert "the input holds no frame" in fails(capsys, 1, "run", "TemporalLowPass", tmp_path / "none.npy", "-o", out)
    assert not out.exists()
    out.write_bytes(b"mine")
    assert "exists" in fails(capsys, 1, "run", "TemporalLowPass", movie, "-o", out)
    assert out.read_bytes() == b"mine"


def test_an_error_half_way_leaves_the_frames_before_it(movie: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.load(movie)
    frames[57, 3, 3] = np.nan
    np.save(movie, frames)
    for out in (tmp_path / "out.h5", tmp_path / "out.npy"):
        assert "frame 57" in fails(capsys, 1, "run", "TemporalLowPass", movie, "-o", out, "--dt", "10")
    assert np.load(tmp_path / "out.npy").shape[0] == 50
    with HDF5Reader(tmp_path / "out.h5") as written:
        assert written.length == 50
    assert main(["run", "TemporalLowPass", str(movie), "-o", str(out), "--overwrite", "--on-nan", "pass", "-q"]) == 0
    assert np.isnan(np.load(out)).sum() == 90 - 57


def test_traceback_is_shown_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "TemporalLowPass", str(tmp_path / "no.npy"), "-o", str(tmp_path / "out.npy")]
    assert main(["--traceback", *argv]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".h5", ".npy"])
def test_ctrl_c_leaves_a_whole_file(suffix: str, tmp_path: Path) -> None:
    frames = 400_000
    np.lib.format.open_memmap(tmp_path / "long.npy", "w+", np.uint8, (frames, 8, 8)).flush()
    out = tmp_path / f"out{suffix}"
    program = subprocess.Popen([sys.executable, "-m", "neurosim", "run", "TemporalLowPass", tmp_path / "long.npy", "-o",
                                out, "--dt", "20", "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while program.poll() is None and not (out.exists() and out.stat().st_size > 10_000):
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    said, errors = program.communicate(timeout=60)
    assert (program.returncode, errors.strip()) == (
        130, "neurosim: ending after the chunk at work; Ctrl-C again ends at once")
    done = int(re.search(r": (\d+) frames", said)[1])  # type: ignore[index]
    assert 0 < done < frames and done % 20 == 0
    with neurosim.streams.open_stream(out) as written:
        assert written.length == done and not written.read(done).any()


def test_a_reader_that_has_gone_is_no_crash() -> None:
    program = f"{sys.executable} -m neurosim info Retina | head -n 1"
    done = subprocess.run(program, shell=True, capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout.startswith("Retina:") and done.stderr == ""


# ---- demo -----------------------------------------------------------------------------------------------------------
def test_demo_leaves_numbers_picture_and_movie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from matplotlib.image import imread

    folder = tmp_path / "new" / "folder"
    for frames in (60, 40):  # the second time over the first result
        assert main(["demo", "-o", str(folder), "--size", "24", "--frames", str(frames), "-q"]) == 0
    said = capsys.readouterr().out
    assert all(str(folder / name) in said for name in ("demo.h5", "demo.png", "demo.mp4"))
    assert sorted(path.name for path in folder.iterdir()) == ["demo.h5", "demo.mp4", "demo.png"]
    with HDF5Reader(folder / "demo.h5", "ganglion_off") as frames_read:
        assert (frames_read.length, frames_read.frame_shape, frames_read.frame_rate) == (40, (24, 24), 200.0)
        assert frames_read.parameters["model"] == "Retina"
    with VideoReader(folder / "demo.mp4") as shown:
        assert (shown.length, shown.frame_rate) == (40, pytest.approx(25.0))
        assert np.ptp(shown.read(1)) > 200  # something is drawn
    assert imread(folder / "demo.png").shape[:2] == shown.frame_shape


def test_about_is_json(tmp_path: Path, movie: Path) -> None:
    out = tmp_path / "out.h5"
    assert main(["run", "Conv3d", str(movie), "-o", str(out), "-q"]) == 0
    with h5py.File(out) as file:
        about = json.loads(file.attrs["parameters"])
    assert about["model"] == "Conv3d" and np.shape(about["values"]["weight"]) == (1, 1, 1, 1, 1)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is in other units elsewhere")
def test_run_takes_the_memory_of_a_chunk(tmp_path: Path) -> None:
    peaks = []
    for frames in (3000, 8000):
        np.save(tmp_path / "long.npy", np.random.default_rng(0).integers(0, 255, (frames, 40, 40), dtype=np.uint8))
        program = subprocess.Popen([sys.executable, "-m", "neurosim", "run", "Retina", tmp_path / "long.npy", "-o",
                                    tmp_path / "out.h5", "--overwrite", "--record", "opl", "-q"],
                                   stdout=subprocess.DEVNULL)
        _, program.returncode, usage = os.wait4(program.pid, 0)
        assert program.returncode == 0
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 10  # MB: the outputs of 5000 frames are 96, the allocator has ways of its own
