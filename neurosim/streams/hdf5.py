"""Reading frames from HDF5 files, also while another process writes them: `HDF5Reader`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import StreamError
from ._hdf5 import EVENT, find, get_text, holds_frames, names
from ._paths import PathLike, readable
from .base import Source, rate_of


def open_hdf5(where: str, path: Path) -> Any:
    """The file opened for reading, also while an `HDF5File` writes it or after a kill; raises `StreamError`."""
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "already open for write" not in str(error):
            why = "another process writes it in a way that keeps readers out" if isinstance(
                error, BlockingIOError) else "it is not HDF5, or damaged"
            raise StreamError(f"{where}: {path} cannot be opened, {why} ({error})") from error
    try:
        return h5py.File(path, "r", swmr=True)
    except OSError as error:
        raise StreamError(f"{where}: {path} cannot be opened, its writer was killed before others could read it "
                          f"({error})") from error


class HDF5Reader(Source):
    """Frames of one dataset of an HDF5 file, time being its first axis.

    A file that is written by `HDF5Writer` or `HDF5File` can be read meanwhile. The reader ends where the dataset
    ended when it was opened; `refresh` moves the end to where it is now.

    Args:
        path: the file.
        dataset: name, in which "/" separates groups; None: "frames" if there is one, else the only dataset of frames.
        frame_rate: frames per second; None: as stored, else unknown.
        start_time: time of frame 0 in seconds; None: as stored, else 0.
    Raises: StreamError when the file is missing, damaged, or lacks the dataset, which then lists those that it has;
        also when the data lies elsewhere (soft or external link, virtual dataset, external storage).

    >>> import tempfile
    >>> from neurosim.streams import HDF5Writer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with HDF5Writer(f"{folder}/a.h5", frame_rate=100.0, units="mV", compression=None) as sink:
    ...         sink.write(np.zeros((4, 2, 2)))
    ...         source = HDF5Reader(f"{folder}/a.h5")  # while it grows
    ...         sink.write(np.ones((4, 2, 2)))
    ...         source.length, source.refresh(), source.units
    ...     source.close()
    (4, 8, 'mV')
    """

    def __init__(self, path: PathLike, dataset: str | None = None, *, frame_rate: float | None = None,
                 start_time: float | None = None) -> None:
        frame_rate = rate_of("HDF5Reader", frame_rate)
        self.path = readable("HDF5Reader", path)
        self._h5 = open_hdf5("HDF5Reader", self.path)
        try:
            self._item = choose(self._h5, dataset, self.path)
            self.dataset = str(self._item.name).lstrip("/")
            stored = self._item.attrs.get("frame_rate")
            if frame_rate is None and isinstance(stored, (int, float, np.number)):
                frame_rate = float(stored)
            if start_time is None:
                stored = self._item.attrs.get("start_time")
                start_time = float(stored) if isinstance(stored, (int, float, np.number)) else 0.0
            self._units = get_text(self._item.attrs, "units")
            text = get_text(self._h5.attrs, "parameters")
            self._parameters = None if text is None else json.loads(text)
            shape = self._item.shape
            super().__init__(shape[1:], frame_rate=frame_rate, start_time=start_time, length=shape[0], seekable=True)
        except StreamError:
            self._h5.close()
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            self._h5.close()
            raise StreamError(f"HDF5Reader: {self.path} is damaged, or says about itself what makes no sense "
                              f"({error})") from error

    @property
    def units(self) -> str | None:
        """Units of the numbers, as stored."""
        return self._units

    @property
    def parameters(self) -> Any:
        """What was stored as `parameters` of the file, or None."""
        return self._parameters

    def refresh(self) -> int:
        """Moves the end to what another process has written by now; returns the length."""
        self._require_open("refresh")
        try:
            self._item.refresh()
        except (OSError, RuntimeError) as error:
            raise StreamError(f"HDF5Reader.refresh: {self.path}: {error}") from error
        self._length = int(self._item.shape[0])
        return self._length

    def _read(self, start: int, n: int) -> np.ndarray:
        stop = max(start, min(start + n, self._length or 0))
        try:
            return np.asarray(self._item[start:stop])
        except (OSError, RuntimeError, ValueError) as error:
            raise StreamError(f"HDF5Reader.read: frames {start} to {stop - 1} of {self.dataset!r} in {self.path} "
                              f"cannot be read, the file is damaged ({error})") from error

    def _close(self) -> None:
        self._h5.close()


def choose(h5: Any, name: str | None, path: Path) -> Any:
    """The dataset of frames of this name, or the one that is meant when `name` is None; raises `StreamError`."""
    having = names(h5, holds_frames)
    if name is None:
        name = "frames" if "frames" in having else having[0] if len(having) == 1 else None
        if name is None:
            what = "several datasets of frames, choose one with HDF5Reader(path, name)" if having else "no dataset of frames"
            raise StreamError(f"HDF5Reader.dataset: {path} holds {what} (it has {having})")
    item = find(h5, name, "HDF5Reader.dataset", path)
    if item is None:
        raise StreamError(f"HDF5Reader.dataset: {path} holds no dataset {name!r}; choose from {having}")
    if item.dtype == EVENT:
        raise StreamError(f"HDF5Reader.dataset: {name!r} in {path} is a table of events; read it with read_events")
    if not holds_frames(item):
        raise StreamError(f"HDF5Reader.dataset: {name!r} in {path} is not frames of real numbers along a first axis "
                          f"(its shape is {item.shape}, its dtype {item.dtype})")
    return item
