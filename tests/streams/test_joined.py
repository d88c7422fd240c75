"""Signals side by side: what is read, where it ends, what is refused, and an irregular recording from two streams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, Runner
from neurosim.liquid import LTC, AutoNCP, Irregular
from neurosim.streams import CallableStream, JoinedStream, RandomStream, SequenceStream


@pytest.mark.parametrize("n", [1, 4, 50])
def test_features_stand_side_by_side_until_the_first_ends(n: int) -> None:
    a, b, c = np.random.default_rng(0).normal(size=(20, 2)), np.arange(13.0), np.ones((30, 1))
    stream = JoinedStream(SequenceStream(a), SequenceStream(b), SequenceStream(c))
    assert stream.frame_shape == (4,) and stream.length == 13 and stream.frame_rate is None
    np.testing.assert_array_equal(np.concatenate(list(stream.chunks(n))), np.column_stack([a[:13], b, c[:13]]))
    assert stream.read(3).shape == (0, 4) and stream.position == 13


def test_clock_and_live_sources() -> None:
    late = SequenceStream(np.arange(10.0), frame_rate=5.0, start_time=1.0)
    late.read(3)
    ends = CallableStream(lambda number: [number] if number < 4 else None, (1,))
    stream = JoinedStream(late, ends, RandomStream((2,)))
    assert (stream.start_time, stream.frame_rate, stream.length) == (1.6, 5.0, 7)
    assert stream.read(7)[:, :2].tolist() == [[3, 0], [4, 1], [5, 2], [6, 3]] and len(stream.read(1)) == 0
    assert JoinedStream(RandomStream((2,)), RandomStream((1,))).length is None
    with stream:
        pass
    assert late.closed and ends.closed


def test_an_irregular_recording_in_two_streams() -> None:
    rng = np.random.default_rng(0)
    x, seconds = rng.normal(size=(40, 2)).astype(np.float32), rng.exponential(size=40).astype(np.float32)
    wanted = LTC(2, AutoNCP(12, 3))(x, timespans=torch.as_tensor(seconds))
    sink = SequenceStream()
    both = JoinedStream(SequenceStream(x), SequenceStream(seconds))
    with Runner(Irregular(LTC(2, AutoNCP(12, 3))), both, sink, dt=7) as runner:
        runner.start()
        runner.wait()
    np.testing.assert_array_equal(np.asarray(sink.sequence), wanted.detach())


def test_what_does_not_fit_is_refused() -> None:
    one = SequenceStream(np.zeros((5, 2)), frame_rate=10.0)
    with pytest.raises(ParameterError, match=r"JoinedStream.sources: must be two sources or more \(got \['SequenceStream'\]\)"):
        JoinedStream(one)
    with pytest.raises(InputError, match=r"frames must be \(feature,\) or single numbers \(got \[\(2,\), \(3, 3\)\]\)"):
        JoinedStream(one, SequenceStream(np.zeros((5, 3, 3))))
    with pytest.raises(InputError, match=r"must have one rate; .* align \(got \[10.0, 20.0\] Hz\)"):
        JoinedStream(one, SequenceStream(np.zeros(5), frame_rate=20.0))
