"""Video as it comes: a real pipe, a file object, a test picture in place of a camera."""

from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest

from neurosim import ParameterError, StreamError
from neurosim.streams import CameraStream, PipeStream, VideoWriter

from .laws import read_all

GREY = np.random.default_rng(0).integers(0, 256, (30, 24, 32), np.uint8)
RAW = {"video_size": "32x24", "pixel_format": "gray", "framerate": "25"}


@pytest.mark.parametrize("kind", ["raw", "mkv"])
def test_frames_come_through_a_pipe(tmp_path, kind):
    if kind == "mkv":
        with VideoWriter(tmp_path / "a.mkv", 25.0) as sink:
            sink.write(GREY)
        data, settings = (tmp_path / "a.mkv").read_bytes(), {}
    else:
        data, settings = GREY.tobytes(), {"format": "rawvideo", "options": RAW}
    read_end, write_end = os.pipe()

    def write() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(read_end, "rb") as pipe, PipeStream(pipe, start_time=3.0, **settings) as source:
        assert (source.frame_shape, source.frame_rate, source.length, source.time) == ((24, 32), 25.0, None, 3.0)
        np.testing.assert_array_equal(read_all(source), GREY)
        assert source.read(4).shape == (0, 24, 32) and source.time == 3.0 + 30 / 25
    thread.join(10)


def test_a_named_pipe_and_scaling(tmp_path):
    os.mkfifo(tmp_path / "video")
    thread = threading.Thread(target=lambda: (tmp_path / "video").write_bytes(GREY.tobytes()))
    thread.start()
    with PipeStream(tmp_path / "video", format="rawvideo", options=RAW, size=(12, 16), scaled=True) as source:
        frames = read_all(source)
    thread.join(10)
    wanted = GREY.reshape(30, 12, 2, 16, 2).mean((2, 4)) / 255
    np.testing.assert_allclose(frames, wanted, rtol=0, atol=1.01 / 255)  # FFmpeg rounds to whole grey levels


def test_a_camera_gives_the_test_picture():
    with CameraStream("testsrc=size=32x24:rate=25", format="lavfi", colour=True) as camera:
        assert (camera.frame_shape, camera.frame_rate, camera.length) == ((3, 24, 32), 25.0, None)
        frames = camera.read(5)
        assert frames.shape == (5, 3, 24, 32) and frames.max() > 200 and camera.position == 5
        assert (frames[0, 0] != frames[0, 2]).any()  # colours differ


@pytest.mark.parametrize("make, error, message", [
    (lambda: PipeStream(io.BytesIO(b"no video at all" * 99)), StreamError, "cannot be opened as video"),
    (lambda: PipeStream(io.BytesIO(b""), format="rawvideo", options=RAW), StreamError, "before its first frame|cannot be"),
    (lambda: CameraStream("/dev/no-such-camera"), StreamError, "CameraStream: '/dev/no-such-camera' cannot be opened"),
    (lambda: PipeStream("-", size=(2,)), ParameterError, r"PipeStream.size: must be \(y, x\)"),
    (lambda: PipeStream("-", dtype=int), ParameterError, "PipeStream.dtype: must be a floating type"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
