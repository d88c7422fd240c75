"""TimedResampleStream and align against interpolation by scipy and numpy, and the slow definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError
from neurosim.streams import RandomStream, SequenceStream, Source, TimedResampleStream, align

from .laws import check_finite_source, read_all

FRAMES = np.random.default_rng(0).random((23, 2, 3))
METHODS = ["hold", "nearest", "linear", "area"]


class Forward(Source):
    """Can only be read forward, does not say its length, and refuses to give much at once."""

    def __init__(self, frames: np.ndarray, rate: float) -> None:
        super().__init__(frames.shape[1:], frame_rate=rate)
        self.frames = frames

    def _read(self, start: int, n: int) -> np.ndarray:
        assert n < 1100
        return self.frames[start:start + n]


def slow(frames: np.ndarray, source: Fraction, rate: Fraction, method: str) -> np.ndarray:
    """The definition, one frame after the other."""
    out, k = [], 0
    while (place := k * source / rate) < len(frames):
        if method == "hold":
            out.append(frames[int(place)])
        elif method == "nearest":
            out.append(frames[min(int(place + Fraction(1, 2)), len(frames) - 1)])
        elif method == "linear":
            out.append([np.interp(float(place), np.arange(len(frames)), pixel) for pixel in frames.reshape(len(frames), -1).T])
        else:
            total, mean = Fraction(0), np.zeros(frames.shape[1:])
            for i, frame in enumerate(frames):
                share = max(Fraction(0), min(i + 1, place + source / rate) - max(Fraction(i), place))
                total, mean = total + share, mean + float(share) * frame
            out.append(mean / float(total))
        k += 1
    return np.array(out).reshape(-1, *frames.shape[1:])


@settings(max_examples=40)
@given(source=st.sampled_from([1, 24, 30, 29.97, 1000, 7.5]), rate=st.sampled_from([1, 30, 60, 100, 999, 11.25]),
       method=st.sampled_from(METHODS))
def test_frames_are_those_of_the_definition(source, rate, method):
    if rate > 20 * source:
        rate = 20 * source
    wanted = slow(FRAMES, *(Fraction(x).limit_denominator(10**6) for x in (source, rate)), method)
    for given_as in (SequenceStream(FRAMES, frame_rate=source), Forward(FRAMES, source)):
        out = read_all(TimedResampleStream(given_as, rate, method))
        np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-12)  # weights are rounded to float64


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [13.0, 50.0, 170.0])
def test_it_keeps_the_laws_of_a_source(method, rate):
    whole = TimedResampleStream(SequenceStream(FRAMES, frame_rate=50), rate, method).read(1000)
    check_finite_source(TimedResampleStream(SequenceStream(FRAMES, frame_rate=50), rate, method), whole)


def test_rounding_does_not_add_up():
    slow_clock = TimedResampleStream(RandomStream((1,), frame_rate=30000 / 1001), 1000.0)
    slow_clock.seek(1001 * 10**7)
    reference = RandomStream((1,), frame_rate=30)
    reference.seek(30 * 10**7)
    assert slow_clock.read(1)[0] == reference.read(1)[0]
    assert slow_clock.time == pytest.approx(1.001e7 + 0.001, abs=1e-6)


def test_memory_does_not_grow():
    stream = TimedResampleStream(Forward(np.zeros((5000, 1)), 1000.0), 10.0, "area")
    for _ in range(10):
        stream.read(5)
        assert len(stream._kept) <= 600
    assert len(read_all(stream)) == 0


def test_numbers_keep_their_type_where_they_are_not_mixed():
    grey = SequenceStream(np.arange(4, dtype=np.uint8), frame_rate=1)
    assert TimedResampleStream(grey, 2).read(3).dtype == np.uint8
    grey.seek(0)
    assert TimedResampleStream(grey, 2, "linear").read(8).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]


def test_streams_are_aligned_by_time():
    """One quantity seen by two devices: linear in time, so that linear interpolation is exact."""
    a = SequenceStream(5.0 + np.arange(100) / 25, frame_rate=25, start_time=5.0)
    b = SequenceStream(6.3 + np.arange(900) / 400, frame_rate=400, start_time=6.3)
    x, y = align(a, b, frame_rate=100, method="linear")
    assert x.start_time == y.start_time == 6.3 and x.length == y.length == 225
    np.testing.assert_allclose(x.read(225), 6.3 + np.arange(225) / 100, rtol=0, atol=1e-9)
    np.testing.assert_allclose(y.read(225), 6.3 + np.arange(225) / 100, rtol=0, atol=1e-9)


def test_the_same_rate_is_passed_on_as_it_is():
    x, y = align(SequenceStream(FRAMES, frame_rate=50), SequenceStream(FRAMES[5:], frame_rate=50, start_time=0.1))
    np.testing.assert_array_equal(x.read(99), FRAMES[5:])
    np.testing.assert_array_equal(y.read(99), FRAMES[5:])
    assert align(RandomStream((1,), frame_rate=5), RandomStream((1,), frame_rate=9))[1].length is None


@pytest.mark.parametrize("make, error, message", [
    (lambda: TimedResampleStream(SequenceStream(FRAMES), 5), InputError, "needs a source that knows its frame rate"),
    (lambda: TimedResampleStream(SequenceStream(FRAMES, frame_rate=1), 5, "cubic"), ParameterError, "choose from"),
    (lambda: TimedResampleStream(SequenceStream(FRAMES, frame_rate=1), 5, start_time=-1), ParameterError,
     r"start_time: must not be before the source, which is at 0 s \(got -1\)"),
    (lambda: align(SequenceStream(FRAMES)), InputError, r"align: every source has to know its frame rate \(number 0"),
    (lambda: align(SequenceStream(FRAMES, frame_rate=23), SequenceStream(FRAMES, frame_rate=1, start_time=2)), InputError,
     "no time in common, one starts at 2 s, one ends at 1 s"),
    (lambda: align(), InputError, "at least one source"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
