"""Images of INRIA, .inr (INRIMAGE-4), with time as their third dimension: `InrReader`, `InrWriter`."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from .._errors import InputError, ParameterError, StreamError
from ._paths import PathLike, readable, writable
from .base import Sink, Source

MAGIC = b"#INRIMAGE-4#{"
BLOCK = 256  # a header is a whole number of these
LITTLE, BIG = ("decm", "alpha", "pc", "i86"), ("sun", "sgi", "hp", "powerpc")
KINDS = {"unsigned fixed": "u", "signed fixed": "i", "float": "f"}
SIZES = {"u": (8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (32, 64)}


def parse(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header, and its size in bytes; raises `StreamError`."""
    with path.open("rb") as file:
        data = file.read(64 * BLOCK)
    stop = data.find(b"##}")
    if not data.startswith(MAGIC) or stop < 0:
        raise StreamError(f"InrReader: {path} has no INRIMAGE-4 header")
    size = -(-(stop + 3) // BLOCK) * BLOCK
    lines = data[:stop].decode("latin-1").splitlines()[1:]
    pairs = (line.partition("=") for line in lines)
    return {key.lstrip("#").strip(): value.strip() for key, equals, value in pairs if equals}, size


def layout(fields: dict[str, str], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape (time, y, x, values per pixel) and dtype that the header says; raises `StreamError`."""
    try:
        z, y, x, v = (int(fields.get(name, "1")) for name in ("ZDIM", "YDIM", "XDIM", "VDIM"))
        bits = int(re.sub(r"\s*bits?$", "", fields["PIXSIZE"]))
        kind, cpu = KINDS[re.sub(r"\s+", " ", fields["TYPE"])], fields["CPU"]
        if bits not in SIZES[kind] or cpu not in LITTLE + BIG or min(x, y, v) < 1 or z < 0:
            raise ValueError("one of them has a value that is not known")
        if re.sub(r"\s", "", fields.get("SCALE", "2**0")) != "2**0" and kind != "f":
            raise ValueError("numbers with a SCALE are not read")
    except (KeyError, ValueError) as error:
        raise StreamError(f"InrReader: the header of {path} is not one of INRIMAGE-4: XDIM, YDIM, ZDIM, VDIM, TYPE, "
                          f"PIXSIZE and CPU are {fields} ({error})") from error
    return (z, y, x, v), np.dtype(f"{'<' if cpu in LITTLE else '>'}{kind}{bits // 8}")


class InrReader(Source):
    """Frames of an .inr file: planes in z are frames, values of a pixel are channels.

    Both byte orders, fixed numbers of 8 to 64 bits with and without sign, floating ones of 32 and 64. Each read takes its
    own frames from the file.

    Args:
        path: the file.
        frame_rate: frames per second; None: as `InrWriter` noted it, else unknown.
        start_time: time of frame 0 in seconds; None: as noted, else 0.
    Raises: StreamError when the file is missing, truncated, or not INRIMAGE-4.
    Reference: the header of INRIMAGE-4 as of the Inrimage library of INRIA.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with InrWriter(f"{folder}/a.inr", frame_rate=50.0, byte_order="big") as sink:
    ...         sink.write(np.zeros((3, 4, 5), np.float32))
    ...     with InrReader(f"{folder}/a.inr") as source:
    ...         source
    <InrReader: 3 frames of shape (4, 5), 50 Hz, at 0>
    """

    def __init__(self, path: PathLike, *, frame_rate: float | None = None, start_time: float | None = None) -> None:
        self.path = readable("InrReader", path)
        fields, self._offset = parse(self.path)
        (z, y, x, v), self._dtype = layout(fields, self.path)
        try:
            frame_rate = float(fields["frame_rate"]) if frame_rate is None and "frame_rate" in fields else frame_rate
            start_time = float(fields.get("start_time", 0.0)) if start_time is None else start_time
        except ValueError as error:
            raise StreamError(f"InrReader: {self.path} notes a time that is no number ({error})") from error
        self._pixels = (y, x, v)
        held = (self.path.stat().st_size - self._offset) // (y * x * v * self._dtype.itemsize)
        if held < z:
            raise StreamError(f"InrReader: {self.path} is truncated, it declares {z} frames and holds {max(held, 0)}")
        super().__init__((y, x) if v == 1 else (v, y, x), frame_rate=frame_rate, start_time=start_time, length=z, seekable=True)
        self._file = self.path.open("rb")

    def _read(self, start: int, n: int) -> np.ndarray:
        n = max(0, min(n, (self.length or 0) - start))
        frame = math.prod(self._pixels)
        self._file.seek(self._offset + start * frame * self._dtype.itemsize)
        data = self._file.read(n * frame * self._dtype.itemsize)
        if len(data) < n * frame * self._dtype.itemsize:
            raise StreamError(f"InrReader.read: frames {start} to {start + n - 1} of {self.path} cannot be read, the file has "
                              f"changed")
        frames = np.frombuffer(data, self._dtype).astype(self._dtype.newbyteorder("=")).reshape(n, *self._pixels)
        return frames[..., 0] if self._pixels[-1] == 1 else np.moveaxis(frames, -1, 1)

    def _close(self) -> None:
        self._file.close()


class InrWriter(Sink):
    """Frames into an .inr file, as `InrReader` reads them; rate and time are noted as comments of the header.

    `flush` and `close` make the header say how many frames there are. The file appears with the first chunk.

    Args:
        path: file to write.
        mode: "x" makes a new file, "w" replaces an existing one.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
        byte_order: "little" or "big"; None: that of this machine.
    Raises: StreamError, ParameterError; InputError for frames that are not (y, x) or (channel, y, x), or of a type that the
        format lacks: truth values, float16.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with InrWriter(f"{folder}/a.inr") as sink:
    ...         sink.write(np.arange(20, dtype=np.uint8).reshape(1, 4, 5))
    ...     with InrReader(f"{folder}/a.inr") as source:
    ...         source.read(1)[0, 3]
    array([15, 16, 17, 18, 19], dtype=uint8)
    """

    def __init__(self, path: PathLike, *, mode: str = "x", frame_rate: float | None = None, start_time: float = 0.0,
                 byte_order: str | None = None) -> None:
        super().__init__(frame_rate=frame_rate, start_time=start_time)
        self.path = writable("InrWriter", path, mode, ("x", "w"))
        self._order = sys.byteorder if byte_order is None else byte_order
        if self._order not in ("little", "big"):
            raise ParameterError("InrWriter", "byte_order", "choose from ['little', 'big']", byte_order)
        self._mode = mode + "b"
        self._file: BinaryIO | None = None

    def _header(self, frames: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
        v, y, x = (1, *shape) if len(shape) == 2 else shape
        kind = next(name for name, letter in KINDS.items() if letter == dtype.kind)
        rate = "" if self._frame_rate is None else f"#frame_rate={self._frame_rate!r}\n"
        text = (f"{MAGIC.decode()}\nXDIM={x}\nYDIM={y}\nZDIM={frames}\nVDIM={v}\nTYPE={kind}\n"
                f"PIXSIZE={8 * dtype.itemsize} bits\nSCALE=2**0\n"
                f"CPU={'decm' if self._order == 'little' else 'sun'}\n{rate}#start_time={self._start_time!r}\n")
        return text.encode().ljust(BLOCK - 4, b"\n") + b"##}\n"

    def _write(self, chunk: np.ndarray) -> None:
        if chunk.ndim not in (3, 4) or chunk.dtype.kind not in SIZES or 8 * chunk.dtype.itemsize not in SIZES[chunk.dtype.kind]:
            raise InputError(f"InrWriter.write: frames must be (y, x) or (channel, y, x) of integers, float32 or float64 (got "
                             f"shape {chunk.shape[1:]} of {chunk.dtype})")
        frames = chunk if chunk.ndim == 3 else np.moveaxis(chunk, 1, -1)
        try:
            if self._file is None:
                self._file = cast(BinaryIO, self.path.open(self._mode))
            self._file.seek(BLOCK + self._written * chunk[0].nbytes)
            self._file.write(frames.astype(frames.dtype.newbyteorder("<" if self._order == "little" else ">")).tobytes())
        except OSError as error:
            raise StreamError(f"InrWriter.write: frames from {self._written} on cannot be written to {self.path} ({error})"
                              ) from error

    def _flush(self) -> None:
        if self._file is not None and self._shape is not None and self._dtype is not None:
            self._file.flush()  # the frames first, then the header that counts them
            self._file.seek(0)
            self._file.write(self._header(self._written, self._shape, self._dtype))
            self._file.flush()

    def _close(self) -> None:
        if self._file is not None:
            with self._file:
                self._flush()
