"""NumpyReader and NumpyWriter against numpy's own load and save."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import NumpyReader, NumpyWriter

from .laws import check_closing, check_finite_source

FRAMES = np.random.default_rng(0).random((23, 2, 3))


@pytest.mark.parametrize("frames", [
    FRAMES, np.asfortranarray(FRAMES), FRAMES.astype(">f4"), FRAMES > 0.5, np.arange(20, dtype=np.uint16), FRAMES[:0]],
    ids=["C", "Fortran", "big-endian", "bool", "1-D", "empty"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_what_numpy_saved_is_read(tmp_path, frames, suffix):
    path = tmp_path / f"frames{suffix}"
    if suffix == ".npy":
        np.save(path, frames)
    else:
        np.savez_compressed(path, frames)
    with NumpyReader(path, frame_rate=50) as source:
        chunk = source.read(3)
        assert (source.frame_rate, chunk.dtype, chunk.dtype.isnative) == (50, frames.dtype.newbyteorder("="), True)
        check_finite_source(source, frames)


def test_an_array_of_an_archive_is_chosen_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", first=np.zeros(3), second=FRAMES)
    with NumpyReader(tmp_path / "a.npz") as source:
        assert source.frame_shape == ()
    with NumpyReader(tmp_path / "a.npz", "second") as source:
        np.testing.assert_array_equal(source.read(30), FRAMES)
    with pytest.raises(StreamError, match=r"holds no array 'third'; choose from \['first', 'second'\]"):
        NumpyReader(tmp_path / "a.npz", "third")
    np.save(tmp_path / "a.npy", FRAMES)
    with pytest.raises(StreamError, match=r"is one array without a name \(asked for 'x'\)"):
        NumpyReader(tmp_path / "a.npy", "x")


READ_LARGE = """
import resource, sys
from neurosim.streams import NumpyReader
source = NumpyReader(sys.argv[1])
source.read(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for start in (0, source.length - 10_000):
    source.seek(start)
    while source.position < start + 10_000:
        assert not source.read(50).any()
print(source.position, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("fortran", [False, True])
def test_a_file_larger_than_memory(tmp_path, fortran):
    """60 GB on paper (a sparse file) of which 330 MB are read: only a chunk is ever resident."""
    path = tmp_path / "large.npy"
    shape = (3_700_000, 64, 64) if not fortran else (30_000, 8, 8)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": fortran, "shape": shape})
        file.truncate(file.tell() + 4 * int(np.prod(shape)))
    done = subprocess.run([sys.executable, "-c", READ_LARGE, str(path)], capture_output=True, text=True, check=True)
    position, grown = map(int, done.stdout.split())
    assert position == shape[0]
    assert grown < 20_000  # KiB; the chunks are 800 KiB, the rest is the allocator's


@pytest.mark.parametrize("content, message", [
    (lambda npy: npy[:-100], r"is truncated, it declares 23 frames and holds 20"),
    (lambda npy: npy[:20], r"has no readable .npy header"),
    (lambda npy: b"\x93NUMPY\x01\x00\x76\x00{'descr': 3" + npy[20:], r"has no readable .npy header"),
    (lambda npy: b"", r"bad.npy is empty"),
    (lambda npy: b"PK\x03\x04" + npy, r"cannot be read as .npz"),
], ids=["truncated", "short", "header", "empty", "zip"])
def test_a_damaged_file_is_refused(tmp_path, content, message):
    saved = io.BytesIO()
    np.save(saved, FRAMES)
    (tmp_path / "bad.npy").write_bytes(content(saved.getvalue()))
    with pytest.raises(StreamError, match=message):
        NumpyReader(tmp_path / "bad.npy")


def test_a_flipped_bit_in_an_archive_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, FRAMES)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StreamError, match=r"cannot be read as .npz"):
        NumpyReader(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, FRAMES)
    with NumpyReader(path) as source, path.open("r+b") as file:
        file.truncate(300)
        with pytest.raises(StreamError, match=r"frames 0 to 22 of .* cannot be read, the file has changed"):
            source.read(30)
        assert source.position == 0


@pytest.mark.parametrize("array, message", [
    (np.array([{}]), r"dtype object"), (np.array(["a"]), r"dtype <U1"), (np.ones(3, complex), r"dtype complex128"),
    (np.float64(1), r"needs frames along a first axis \(the array in .* has shape \(\)\)"),
    (np.ones((3, 0)), r"shape \(3, 0\)"),
])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_what_is_not_frames_of_numbers_is_refused(tmp_path, array, message, suffix):
    path = tmp_path / f"a{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, array, allow_pickle=True)
    with pytest.raises(StreamError, match="cannot be read|" + message):
        NumpyReader(path)


def test_a_zip_without_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w"):
        pass
    with pytest.raises(StreamError, match="holds no array"):
        NumpyReader(tmp_path / "a.npz")


@settings(max_examples=25)  # each opens a file twice
@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12), again=st.integers(0, 12))
def test_what_is_written_is_what_numpy_loads(tmp_path_factory, sizes, again):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    frames = np.random.default_rng(1).random((sum(sizes), 2, 3))
    at = 0
    for part in (sizes[:again], sizes[again:]):  # the second one appends
        with NumpyWriter(path, mode="a") as sink:
            assert sink.position == at
            for n in part:
                sink.write(frames[at:at + n])
                at += n
                sink.flush()
                if at:
                    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), frames[:at])
    assert at == 0 or np.load(path).shape == frames.shape


def test_the_header_has_room_for_any_length(tmp_path):
    with NumpyWriter(tmp_path / "a.npy") as sink:
        for _ in range(1200):
            sink.write(np.ones((1, 2), np.float32))
    assert np.load(tmp_path / "a.npy").shape == (1200, 2)


KILLED = """
import os, sys
import numpy as np
from neurosim.streams import NumpyWriter
sink = NumpyWriter(sys.argv[1])
sink.write(np.arange(10.0))
sink.flush()
sink.write(np.arange(10.0, 10_000.0))
os._exit(9)
"""


def test_a_killed_writer_leaves_the_frames_of_its_last_flush(tmp_path):
    path = tmp_path / "a.npy"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.stat().st_size > 208
    np.testing.assert_array_equal(np.load(path), np.arange(10.0))
    with NumpyWriter(path, mode="a") as sink:
        sink.write(np.arange(3.0))
    assert path.stat().st_size == 128 + 13 * 8
    assert np.load(path).tolist() == [*range(10), 0, 1, 2]


def test_modes(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, FRAMES)
    with pytest.raises(StreamError, match=r"NumpyWriter: the file .*a.npy exists; mode=\"w\" replaces it"):
        NumpyWriter(path)
    with pytest.raises(ParameterError, match=r"NumpyWriter.mode: choose from \['x', 'w', 'a'\] \(got 'r'\)"):
        NumpyWriter(path, mode="r")
    with NumpyWriter(path, mode="a") as sink:
        with pytest.raises(InputError, match=r"a chunk must be \(time, 2, 3\)"):
            sink.write(FRAMES[0])
        with pytest.raises(InputError, match=r"frames of this sink are float64, the chunk is float32"):
            sink.write(FRAMES.astype(np.float32))
    np.testing.assert_array_equal(np.load(path), FRAMES)
    with NumpyWriter(path, mode="w") as sink:
        sink.write(np.ones(2))
    assert np.load(path).tolist() == [1, 1]
    np.save(path, np.asfortranarray(FRAMES))
    with pytest.raises(StreamError, match=r"cannot be appended to .* Fortran's order"):
        NumpyWriter(path, mode="a")
    with pytest.raises(StreamError, match=r"there is no folder .*nowhere to write a.npy into"):
        NumpyWriter(tmp_path / "nowhere" / "a.npy")
    with pytest.raises(StreamError, match=r"needs a file \(.* is a directory\)"):
        NumpyWriter(tmp_path, mode="w")


def test_closing(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    check_closing(NumpyReader(tmp_path / "a.npy"))
    NumpyWriter(tmp_path / "b.npy").close()
    assert not (tmp_path / "b.npy").exists()
