"""SequenceStream and RepeatingStream against plain slicing."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import RepeatingStream, SequenceStream

from .laws import check_closing, check_finite_source

FRAMES = np.random.default_rng(0).random((23, 2, 3))


class Lazy:
    """An object with shape and slicing and nothing else, such as zarr gives."""

    shape = FRAMES.shape

    def __getitem__(self, index: slice) -> np.ndarray:
        assert isinstance(index, slice)
        return FRAMES[index]


@pytest.mark.parametrize("sequence", [FRAMES, torch.tensor(FRAMES), Lazy()], ids=["numpy", "torch", "lazy"])
def test_a_sequence_is_read_as_it_is(sequence):
    check_finite_source(SequenceStream(sequence), FRAMES)


def test_what_is_read_cannot_change_the_sequence():
    with pytest.raises(ValueError, match="read-only"):
        SequenceStream(FRAMES).read(2)[0] = 1


@given(chunks=st.lists(st.integers(0, 30), max_size=25), kept=st.integers(1, 40), before=st.integers(0, 20))
def test_written_frames_are_the_newest_in_order(chunks, kept, before):
    everything = np.arange(float(before))
    stream = SequenceStream(everything, max_frames=kept)
    views = []
    for n in chunks:
        chunk = np.arange(float(len(everything)), float(len(everything) + n))
        stream.write(chunk)
        everything = np.concatenate([everything, chunk])
        expected = everything[-kept:] if sum(chunks[:len(views) + 1]) else everything
        views.append((stream.sequence, expected))
        assert stream.length == len(everything)
    for view, expected in views:  # also the early ones: later writes leave them as they are
        np.testing.assert_array_equal(view, expected)


def test_reading_goes_on_at_its_frame_while_old_ones_fall_out():
    stream = SequenceStream(size=(1,), max_frames=4)
    stream.write(np.arange(4.0)[:, None])
    assert stream.read(2)[:, 0].tolist() == [0, 1]
    stream.write(np.array([[4.0], [5.0]]))
    assert stream.position == 2
    assert stream.read(9)[:, 0].tolist() == [2, 3, 4, 5]
    stream.write(np.arange(6.0, 12.0)[:, None])
    with pytest.raises(StreamError, match=r"frames 6 to 7 have fallen out, only the newest 4 are kept; seek\(8\)"):
        stream.read(1)
    stream.seek(8)
    assert stream.read(9)[:, 0].tolist() == [8, 9, 10, 11]


def test_an_empty_sink_takes_its_shape_from_the_first_chunk():
    stream = SequenceStream()
    assert stream.sequence.shape == (0,)
    assert stream.read(3).shape == (0,)
    with pytest.raises(StreamError, match=r"SequenceStream.frame_shape: known after the first write"):
        _ = stream.frame_shape
    stream.write(np.ones((2, 4, 5), np.uint8))
    assert (stream.frame_shape, stream.sequence.dtype) == ((4, 5), np.uint8)


def test_a_size_is_the_shape_of_an_empty_sink():
    stream = SequenceStream(size=(10, 11))
    assert (stream.read(1).shape, stream.length) == ((0, 10, 11), 0)
    with pytest.raises(InputError, match=r"a chunk must be \(time, 10, 11\)"):
        stream.write(np.ones((1, 11, 10)))


def test_what_was_written_stays_when_the_stream_is_closed():
    stream = SequenceStream()
    stream.write(np.arange(3.0))
    check_closing(stream)
    assert stream.sequence.tolist() == [0, 1, 2]


def test_growing_moves_each_frame_a_bounded_number_of_times(monkeypatch):
    blocks = []
    empty = np.empty
    monkeypatch.setattr("neurosim.streams.memory.np.empty", lambda shape, t: blocks.append(shape[0]) or empty(shape, t))
    stream = SequenceStream(max_frames=1000)
    for _ in range(20_000):
        stream.write(np.ones((1, 2)))
    assert sum(blocks) <= 3 * 20_000
    assert max(blocks) == 2000


def test_writing_and_looking_from_two_threads():
    stream = SequenceStream(max_frames=50)
    stream.write(np.zeros(1))
    torn = []

    def look() -> None:
        while not done.is_set():
            held = stream.sequence
            torn.extend(held[1:][np.diff(held) != 1])

    done = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    for start in range(1, 3000, 3):
        stream.write(np.arange(float(start), start + 3.0))
    done.set()
    thread.join()
    assert torn == []


@pytest.mark.parametrize("make, error, message", [
    (lambda: SequenceStream([1, 2]), InputError, r"SequenceStream: needs an object with shape and slicing, .*list\)"),
    (lambda: SequenceStream(np.float64(3)), InputError, r"needs frames along a first axis \(got a single number\)"),
    (lambda: SequenceStream(torch.ones(2, requires_grad=True)), InputError, r"requires grad .* \.detach\(\) it"),
    (lambda: SequenceStream(np.ones(2), size=(1,)), ParameterError, r"size: is for an empty stream"),
    (lambda: SequenceStream(max_frames=0), ParameterError, r"max_frames: must be a whole number of at least 1"),
    (lambda: RepeatingStream(np.ones((0, 2))), InputError, r"RepeatingStream: needs at least one frame \(got none\)"),
    (lambda: SequenceStream(np.ones(2)).write(np.ones(2, int)), InputError, r"held are float64, the chunk is int64"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


@given(sizes=st.lists(st.integers(0, 60), max_size=8), start=st.integers(0, 10**12))
def test_repeating_wraps_any_number_of_times(sizes, start):
    stream = RepeatingStream(Lazy(), frame_rate=5)
    assert (stream.length, stream.frame_rate) == (None, 5)
    stream.seek(start)
    for n in sizes:
        np.testing.assert_array_equal(stream.read(n), FRAMES[np.arange(start, start + n) % len(FRAMES)])
        start += n
