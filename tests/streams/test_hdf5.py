"""HDF5 in and out: against plain h5py, from a second process while writing, and after a kill."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import HDF5File, HDF5Reader, HDF5Writer, read_events

from .laws import check_finite_source, read_all

FRAMES = np.random.default_rng(0).random((23, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
@settings(max_examples=25)  # each opens a file twice
@given(sizes=st.lists(st.integers(0, 12), min_size=1, max_size=12), again=st.integers(0, 12), block=st.integers(1, 9))
def test_what_is_written_is_what_h5py_reads(tmp_path_factory, compression, sizes, again, block):
    path = tmp_path_factory.mktemp("h5") / "a.h5"
    frames = np.random.default_rng(1).random((sum(sizes), 2, 3))
    at = 0
    for part in (sizes[:again], sizes[again:]):  # the second one appends
        with HDF5Writer(path, mode="a", compression=compression, block=block) as sink:
            for n in part:
                sink.write(frames[at:at + n])
                at += n
                assert sink.position == at
    if at:
        with h5py.File(path) as h5:
            np.testing.assert_array_equal(h5["frames"][:], frames)
            assert (h5["frames"].chunks, h5["frames"].compression) == ((block, 2, 3), compression)


def test_reading_obeys_the_laws(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_dataset("deep/movie", data=FRAMES.astype(">i2"))
    with HDF5Reader(tmp_path / "a.h5", frame_rate=20) as source:
        assert (source.dataset, source.frame_rate, source.units, source.parameters) == ("deep/movie", 20, None, None)
        check_finite_source(source, FRAMES.astype(np.int16))


def test_attributes_come_back(tmp_path):
    parameters = {"sigma": np.float32(0.5), "w": torch.ones(2), "name": "ä" * 70_000, "path": tmp_path, "none": None}
    with HDF5Writer(tmp_path / "a.h5", "opl", frame_rate=200, units="µV", parameters=parameters) as sink:
        sink.write(FRAMES)
    with HDF5Reader(tmp_path / "a.h5") as source:
        assert (source.frame_rate, source.units) == (200, "µV")
        assert source.parameters == {**parameters, "sigma": 0.5, "w": [1, 1], "path": str(tmp_path)}
    with h5py.File(tmp_path / "a.h5") as h5:  # text of variable length hangs readers of damaged files
        assert h5py.check_string_dtype(h5["opl"].attrs.get_id("units").dtype).length == 3


def test_several_datasets_and_events_in_one_file(tmp_path):
    with HDF5File(tmp_path / "a.h5", parameters={"seed": 1}) as file:
        opl, events = file.dataset("opl", frame_rate=100), file.events("spikes")
        signal = file.dataset("gang/input", frame_shape=(4,), dtype="f8", units="V")
        for start in range(0, 20, 7):
            chunk = FRAMES[start:start + 7]
            opl.write(chunk)
            signal.write(np.full((len(chunk), 4), float(start)))
            events.write([start, 3], torch.tensor([start / 100, 0.5], dtype=torch.float64))
        events.write([], [])
        assert (opl.position, signal.position, events.position) == (21, 21, 6)
    with HDF5Reader(tmp_path / "a.h5", "opl") as source:
        np.testing.assert_array_equal(read_all(source), FRAMES[:21])
    with HDF5Reader(tmp_path / "a.h5", "gang/input") as source:
        assert (source.units, source.length, source.parameters) == ("V", 21, {"seed": 1})
    units, times = read_events(tmp_path / "a.h5")
    assert (units.tolist(), times.tolist()) == ([0, 3, 7, 3, 14, 3], [0.0, 0.5, 0.07, 0.5, 0.14, 0.5])
    with HDF5File(tmp_path / "a.h5", "a") as file:
        file.events("spikes").write([9], [1.0])
    assert read_events(tmp_path / "a.h5")[0][-1] == 9


FOLLOW = """
import sys, time
import numpy as np
from neurosim.streams import HDF5Reader, read_events
with HDF5Reader(sys.argv[1], "opl") as source:
    print("open", source.length, flush=True)
    seen = 0
    while seen < int(sys.argv[2]):
        source.refresh()
        for chunk in source.chunks(6):
            assert (chunk == np.arange(seen, seen + len(chunk))[:, None]).all()
            seen += len(chunk)
        time.sleep(0.01)
    print(seen, len(read_events(sys.argv[1])[0]), flush=True)
"""


@pytest.mark.parametrize("compression", ["gzip", None])
def test_a_second_process_follows_while_it_is_written(tmp_path, compression):
    path = tmp_path / "a.h5"
    with HDF5File(path) as file:
        sink, events = file.dataset("opl", compression=compression, block=4), file.events("spikes")
        sink.write(np.arange(6.0)[:, None])
        events.write([1], [0.0])
        until = 44 if compression else 46  # complete blocks only
        reader = subprocess.Popen([sys.executable, "-c", FOLLOW, str(path), str(until)], stdout=subprocess.PIPE, text=True)
        assert reader.stdout.readline() == ("open 4\n" if compression else "open 6\n")
        for start in range(6, 46, 5):
            sink.write(np.arange(start, start + 5.0)[:, None])
            events.write([2], [1.0])
        out, _ = reader.communicate(timeout=60)  # it ends while the file is still open here
    seen, spikes = map(int, out.split())
    assert (seen, spikes) == (until, 9)
    assert reader.returncode == 0


KILLED = """
import os, sys
import numpy as np
from neurosim.streams import HDF5File
file = HDF5File(sys.argv[1])
sink, events = file.dataset("opl", block=4), file.events("spikes")
for start in range(0, 50, 5):
    sink.write(np.arange(start, start + 5.0)[:, None])
    events.write([start], [float(start)])
os._exit(9)
"""


def test_a_killed_writer_leaves_its_complete_blocks(tmp_path):
    path = tmp_path / "a.h5"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    with HDF5Reader(path, "opl") as source:
        np.testing.assert_array_equal(read_all(source), np.arange(48.0)[:, None])
    assert len(read_events(path)[0]) == 10
    with pytest.raises(StreamError, match=r"HDF5File: .*a.h5 cannot be opened for writing: .* its writer was killed"):
        HDF5File(path, "a")


def test_a_writer_killed_before_others_could_read_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    code = KILLED.replace("for start", "file.dataset('never written')\nfor start")
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with pytest.raises(StreamError, match=r"HDF5Reader: .*a.h5 cannot be opened"):
        HDF5Reader(path)


LOCKED = "import sys\nfrom neurosim.streams import HDF5Reader\nHDF5Reader(sys.argv[1])"


def test_a_file_that_is_not_ready_for_readers_says_so(tmp_path):
    with HDF5File(tmp_path / "a.h5") as file:
        file.dataset("late")
        done = subprocess.run([sys.executable, "-c", LOCKED, str(tmp_path / "a.h5")], capture_output=True, text=True,
                              check=False)
    assert "cannot be opened, another process writes it in a way that keeps readers out" in done.stderr


def test_declaring_ends_with_the_first_write(tmp_path):
    with HDF5File(tmp_path / "a.h5") as file:
        file.dataset("a").write(FRAMES)
        with pytest.raises(StreamError, match=r"'b' cannot be declared any more, .* declare all datasets before"):
            file.dataset("b")
    with pytest.raises(StreamError, match=r"HDF5File.dataset: .* is closed"):
        file.dataset("c")
    with pytest.raises(StreamError, match=r"HDF5File.flush: .* is closed"):
        file.flush()
    file.close()


def test_a_sink_that_was_never_written_does_not_hold_up_the_others(tmp_path):
    with HDF5File(tmp_path / "a.h5") as file:
        never, sink = file.dataset("never"), file.dataset("a", block=23)
        sink.write(FRAMES)
        never.close()
        sink.write(FRAMES)
        with HDF5Reader(tmp_path / "a.h5") as source:
            assert source.length == 46


@pytest.mark.parametrize("options, error, message", [
    ({"compression": "zip"}, ParameterError, r"compression: choose from \['gzip', 'lzf', None\] \(got 'zip'\)"),
    ({"block": 0}, ParameterError, r"HDF5Sink.block: must be a whole number of at least 1"),
    ({"mode": "r"}, ParameterError, r"HDF5File.mode: choose from \['x', 'w', 'a'\]"),
    ({"dataset": ""}, ParameterError, r"HDF5File.dataset: must be a name"),
    ({"parameters": {"a": object()}}, ParameterError, r"HDF5File.parameters: must be numbers, text"),
    ({"frame_shape": (5,)}, InputError, r"'frames' in .* holds frames of shape \(2, 3\) and .* \(asked for \(5,\)"),
    ({"dtype": "f8"}, InputError, r"holds frames of shape \(2, 3\) and float32 \(asked for None and float64\)"),
    ({"frame_rate": 7}, StreamError, r"'frames' in .* has the frame rate 50.0 \(asked for 7.0\)"),
    ({"units": "V"}, StreamError, r"'frames' in .* has the units None \(asked for 'V'\)"),
    ({"dataset": "fixed"}, StreamError, r"'fixed' in .* has a fixed size and cannot be appended to"),
    ({"dataset": "group"}, StreamError, r"'group' in .* is a group, not a dataset"),
    ({"dataset": "frames/x"}, StreamError, r"'frames/x' cannot be created in .*, 'frames' is a dataset"),
    ({"dataset": "link"}, StreamError, r"'link' in .* is a link to another place, which is not followed"),
    ({"mode": "x"}, StreamError, r"HDF5File: the file .* exists"),
])
def test_appending_what_does_not_fit_is_refused(tmp_path, options, error, message):
    path = tmp_path / "a.h5"
    with HDF5Writer(path, frame_rate=50) as sink:
        sink.write(FRAMES)
    with h5py.File(path, "r+", libver="latest") as h5:
        h5["fixed"] = FRAMES
        h5["group/x"] = FRAMES
        h5["link"] = h5py.SoftLink("/frames")
    with pytest.raises(error, match=message):
        HDF5Writer(path, **{"mode": "a", **options})
    with HDF5Reader(path, "frames") as source:
        np.testing.assert_array_equal(read_all(source), FRAMES)


def test_chunks_that_do_not_fit_change_nothing(tmp_path):
    with HDF5Writer(tmp_path / "a.h5") as sink:
        sink.write(FRAMES)
        with pytest.raises(InputError, match=r"HDF5Writer.write: a chunk must be \(time, 2, 3\)"):
            sink.write(FRAMES[0])
    with HDF5Reader(tmp_path / "a.h5") as source:
        assert source.length == 23


def test_the_old_format_is_not_appended_to(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.create_dataset("frames", data=FRAMES, maxshape=(None, 2, 3))
    with pytest.raises(StreamError, match="is in HDF5's old format, which cannot grow safely"):
        HDF5Writer(tmp_path / "a.h5", mode="a")


@pytest.mark.parametrize("unit, time, message", [
    ([1, 2], [0.0], r"one unit and one time for each event \(got shapes \(2,\) and \(1,\)\)"),
    ([[1]], [[0.0]], r"one unit and one time for each event"),
    ([1.5], [0.0], r"units must be whole numbers \(got float64\)"),
    ([1], [np.nan], r"times must be finite"),
    (["a"], [0.0], r"data must be real numbers"),
])
def test_events_that_make_no_sense(tmp_path, unit, time, message):
    with HDF5File(tmp_path / "a.h5") as file:
        events = file.events("spikes")
        with pytest.raises(InputError, match=message):
            events.write(unit, time)
        assert events.position == 0


def test_errors_of_the_reader_list_what_there_is(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        h5["one"], h5["deep/two"], h5["text"], h5["scalar"] = FRAMES, FRAMES, "abc", 3.0
        h5["deep/self"] = h5["deep"]  # a group that contains itself
    with HDF5File(tmp_path / "events.h5") as file:
        file.events("spikes")
    for name, message in [
        (None, r"holds several datasets of frames, choose one with HDF5Reader\(path, name\) \(it has \['deep/two', 'one'\]\)"),
        ("three", r"holds no dataset 'three'; choose from \['deep/two', 'one'\]"),
        ("deep", r"holds no dataset 'deep'"),
        ("text", r"'text' in .* is not frames of real numbers"),
        ("scalar", r"'scalar' in .* is not frames .* \(its shape is \(\), its dtype float64\)"),
    ]:
        with pytest.raises(StreamError, match=message):
            HDF5Reader(path, name)
    with pytest.raises(StreamError, match=r"holds no dataset of frames \(it has \[\]\)"):
        HDF5Reader(tmp_path / "events.h5")
    with pytest.raises(StreamError, match=r"is a table of events; read it with read_events"):
        HDF5Reader(tmp_path / "events.h5", "spikes")
    with pytest.raises(StreamError, match=r"holds no table of events 'x'; choose from \['spikes'\]"):
        read_events(tmp_path / "events.h5", "x")


def test_data_that_lies_elsewhere_is_not_read(tmp_path):
    (tmp_path / "secret.txt").write_bytes(b"0123456789abcdef" * 4)
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5["frames"] = FRAMES
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        h5["frames"] = FRAMES
        h5["soft"] = h5py.SoftLink("/frames")
        h5["link"] = h5py.ExternalLink("other.h5", "/frames")
        h5["group"] = h5py.ExternalLink("other.h5", "/")
        h5.create_dataset("external", (8,), "u8", external=[(str(tmp_path / "secret.txt"), 0, 64)])
        layout = h5py.VirtualLayout((23, 2, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "frames", (23, 2, 3))
        h5.create_virtual_dataset("virtual", layout)
    for name in ("soft", "link", "group/frames"):
        with pytest.raises(StreamError, match=rf"'{name}' in .* is a link to another place, which is not followed"):
            HDF5Reader(path, name)
    for name in ("external", "virtual"):
        with pytest.raises(StreamError, match=rf"'{name}' in .* keeps its data in other files, which are not read"):
            HDF5Reader(path, name)


def test_damage_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    frames = np.random.default_rng(2).random((64, 30, 30))
    with HDF5Writer(path, block=8) as sink:
        sink.write(frames)
    good = path.read_bytes()
    path.write_bytes(good[:-2000])
    with pytest.raises(StreamError, match=r"a.h5 cannot be opened, it is not HDF5, or damaged \(.*truncated"):
        HDF5Reader(path)
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 4
    path.write_bytes(bad)
    with HDF5Reader(path) as source, pytest.raises(StreamError, match=r"of 'frames' in .* cannot be read, .* damaged"):
        read_all(source)


def test_closing(tmp_path):
    with HDF5Writer(tmp_path / "a.h5") as sink:
        sink.write(FRAMES)
    sink.close()
    with pytest.raises(StreamError, match=r"HDF5Writer.write: the stream is closed"):
        sink.write(FRAMES)
    with HDF5Reader(tmp_path / "a.h5") as source:
        assert source.refresh() == 23
    source.close()
    with pytest.raises(StreamError, match=r"HDF5Reader.refresh: the stream is closed"):
        source.refresh()
