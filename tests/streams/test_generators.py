"""RandomStream: the same numbers however it is cut, and the distribution that it states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import ParameterError
from neurosim.streams import RandomStream

from .laws import check_closing


@given(sizes=st.lists(st.integers(0, 9), max_size=9), shape=st.sampled_from([(), (1,), (5, 3), (4, 4)]),
       seed=st.integers(0, 2**64))
def test_numbers_depend_on_seed_and_frame_alone(sizes, shape, seed):
    stream, whole = RandomStream(shape, seed=seed), RandomStream(shape, seed=seed).read(100)
    for n in sizes:
        at = stream.position
        np.testing.assert_array_equal(stream.read(n), whole[at:at + n])
    stream.seek(50)
    np.testing.assert_array_equal(stream.read(50), whole[50:])


def test_a_frame_far_away_is_found_at_once():
    stream = RandomStream((3, 3), seed=1)
    stream.seek(10**15)
    assert len(np.unique(np.concatenate([stream.read(2), RandomStream((3, 3), seed=1).read(2)]))) == 36


def test_values_come_from_philox():
    """Against numpy's own float32 numbers, which take 32 bits of Philox each, the low half of a word first."""
    expected = np.random.Generator(np.random.Philox(key=7)).random((4, 8), dtype=np.float32)
    np.testing.assert_array_equal(RandomStream((8,), seed=7).read(4), expected)


@given(mean=st.floats(-1e4, 1e4, width=32), level=st.floats(0, 1e4, width=32))
def test_the_range_is_half_open(mean, level):
    x = RandomStream((40, 50), mean, level).read(1)
    assert x.dtype == np.float32
    assert x.min() >= np.float32(mean)
    if level and np.float32(mean + level) > np.float32(mean):
        assert x.max() < np.float32(mean + level)


def test_the_distribution_is_uniform():
    x = RandomStream((100, 100), mean=2.0, level=3.0, seed=3).read(50).astype(np.float64).ravel()
    n = x.size
    assert abs(x.mean() - 3.5) < 5 * np.sqrt(9 / 12 / n)  # five standard errors
    counts = np.histogram(x, 100, (2, 5))[0]
    chi2 = ((counts - n / 100) ** 2 / (n / 100)).sum()
    assert abs(chi2 - 99) < 5 * np.sqrt(2 * 99)
    frames = x.reshape(50, -1)
    assert abs(np.corrcoef(frames[:-1].ravel(), frames[1:].ravel())[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("options, message", [
    ({"size": (0, 1)}, r"RandomStream.size: must be a whole number of at least 1 \(got 0\)"),
    ({"level": -1}, r"RandomStream.level: must be finite and at least 0 \(got -1\)"),
    ({"mean": float("nan")}, r"RandomStream.mean: must be finite"),
    ({"seed": -1}, r"RandomStream.seed: must be a whole number"),
    ({"pixel_per_degree": 0}, r"RandomStream.pixel_per_degree: must be finite and above 0 px/deg"),
])
def test_errors(options, message):
    with pytest.raises(ParameterError, match=message):
        RandomStream(**options)


def test_it_has_no_end_and_can_be_closed():
    stream = RandomStream((2,), frame_rate=10)
    assert (stream.length, stream.seekable, stream.frame_rate, stream.pixel_per_degree) == (None, True, 10, 10)
    check_closing(stream)
