"""NWB files, as pynwb writes them and as they may come."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import neurosim
from neurosim import StreamError
from neurosim.streams import NWBReader, open_stream, read_nwb_units

from .laws import check_finite_source

MOVIE = np.random.default_rng(0).integers(0, 256, (20, 4, 5)).astype(np.uint8)
VOLTAGE = np.random.default_rng(1).integers(-9, 9, (30, 2)).astype(np.int16)
IRREGULAR = np.array([0.0, 0.1, 0.15, 0.4, 0.9])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file by pynwb, which is what others write with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of pynwb are its own affair
        return written(tmp_path_factory)


def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    import pynwb

    file = tmp_path_factory.mktemp("nwb") / "session.nwb"
    nwb = pynwb.NWBFile("a test", "id", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
    nwb.add_acquisition(pynwb.TimeSeries("voltage", data=VOLTAGE, unit="volts", rate=250.0, starting_time=1.5,
                                           conversion=0.001))
    nwb.add_stimulus(pynwb.image.ImageSeries("movie", data=MOVIE, unit="a.u.", timestamps=3.0 + np.arange(20) / 50))
    nwb.add_acquisition(pynwb.TimeSeries("eye", data=np.arange(5.0), unit="deg", timestamps=IRREGULAR))
    for times in ([0.1, 0.4], [], [0.2]):
        nwb.add_unit(spike_times=np.array(times, float))
    with pynwb.NWBHDF5IO(file, "w") as io:
        io.write(nwb)
    return file


def test_series_are_read_on_the_clock_of_the_session(path):
    with open_stream(path, name="voltage") as source:
        assert (type(source), source.frame_rate, source.time, source.units) == (NWBReader, 250.0, 1.5, "volts")
        np.testing.assert_allclose(source.read(99), VOLTAGE * 0.001, rtol=1e-6)  # float32
    check_finite_source(NWBReader(path, "acquisition/voltage", raw=True), VOLTAGE)
    movie = NWBReader(path, "movie")
    assert (movie.frame_rate, movie.start_time) == (pytest.approx(50.0, rel=1e-12), 3.0)
    check_finite_source(movie, MOVIE)
    layer = neurosim.filters.TemporalLowPass(resolution=neurosim.Resolution(0.02, 10.0))
    with NWBReader(path, "movie") as movie:
        assert layer.run(movie, 7).start_time == 3.0


def test_irregular_time_stamps_are_resampled_only_when_asked(path):
    with pytest.raises(StreamError, match=r"'acquisition/eye' .* irregular time stamps; frame_rate=<Hz> resamples it"):
        NWBReader(path, "eye")
    instants = np.arange(19) * 0.05
    wanted = np.array([np.flatnonzero(t + 1e-9 >= IRREGULAR)[-1] for t in instants], float)
    check_finite_source(NWBReader(path, "eye", frame_rate=20.0), wanted)


def test_units_are_read_without_pynwb(path):
    units, times = read_nwb_units(path)
    assert (units.tolist(), times.tolist()) == ([0, 0, 2], [0.1, 0.4, 0.2])


def test_what_is_not_there_is_said(path, tmp_path):
    with pytest.raises(StreamError, match=r"has no such series \(asked for 'x', it has \['acquisition/eye', 'acq"):
        NWBReader(path, "x")
    with pytest.raises(StreamError, match="has several, name one by its path"):
        NWBReader(path)
    with pytest.raises(StreamError, match=r"has the rate 250 Hz \(asked for 100\); use TimedResampleStream\(source, 100\)"):
        NWBReader(path, "voltage", frame_rate=100.0)
    with h5py.File(tmp_path / "a.nwb", "w") as h5:
        h5["units/id"] = [0, 1]
    with pytest.raises(StreamError, match=r"it lacks \['spike_times', 'spike_times_index'\] in 'units'"):
        read_nwb_units(tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb", "a") as h5:
        h5["units/spike_times"], h5["units/spike_times_index"] = [0.1], [1, 3]
    with pytest.raises(StreamError, match=r"do not fit their spike times \(2 units, 1 spikes\)"):
        read_nwb_units(tmp_path / "a.nwb")
