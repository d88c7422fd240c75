"""Spikes and other events (unit, time) in files: `EventTextWriter`, `HDF5EventWriter`, `open_events`, `read_events`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from .._errors import ParameterError, StreamError
from ._hdf5 import EVENT, find, names
from ._paths import PathLike, readable, writable
from .base import Stream
from .hdf5 import open_hdf5
from .hdf5_writer import EventSink, HDF5File, check_events

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
TEXT = (".txt", ".spk")


class EventTextWriter(Stream):
    """Events as lines of text, `unit time`, the time in seconds with every digit that its float has.

    The format is that of Virtual Retina's spikes.spk. Lines that were written stay when the process is killed after `flush`.

    Args:
        path: file to write; it appears at once.
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
    Raises: StreamError, ParameterError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with EventTextWriter(f"{folder}/spikes.txt") as sink:
    ...         sink.write([3, 0], [0.0125, 0.013])
    ...         sink.flush()
    ...     sink.position, Path(f"{folder}/spikes.txt").read_text().splitlines()
    (2, ['3 0.0125', '0 0.013'])
    """

    def __init__(self, path: PathLike, *, mode: str = "x") -> None:
        super().__init__()
        self.path = writable("EventTextWriter", path, mode, ("x", "w", "a"))
        self._file: TextIO = cast(TextIO, self.path.open(mode, encoding="ascii"))
        self._written = 0

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
        units, times = check_events("EventTextWriter.write", unit, time)
        try:
            self._file.writelines(f"{u} {t!r}\n" for u, t in zip(units.tolist(), times.tolist(), strict=True))
        except OSError as error:
            raise StreamError(f"EventTextWriter.write: {self.path}: {error}") from error
        self._written += len(units)

    def flush(self) -> None:
        """Hands on to the file what was written."""
        self._require_open("flush")
        self._file.flush()

    def _close(self) -> None:
        self._file.close()

    def __repr__(self) -> str:
        return f"<EventTextWriter: {self._written} events written{', closed' if self.closed else ''}>"


class HDF5EventWriter(EventSink):
    """A table of events (unit, time) in an HDF5 file of its own.

    Args:
        path: file to write.
        dataset: name of the table.
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
    Raises: StreamError, ParameterError, InputError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with HDF5EventWriter(f"{folder}/spikes.h5") as sink:
    ...         sink.write([3, 0], [0.0125, 0.013])
    ...     read_events(f"{folder}/spikes.h5")
    (array([3, 0]), array([0.0125, 0.013 ]))
    """

    def __init__(self, path: PathLike, dataset: str = "spikes", *, mode: str = "x") -> None:
        file = HDF5File(path, mode)
        try:
            super().__init__(file, dataset)
        except BaseException:
            file.close()
            raise
        self.path = file.path

    def _close(self) -> None:
        self._file.close()


def open_events(path: PathLike, *, mode: str = "x") -> EventTextWriter | HDF5EventWriter:
    """A new file as a sink for events, by its suffix.

    Args:
        path: .txt or .spk for text, .h5 or .hdf5 for a table named "spikes".
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it (or makes it).
    Raises: StreamError, ParameterError.
    """
    suffix = Path(path).suffix.lower()
    if suffix in TEXT:
        return EventTextWriter(path, mode=mode)
    if suffix in (".h5", ".hdf5"):
        return HDF5EventWriter(path, mode=mode)
    raise ParameterError("open_events", "path", f"the suffix must be one of {[*TEXT, '.h5', '.hdf5']}", str(path))


def read_events(path: PathLike, dataset: str = "spikes") -> tuple[np.ndarray, np.ndarray]:
    """All events of a file.

    Args:
        path: HDF5 file with a table that `HDF5File.events` wrote, or text of lines `unit time`.
        dataset: name of the table in HDF5.
    Returns: unit numbers (events,) int64 and times in seconds (events,) float64, in the order written.
    Raises: StreamError.
    """
    file = readable("read_events", path)
    with file.open("rb") as opened:
        if opened.read(8) != HDF5_MAGIC:
            return read_text(file)
    with open_hdf5("read_events", file) as h5:
        item = find(h5, dataset, "read_events", file)
        if item is None or item.dtype != EVENT:
            having = names(h5, lambda other: other.dtype == EVENT)
            raise StreamError(f"read_events: {file} holds no table of events {dataset!r}; choose from {having}")
        try:
            item.refresh()  # another reader in this process may have looked earlier
            events = item[:]
        except (OSError, RuntimeError, ValueError) as error:
            raise StreamError(f"read_events: {dataset!r} in {file} cannot be read ({error})") from error
    return events["unit"].copy(), events["time"].copy()


def read_text(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Units and times of lines `unit time`; raises `StreamError` naming the line that is none."""
    units, times = [], []
    with file.open(encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            try:
                unit, time = int(words[0]), float(words[1])
            except (ValueError, IndexError):
                unit, time = 0, np.nan
            if len(words) != 2 or not np.isfinite(time):
                raise StreamError(f"read_events: line {number} of {file} is not a unit and a time ({line.strip()[:40]!r})")
            units.append(unit)
            times.append(time)
    return np.array(units, np.int64), np.array(times, np.float64)
