"""VideoWriter: lossless where it says so, close where it does not, and readable by PyAV alone."""

from __future__ import annotations

import subprocess
import sys

import av
import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import VideoReader, VideoWriter

from .laws import read_all

RANDOM = np.random.default_rng(0)
SMOOTH = (127 + 100 * np.sin(np.arange(50)[:, None, None] / 9 + np.linspace(0, 6, 48)[:, None] + np.linspace(0, 5, 64)))


@pytest.mark.parametrize("frames", [
    RANDOM.integers(0, 256, (30, 17, 23), np.uint8), RANDOM.integers(0, 65536, (30, 17, 23), np.uint16),
    RANDOM.integers(0, 256, (30, 3, 17, 23), np.uint8)], ids=["grey", "deep", "colour"])
@pytest.mark.parametrize("rate", [25, 200, 1000, 23.976])
def test_ffv1_keeps_every_number(tmp_path, frames, rate):
    path = tmp_path / "a.mkv"
    with VideoWriter(path, rate) as sink:
        for start in range(0, 30, 7):
            sink.write(frames[start:start + 7])
        assert sink.position == 30
    with VideoReader(path, colour=frames.ndim == 4, dtype="f8") as source:
        np.testing.assert_array_equal(read_all(source), frames)
        assert abs(source.frame_rate / rate - 1) < 0.001  # whole milliseconds over 30 frames
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "ffv1"


@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (47, 64)])
@pytest.mark.parametrize("colour", [False, True])
def test_h264_looks_the_same(tmp_path, shape, colour):
    frames = SMOOTH[:, :shape[0], :shape[1]].astype(np.uint8)
    frames = np.repeat(frames[:, None], 3, axis=1) if colour else frames
    with VideoWriter(tmp_path / "a.mp4", 30) as sink:
        sink.write(torch.tensor(frames))
    with VideoReader(tmp_path / "a.mp4", colour=colour) as source:
        seen = read_all(source)
        assert seen.shape[-2:] == (48, 64)  # even, as the codec needs it
        error = np.abs(seen[..., :shape[0], :shape[1]] - frames)
        assert (source.length, error.mean() < 2, error.max() < 20) == (50, True, True)  # crf 18 on a smooth picture
        if shape[0] % 2:
            assert np.abs(seen[..., -1, :] - seen[..., -2, :]).max() < 20


def test_limits_map_any_numbers_to_grey(tmp_path):
    ramp = np.linspace(-1.5, 1.5, 256).reshape(1, 16, 16)
    with VideoWriter(tmp_path / "a.mkv", 10, limits=(-1, 1)) as sink:
        sink.write(ramp)
        with pytest.raises(InputError, match=r"VideoWriter.write: frames must be finite"):
            sink.write(ramp * np.nan)
    with VideoReader(tmp_path / "a.mkv") as source:
        np.testing.assert_array_equal(source.read(9), np.rint(np.clip((ramp + 1) / 2, 0, 1) * 255))


@pytest.mark.parametrize("chunk, message", [
    (np.zeros((2, 4, 4)), r"frames of a.mkv must be uint8, or uint16 grey \(got float64\); limits=\(black, white\) maps"),
    (np.zeros((2, 3, 4, 4), np.uint16), r"must be uint8, or uint16 grey \(got uint16, colour\)"),
    (np.zeros((2, 4), np.uint8), r"a chunk must be \(time, y, x\), or \(time, 3, y, x\) for colour \(got shape \(2, 4\)\)"),
    (np.zeros((2, 2, 4, 4), np.uint8), r"for colour \(got shape \(2, 2, 4, 4\)\)"),
])
def test_frames_that_a_video_cannot_hold(tmp_path, chunk, message):
    with VideoWriter(tmp_path / "a.mkv", 10) as sink:
        with pytest.raises(InputError, match=message):
            sink.write(chunk)
        assert (sink.position, sink.frame_shape) == (0, None)
    assert not (tmp_path / "a.mkv").exists()


def test_h264_has_no_deep_grey(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 10) as sink, pytest.raises(InputError, match=r"must be uint8 \(got uint16\)"):
        sink.write(np.zeros((2, 4, 4), np.uint16))


@pytest.mark.parametrize("name, options, error, message", [
    ("a.avi", {}, ParameterError, r"VideoWriter.path: the suffix must be one of \['.mkv', '.mp4'\] \(got '.*a.avi'\)"),
    ("a.mkv", {"codec": "vp8"}, ParameterError, r"VideoWriter.codec: choose 'ffv1' \(in .mkv\) or 'h264' \(got 'vp8'\)"),
    ("a.mp4", {"codec": "ffv1"}, ParameterError, r"VideoWriter.codec: choose"),
    ("a.mkv", {"limits": (1, 0)}, ParameterError, r"VideoWriter.limits: must be two finite numbers, black below white"),
    ("a.mkv", {"frame_rate": None}, ParameterError, r"VideoWriter.frame_rate: is needed, in Hz"),
    ("a.mkv", {"mode": "a"}, ParameterError, r"VideoWriter.mode: choose from \['x', 'w'\] \(got 'a'\)"),
    ("old.mkv", {}, StreamError, r"VideoWriter: the file .*old.mkv exists; mode=\"w\" replaces it"),
    ("none/a.mkv", {}, StreamError, r"VideoWriter: there is no folder .*none to write a.mkv into"),
])
def test_errors(tmp_path, name, options, error, message):
    (tmp_path / "old.mkv").touch()
    with pytest.raises(error, match=message):
        VideoWriter(tmp_path / name, **{"frame_rate": 10, **options})


KILLED = """
import os, sys
import numpy as np
from neurosim.streams import VideoWriter
sink = VideoWriter(sys.argv[1], 50)
for start in range(0, 100, 10):
    sink.write(np.random.default_rng(start).integers(0, 256, (10, 48, 64), np.uint8))
os._exit(9)
"""


def test_a_killed_writer_leaves_all_but_the_last_moments(tmp_path):
    path = tmp_path / "a.mkv"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    with VideoReader(path) as source:
        assert 80 <= source.length <= 100
        seen = read_all(source)
    np.testing.assert_array_equal(seen[10:20], np.random.default_rng(10).integers(0, 256, (10, 48, 64), np.uint8))
