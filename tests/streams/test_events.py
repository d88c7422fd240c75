"""Events in text and HDF5."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import EventTextWriter, HDF5EventWriter, open_events, read_events

events = st.lists(st.tuples(st.integers(0, 2**40), st.floats(-1e9, 1e9)), max_size=9)


@pytest.mark.parametrize("name", ["a.txt", "a.spk", "a.h5"])
def test_events_come_back_bit_for_bit(tmp_path, name):
    @given(parts=st.lists(events, max_size=5))
    def any_events(parts: list[list[tuple[int, float]]]) -> None:
        with open_events(tmp_path / name, mode="w") as sink:
            sink.write([], [])
            for part in parts:
                sink.write([unit for unit, _ in part] or np.zeros(0, int), [time for _, time in part])
            sink.flush()
            assert sink.position == sum(map(len, parts))
        if not sink.position and name != "a.h5":
            with pytest.raises(StreamError, match="is empty"):
                read_events(tmp_path / name)
            return
        units, times = read_events(tmp_path / name)
        assert list(zip(units.tolist(), times.tolist(), strict=True)) == [one for part in parts for one in part]
        assert (units.dtype, times.dtype) == (np.int64, np.float64)

    any_events()


@pytest.mark.parametrize("kind", [EventTextWriter, HDF5EventWriter])
def test_files_are_appended_to_or_refused(tmp_path, kind):
    path = tmp_path / "spikes"
    for mode, time in (("x", 0.5), ("a", 0.75)):
        with kind(path, mode=mode) as sink:
            sink.write([3], [time])
            for wrong, message in (([1.5], "must be whole numbers"), ([1, 2], "one unit and one time for each")):
                with pytest.raises(InputError, match=message):
                    sink.write(wrong, [0.1])
            with pytest.raises(InputError, match="times must be finite"):
                sink.write([1], [np.inf])
        with pytest.raises(StreamError, match="write: the stream is closed"):
            sink.write([1], [0.1])
    assert read_events(path)[1].tolist() == [0.5, 0.75]
    with pytest.raises(StreamError, match="exists"):
        kind(path)


def test_errors(tmp_path):
    (tmp_path / "a.txt").write_text("1 0.5\n2 x\n")
    with pytest.raises(StreamError, match=r"line 2 of .*a.txt is not a unit and a time \('2 x'\)"):
        read_events(tmp_path / "a.txt")
    with pytest.raises(ParameterError, match=r"open_events.path: the suffix must be one of"):
        open_events(tmp_path / "a.csv")
