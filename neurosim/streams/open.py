"""Opening streams by path: what a file is decides who reads it, its suffix who writes it."""

from __future__ import annotations

import glob
import inspect
import os
from pathlib import Path
from typing import Any, cast

from .._errors import InputError, ParameterError, StreamError
from ._paths import PathLike, readable
from .base import Sink, Source, to_numbers
from .hdf5 import HDF5Reader
from .hdf5_writer import HDF5Writer
from .images import SUFFIXES, ImageSequenceReader, ImageSequenceWriter
from .inr import InrReader, InrWriter
from .memory import SequenceStream
from .numpy_files import NumpyReader, NumpyWriter
from .nwb import NWBReader
from .video import VideoReader
from .video_writer import VideoWriter

READERS: dict[bytes, Any] = {
    b"\x93NUMPY": NumpyReader, b"PK\x03\x04": NumpyReader, b"PK\x05\x06": NumpyReader,
    b"\x89HDF\r\n\x1a\n": HDF5Reader, b"#INRIMAG": InrReader,
}
WRITERS: dict[str, Any] = {
    ".npy": NumpyWriter, ".h5": HDF5Writer, ".hdf5": HDF5Writer, ".mkv": VideoWriter, ".mp4": VideoWriter,
    ".inr": InrWriter,
}


def check_options(where: str, kind: type, options: dict[str, Any]) -> None:
    """Raises `ParameterError` for an option that this kind of stream does not take."""
    accepted = [name for name in inspect.signature(kind).parameters if name not in ("path", "images", "pattern")]
    for name, value in options.items():
        if name not in accepted:
            raise ParameterError(where, name, f"is no option of {kind.__name__}; choose from {accepted}", value)


def open_stream(path: PathLike, **options: Any) -> Source:
    """The file as a source, by what it is, whatever its name.

    Args:
        path: .npy, .npz, HDF5, NWB (by the suffix .nwb) or .inr file, a video, an image, a folder of images or a pattern
            of their names.
        options: those of `NumpyReader`, `HDF5Reader`, `NWBReader`, `InrReader`, `VideoReader` or `ImageSequenceReader`.
    Raises: StreamError when the file is missing, empty, a folder without images, damaged or of no known kind; ParameterError
        for an option that its reader does not take; MissingExtra when it may be a video and PyAV is missing.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.zeros((5, 3, 2)))
    ...     with open_stream(f"{folder}/a.npy", frame_rate=50.0) as source:
    ...         source
    <NumpyReader: 5 frames of shape (3, 2), 50 Hz, at 0>
    """
    name = Path(path)
    if name.is_dir() or name.suffix.lower() in SUFFIXES or (glob.has_magic(str(name)) and not name.exists()):
        check_options("open_stream", ImageSequenceReader, options)
        return ImageSequenceReader(name, **options)
    file = readable("open_stream", path)
    with file.open("rb") as opened:
        start = opened.read(8)
    kind: Any = next((reader for magic, reader in READERS.items() if start.startswith(magic)), VideoReader)
    if file.suffix.lower() == ".nwb":  # HDF5 by its first bytes
        kind = NWBReader
    check_options("open_stream", kind, options)
    if kind is not VideoReader:
        return cast(Source, kind(file, **options))
    try:
        return VideoReader(file, **options)
    except StreamError as error:
        raise StreamError(f"open_stream: {file} is neither .npy, .npz, .inr nor HDF5 (it begins with {start!r}), and as a "
                          f"video: {error}") from error


def open_sink(path: PathLike, *, frame_rate: float | None = None, start_time: float = 0.0, mode: str = "x",
              **options: Any) -> Sink:
    """A new file as a sink, by its suffix.

    Args:
        path: .npy, .h5, .hdf5, .inr, .mkv (lossless) or .mp4 (for looking); with a %d for the number, such
            as "frame%06d.png", one image file per frame.
        frame_rate: frames per second; stored where the format can, which .npy cannot; needed for video.
        start_time: time of the first frame in seconds; stored where the format can: HDF5 and .inr.
        mode: "x" makes a new file and refuses to touch an existing one, "w" replaces it, "a" appends (not to video).
        options: those of `NumpyWriter`, `HDF5Writer`, `InrWriter`, `VideoWriter` or `ImageSequenceWriter`.
    Raises: StreamError when the file exists and mode is "x"; ParameterError for another suffix or option.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_sink(f"{folder}/a.h5", frame_rate=50.0, units="mV") as sink:
    ...         sink.write(np.zeros((5, 3, 2)))
    ...     sink
    <HDF5Writer: 5 frames of shape (3, 2) written, closed>
    """
    kind = WRITERS.get(Path(path).suffix.lower())
    if kind is None and "%" in os.fspath(path) and Path(path).suffix.lower() in SUFFIXES:
        kind = ImageSequenceWriter
    if kind is None:
        raise ParameterError("open_sink", "path", f"the suffix must be one of {list(WRITERS)}", os.fspath(path))
    if kind is not NumpyWriter:
        options["frame_rate"] = frame_rate
    if "start_time" in inspect.signature(kind).parameters:
        options["start_time"] = start_time
    check_options("open_sink", kind, options)
    return cast(Sink, kind(path, mode=mode, **options))


def as_source(input: Any) -> Source:
    """What a user gives as input, as a source.

    Args:
        input: a source, which is returned as it is; the path of a file, see `open_stream`; or an array, tensor, nested
            list of numbers, or any object with shape and slicing, (time, *frame_shape).
    Raises: InputError when it is none of these; StreamError.

    >>> import numpy as np
    >>> as_source(np.zeros((5, 3, 2)))
    <SequenceStream: 5 frames of shape (3, 2), at 0...>
    """
    if isinstance(input, Source):
        return input
    if isinstance(input, str | os.PathLike):
        return open_stream(input)
    if isinstance(input, list | tuple):
        input = to_numbers(input, "as_source")
    if hasattr(input, "shape") and hasattr(input, "__getitem__"):
        return SequenceStream(input)
    hint = "; frames that a function or generator makes: CallableStream(function, frame_shape)" if callable(
        input) or hasattr(input, "__next__") else ""
    raise InputError(f"as_source: needs an array, a tensor, an object with shape and slicing, a source, or the path of "
                     f"a file{hint} (got {type(input).__name__})")
