"""Streams made of functions, models and several sinks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import neurosim
from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import CallableStream, ProcessingStream, RandomStream, SequenceStream, Source, Statistics, tee

from .laws import read_all


@given(sizes=st.lists(st.integers(0, 7), max_size=12), length=st.integers(0, 30))
def test_a_function_is_asked_for_each_frame_once(sizes, length):
    asked = []
    stream = CallableStream(lambda k: (asked.append(k), torch.full((2,), float(k)) if k < length else None)[1], (2,), 50.0)
    got = [stream.read(n) for n in sizes]
    assert np.concatenate([np.zeros((0, 2)), *got])[:, 0].tolist() == list(range(min(sum(sizes), length)))
    assert asked == sorted(set(asked)) and all(chunk.shape[1:] == (2,) for chunk in got)


def test_what_the_function_raises_loses_no_frame():
    fails = [True]

    def function(number: int) -> np.ndarray:
        if number == 3 and fails.pop():
            raise OSError("the cable is loose")
        return np.full((1,), number)

    stream = CallableStream(function, (1,))
    with pytest.raises(OSError, match="the cable is loose"):
        stream.read(5)
    fails.append(False)
    assert stream.position == 0 and stream.read(5)[:, 0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"CallableStream: frames must have the shape \(2,\) \(got \(3,\)\)"):
        CallableStream(lambda number: np.zeros(3), (2,)).read(1)
    with pytest.raises(ParameterError, match=r"CallableStream.function: must be callable"):
        CallableStream(3, (2,))


@pytest.mark.parametrize("n", [1, 7, 100])
def test_a_processed_stream_is_the_model_run_over_the_source(n):
    x = np.random.default_rng(0).random((60, 4, 5))
    source = SequenceStream(x, frame_rate=1000.0, start_time=1.0)
    stream = ProcessingStream(source, neurosim.filters.TemporalLowPass(), lambda c: 2 * c, lambda y: y + 1)
    assert (stream.length, stream.frame_shape, stream.frame_rate, stream.time) == (60, (4, 5), 1000.0, 1.0)
    wanted = neurosim.filters.TemporalLowPass().run(2 * x).numpy()[0, 0] + 1
    np.testing.assert_allclose(read_all(stream, n), wanted, rtol=1e-6)  # float32, cut elsewhere
    assert neurosim.filters.TemporalLowPass().run(ProcessingStream(RandomStream((2, 2)), lambda c: c), 5, max_t=9)
    with pytest.raises(StreamError, match=r"0 frames of the source must give as many \(got shape \(3,\)\)"):
        ProcessingStream(source, lambda c: np.zeros(3))


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9), offset=st.sampled_from([0.0, 1e8]))
def test_statistics_are_those_of_all_frames(sizes, offset):
    x = np.random.default_rng(1).random((sum(sizes), 2, 3)) + offset
    statistics = Statistics()
    for n, stop in zip(sizes, np.cumsum(sizes), strict=True):
        statistics.write(x[stop - n:stop])
    assert statistics.count == len(x)
    if not len(x):
        assert np.isnan(statistics.variance)
        return
    np.testing.assert_array_equal(statistics.minimum, x.min(0))
    np.testing.assert_array_equal(statistics.maximum, x.max(0))
    np.testing.assert_allclose(statistics.mean, x.mean(0), rtol=1e-14)  # a few roundings
    # at 1e8 half of the digits are left
    np.testing.assert_allclose(statistics.std, x.std(0), rtol=1e-6, atol=1e-15 * max(offset, 1))


def test_a_tee_writes_into_all_and_closes_all():
    class Stuck(SequenceStream):
        def _close(self) -> None:
            raise StreamError("no")

    sinks = [Stuck(), SequenceStream(), Statistics()]
    both = tee(*sinks)
    both.write(np.arange(4.0))
    both.flush()
    with pytest.raises(StreamError, match="no"):
        both.close()
    assert all(sink.closed and sink.position in (0, 4) for sink in sinks) and sinks[2].count == sinks[1].length == 4
    with pytest.raises(ParameterError, match=r"tee.sinks: must be one sink or more"):
        tee()


def test_streams_show_themselves_whatever_happens():
    class Broken(Source):
        def _read(self, start: int, n: int) -> np.ndarray:
            return np.zeros((n, 1))

        def __repr__(self) -> str:
            raise RuntimeError("<b>half made</b>")

    page = Broken((1,))._repr_html_()
    assert "cannot be shown" in page and "&lt;b&gt;half made" in page
    long = SequenceStream(np.zeros((2, 3)), frame_rate=5.0)
    long.path = "x" * 10**6
    page = long._repr_html_()
    assert page.startswith("<details>") and "5 Hz" in page and len(page) < 3000
