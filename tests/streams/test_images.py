"""Sequences of images, and .inr files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from neurosim import InputError, ParameterError, StreamError
from neurosim.streams import ImageSequenceReader, ImageSequenceWriter, InrReader, InrWriter, open_sink, open_stream

from .laws import check_finite_source

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 5, 6), np.uint8)


@pytest.mark.parametrize("suffix, frames", [
    (".png", GREY), (".bmp", GREY), (".pgm", GREY), (".tif", GREY), (".png", GREY.astype(np.uint16) * 257),
    (".tif", GREY.astype(np.uint16) * 257), (".tif", RNG.random((3, 5, 6), np.float32)),
], ids=str)
def test_images_come_back_as_they_were(tmp_path, suffix, frames):
    with open_sink(tmp_path / f"frame%d{suffix}", frame_rate=20.0) as sink:
        sink.write(frames[:2])
        sink.write(frames[2:])
    source = open_stream(tmp_path, frame_rate=20.0)
    assert (type(source), source.frame_rate) == (ImageSequenceReader, 20.0)
    check_finite_source(source, frames.astype(np.float32))  # frame2 before frame10
    top = {"u": np.iinfo(frames.dtype).max if frames.dtype.kind == "u" else 1, "f": 1}[frames.dtype.kind]
    with open_stream(tmp_path / f"frame?{suffix}", scaled=True) as source:
        np.testing.assert_allclose(source.read(99), (frames[:10] / top).astype(np.float32), rtol=1e-6)  # float32


def test_colour_and_size(tmp_path):
    frames = RNG.integers(0, 256, (2, 3, 4, 6), np.uint8)
    with ImageSequenceWriter(tmp_path / "%03d.png") as sink:
        sink.write(frames)
    with ImageSequenceReader([tmp_path / "001.png"], colour=True) as source:
        np.testing.assert_array_equal(source.read(1), frames[1:])
    with ImageSequenceReader(tmp_path, (2, 3)) as source:
        luminance = np.asarray(Image.open(tmp_path / "000.png").convert("L"), float)
        # areas of 2 by 2, rounded to whole grey levels along x and then along y
        np.testing.assert_allclose(source.read(1)[0], luminance.reshape(2, 2, 3, 2).mean((1, 3)), rtol=0, atol=1.01)


def test_limits_map_any_numbers(tmp_path):
    with ImageSequenceWriter(tmp_path / "%d.png", limits=(-1.0, 1.0)) as sink:
        sink.write(np.array([[[-2.0, -1.0, 0.0, 1.0]]]))
        with pytest.raises(InputError, match="must be finite"):
            sink.write(np.full((1, 1, 4), np.nan))
    assert ImageSequenceReader(tmp_path).read(1).tolist() == [[[0, 0, 128, 255]]]


def test_errors_of_images_name_the_file(tmp_path):
    with ImageSequenceWriter(tmp_path / "%d.png") as sink:
        sink.write(GREY[:3])
    with pytest.raises(StreamError, match=r"the file .*0.png exists; mode=\"w\""):
        ImageSequenceWriter(tmp_path / "%d.png").write(GREY)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:len(whole) // 2])
    source = ImageSequenceReader(tmp_path)
    with pytest.raises(StreamError, match=r"1.png cannot be read as an image"):
        source.read(3)
    assert source.position == 0
    Image.fromarray(GREY[0][:2]).save(tmp_path / "1.png")
    with pytest.raises(StreamError, match=r"1.png is of shape \(2, 6\), the first image \(5, 6\); size="):
        source.read(3)
    with pytest.raises(StreamError, match="no images"):
        ImageSequenceReader(tmp_path / "*.tif")
    with pytest.raises(ParameterError, match="needs one %d for the number"):
        ImageSequenceWriter(tmp_path / "a.png")
    with pytest.raises(InputError, match="does not hold frames of shape"):
        ImageSequenceWriter(tmp_path / "a%d.png").write(np.zeros((1, 2, 2)))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"])
def test_inr_files_hold_every_kind_of_number(tmp_path, order, kind):
    frames = RNG.integers(0, 100, (7, 4, 5)).astype(kind)
    path = tmp_path / "a.inr"
    with InrWriter(path, frame_rate=60.0, start_time=1.25, byte_order=order) as sink:
        sink.write(frames[:3])
        sink.flush()
        with InrReader(path) as early:
            assert early.length == 3
        sink.write(frames[3:])
    data = path.read_bytes()
    assert data[:13] == b"#INRIMAGE-4#{" and data[252:256] == b"##}\n"
    raw = np.frombuffer(data[256:], np.dtype(kind).newbyteorder("<" if order == "little" else ">")).reshape(7, 4, 5)
    np.testing.assert_array_equal(raw, frames)
    source = open_stream(path)
    assert (source.frame_rate, source.start_time, source.read(1).dtype) == (60.0, 1.25, np.dtype(kind))
    check_finite_source(source, frames)


def test_an_inr_file_of_another_program(tmp_path):
    """A header as CImg writes it, with vectors, which are channels."""
    text = b"#INRIMAGE-4#{\nXDIM=3\nYDIM=2\nZDIM=2\nVDIM=2\nTYPE=unsigned fixed\nPIXSIZE=16 bits\nCPU=pc\n"
    numbers = np.arange(24, dtype="<u2")
    (tmp_path / "a.inr").write_bytes(text.ljust(508, b"\n") + b"##}\n" + numbers.tobytes())
    with InrReader(tmp_path / "a.inr") as source:
        np.testing.assert_array_equal(source.read(2), numbers.reshape(2, 2, 3, 2).transpose(0, 3, 1, 2))
    with InrWriter(tmp_path / "b.inr") as sink:
        sink.write(numbers.reshape(2, 2, 2, 3))
    with InrReader(tmp_path / "b.inr") as source:
        np.testing.assert_array_equal(source.read(2), numbers.reshape(2, 2, 2, 3))


@pytest.mark.parametrize("header, message", [
    (b"#INRIMAGE-4#{\nXDIM=3\n", "has no INRIMAGE-4 header"),
    (b"#INRIMAGE-4#{\nXDIM=3\nYDIM=1\nTYPE=float\nPIXSIZE=16 bits\nCPU=pc\n##}\n", "not one of INRIMAGE-4"),
    (b"#INRIMAGE-4#{\nXDIM=3\nYDIM=1\nTYPE=float\nPIXSIZE=32 bits\nCPU=vax\n##}\n", "not one of INRIMAGE-4"),
    (b"#INRIMAGE-4#{\nXDIM=3\nYDIM=1\nTYPE=float\nCPU=pc\n##}\n", "not one of INRIMAGE-4"),
    (b"#INRIMAGE-4#{\nXDIM=3\nYDIM=1\nTYPE=unsigned fixed\nPIXSIZE=8 bits\nSCALE=2**4\nCPU=pc\n##}\n", "with a SCALE"),
    (b"#INRIMAGE-4#{\nXDIM=3\nYDIM=1\nTYPE=float\nPIXSIZE=32 bits\nCPU=pc\n##}\n", "declares 1 frames and holds 0"),
])
def test_a_damaged_inr_header_is_refused(tmp_path, header, message):
    (tmp_path / "a.inr").write_bytes(header)
    with pytest.raises(StreamError, match=message):
        InrReader(tmp_path / "a.inr")
    with pytest.raises(InputError, match=r"InrWriter.write: frames must be"):
        InrWriter(tmp_path / "b.inr").write(np.zeros((2, 2, 2), bool))
