"""VideoReader against what PyAV decodes in one go, numpy's interpolation, and damaged files."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import neurosim
from neurosim import MissingExtra, ParameterError, StreamError
from neurosim.streams import VideoReader

from .laws import check_finite_source, read_all

PEDESTRIANS = Path(neurosim.__file__).parent / "data" / "ucsb-pedestrians.mp4"
TREE = Path(__file__).parents[1] / "data" / "tree.avi"
COUNTS = {PEDESTRIANS: 36, TREE: 68}


def noise(n: int, shape: tuple[int, ...] = (48, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def make(path: Path, codec: str = "libx264", pix_fmt: str = "yuv420p", *, frames: np.ndarray | None = None,
         rate: float = 25, stamps: Any = None, stream: dict[str, str] | None = None,
         container: dict[str, str] | None = None) -> Path:
    """A video of noise, written with PyAV alone."""
    frames = noise(100) if frames is None else frames
    with av.open(str(path), "w", options=container or {}) as file:
        out = file.add_stream(codec, rate=Fraction(rate).limit_denominator(1000), options=stream or {"g": "12"})
        out.height, out.width, out.pix_fmt = *frames.shape[1:], pix_fmt
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt)
            frame.pts = index if stamps is None else int(stamps[index])
            file.mux(out.encode(frame))
        file.mux(out.encode(None))
    return path


def truth(path: Path) -> np.ndarray:
    """All frames as PyAV gives them from start to end, as full-range grey."""
    with av.open(str(path)) as file:
        return np.stack([frame.reformat(format="gray").to_ndarray() for frame in file.decode(video=0)])


@pytest.mark.parametrize("path", COUNTS, ids=lambda path: path.name)
def test_frames_are_counted_and_found_again_exactly(path, caplog):
    frames = truth(path)
    assert len(frames) == COUNTS[path]
    with VideoReader(path) as source:
        assert source.read(2).dtype == np.float32
        check_finite_source(source, frames.astype(np.float32))
    assert ("the header declares 444 frames, the file holds 68" in caplog.text) == (path is TREE)


KINDS = {
    "h264.mp4": {}, "h264.mkv": {}, "h264.ts": {}, "open-gop.mp4": {"stream": {"g": "12", "x264-params": "open-gop=1"}},
    "mpeg4.avi": {"codec": "mpeg4"}, "mpeg4-b.avi": {"codec": "mpeg4", "stream": {"bf": "2", "g": "12"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "vp8.webm": {"codec": "libvpx", "stream": {"g": "12"}},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "gray"}, "gray.avi": {"codec": "rawvideo", "pix_fmt": "gray"},
    "mpeg2-b.ts": {"codec": "mpeg2video", "stream": {"bf": "2", "g": "12"}},
}


@pytest.mark.parametrize("name", KINDS)
def test_seeking_is_exact_in_every_container(tmp_path, name):
    path = make(tmp_path / name, **KINDS[name])
    frames = truth(path)
    with VideoReader(path) as source:
        assert (source.length, round(source.frame_rate, 6)) == (100, 25)
        for start in np.random.default_rng(1).integers(0, 100, 25):
            source.seek(int(start))
            np.testing.assert_array_equal(source.read(2), frames[start:start + 2])


def test_time_stamps_that_repeat_are_counted_instead(tmp_path, caplog):
    """At 5000 Hz the milliseconds of Matroska repeat."""
    path = make(tmp_path / "fast.mkv", "ffv1", "gray", rate=5000)
    with VideoReader(path) as source:
        assert source.frame_rate == 5000
        check_finite_source(source, noise(100).astype(np.float32))
    assert "its time stamps are of no use, the frames are counted by decoding them" in caplog.text


def resampled(frames: np.ndarray, times: np.ndarray, rate: float, n: int, linear: bool) -> np.ndarray:
    """Each output frame on its own, in double precision."""
    out = []
    for t in np.arange(n) / rate:
        held = max(j for j in range(len(times)) if times[j] <= t + 1e-9)
        if linear and held + 1 < len(times):
            share = (t - times[held]) / (times[held + 1] - times[held])
            out.append((1 - share) * frames[held] + share * frames[held + 1])
        else:
            out.append(frames[held].astype(float))
    return np.stack(out)


@pytest.mark.parametrize("interpolation", ["hold", "linear"])
@pytest.mark.parametrize("rate", [200.0, 10.0, 23.976])
@pytest.mark.parametrize("path", COUNTS, ids=lambda path: path.name)
def test_resampling_goes_by_the_time_stamps(path, rate, interpolation):
    with av.open(str(path)) as file:
        unit = float(file.streams.video[0].time_base)
        times = np.array([frame.pts for frame in file.decode(video=0)]) * unit
    with VideoReader(path, size=(8, 10)) as source:
        frames = read_all(source).astype(float)
    with VideoReader(path, size=(8, 10), frame_rate=rate, interpolation=interpolation) as source:
        lasts = times[-1] / (len(times) - 1)
        assert (source.frame_rate, source.length) == (rate, int(np.ceil((times[-1] + lasts) * rate)))
        expected = resampled(frames, times, rate, source.length, interpolation == "linear")
        whole = read_all(source, 50)
        # float32 holds 255 to 1.5e-5, and a share of a frame has as many digits
        np.testing.assert_allclose(whole, expected, rtol=0, atol=0 if interpolation == "hold" else 1e-4)
        for start in (source.length // 2, 3):
            source.seek(start)
            np.testing.assert_array_equal(source.read(7), whole[start:start + 7])


def test_a_movie_at_the_rate_of_the_model_is_itself(tmp_path):
    path = make(tmp_path / "a.mkv", "ffv1", "gray", rate=200)
    for interpolation in ("hold", "linear"):
        with VideoReader(path, frame_rate=200, interpolation=interpolation) as source:
            np.testing.assert_array_equal(read_all(source), noise(100))


def test_scaling_averages_over_areas(tmp_path):
    path = make(tmp_path / "a.mkv", "ffv1", "gray")
    with VideoReader(path, size=(24, 16)) as source:
        means = noise(100).reshape(100, 24, 2, 16, 4).mean((2, 4))
        assert np.abs(read_all(source) - means).max() <= 0.5  # rounded to whole grey levels


def test_scaled_is_luminance_from_0_to_1(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (3, 2, 1))
    path = make(tmp_path / "a.mkv", "ffv1", "gray", frames=ramp)
    with VideoReader(path, scaled=True, dtype="f8") as source:
        chunk = source.read(3)
        assert (chunk.dtype, chunk.min(), chunk.max()) == (np.float64, 0, 1)
        np.testing.assert_allclose(chunk, ramp / 255, rtol=1e-15)


def test_colour_is_red_green_blue(tmp_path):
    with VideoReader(PEDESTRIANS, colour=True) as source, av.open(str(PEDESTRIANS)) as file:
        assert source.frame_shape == (3, 346, 640)
        first = next(file.decode(video=0)).to_ndarray(format="rgb24")
        np.testing.assert_array_equal(source.read(1)[0], first.transpose(2, 0, 1))


CUT = {
    "moov.mp4": (r"is no video that can be read; or its header is damaged, or missing because the file was cut off", {}),
    "faststart.mp4": (r"frame \d\d of .* cannot be decoded, the file is cut off or damaged",
                      {"container": {"movflags": "faststart"}}),
    "h264.mkv": (r"frame (\d\d) of .* is missing, the file is cut off at 1\.\d+ s of 4\.000 s; the \1 frames before", {}),
    "ffv1.mkv": (r"frame (\d\d) of .* is missing, .* of 4\.000 s", {"codec": "ffv1", "pix_fmt": "gray"}),
    "fast.mkv": (r"frame (\d\d) of .* is missing, .* of 0\.020 s", {"codec": "ffv1", "pix_fmt": "gray", "rate": 5000}),
    "mpeg4.avi": (r"frame \d\d of .* is damaged", {"codec": "mpeg4"}),
    "mjpeg.avi": (r"frame \d\d of .* is damaged", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "h264.ts": (r"frame \d\d of .* is damaged", {}),
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("rate", [None, 100])
def test_a_truncated_file_is_an_error_when_it_is_reached(tmp_path, name, rate):
    message, options = CUT[name]
    path = make(tmp_path / name, **options)
    whole = truth(path)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    if name == "moov.mp4":
        with pytest.raises(StreamError, match=message):
            VideoReader(path)
        return
    with VideoReader(path, frame_rate=rate) as source:
        good = 0
        with pytest.raises(StreamError, match=message):
            while len(chunk := source.read(1)):
                if rate is None:
                    np.testing.assert_array_equal(chunk[0], whole[good])
                good += 1
        step = 1 if rate is None else round(rate / (5000 if name == "fast.mkv" else 25)) or 1
        assert source.position == good
        assert (rate == 100 and name == "fast.mkv") or 30 * step < good < 70 * step
        with pytest.raises(StreamError, match=message):
            source.read(1)  # also when asked again
        source.seek(0)
        assert len(source.read(good)) == good  # what is there stays readable
        source.seek(0)
        with pytest.raises(StreamError, match=message):
            source.read(good + 1)
        assert source.position == 0


@pytest.mark.parametrize("damage", ["zeros", "bit"])
def test_a_frame_damaged_in_the_middle(tmp_path, damage):
    path = make(tmp_path / "a.avi", "ffv1", "gray", stream={"g": "1", "level": "3", "slicecrc": "1"})
    with av.open(str(path)) as file:
        packet = [packet for packet in file.demux(video=0) if packet.size][40]
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[packet.pos + packet.size // 2] ^= 1
    else:
        data[packet.pos:packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    with VideoReader(path) as source:
        with pytest.raises(StreamError, match=r"frame 40 of .*a.avi is damaged, its checksum is wrong"):
            read_all(source, 1)
        bad = source.position
        assert bad == 40
        for start in (bad + 1, 0):  # every frame of this file stands for itself
            source.seek(start)
            np.testing.assert_array_equal(source.read(2), noise(100)[start:start + 2])


@pytest.mark.parametrize("name, content", [
    ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
    ("a.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
    ("a.ffconcat", "ffconcat version 1.0\nfile clip.ts\n"),
    ("a.txt", "hello " * 100),
])
def test_what_names_other_files_is_refused(tmp_path, name, content):
    make(tmp_path / "clip.ts")
    (tmp_path / name).write_text(content)
    with pytest.raises(StreamError, match=rf"VideoReader: .*{name} is no video that can be read"):
        VideoReader(tmp_path / name)


def test_a_strange_name_is_only_a_name(tmp_path):
    path = make(tmp_path / "clip.mkv").rename(tmp_path / "http:%03d|12:30.mkv")
    with VideoReader(path) as source:
        assert source.length == 100


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        out = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.rate = 8000
        file.mux(out.encode(frame))
        file.mux(out.encode(None))
    with pytest.raises(StreamError, match=r"a.mkv holds no video stream"):
        VideoReader(tmp_path / "a.mkv")


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"reading and writing video needs .*neurosim-engine\[video\]"):
        VideoReader(TREE)


@pytest.mark.parametrize("options, message", [
    ({"size": (3,)}, r"VideoReader.size: must be \(y, x\) \(got \(3,\)\)"),
    ({"size": (0, 3)}, r"VideoReader.size: must be a whole number of at least 1"),
    ({"frame_rate": -5}, r"VideoReader.frame_rate: must be finite and above 0 Hz"),
    ({"interpolation": "cubic"}, r"VideoReader.interpolation: choose from \['hold', 'linear'\] \(got 'cubic'\)"),
    ({"dtype": "u1"}, r"VideoReader.dtype: must be a floating type"),
])
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ParameterError, match=message):
        VideoReader(TREE, **options)


def test_nothing_is_logged_for_a_good_file(caplog):
    with caplog.at_level(logging.INFO), VideoReader(PEDESTRIANS):
        pass
    assert caplog.text == ""
