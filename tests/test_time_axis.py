"""Time on the clock of the recording: in sources, outputs, spikes, files and runners."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import neurosim
from neurosim import InputError, Resolution, Runner
from neurosim.filters import TemporalLowPass
from neurosim.retina import GanglionSpiking
from neurosim.streams import HDF5Reader, HDF5Writer, RandomStream, SequenceStream, read_events

FRAME = 0.005
FINE = Resolution(frame=FRAME, pixels_per_degree=10.0)


def movie(n: int = 40, **options: float) -> SequenceStream:
    return SequenceStream(np.random.default_rng(0).random((n, 3, 3)), **options)


def test_a_source_tells_the_time_of_its_next_frame():
    source = movie(frame_rate=200.0, start_time=12.5)
    assert (source.start_time, source.time) == (12.5, 12.5)
    source.read(8)
    assert source.time == 12.5 + 8 / 200
    assert movie().time is None and movie().start_time == 0.0
    with pytest.raises(neurosim.ParameterError, match=r"SequenceStream.start_time: must be finite, in s \(got nan\)"):
        movie(start_time=float("nan"))


@pytest.mark.parametrize("dt", [1, 7, 40])
def test_outputs_and_their_chunks_are_on_the_clock(dt):
    source = movie(frame_rate=200.0, start_time=12.5)
    source.seek(10)
    out = TemporalLowPass(resolution=FINE).run(source, dt)
    assert out.start_time == pytest.approx(12.55, abs=1e-12) and out.times.dtype == np.float64
    np.testing.assert_allclose(out.times, 12.5 + np.arange(10, 40) / 200, rtol=0, atol=1e-12)
    source.seek(10)
    chunks = list(TemporalLowPass(resolution=FINE).stream(source, dt))
    np.testing.assert_array_equal(np.concatenate([chunk.times for chunk in chunks]), out.times)
    line = out.plot().axes[0].lines[0].get_xdata()
    np.testing.assert_allclose(line, out.times, rtol=0, atol=1e-12)
    again = TemporalLowPass(resolution=FINE).run(out)  # what another model gave has its time
    assert again.start_time == out.start_time


def test_spikes_are_on_the_clock_also_after_other_recordings():
    cells = GanglionSpiking(resolution=FINE)
    x = np.full((40, 2, 2), 80.0)
    at_zero = GanglionSpiking(resolution=FINE).run(x).spikes.times
    late = cells.run(SequenceStream(x, frame_rate=200.0, start_time=3.0), 7)
    assert len(at_zero) > 10
    torch.testing.assert_close(late.spikes.times, at_zero + 3.0, rtol=0, atol=1e-12)  # one addition
    for start in (0.0, 9.0):  # the state goes on, the clock is that of the source
        out = cells.run(SequenceStream(x, frame_rate=200.0, start_time=start), 7)
        assert start <= float(out.spikes.times.min()) and float(out.spikes.times.max()) <= start + 40 * FRAME


@pytest.mark.parametrize("drive", ["run", "stream", "Runner"])
def test_another_rate_is_refused_at_the_door_with_what_to_do(drive):
    source, layer = movie(frame_rate=30.0), TemporalLowPass()
    with pytest.raises(InputError, match=r"the source has 30 frames per second, the model takes 1000 steps "
                                         r"per second; resample it, neurosim.streams.TimedResampleStream\(source, 1000\), "
                                         r"or build the model "
                                         r"with resolution=Resolution\(frame=0.0333333"):
        if drive == "Runner":
            Runner(layer, source)
        else:
            getattr(layer, drive)(source, 5)
    assert source.position == 0
    layer.run(movie(frame_rate=1000.0 * (1 + 1e-7)), 5)


def test_files_keep_the_clock(tmp_path: Path):
    path = tmp_path / "a.h5"
    with HDF5Writer(path, frame_rate=200.0, start_time=-2.25) as sink:
        sink.write(np.zeros((3, 2)))
    with h5py.File(path) as h5:
        assert (h5["frames"].attrs["frame_rate"], h5["frames"].attrs["start_time"]) == (200.0, -2.25)
    with HDF5Reader(path) as source:
        assert (source.frame_rate, source.time) == (200.0, -2.25)
    with HDF5Writer(path, mode="a") as sink:
        assert (sink.frame_rate, sink.start_time) == (200.0, -2.25)
    with pytest.raises(neurosim.StreamError, match=r"starts at -2.25 s \(asked for 1 s\)"):
        HDF5Writer(path, mode="a", start_time=1.0)
    np.savez(tmp_path / "a.npz", frame_rate=50.0, start_time=1.5, video=np.zeros((4, 2)))
    with neurosim.streams.open_stream(tmp_path / "a.npz") as source:
        assert (source.length, source.frame_rate, source.time) == (4, 50.0, 1.5)


def test_a_runner_puts_its_files_and_spikes_on_the_clock(tmp_path: Path):
    x = np.full((60, 2, 2), 80.0)
    source = SequenceStream(x, frame_rate=200.0, start_time=5.0)
    with Runner(GanglionSpiking(resolution=FINE), source, tmp_path / "out.h5", events=tmp_path / "spikes.txt", dt=7) as runner:
        runner.start().wait(30)
    with HDF5Reader(tmp_path / "out.h5") as frames:
        assert (frames.frame_rate, frames.start_time, frames.length) == (200.0, 5.0, 60)
    units, times = read_events(tmp_path / "spikes.txt")
    wanted = GanglionSpiking(resolution=FINE).run(SequenceStream(x, frame_rate=200.0, start_time=5.0)).spikes_in_order()
    np.testing.assert_array_equal(units[np.lexsort((units, times))], wanted[0][np.lexsort(wanted)])
    np.testing.assert_array_equal(times, wanted[1])


def test_frames_that_were_dropped_do_not_shift_the_clock():
    class Times(neurosim.Layer):
        def forward(self, x):
            return x

    sink = SequenceStream()
    runner = Runner(Times(), RandomStream((2, 2), frame_rate=1000.0), sink, dt=10, max_t=100)
    seen = []
    chunk_output = runner.model._chunk_output
    runner.model.__dict__["_chunk_output"] = lambda *args: seen.append(args[2]) or chunk_output(*args)
    runner._drop_oldest = True
    with runner:
        runner.start().wait(30)
    assert seen == sorted(seen) and all(number % 10 == 0 for number in seen) and seen[-1] == 90


def test_max_t_counts_through_a_stop():
    sink = SequenceStream()
    with Runner(TemporalLowPass(), RandomStream((2, 2)), sink, dt=10, max_t=200, queue=1) as runner:
        runner.start().stop()
        while sink.length < 200:
            runner.start().wait(30)
        assert sink.length == 200


def test_a_goal_of_another_rate_is_aligned():
    layer = TemporalLowPass(tau=0.03, resolution=FINE)
    layer.set_optimizer.SGD(lr=0.0)
    x = movie(40, frame_rate=200.0)
    goal = movie(20, frame_rate=100.0, start_time=0.1)
    runner = Runner(layer, x, goal=goal, dt=10)
    with runner:
        assert runner.start().wait(30).frames == 20  # 0.1 s to 0.2 s
    assert runner.input.start_time == runner.goal.start_time == 0.1
