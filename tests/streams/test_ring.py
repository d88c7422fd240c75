"""RingBuffer between threads: order, bounds, ends and errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosim
from neurosim import ParameterError, Runner, StreamError
from neurosim.streams import CallableStream, RandomStream, RingBuffer, SequenceStream, Statistics


@settings(max_examples=25)
@given(writes=st.lists(st.integers(0, 30), max_size=20), reads=st.integers(1, 9), capacity=st.integers(9, 20))
def test_every_frame_arrives_once_and_in_order(writes, reads, capacity):
    ring = RingBuffer((), capacity, np.float64)

    def write() -> None:
        done = 0
        for n in writes:
            ring.write(np.arange(float(done), float(done + n)))
            done += n
        ring.end()

    thread = threading.Thread(target=write)
    thread.start()
    chunks = list(ring.chunks(reads))
    thread.join(10)
    got = np.concatenate(chunks) if chunks else np.zeros(0)
    np.testing.assert_array_equal(got, np.arange(sum(writes)))
    assert all(len(chunk) == reads for chunk in chunks[:-1]) and ring.dropped == 0


def test_the_oldest_are_dropped_and_frames_keep_their_time():
    ring = RingBuffer((), 4, np.float64, frame_rate=10.0, on_overrun="drop_oldest")
    ring.write(np.arange(10.0))
    assert (ring.dropped, ring.waiting, ring.position, ring.time) == (6, 4, 6, 0.6)
    assert ring.read(4).tolist() == [6, 7, 8, 9]


def test_a_full_ring_may_refuse():
    ring = RingBuffer((), 4, np.float64, on_overrun="raise")
    ring.write(np.arange(3.0))
    with pytest.raises(StreamError, match="the ring is full, 3 of 4 frames wait to be read, and 2 more came"):
        ring.write(np.arange(2.0))
    assert ring.waiting == 3


@pytest.mark.parametrize("side", ["read", "write"])
def test_closing_wakes_who_waits(side):
    ring = RingBuffer((), 4, np.float64)
    said = []

    def wait() -> None:
        try:
            ring.read(4) if side == "read" else ring.write(np.zeros(9))
        except StreamError as error:
            said.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    ring.close()
    thread.join(10)
    assert not thread.is_alive() and len(said) == 1 and said[0].startswith(f"RingBuffer.{side}: the ")


def test_it_links_two_runners():
    ring, sink = RingBuffer((4, 4), 64, frame_rate=1000.0, start_time=2.0), SequenceStream()
    first, second = neurosim.filters.TemporalLowPass(tau=0.02), neurosim.filters.TemporalLowPass(tau=0.05)
    with Runner(first, RandomStream((4, 4)), ring, dt=50, max_t=333) as a, Runner(second, ring, sink, dt=20) as b:
        b.start()
        a.start().wait(30)
        assert b.wait(30).frames == 333
    x = RandomStream((4, 4)).read(333)
    wanted = second.__class__(tau=0.05).run(first.__class__(tau=0.02).run(x)).numpy()[0, 0]
    np.testing.assert_allclose(sink.sequence, wanted, rtol=1e-5, atol=1e-6)  # two filters in float32, cut elsewhere
    assert sink.sequence.dtype == np.float32


def test_an_error_passes_through():
    class Fails(neurosim.Layer):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool((x > 99).any()):
                raise ValueError("the model has failed")
            return x

    ring, kept = RingBuffer((), 64), Statistics()
    source = CallableStream(lambda number: np.float32(number), ())
    a = Runner(Fails(), SequenceStream(source.read(200)[:, None, None]), RingBuffer((1, 1), 64), dt=10)
    ring = a.outputs[0]
    b = Runner(neurosim.filters.TemporalLowPass(), ring, kept, dt=10)
    b.start()
    with pytest.raises(ValueError, match="the model has failed"):
        a.start().wait(30)
    with pytest.raises(StreamError, match=r"the writer failed \(ValueError: the model has failed\)"):
        b.wait(30)
    assert kept.count <= 100 and kept.count % 10 == 0  # whole chunks, those before it that were written


@pytest.mark.parametrize("act, error, message", [
    (lambda: RingBuffer((), 4, on_overrun="wait"), ParameterError, "on_overrun: choose from"),
    (lambda: RingBuffer((), 0), ParameterError, "capacity: must be a whole number of at least 1"),
    (lambda: RingBuffer((), 4).read(5), ParameterError, r"n: must be at most the capacity, 4 \(got 5\)"),
    (lambda: RingBuffer((), 4).write(np.zeros(2)), neurosim.InputError, "are float32, the chunk is float64"),
])
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()
    ring = RingBuffer((), 4)
    ring.end()
    with pytest.raises(StreamError, match="the ring was ended"):
        ring.write(np.zeros(1, np.float32))
