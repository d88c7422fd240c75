"""Writing frames and events into HDF5 files that others can read meanwhile: `HDF5Writer`, `HDF5File`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor

from .._errors import InputError, ParameterError, StreamError
from ._hdf5 import EVENT, find, get_text, set_text
from ._paths import PathLike, writable
from .base import Sink, Stream, to_numbers, whole

COMPRESSIONS: dict[str | None, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    None: {},
}
HDF5_ERRORS = (OSError, RuntimeError, ValueError)  # what h5py makes of the library's errors


def as_json(value: Any) -> Any:
    """What `json` cannot write by itself: arrays, tensors and numpy numbers become lists and numbers, paths text."""
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise ParameterError("HDF5File", "parameters", "must be numbers, text, arrays, lists and dicts", value)


class HDF5File:
    """An HDF5 file that several sinks write into, readable by other processes while it grows.

    Declare all sinks, then write. Once each of them exists in the file (its frame shape and dtype were given, or it
    got its first chunk) the file is switched to HDF5's single writer, multiple readers mode. From then on others can
    read, and no sink can be declared.

    What holds when the writing process is killed: from the switch on, whatever was handed to HDF5 stays readable by
    `HDF5Reader`. Compressed frames are handed over in complete blocks only, since a compressed block that is written
    again is not safe; up to `block` - 1 frames wait in memory for the rest of their block or for `close`. Events and
    frames without compression do not wait. Before the switch, and against a power cut or a full disk, nothing is
    promised.

    Args:
        path: file to write.
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
        parameters: stored with the file as JSON; `HDF5Reader.parameters` gives them back.
    Raises: StreamError, ParameterError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = HDF5File(f"{folder}/a.h5", parameters={"tau": 0.01})
    ...     frames, spikes = file.dataset("frames", frame_rate=100.0), file.events("spikes")
    ...     frames.write(np.zeros((3, 2, 2)))
    ...     spikes.write([0], [0.02])
    ...     file.flush()
    ...     frames.position, spikes.position
    ...     file.close()
    (3, 1)
    """

    def __init__(self, path: PathLike, mode: str = "x", *, parameters: Mapping[str, Any] | None = None) -> None:
        import h5py

        self.path = writable("HDF5File", path, mode, ("x", "w", "a"))
        text = None if parameters is None else json.dumps(parameters, default=as_json)
        old = mode == "a" and self.path.exists()
        try:
            self._h5 = h5py.File(self.path, "r+" if old else mode.replace("a", "x"), libver="latest")
        except OSError as error:
            raise StreamError(f"HDF5File: {self.path} cannot be opened for writing: it is not HDF5, or it is open "
                              f"elsewhere, or its writer was killed (HDF5Reader still reads it) ({error})") from error
        if old and self._h5.id.get_create_plist().get_version()[0] < 3:
            self._h5.close()
            raise StreamError(f"HDF5File: {self.path} is in HDF5's old format, which cannot grow safely while it is "
                              f"read; write a new file")
        self._sinks: list[HDF5Sink | EventSink] = []
        if text is not None:
            set_text(self._h5.attrs, "parameters", text)

    def dataset(self, name: str, **options: Any) -> HDF5Sink:
        """Declares frames under this name; for the options see `HDF5Sink`."""
        return HDF5Sink(self, name, **options)

    def events(self, name: str) -> EventSink:
        """Declares a table of events (unit, time) under this name."""
        return EventSink(self, name)

    def flush(self) -> None:
        """Makes what was handed over visible to readers; every write does."""
        if not self._h5:
            raise StreamError(f"HDF5File.flush: {self.path} is closed")
        try:
            if not self._h5.swmr_mode and self._sinks and all(sink.exists for sink in self._sinks):
                self._h5.swmr_mode = True
            if self._h5.swmr_mode:
                self._h5.flush()
        except HDF5_ERRORS as error:
            raise StreamError(f"HDF5File.flush: {self.path}: {error}") from error

    def close(self) -> None:
        """Closes the sinks, which hand over the frames that waited, and the file; closing again does nothing."""
        if self._h5:
            try:
                for sink in list(self._sinks):
                    sink.close()
            finally:
                self._h5.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _declare(self, name: str, sink: HDF5Sink | EventSink) -> Any:
        """Takes in a sink before writing begins; the dataset of this name, None when there is none."""
        if not name or not isinstance(name, str):
            raise ParameterError("HDF5File", "dataset", "must be a name", name)
        if not self._h5:
            raise StreamError(f"HDF5File.dataset: {self.path} is closed")
        if self._h5.swmr_mode:
            raise StreamError(f"HDF5File.dataset: {name!r} cannot be declared any more, others may already read "
                              f"{self.path}; declare all datasets before the first write")
        if any(other.name == name for other in self._sinks):
            raise ParameterError("HDF5File", "dataset", "is already declared", name)
        item = find(self._h5, name, "HDF5File.dataset", self.path)
        parts = name.strip("/").split("/")
        for inside in ("/".join(parts[:n]) for n in range(1, len(parts))):
            if find(self._h5, inside, "HDF5File.dataset", self.path) is not None:
                raise StreamError(f"HDF5File.dataset: {name!r} cannot be created in {self.path}, "
                                  f"{inside!r} is a dataset")
        if item is None and name in self._h5:
            raise StreamError(f"HDF5File.dataset: {name!r} in {self.path} is a group, not a dataset")
        if item is not None and (item.maxshape[:1] != (None,) or not item.chunks):
            raise StreamError(f"HDF5File.dataset: {name!r} in {self.path} has a fixed size and cannot be appended to")
        return item

    def _create(self, name: str, frame_shape: tuple[int, ...], dtype: Any, block: int, **options: Any) -> Any:
        try:
            return self._h5.create_dataset(name, (0, *frame_shape), dtype, maxshape=(None, *frame_shape),
                                           chunks=(block, *frame_shape), **options)
        except HDF5_ERRORS as error:
            raise StreamError(f"HDF5File.dataset: {name!r} cannot be created in {self.path} ({error})") from error

    def _put(self, item: Any, start: int, frames: np.ndarray) -> None:
        """Writes frames into a dataset from `start` on, to its new end."""
        try:
            item.resize(start + len(frames), axis=0)
            item[start:] = frames
        except HDF5_ERRORS as error:
            raise StreamError(f"HDF5File: frames from {start} on of {item.name!r} cannot be written to {self.path} "
                              f"({error})") from error
        self.flush()


class HDF5Sink(Sink):
    """Frames into one dataset of an `HDF5File`. Made by `HDF5File.dataset`.

    Args:
        file: the file.
        name: of the dataset, in which "/" makes groups.
        frame_shape, dtype: of the frames; when both are given the dataset exists at once, else from the first chunk
            on.
        frame_rate: frames per second, or None; stored as the attribute `frame_rate`.
        start_time: time of frame 0 in seconds; stored as the attribute `start_time`.
        units: of the numbers, such as "mV"; stored.
        compression: "gzip" (checked when read), "lzf" or None; a dataset that is appended to keeps its own.
        block: frames that are compressed together; None: up to 64, up to 1 MiB. A dataset appended to keeps its own.
    Raises: ParameterError; StreamError; InputError when the frames of an existing dataset are others.
    """

    def __init__(self, file: HDF5File, name: str, *, frame_shape: Sequence[int] | None = None, dtype: Any = None,
                 frame_rate: float | None = None, start_time: float = 0.0, units: str | None = None,
                 compression: str | None = "gzip", block: int | None = None) -> None:
        super().__init__(frame_shape, dtype, frame_rate=frame_rate, start_time=start_time)
        if compression not in COMPRESSIONS:
            raise ParameterError("HDF5Sink", "compression", f"choose from {list(COMPRESSIONS)}", compression)
        self.name, self._file, self._units, self._compression = name, file, units, compression
        self._block = None if block is None else whole("HDF5Sink", "block", block, least=1)
        self._waiting: np.ndarray | None = None  # frames of a block that is not complete
        self._item = file._declare(name, self)
        if self._item is not None:
            self._continue(self._item)
        elif self._shape is not None and self._dtype is not None:
            self._make(self._shape, self._dtype)
        file._sinks.append(self)

    @property
    def exists(self) -> bool:
        """Whether the dataset is in the file."""
        return self._item is not None

    def _continue(self, item: Any) -> None:
        where = f"HDF5Sink: {self.name!r} in {self._file.path}"
        same_shape = self._shape is None or self._shape == item.shape[1:]
        if not same_shape or (self._dtype is not None and self._dtype != item.dtype):
            raise InputError(f"{where} holds frames of shape {item.shape[1:]} and {item.dtype} (asked for "
                             f"{self._shape} and {self._dtype})")
        rate, units = item.attrs.get("frame_rate"), get_text(item.attrs, "units")
        if self._frame_rate not in (None, rate):
            raise StreamError(f"{where} has the frame rate {rate} (asked for {self._frame_rate})")
        if self._units not in (None, units):
            raise StreamError(f"{where} has the units {units!r} (asked for {self._units!r})")
        start = float(item.attrs.get("start_time", 0.0))
        if self._start_time not in (0.0, start):
            raise StreamError(f"{where} starts at {start:g} s (asked for {self._start_time:g} s)")
        self._shape, self._dtype, self._block = item.shape[1:], item.dtype, item.chunks[0]
        self._frame_rate, self._start_time = rate if rate is None else float(rate), start
        self._compression, self._written = item.compression, item.shape[0]
        whole_blocks = self._written - self._written % item.chunks[0]
        if self._compression:
            self._waiting = item[whole_blocks:] if whole_blocks < self._written else None

    def _make(self, frame_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._block = self._block or max(1, min(64, 2**20 // (math.prod(frame_shape) * dtype.itemsize)))
        self._item = self._file._create(self.name, frame_shape, dtype, self._block, **COMPRESSIONS[self._compression])
        if self._frame_rate is not None:
            self._item.attrs["frame_rate"] = self._frame_rate
        self._item.attrs["start_time"] = self._start_time
        if self._units is not None:
            set_text(self._item.attrs, "units", self._units)

    def _write(self, chunk: np.ndarray) -> None:
        if self._item is None:
            self._make(chunk.shape[1:], chunk.dtype)
        frames = chunk if self._waiting is None else np.concatenate([self._waiting, chunk])
        start = self._written + len(chunk) - len(frames)
        ready = len(frames) - (len(frames) % (self._block or 1) if self._compression else 0)
        if ready:
            self._file._put(self._item, start, frames[:ready])
        else:
            self._file.flush()
        self._waiting = frames[ready:].copy() if ready < len(frames) else None

    def _flush(self) -> None:
        self._file.flush()

    def _close(self) -> None:
        if self._item is None:
            self._file._sinks.remove(self)
        elif self._waiting is not None:
            self._file._put(self._item, self._written - len(self._waiting), self._waiting)
            self._waiting = None


class HDF5Writer(HDF5Sink):
    """Frames into one dataset of an HDF5 file of its own; for what holds under a kill see `HDF5File`.

    Args:
        path: file to write.
        dataset: name of the dataset.
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
        parameters: stored with the file as JSON; `HDF5Reader.parameters` gives them back.
        frame_shape, dtype, frame_rate, start_time, units, compression, block: as for `HDF5Sink`.
    Raises: as `HDF5File` and `HDF5Sink`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with HDF5Writer(f"{folder}/a.h5", "movie", parameters={"tau": 0.01}) as sink:
    ...         sink.write(np.zeros((3, 2, 2), np.float32))
    ...         sink.frame_shape, sink.dtype
    ((2, 2), dtype('float32'))
    """

    def __init__(self, path: PathLike, dataset: str = "frames", *, mode: str = "x",
                 parameters: Mapping[str, Any] | None = None, frame_shape: Sequence[int] | None = None,
                 dtype: Any = None, frame_rate: float | None = None, start_time: float = 0.0, units: str | None = None,
                 compression: str | None = "gzip", block: int | None = None) -> None:
        file = HDF5File(path, mode, parameters=parameters)
        try:
            super().__init__(file, dataset, frame_shape=frame_shape, dtype=dtype, frame_rate=frame_rate,
                             start_time=start_time, units=units, compression=compression, block=block)
        except BaseException:
            file.close()
            raise
        self.path = file.path

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self._file.close()


def check_events(where: str, unit: Any, time: Any) -> tuple[np.ndarray, np.ndarray]:
    """Units and times as arrays of the same length; raises `InputError` unless they are events."""
    units, times = to_numbers(unit, where), to_numbers(time, where).astype(np.float64)
    if units.ndim != 1 or units.shape != times.shape:
        raise InputError(f"{where}: needs one unit and one time for each event (got shapes {units.shape} and {times.shape})")
    if len(units) and units.dtype.kind not in "iu":
        raise InputError(f"{where}: units must be whole numbers (got {units.dtype})")
    if not np.isfinite(times).all():
        raise InputError(f"{where}: times must be finite (got NaN or infinity)")
    return units, times


class EventSink(Stream):
    """A table of events (unit, time) in an `HDF5File`, such as spikes. Made by `HDF5File.events`, see `read_events`."""

    def __init__(self, file: HDF5File, name: str) -> None:
        super().__init__()
        self.name, self._file = name, file
        item = file._declare(name, self)
        if item is None:
            item = file._create(name, (), EVENT, 1024)
            set_text(item.attrs, "units", "s")
        elif item.dtype != EVENT or item.compression:
            raise InputError(f"EventSink: {name!r} in {file.path} is not a table of events (its dtype is {item.dtype})")
        self._item, self._written = item, int(item.shape[0])
        file._sinks.append(self)

    @property
    def exists(self) -> bool:
        """Whether the table is in the file: always."""
        return True

    @property
    def position(self) -> int:
        """Events written so far."""
        return self._written

    def write(self, unit: Any, time: Any) -> None:
        """Appends events.

        Args:
            unit: number of the unit of each event, whole numbers, (events,).
            time: of each event in seconds, (events,).
        Raises: StreamError, InputError.
        """
        self._require_open("write")
        units, times = check_events("EventSink.write", unit, time)
        events = np.empty(len(units), EVENT)
        events["unit"], events["time"] = units, times
        if len(events):
            self._file._put(self._item, self._written, events)
            self._written += len(events)

    def flush(self) -> None:
        """Makes what was written visible to readers; every write does."""
        self._require_open("flush")
        self._file.flush()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._written} events written{', closed' if self.closed else ''}>"
