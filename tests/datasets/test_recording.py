"""Recordings: spikes in bins, streams on one clock, and the two that are shipped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError
from neurosim.datasets import Recording, SpikeCounts, grasshopper

g = np.random.default_rng(0)
SPIKES = np.sort(g.uniform(0.0, 1.0, 50))


@given(st.integers(1, 200), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_counts_are_a_histogram_however_they_are_read(rate: int, dt: int) -> None:
    source = SpikeCounts([SPIKES, SPIKES[:7]], rate, start_time=0.1, length=rate // 2)
    read = np.concatenate([*source.chunks(dt), np.empty((0, 2), np.float32)])
    edges = 0.1 + np.arange(rate // 2 + 1) / rate
    for unit, times in enumerate((SPIKES, SPIKES[:7])):
        np.testing.assert_array_equal(read[:, unit], np.histogram(times, edges)[0] if rate > 1 else [])


def test_a_spike_on_an_edge_belongs_to_the_bin_that_begins_there() -> None:
    times = np.arange(1, 1000) * 1e-3  # many of these are a bit off in binary
    np.testing.assert_array_equal(SpikeCounts(times, 1000.0, 1000).read(1000)[:, 0], [0] + [1] * 999)


def test_streams_have_one_clock() -> None:
    recording = Recording(np.arange(100.0), SPIKES, 100.0, start_time=0.2)
    for rate, first in ((100.0, [0.0, 1.0, 2.0]), (50.0, [0.5, 2.5, 4.5]), (200.0, [0.0, 0.0, 1.0]), (40.0, [0.8, 3.2, 5.8])):
        stimulus, counts = recording.streams(rate)
        assert stimulus.frame_rate == counts.frame_rate == rate and stimulus.start_time == counts.start_time == 0.2
        assert stimulus.length == counts.length == rate
        np.testing.assert_allclose(stimulus.read(3)[:, 0], first, rtol=1e-12)
        assert counts.read(int(rate)).sum() == (SPIKES >= 0.2).sum()
    x, y = recording.arrays()
    assert x.shape == y.shape == (100, 1)


def test_parts_are_the_whole() -> None:
    recording = Recording(g.normal(size=(100, 3, 4)), [SPIKES, SPIKES[::2]], 100.0, start_time=0.1)
    early, late = recording.split(0.33)
    for whole, a, b in zip(recording.arrays(), early.arrays(), late.arrays(), strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), whole)
    assert late.start_time == pytest.approx(0.43) and repr(late) == \
        "<Recording: 0.67 s of frames (3, 4) at 100 Hz, 2 units, " + f"{sum(map(len, late.spike_times))} spikes>"


@pytest.mark.parametrize(("number", "spikes", "first", "last"), [(1, 929, 0.0067, 9.9993), (2, 868, 0.0073, 9.9776)])
def test_the_recordings_that_are_shipped(number: int, spikes: int, first: float, last: float) -> None:
    recording = grasshopper(number)
    (times,) = recording.spike_times
    assert (len(times), times[0], times[-1]) == (spikes, pytest.approx(first), pytest.approx(last))
    assert recording.stimulus.shape == (20000,) and recording.frame_rate == 2000.0
    assert 0.0158 < recording.stimulus.min() and recording.stimulus.max() <= 1.0
    assert "BSD" in recording.licence and "nitime" in recording.source
    assert recording.counts(0.001).sum() == spikes


def test_trials_are_cut_out_and_go_with_their_start() -> None:
    recording = Recording(np.zeros(100), [SPIKES, SPIKES[::2]], 100.0, unit_ids=(7, 3),
                          trials=[(0.1, 0.3), (0.3, 0.5), (0.7, 0.9)])
    for start, times in zip((0.1, 0.3, 0.7), recording.by_trial(1), strict=True):
        np.testing.assert_allclose(times + start, [t for t in SPIKES[::2] if start <= t < start + 0.2])
    early, late = recording.split(0.35)
    assert (len(early.trials), len(late.trials), late.unit_ids) == (2, 1, (7, 3))
    level = recording.map(lambda x: np.stack([x, x + 1], 1))
    assert level.stimulus.shape == (100, 2) and len(level.trials) == 3 and level.unit_ids == (7, 3)
    np.testing.assert_array_equal(level.counts(0.01), recording.counts(0.01))
    with pytest.raises(InputError, match=r"Recording\.map: the function must keep the 100 frames"):
        recording.map(lambda x: x[1:])
    with pytest.raises(InputError, match=r"Recording\.trials: must be starts and later stops"):
        Recording(np.zeros(5), [0.1], 100.0, trials=[(0.2, 0.1)])
    with pytest.raises(ParameterError, match=r"Recording\.unit_ids: must be 2 different numbers"):
        Recording(np.zeros(5), [[0.1], [0.2]], 100.0, unit_ids=(1, 1))


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(InputError, match=r"Recording\.stimulus: must be finite frames"):
        Recording(np.array([np.nan]), [0.1], 100.0)
    with pytest.raises(InputError, match=r"Recording\.spike_times: must be finite times"):
        Recording(np.zeros(5), [np.inf], 100.0)
    with pytest.raises(ParameterError, match=r"Recording\.frame_rate"):
        Recording(np.zeros(5), [0.1], -1.0)
    with pytest.raises(ParameterError, match=r"Recording\.split\.seconds: must lie inside the recording of 0\.05 s"):
        Recording(np.zeros(5), [0.1], 100.0).split(1.0)
    with pytest.raises(ParameterError, match=r"grasshopper\.number: choose from \[1, 2\] \(got 3\)"):
        grasshopper(3)
    with pytest.raises(ValueError, match="read-only"):
        grasshopper(1).stimulus[0] = 0.0


def test_spikes_outside_the_stimulus_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "neurosim"):
        some = Recording(np.zeros(100), [-0.5, 0.5, 2.0], frame_rate=100.0)
        assert not caplog.records
        assert repr(some).endswith("3 spikes, 1 of them within>") and some.counts(0.01).sum() == 1
        Recording(np.zeros(100), [500.0, 700.0], frame_rate=100.0)  # milliseconds
    assert "none of the 2 spikes, from 500 to 700 s, lies within the stimulus, from 0 to 1 s" in caplog.text
