"""open_stream, open_sink and as_source: what a file is decides, not what it is called."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import (
    HDF5Reader,
    HDF5Writer,
    NumpyReader,
    NumpyWriter,
    SequenceStream,
    VideoReader,
    VideoWriter,
    as_source,
    open_sink,
    open_stream,
)

from .laws import read_all
from .test_video import TREE

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 4, 6), np.uint8)


@pytest.mark.parametrize("kind", [NumpyReader, HDF5Reader, VideoReader, "npz"])
@pytest.mark.parametrize("name", ["plain", "lies.mp4", "lies.npy", "lies.h5"])
def test_a_file_is_opened_by_what_it_is(tmp_path, kind, name):
    path = tmp_path / name
    if kind is NumpyReader:
        with path.open("wb") as file:
            np.save(file, FRAMES)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, FRAMES)
    elif kind is HDF5Reader:
        with h5py.File(path, "w") as h5:
            h5["x"] = FRAMES
    else:
        with VideoWriter(tmp_path / "a.mkv", 10) as sink:
            sink.write(FRAMES)
        shutil.move(tmp_path / "a.mkv", path)
    with open_stream(path) as source:
        assert isinstance(source, NumpyReader if kind == "npz" else kind)
        np.testing.assert_array_equal(read_all(source), FRAMES)


def test_options_reach_the_reader():
    with open_stream(TREE, size=(5, 6), frame_rate=50) as source:
        assert (source.frame_shape, source.frame_rate) == ((5, 6), 50)
    with pytest.raises(ParameterError, match=r"open_stream.dataset: is no option of VideoReader; choose from \['size', "):
        open_stream(TREE, dataset="x")


@pytest.mark.parametrize("name, message", [
    ("missing.npy", r"open_stream: there is no file .*missing.npy"),
    ("", r"ImageSequenceReader: no images \("),
    ("empty.mp4", r"open_stream: the file .*empty.mp4 is empty"),
    ("text.npy", r"text.npy is neither .npy, .npz, .inr nor HDF5 \(it begins with b'hello he'\), and as a video: .* no video"),
    ("a.h5", r"a.h5 holds no dataset of frames \(it has \[\]\)"),
    ("empty.npz", r"empty.npz holds no array"),
])
def test_errors_of_opening(tmp_path, name, message):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.npy").write_text("hello " * 50)
    h5py.File(tmp_path / "a.h5", "w").close()
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(StreamError, match=message):
        open_stream(tmp_path / name)


def test_a_missing_dataset_is_answered_by_those_that_are_there(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["opl"] = FRAMES
    with pytest.raises(StreamError, match=r"holds no dataset 'bipolar'; choose from \['opl'\]"):
        open_stream(tmp_path / "a.h5", dataset="bipolar")


@pytest.mark.parametrize("name, kind", [
    ("a.npy", NumpyWriter), ("a.h5", HDF5Writer), ("a.HDF5", HDF5Writer), ("a.mkv", VideoWriter), ("a.mp4", VideoWriter)])
def test_a_sink_is_opened_by_its_suffix(tmp_path, name, kind):
    with open_sink(tmp_path / name, frame_rate=20) as sink:
        assert isinstance(sink, kind)
        sink.write(FRAMES)
    with open_stream(tmp_path / name) as source:
        assert (source.length, source.frame_shape) == (12, (4, 6))
        assert source.frame_rate == (None if kind is NumpyWriter else pytest.approx(20))
    with pytest.raises(StreamError, match=rf"{kind.__name__.replace('HDF5Writer', 'HDF5File')}: the file .* exists"):
        open_sink(tmp_path / name, frame_rate=20)
    open_sink(tmp_path / name, frame_rate=20, mode="w").close()


def test_errors_of_opening_a_sink(tmp_path):
    with pytest.raises(ParameterError, match=r"open_sink.path: the suffix must be one of .* \(got 'a.txt'\)"):
        open_sink("a.txt")
    with pytest.raises(ParameterError, match=r"open_sink.units: is no option of NumpyWriter; choose from \['mode'\]"):
        open_sink(tmp_path / "a.npy", units="V")
    with pytest.raises(ParameterError, match=r"VideoWriter.frame_rate: is needed"):
        open_sink(tmp_path / "a.mkv")
    with open_sink(tmp_path / "a.h5", units="V", dataset="x", parameters={}) as sink:
        sink.write(FRAMES)


def test_what_users_have_becomes_a_source(tmp_path):
    source = SequenceStream(FRAMES)
    assert as_source(source) is source
    np.save(tmp_path / "a.npy", FRAMES)
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["x"] = FRAMES
        for given in (FRAMES, FRAMES.tolist(), torch.tensor(FRAMES), h5["x"], str(tmp_path / "a.npy"), tmp_path / "a.npy"):
            with as_source(given) as source:
                np.testing.assert_array_equal(read_all(source), FRAMES)
    for wrong in ({1: 2}, 3, None):
        with pytest.raises(InputError, match=rf"as_source: needs an array, .* \(got {type(wrong).__name__}\)"):
            as_source(wrong)


def test_what_is_no_source_is_told_what_would_be() -> None:
    for wrong in ((frame for frame in np.zeros((3, 2))), lambda number: np.zeros(2)):
        with pytest.raises(InputError, match=r"a function or generator makes: CallableStream\(function, frame_shape\)"):
            as_source(wrong)
    with pytest.raises(InputError, match=r"the path of a file \(got NoneType\)"):
        as_source(None)
