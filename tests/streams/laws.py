"""What every source promises, checked against the frames that it should give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import StreamError
from neurosim.streams import Source

sizes = st.lists(st.integers(0, 9), max_size=12)


def read_all(source: Source, n: int = 7) -> np.ndarray:
    """The rest of the source as one array."""
    chunks = list(source.chunks(n))
    return np.concatenate(chunks) if chunks else source.read(0)


def check_finite_source(source: Source, frames: np.ndarray) -> None:
    """A finite, seekable source gives `frames` however it is cut, from wherever it starts, nothing after the end."""
    assert (source.frame_shape, source.length, source.seekable) == (frames.shape[1:], len(frames), True)

    @settings(max_examples=30)  # some of these sources decode video
    @given(sizes=sizes, start=st.integers(0, len(frames)))
    def any_cut_gives_the_same_frames(sizes: list[int], start: int) -> None:
        source.seek(start)
        for n in sizes:
            at = source.position
            chunk = source.read(n)
            assert chunk.shape == (min(n, len(frames) - at), *frames.shape[1:])
            np.testing.assert_array_equal(chunk, frames[at:at + n])
            assert source.position == at + len(chunk)

    any_cut_gives_the_same_frames()
    source.seek(len(frames))
    for _ in range(2):
        assert source.read(3).shape == (0, *frames.shape[1:])
    source.seek(0)
    np.testing.assert_array_equal(read_all(source), frames)
    check_closing(source)


def check_closing(source: Source) -> None:
    """Closing twice is fine, reading and seeking afterwards are not."""
    source.close()
    source.close()
    assert source.closed
    name = type(source).__name__
    with pytest.raises(StreamError, match=rf"{name}.read: the stream is closed"):
        source.read(1)
    with pytest.raises(StreamError, match=rf"{name}.seek: the stream is closed"):
        source.seek(0)
