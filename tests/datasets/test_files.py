"""Recordings in files: round trips, files of other programs, streams larger than memory, NWB that pynwb validates."""

from __future__ import annotations

import datetime
import tracemalloc
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import neurosim
from neurosim import InputError, ParameterError, StreamError, datasets
from neurosim.analysis import STA
from neurosim.datasets import Recording, Series, write_nwb
from neurosim.streams import HDF5File, NWBReader, RandomStream, SequenceStream

rng = np.random.default_rng(0)
SPIKES = [np.sort(rng.uniform(1.5, 3.0, n)) for n in (30, 0, 11)]
RECORDING = Recording(rng.integers(0, 255, (150, 4, 5)).astype(np.uint8), SPIKES, 100.0, 1.5, "a source", "a licence",
                      unit_ids=(4, 2, 9), trials=[(1.5, 2.0), (2.0, 3.0)])


def same(a: Recording, b: Recording) -> None:
    """Asserts that two recordings are one."""
    np.testing.assert_array_equal(a.stimulus, b.stimulus)
    assert a.stimulus.dtype == b.stimulus.dtype
    for x, y in zip(a.spike_times, b.spike_times, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.trials, b.trials)
    assert (a.frame_rate, a.start_time, a.source, a.licence, a.unit_ids) == (
        b.frame_rate, b.start_time, b.source, b.licence, b.unit_ids)


def validated(path: Path) -> None:
    """Asserts that pynwb finds no fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynwb

        assert list(pynwb.validate(path=str(path))) == []


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".nwb"])
def test_what_is_saved_is_opened_again(tmp_path: Path, suffix: str) -> None:
    for number, one in enumerate([RECORDING, Recording(np.arange(5.0), [[0.01, 0.3]], 2.0),
                                  Recording(rng.normal(size=(20, 3)), [0.5], 30.0, licence="free")]):
        path = tmp_path / f"{number}{suffix}"
        datasets.save(one, path)
        back = datasets.open(path)
        same(back, one if suffix != ".nwb" or one.source else Recording(
            one.stimulus, one.spike_times, one.frame_rate, one.start_time, "written by neurosim", one.licence))
        if suffix == ".nwb":
            validated(path)
        with pytest.raises(StreamError, match="exists"):
            datasets.save(one, path)
        datasets.save(one, path, mode="w")


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".nwb"])
def test_streams_are_what_is_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cell{suffix}"
    datasets.save(RECORDING, path)
    stimulus, counts = datasets.stream(path, units=[9, 4])
    with stimulus:
        assert stimulus.start_time == counts.start_time == 1.5 and stimulus.length == counts.length == 150
        np.testing.assert_array_equal(stimulus.read(200), RECORDING.stimulus)
        np.testing.assert_array_equal(counts.read(200), RECORDING.arrays()[1][:, [2, 0]])
    slow = datasets.open(path, frame_rate=50.0)
    x, y = RECORDING.arrays(50.0)
    np.testing.assert_allclose(slow.stimulus, x, rtol=1e-6)
    np.testing.assert_array_equal(slow.arrays()[1], y)
    with pytest.raises(ParameterError, match=r"datasets\.open\.units: .* has the units \[4, 2, 9\] \(got 5\)"):
        datasets.open(path, units=[5])


def test_a_file_without_a_rate_is_told_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "cell.npz", movie=np.zeros((30, 2, 2)), spike_times=[0.1, 0.2, 0.9])
    with h5py.File(tmp_path / "cell.h5", "w") as file:
        file["movie"], file["spike_times"] = np.zeros((30, 2, 2)), [0.1, 0.2, 0.9]
    for name in ("cell.npz", "cell.h5"):
        with pytest.raises(StreamError, match="does not say the rate of its stimulus; give frame_rate=<Hz>"):
            datasets.open(tmp_path / name, "movie")
        found = datasets.open(tmp_path / name, "movie", frame_rate=10.0)
        assert found.frame_rate == 10.0 and found.counts(0.1)[:, 0].sum() == 3 and len(found.stimulus) == 30
        with pytest.raises(StreamError, match="stimulus"):
            datasets.open(tmp_path / name)


def test_what_a_run_wrote_is_a_recording(tmp_path: Path) -> None:
    with HDF5File(tmp_path / "run.h5") as file:
        frames, events = file.dataset("retina", frame_rate=100.0), file.events("spikes")
        frames.write(np.ones((50, 2, 2)))
        events.write([1, 0, 1], [0.1, 0.2, 0.4])
    found = datasets.open(tmp_path / "run.h5", "retina")
    assert [times.tolist() for times in found.spike_times] == [[0.2], [0.1, 0.4]]


def test_the_output_of_a_run_is_saved_with_its_stimulus(tmp_path: Path) -> None:
    retina = neurosim.retina.Retina(seed=1, resolution=neurosim.Resolution(0.005, 20.0))
    movie = SequenceStream(255 * rng.random((60, 6, 7)), frame_rate=200.0, start_time=2.5)
    out = retina.run(movie, 20, record=["bipolar"])
    movie.seek(0)
    out.save_nwb(tmp_path / "run.nwb", stimulus=movie, units={"bipolar": "mV"}, description="a retina")
    validated(tmp_path / "run.nwb")
    with NWBReader(tmp_path / "run.nwb", "bipolar") as bipolar:
        assert (bipolar.units, bipolar.frame_rate, bipolar.start_time) == ("mV", 200.0, 2.5)
        np.testing.assert_array_equal(bipolar.read(99), out["bipolar"][0, 0])
    found = datasets.open(tmp_path / "run.nwb")
    np.testing.assert_allclose(found.stimulus, movie.sequence)
    assert len(found.spike_times) == 2 * 42 and found.source == "a retina"
    for unit in (0, 5, 42, 83):
        np.testing.assert_array_equal(found.spike_times[unit], out.spikes.times[out.spikes.units == unit])
    signal = neurosim.filters.TemporalLowPass(axes=neurosim._axes.SIGNAL).run(np.ones((30, 3)))
    signal.save_nwb(tmp_path / "signal.nwb")
    validated(tmp_path / "signal.nwb")
    batch = neurosim.filters.TemporalLowPass().run(np.ones((2, 1, 5, 3, 3)))
    with pytest.raises(InputError, match="takes one recording, the output has a batch of 2"):
        batch.save_nwb(tmp_path / "batch.nwb")


def test_files_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "other.nwb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynwb

        nwb = pynwb.NWBFile("a session", "id", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
        nwb.add_acquisition(pynwb.TimeSeries("voltage", data=np.zeros(90), unit="V", rate=30.0))
        nwb.add_stimulus(pynwb.image.ImageSeries("movie", data=RECORDING.stimulus, unit="a.u.", rate=60.0, starting_time=2.0))
        nwb.add_acquisition(pynwb.TimeSeries("eye", data=np.arange(4.0), unit="deg", timestamps=[0.0, 0.1, 0.3, 0.35]))
        for times in ([0.1, 2.01], [], [2.4]):
            nwb.add_unit(spike_times=np.array(times, float))
        nwb.add_trial(start_time=2.0, stop_time=3.0)
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(nwb)
    found = datasets.open(path)  # what was presented is the stimulus
    np.testing.assert_array_equal(found.stimulus, RECORDING.stimulus)
    assert (found.start_time, found.frame_rate, found.source, found.trials.tolist()) == (2.0, 60.0, "a session", [[2.0, 3.0]])
    assert [times.tolist() for times in found.spike_times] == [[0.1, 2.01], [], [2.4]], "a silent unit is a unit"
    assert datasets.open(path, "voltage").stimulus.shape == (90,)
    assert datasets.open(path, "eye", frame_rate=20.0).stimulus.tolist() == [0, 0, 1, 1, 1, 1, 2, 3]
    elsewhere = SequenceStream(np.ones((12, 2)), frame_rate=4.0, start_time=0.0)
    given = datasets.open(path, elsewhere)
    assert given.frame_rate == 4.0 and given.counts(0.25)[:, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    path.rename(tmp_path / "other.h5")
    same(datasets.open(tmp_path / "other.h5"), found)


def test_a_file_with_spikes_alone_says_what_to_do(tmp_path: Path) -> None:
    write_nwb(tmp_path / "spikes.nwb", spike_times=SPIKES)
    with pytest.raises(StreamError, match="holds no stimulus; give one, stimulus=<source>"):
        datasets.open(tmp_path / "spikes.nwb")
    movie = SequenceStream(np.zeros((30, 2, 2)), frame_rate=10.0)
    assert datasets.open(tmp_path / "spikes.nwb", movie).counts(1.0).sum() == 41


def test_long_files_take_the_memory_of_a_chunk(tmp_path: Path) -> None:
    def peak(frames: int, name: str) -> tuple[int, int]:
        noise = RandomStream((64, 64), seed=1, frame_rate=100.0)
        tracemalloc.start()
        with HDF5File(tmp_path / f"{name}.h5") as file:
            movie = file.dataset("stimulus", frame_rate=100.0, compression=None)
            times, ends = file.dataset("spike_times"), file.dataset("spike_times_index")
            for _ in range(frames // 500):
                movie.write(noise.read(500))
            times.write(np.arange(0.5, frames / 100, 0.5))
            ends.write(np.array([len(np.arange(0.5, frames / 100, 0.5))]))
        stimulus, counts = datasets.stream(tmp_path / f"{name}.h5")
        with stimulus:
            assert STA(3).over(stimulus, counts).frames == frames - 2
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        stimulus, _ = datasets.stream(tmp_path / f"{name}.h5")
        with stimulus:
            write_nwb(tmp_path / f"{name}.nwb", stimulus={"movie": Series(stimulus)}, spike_times=[np.array([0.1])])
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return read, written

    peak(500, "first")  # what is compiled and imported
    short, long = peak(2500, "short"), peak(5000, "long")
    assert long[0] < 1.1 * short[0] and long[1] < 1.1 * short[1]
    with NWBReader(tmp_path / "long.nwb", "movie") as movie:
        movie.seek(4990)
        noise = RandomStream((64, 64), seed=1)
        noise.seek(4990)
        np.testing.assert_array_equal(movie.read(10), noise.read(10))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "no.npz", stimulus=np.zeros(5), frame_rate=1.0)
    with pytest.raises(StreamError, match=r"holds no array 'spike_times' \(it has \['stimulus', 'frame_rate'\]\)"):
        datasets.open(tmp_path / "no.npz")
    np.savez(tmp_path / "ends.npz", stimulus=np.zeros(5), frame_rate=1.0, spike_times=[0.1, 0.2], spike_times_index=[1, 3])
    with pytest.raises(StreamError, match="spike_times_index must say where the 2 spike times"):
        datasets.open(tmp_path / "ends.npz")
    np.savez(tmp_path / "ids.npz", stimulus=np.zeros(5), frame_rate=1.0, spike_times=[0.1], unit_ids=[1, 2])
    with pytest.raises(StreamError, match="there are 1 units and 2 ids of units"):
        datasets.open(tmp_path / "ids.npz")
    (tmp_path / "text.h5").write_text("no file of this kind")
    with pytest.raises(StreamError, match="it is not HDF5, or damaged"):
        datasets.open(tmp_path / "text.h5")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "ends.npz").read_bytes()[:300])
    with pytest.raises(StreamError, match="is damaged"):
        datasets.open(tmp_path / "cut.npz")
    with pytest.raises(ParameterError, match=r"datasets\.save\.path: the suffix must be one of"):
        datasets.save(RECORDING, tmp_path / "x.csv")
    with pytest.raises(InputError, match="the series 'noise' must have an end and know its rate"):
        write_nwb(tmp_path / "x.nwb", stimulus={"noise": Series(RandomStream((2, 2), frame_rate=1.0))})
    with pytest.raises(ParameterError, match=r"write_nwb\.began: must know its time zone"):
        write_nwb(tmp_path / "x.nwb", began=datetime.datetime(2024, 1, 1))
    assert not list(tmp_path.glob("*x.nwb*")), "nothing half written is left"


def test_a_model_is_fitted_to_streams_of_a_file(tmp_path: Path) -> None:
    recording, _ = datasets.grasshopper(1).split(3.0)
    datasets.save(recording, tmp_path / "cell.h5")
    stimulus, counts = datasets.stream(tmp_path / "cell.h5")
    with stimulus:
        model = neurosim.models.GLM(12, history=0, resolution=neurosim.Resolution(1 / 2000, 10.0)).start(stimulus, counts)
        assert stimulus.position == counts.position == 0
        history = model.fit(stimulus, counts, epochs=6, dt=1000, loss_fn="poisson")
    assert history.loss[-1] < history.loss[0] - 0.01
    assert float(model.offset) == pytest.approx(recording.stimulus.mean(), rel=1e-5)
