"""Frames in numpy's own files: `NumpyReader` for .npy and .npz, `NumpyWriter` for .npy."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from .._errors import StreamError
from ._paths import PathLike, readable, writable
from .base import Sink, Source

MAGIC = b"\x93NUMPY"


def read_header(file: BinaryIO, where: str, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the order is Fortran's, and dtype of an .npy file, which is left at its first number."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # a damaged header is parsed as Python and can fail in any way that Python can
        raise StreamError(f"{where}: {path} has no readable .npy header ({error})") from error
    check_frames(shape, dtype, where, path)
    held = path.stat().st_size - file.tell()
    if held < math.prod(shape) * dtype.itemsize:
        frame = math.prod(shape[1:]) * dtype.itemsize
        raise StreamError(f"{where}: {path} is truncated, it declares {shape[0]} frames and holds {held // frame}")
    return shape, fortran, dtype


def header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The start of an .npy file; its size does not depend on the number of frames, numpy leaves room for it."""
    start = io.BytesIO()
    npy.write_array_header_1_0(start, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    return start.getvalue()


def check_frames(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, path: Path) -> None:
    """Raises `StreamError` unless an array of this shape and dtype is frames of real numbers."""
    if dtype.kind not in "biuf":
        raise StreamError(f"{where}: frames must be real numbers (the array in {path} has dtype {dtype})")
    if not shape or min(shape) < 0 or 0 in shape[1:]:
        raise StreamError(f"{where}: needs frames along a first axis (the array in {path} has shape {shape})")


class NumpyReader(Source):
    """Frames of an array saved by numpy, time being its first axis.

    An .npy file may be larger than memory: each read maps just its own frames and lets them go. An array of an .npz
    file is loaded as a whole when the reader is opened.

    Args:
        path: .npy or .npz file.
        array: name of the array in an .npz file; None: the first one.
        frame_rate: frames per second; None: the number `frame_rate` in an .npz file, else unknown.
        start_time: time of frame 0 in seconds; None: the number `start_time` in an .npz file, else 0.
    Raises: StreamError when the file is missing, truncated, not numpy's, or lacks the array. Pickles are never
        loaded.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/a.npz", movie=np.zeros((5, 3, 2)), frame_rate=50.0, start_time=2.0)
    ...     with NumpyReader(f"{folder}/a.npz", "movie") as source:
    ...         source.seekable, source.seek(2), source.position, source.time
    (True, None, 2, 2.04)
    """

    def __init__(self, path: PathLike, array: str | None = None, *, frame_rate: float | None = None,
                 start_time: float | None = None) -> None:
        self.path = readable("NumpyReader", path)
        self._file: BinaryIO | None = None
        self._array: np.ndarray | None = None
        with self.path.open("rb") as file:
            zipped = file.read(len(MAGIC)).startswith(b"PK")
        if zipped:
            self._array, clock = load_npz(self.path, array)
            frame_rate = clock.get("frame_rate") if frame_rate is None else frame_rate
            start_time = clock.get("start_time") if start_time is None else start_time
            shape = self._array.shape
        elif array is not None:
            raise StreamError(f"NumpyReader: {self.path} is one array without a name (asked for {array!r})")
        else:
            file = self.path.open("rb")
            try:
                shape, self._fortran, self._dtype = read_header(file, "NumpyReader", self.path)
            except StreamError:
                file.close()
                raise
            self._file, self._offset = file, file.tell()
        super().__init__(shape[1:], frame_rate=frame_rate, start_time=start_time or 0.0, length=shape[0],
                         seekable=True)

    def _read(self, start: int, n: int) -> np.ndarray:
        n = max(0, min(n, (self.length or 0) - start))
        if self._array is not None:
            return self._array[start:start + n]
        if not n:
            return np.empty((0, *self.frame_shape), self._dtype.newbyteorder("="))
        # A map that lives on would count every page that was ever read as resident memory.
        if self._fortran:
            shape, first, order = (self.length, *self.frame_shape), 0, "F"
        else:
            shape, first, order = (n, *self.frame_shape), start, "C"
        offset = self._offset + first * math.prod(self.frame_shape) * self._dtype.itemsize
        try:
            frames = np.memmap(self._file, self._dtype, "r", offset, shape, order)  # type: ignore[call-overload]
        except (OSError, ValueError) as error:
            raise StreamError(f"NumpyReader.read: frames {start} to {start + n - 1} of {self.path} cannot be read, the "
                              f"file has changed ({error})") from error
        return np.array(frames[start - first:start - first + n], self._dtype.newbyteorder("="), order="C", subok=False)

    def _close(self) -> None:
        self._array = None
        if self._file is not None:
            self._file.close()


CLOCK = ("frame_rate", "start_time")  # numbers that an .npz file may hold beside its arrays


def load_npz(path: Path, name: str | None) -> tuple[np.ndarray, dict[str, float]]:
    """One array of an .npz file, the first one when `name` is None, and what it says of `CLOCK`; raises `StreamError`."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not archive.files:
                raise StreamError(f"NumpyReader: {path} holds no array")
            if name is not None and name not in archive.files:
                raise StreamError(f"NumpyReader: {path} holds no array {name!r}; choose from {archive.files}")
            frames = [one for one in archive.files if one not in CLOCK] or archive.files
            name = frames[0] if name is None else name
            array = archive[name]
            clock = {one: float(archive[one]) for one in CLOCK if one in archive.files and archive[one].ndim == 0}
    except StreamError:
        raise
    except Exception as error:  # as above: zip, zlib and Python's own parser all have their say
        raise StreamError(f"NumpyReader: {path} cannot be read as .npz ({error})") from error
    if not isinstance(array, np.ndarray):
        raise StreamError(f"NumpyReader: {name!r} in {path} is not an array")
    check_frames(array.shape, array.dtype, "NumpyReader", path)
    return array.astype(array.dtype.newbyteorder("="), copy=False), clock


class NumpyWriter(Sink):
    """Frames into one .npy file, appended chunk by chunk.

    `flush` and `close` make the header say how many frames there are; numpy reserves room for the number. After a
    kill the file holds the frames of the last flush. The file appears with the first chunk.

    Args:
        path: file to write.
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
    Raises: StreamError, ParameterError; InputError when an existing array has other frames than the first chunk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for mode in "xa":
    ...         with NumpyWriter(f"{folder}/a.npy", mode=mode) as sink:
    ...             sink.write(np.ones((2, 3)))
    ...     np.load(f"{folder}/a.npy").shape
    (4, 3)
    """

    def __init__(self, path: PathLike, *, mode: str = "x") -> None:
        self.path = writable("NumpyWriter", path, mode, ("x", "w", "a"))
        self._file: BinaryIO | None = None
        self._mode = "xb" if mode == "x" else "wb"
        if mode != "a" or not self.path.exists():
            super().__init__()
            return
        file = readable("NumpyWriter", self.path).open("r+b")
        try:
            shape, fortran, dtype = read_header(file, "NumpyWriter", self.path)
            if fortran or len(header(shape, dtype)) != file.tell():
                raise StreamError(f"NumpyWriter: frames cannot be appended to {self.path}, it is in Fortran's order or "
                                  f"its header has no room to grow; copy it into a new file")
            # What lies beyond the frames that the header counts was left by a writer that was killed.
            file.truncate(file.tell() + math.prod(shape) * dtype.itemsize)
        except StreamError:
            file.close()
            raise
        super().__init__(shape[1:], dtype)
        self._file, self._written = file, shape[0]

    def _write(self, chunk: np.ndarray) -> None:
        if self._file is None:
            self._file = cast(BinaryIO, self.path.open(self._mode))
        start = len(header((0, *chunk.shape[1:]), chunk.dtype))
        # Said each time: a write that failed half way has left the file elsewhere.
        self._file.seek(start + self._written * math.prod(chunk.shape[1:]) * chunk.dtype.itemsize)
        try:
            self._file.write(np.ascontiguousarray(chunk).data)
        except OSError as error:
            raise StreamError(f"NumpyWriter.write: frames from {self._written} on cannot be written to {self.path} "
                              f"({error})") from error

    def _flush(self) -> None:
        if self._file is not None and self._shape is not None and self._dtype is not None:
            try:
                self._file.flush()  # the frames first, then the header that counts them
                self._file.seek(0)
                self._file.write(header((self._written, *self._shape), self._dtype))
                self._file.flush()
            except OSError as error:
                raise StreamError(f"NumpyWriter.flush: {self.path}: {error}") from error

    def _close(self) -> None:
        if self._file is not None:
            with self._file:
                self._flush()
