"""The contract of sources and sinks, with the smallest ones that a user could write."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import Sink, Source


class Ramp(Source):
    """Full-field luminance that grows by one in each frame."""

    def __init__(self, size: tuple[int, ...], length: int | None = None, seekable: bool = True) -> None:
        super().__init__(size, frame_rate=100, length=length, seekable=seekable)

    def _read(self, start: int, n: int) -> np.ndarray:
        stop = start + n if self.length is None else min(start + n, self.length)
        ramp = np.arange(start, stop, dtype=np.float32)
        return np.broadcast_to(ramp.reshape(-1, *(1,) * len(self.frame_shape)), (len(ramp), *self.frame_shape))


class Wrong(Source):
    """Gives frames of another shape than it says."""

    def _read(self, start: int, n: int) -> np.ndarray:
        return np.zeros((n, 5))


class Total(Sink):
    """Keeps the sum of all frames only."""

    total = 0.0

    def _write(self, chunk: np.ndarray) -> None:
        self.total += float(chunk.sum())


def test_a_source_keeps_the_books_for_its_read():
    with Ramp((2, 3), length=5) as ramp:
        assert (ramp.frame_shape, ramp.frame_rate, ramp.length) == ((2, 3), 100, 5)
        assert (ramp.position, ramp.closed) == (0, False)
        np.testing.assert_array_equal(ramp.read(4)[:, 1, 2], [0, 1, 2, 3])
        np.testing.assert_array_equal(ramp.read(4)[:, 0, 0], [4])
        ramp.seek(3)
        assert [len(chunk) for chunk in ramp.chunks(1)] == [1, 1]
        assert repr(ramp) == "<Ramp: 5 frames of shape (2, 3), 100 Hz, at 5>"
    assert ramp.closed


@pytest.mark.parametrize("n", [-1, 1.5, "3", None])
def test_a_number_of_frames_is_a_whole_number(n):
    ramp = Ramp((1,))
    with pytest.raises(ParameterError, match=r"Ramp.read.n: must be a whole number of at least 0"):
        ramp.read(n)
    assert ramp.position == 0


def test_seek_is_refused_where_it_cannot_work():
    with pytest.raises(ParameterError, match=r"Ramp.seek.frame: must lie in 0..5 \(got 6\)"):
        Ramp((1,), length=5).seek(6)
    with pytest.raises(StreamError, match=r"Ramp.seek: this source can only be read forward"):
        Ramp((1,), seekable=False).seek(0)


def test_a_source_that_breaks_its_word_is_told_so():
    with pytest.raises(StreamError, match=r"Wrong._read: must return at most 2 frames of shape \(4,\) .*\(2, 5\)"):
        Wrong((4,)).read(2)


@pytest.mark.parametrize("size", [(0, 3), (-1,), "ab", 5, (2.5,)])
def test_a_frame_shape_is_sizes_above_zero(size):
    with pytest.raises((ParameterError, TypeError)):
        Wrong(size)


def test_a_rate_is_positive():
    with pytest.raises(ParameterError, match=r"Wrong.frame_rate: must be finite and above 0 Hz \(got 0\)"):
        Wrong((1,), frame_rate=0)


def test_a_sink_takes_its_shape_and_type_from_the_first_chunk():
    with Total() as sink:
        assert (sink.frame_shape, sink.dtype, sink.position) == (None, None, 0)
        sink.write(np.ones((0, 9)))
        assert sink.frame_shape is None
        sink.write(torch.ones(3, 2, requires_grad=True))
        sink.write(np.ones((1, 2), np.float32))
        sink.flush()
        assert (sink.frame_shape, sink.dtype, sink.position, sink.total) == ((2,), np.float32, 4, 8.0)


@pytest.mark.parametrize("chunk, message", [
    (np.ones((2, 3), np.float32), r"Total.write: a chunk must be \(time, 2\) \(got shape \(2, 3\)\)"),
    (np.ones(2, np.float32), r"a chunk must be \(time, 2\) \(got shape \(2,\)\)"),
    (np.float32(1), r"a chunk must be \(time, 2\) \(got shape \(\)\)"),
    (np.ones((1, 2)), r"the frames of this sink are float32, the chunk is float64; convert it first"),
    (np.ones((1, 2), complex), r"data must be real numbers \(got dtype complex128\)"),
    (np.array([["a", "b"]]), r"data must be real numbers"),
    (object(), r"data must be real numbers"),
    ([[1, 2], [3]], r"data must be real numbers \(got list"),
    (torch.ones(1, 2, dtype=torch.bfloat16), r"data must be real numbers \(got Tensor"),
])
def test_a_chunk_that_does_not_fit_changes_nothing(chunk, message):
    sink = Total((2,), np.float32)
    with pytest.raises(InputError, match=message):
        sink.write(chunk)
    assert (sink.position, sink.total) == (0, 0.0)


def test_a_sink_that_is_closed_takes_nothing():
    sink = Total()
    sink.close()
    sink.close()
    for act in (lambda: sink.write(np.ones(1)), sink.flush, sink.__enter__):
        with pytest.raises(StreamError, match=r"Total\.\w+: the stream is closed"):
            act()


def test_a_sink_holds_real_numbers():
    with pytest.raises(ParameterError, match=r"Total.dtype: must be a type of real numbers"):
        Total((1,), "O")
