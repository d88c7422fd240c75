"""Neurodata Without Borders, read with h5py alone: `NWBReader` for time series, `read_nwb_units` for spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._errors import StreamError
from ._hdf5 import find, get_text, holds_frames
from ._paths import PathLike, readable
from .base import Source, rate_of
from .hdf5 import open_hdf5

REGULAR = 1e-3  # of a frame: what time stamps may differ from a constant rate, such as by rounding


def series(h5: Any) -> list[str]:
    """Paths of the groups that are time series with data in this file."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and isinstance(item.get("data"), h5py.Dataset) and (
                "starting_time" in item or "timestamps" in item):
            found.append(name)

    h5.visititems(visit)
    return found


class NWBReader(Source):
    """A time series or image series of an NWB file, chunk by chunk, on the clock of its session.

    Frames have their axes as they are stored; NWB asks for (time, x, y) of images, most files hold (time, y, x).

    Args:
        path: the file.
        name: of the series, such as "acquisition/movie", or its last part if only one has it; None: the only one.
        frame_rate: resamples a series with irregular time stamps: the last value that was there at each instant.
        raw: numbers as they are stored, instead of in `units` by the conversion that the file states.
    Raises: StreamError when the file is damaged, lacks the series (it lists those that it has), when its data lies
        elsewhere, or when its time stamps are irregular and no rate was given.
    Reference: NWB format 2, https://nwb-schema.readthedocs.io, TimeSeries.

    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/a.nwb", "w") as file:  # as pynwb writes it
    ...         file["acquisition/voltage/data"] = np.arange(6.0).reshape(3, 2)
    ...         file["acquisition/voltage/starting_time"] = 1.5
    ...         file["acquisition/voltage/starting_time"].attrs["rate"] = 100.0
    ...     with NWBReader(f"{folder}/a.nwb") as source:
    ...         source.read(2), source.time
    (array([[0., 1.],
           [2., 3.]]), 1.52)
    """

    def __init__(self, path: PathLike, name: str | None = None, *, frame_rate: float | None = None, raw: bool = False) -> None:
        self.path = readable("NWBReader", path)
        wanted = rate_of("NWBReader", frame_rate)
        self._h5 = open_hdf5("NWBReader", self.path)
        try:
            self.name = self._choose(name)
            item = find(self._h5, f"{self.name}/data", "NWBReader", self.path)
            if item is None or not holds_frames(item) or not len(item):
                raise StreamError(f"NWBReader: {self.name!r} in {self.path} holds no frames of real numbers (a movie in a "
                                  f"file of its own is read with VideoReader)")
            self._item = item
            factor, offset = (float(item.attrs.get(key, value)) for key, value in (("conversion", 1.0), ("offset", 0.0)))
            self._scaling = None if raw or (factor, offset) == (1.0, 0.0) else (factor, offset)
            self._units = get_text(item.attrs, "unit")
            rate, start, length = self._clock(wanted)
            super().__init__(item.shape[1:], frame_rate=rate, start_time=start, length=length, seekable=True)
        except StreamError:
            self._h5.close()
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            self._h5.close()
            raise StreamError(f"NWBReader: {self.path} is damaged, or no NWB file ({error})") from error

    def _choose(self, name: str | None) -> str:
        having = series(self._h5)
        chosen = [one for one in having if name is None or one == name.strip("/") or one.endswith(f"/{name}")]
        if len(chosen) != 1:
            need = ("has several, name one by its path: NWBReader(path, name)" if chosen else "has no such series" if having
                    else "has no series of frames; its units, if any, are read by read_nwb_units(path)")
            raise StreamError(f"NWBReader.name: {self.path} {need} (asked for {name!r}, it has {having})")
        return chosen[0]

    def _clock(self, wanted: float | None) -> tuple[float, float, int]:
        """Frames per second, time of the first one, and how many; keeps the index of each when they are resampled."""
        self._index: np.ndarray | None = None
        where = f"NWBReader: {self.name!r} in {self.path}"
        group, frames = self._h5[self.name], len(self._item)
        if "starting_time" in group:
            start = find(self._h5, f"{self.name}/starting_time", "NWBReader", self.path)
            rate = float(start.attrs["rate"])
            if wanted not in (None, rate):
                raise StreamError(f"{where} has the rate {rate:g} Hz (asked for {wanted:g}); use "
                                  f"TimedResampleStream(source, {wanted:g})")
            return rate, float(start[()]), frames
        times = np.asarray(find(self._h5, f"{self.name}/timestamps", "NWBReader", self.path)[:], np.float64)
        if len(times) != frames or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise StreamError(f"{where} has {frames} frames and {len(times)} time stamps, which do not all increase")
        mean = (times[-1] - times[0]) / max(frames - 1, 1)
        if wanted is None:
            even = frames > 1 and bool((np.abs(times - times[0] - mean * np.arange(frames)) <= REGULAR * mean).all())
            if not even:
                raise StreamError(f"{where} has irregular time stamps; frame_rate=<Hz> resamples it, holding each value to the "
                                  f"next")
            return 1.0 / mean, float(times[0]), frames
        length = int((times[-1] - times[0]) * wanted + 1e-6) + 1
        instants = times[0] + np.arange(length) / wanted
        self._index = np.searchsorted(times, instants + 1e-9, side="right") - 1
        return wanted, float(times[0]), length

    @property
    def units(self) -> str | None:
        """Units of the numbers, as stored; those after the conversion, unless `raw`."""
        return self._units

    def _read(self, start: int, n: int) -> np.ndarray:
        stop = max(start, min(start + n, self.length or 0))
        try:
            if self._index is None or stop == start:
                frames = np.asarray(self._item[start:stop])
            else:
                index = self._index[start:stop]
                frames = np.asarray(self._item[index[0]:index[-1] + 1])[index - index[0]]
        except (OSError, RuntimeError, ValueError) as error:
            raise StreamError(f"NWBReader.read: frames {start} to {stop - 1} of {self.name!r} in {self.path} cannot be "
                              f"read, the file is damaged ({error})") from error
        if self._scaling is None:
            return frames
        kind = np.result_type(frames.dtype, np.float32)
        return frames.astype(kind) * kind.type(self._scaling[0]) + kind.type(self._scaling[1])

    def _close(self) -> None:
        self._h5.close()


def read_nwb_units(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """The spikes of the units table of an NWB file.

    Args:
        path: the file.
    Returns: id of the unit of each spike (spikes,) int64, and its time in seconds (spikes,) float64, unit by unit as stored.
    Raises: StreamError when the file is damaged or has no units with spike times.

    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/a.nwb", "w") as file:
    ...         file["units/id"], file["units/spike_times_index"] = [7, 9], [2, 3]
    ...         file["units/spike_times"] = [0.1, 0.4, 0.2]
    ...     read_nwb_units(f"{folder}/a.nwb")
    (array([7, 7, 9]), array([0.1, 0.4, 0.2]))
    """
    file = readable("read_nwb_units", path)
    with open_hdf5("read_nwb_units", file) as h5:
        ids, times, ends = unit_table(h5, file)
    return np.repeat(ids, np.diff(ends, prepend=np.int64(0))), times


def unit_table(h5: Any, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of the units (units,), the spike times of all in s (spikes,), and where those of each end (units,).

    Raises: StreamError when there are no units, or they do not fit their spikes.
    """
    parts = {name: column(h5, f"units/{name}", path) for name in ("id", "spike_times", "spike_times_index")}
    if any(part is None for part in parts.values()):
        missing = [name for name, part in parts.items() if part is None]
        raise StreamError(f"read_nwb_units: {path} has no units with spike times (it lacks {missing} in 'units')")
    ids, times, ends = (np.asarray(part) for part in parts.values())
    ends = ends.astype(np.int64)
    if len(ends) != len(ids) or (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != len(times)):
        raise StreamError(f"read_nwb_units: the units of {path} do not fit their spike times ({len(ids)} units, {len(times)} "
                          f"spikes)")
    return ids.astype(np.int64), times.astype(np.float64), ends


def column(h5: Any, name: str, path: Path) -> np.ndarray | None:
    """A column of numbers, None when it is not there; raises `StreamError`."""
    item = find(h5, name, "read_nwb_units", path)
    try:
        return None if item is None else np.asarray(item[:])
    except (OSError, RuntimeError, ValueError) as error:
        raise StreamError(f"read_nwb_units: {name!r} in {path} cannot be read ({error})") from error
