"""Recordings in files: `open`, `stream` and `save` for .npz, HDF5 and NWB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from zipfile import BadZipFile

import numpy as np

from .._errors import ParameterError, StreamError
from ..streams import HDF5File, HDF5Reader, NumpyReader, NWBReader, SequenceStream, TimedResampleStream
from ..streams._hdf5 import EVENT, find
from ..streams._paths import PathLike, readable, writable
from ..streams.base import Source, rate_of
from ..streams.hdf5 import open_hdf5
from ..streams.nwb import column, series, unit_table
from .nwb import LICENCE, Series, write_nwb
from .recording import EDGE, Recording, SpikeCounts

TIMES, ENDS = "spike_times", "spike_times_index"
SUFFIXES = (".npz", ".h5", ".hdf5", ".nwb")


class Contents(NamedTuple):
    """What a file holds of a recording; the stimulus is open and read from its start."""

    stimulus: Source
    spike_times: tuple[np.ndarray, ...]
    unit_ids: tuple[int, ...]
    trials: Any = None
    source: str = ""
    licence: str = ""


def open(path: PathLike, stimulus: str | Source | None = None, *, units: Sequence[int] | None = None,
         frame_rate: float | None = None) -> Recording:
    """A recording from a file, in memory.

    Args:
        path: .npz, HDF5 or NWB file (told by what it is, NWB also without its suffix). In .npz and HDF5, `spike_times` in s are
            those of all units one after another, and `spike_times_index` where each unit's end, as in NWB; without the latter
            there is one unit. HDF5 may hold a table "spikes" (unit, time) instead, as `neurosim run` writes it. `trials`
            (trials, 2) holds the start and stop of each in s.
        stimulus: name of the series in NWB, of the dataset in HDF5, of the array in .npz; None: "stimulus", or in NWB the only
            one that was presented, else the only series. Or a source, when the stimulus is elsewhere.
        units: ids of the units that are wanted; None: all.
        frame_rate: of the recording in Hz; None: that of the stimulus. The stimulus is averaged over the time of each frame; it
            has this rate if the file does not say one.
    Returns: `Recording`. Raises: StreamError, ParameterError.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "cell.npz"
    ...     np.savez(path, stimulus=np.zeros((300, 8, 8)), frame_rate=60.0, spike_times=[0.1, 0.4, 2.0])
    ...     open(path)
    <Recording: 5 s of frames (8, 8) at 60 Hz, 1 unit, 3 spikes>
    """
    found, frames, rate = contents(path, stimulus, units, frame_rate)
    try:
        return Recording(frames.read(frames.length or 0), found.spike_times, rate, frames.start_time, found.source,
                         found.licence, found.unit_ids, found.trials)
    finally:
        if found.stimulus is not stimulus:
            found.stimulus.close()


def stream(path: PathLike, stimulus: str | Source | None = None, *, units: Sequence[int] | None = None,
           frame_rate: float | None = None) -> tuple[Source, SpikeCounts]:
    """The stimulus and the counts of each unit from a file larger than memory, as sources on one clock, frame for frame.

    Arguments and errors as for `open`. Returns: the stimulus, read from the file chunk by chunk, to be closed by the caller;
    and counts of the same rate, start and length.
    """
    found, frames, rate = contents(path, stimulus, units, frame_rate)
    return frames, SpikeCounts(found.spike_times, rate, frames.length, start_time=frames.start_time)


def save(recording: Recording, path: PathLike, *, mode: str = "x") -> None:
    """Writes a recording into a file that `open` reads.

    Args:
        recording: what to write.
        path: .npz, .h5, .hdf5, or .nwb, which needs the extra "nwb".
        mode: "x" makes a new file, "w" replaces an existing one.
    Raises: StreamError, ParameterError, MissingExtra.

    >>> import tempfile, pathlib, neurosim
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "cell.h5"
    ...     save(neurosim.datasets.grasshopper(1), path)
    ...     open(path)
    <Recording: 10 s of frames () at 2000 Hz, 1 unit, 929 spikes>
    """
    file = writable("datasets.save", path, mode, ("x", "w"))
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError("datasets.save", "path", f"the suffix must be one of {list(SUFFIXES)}", str(path))
    times = np.concatenate([*recording.spike_times, np.empty(0)])
    ends = np.cumsum([len(one) for one in recording.spike_times], dtype=np.int64)
    about = {"source": recording.source, "licence": recording.licence}
    if suffix == ".npz":
        np.savez_compressed(file, stimulus=recording.stimulus, frame_rate=recording.frame_rate, start_time=recording.start_time,
                            spike_times=times, spike_times_index=ends, unit_ids=np.array(recording.unit_ids, np.int64),
                            trials=recording.trials, source=recording.source, licence=recording.licence)
    elif suffix == ".nwb":
        frames = SequenceStream(recording.stimulus, frame_rate=recording.frame_rate, start_time=recording.start_time)
        write_nwb(file, stimulus={"stimulus": Series(frames)}, spike_times=recording.spike_times, trials=recording.trials,
                  unit_ids=recording.unit_ids, description=recording.source, licence=recording.licence, mode=mode)
    else:
        arrays = {TIMES: times, ENDS: ends, "unit_ids": np.array(recording.unit_ids, np.int64), "trials": recording.trials}
        with HDF5File(file, mode, parameters=about) as h5:
            sinks = {"stimulus": h5.dataset("stimulus", frame_rate=recording.frame_rate, start_time=recording.start_time)}
            sinks |= {name: h5.dataset(name, frame_shape=array.shape[1:], dtype=array.dtype) for name, array in arrays.items()}
            for name, sink in sinks.items():
                sink.write(recording.stimulus if name == "stimulus" else arrays[name])


def contents(path: PathLike, stimulus: str | Source | None, units: Sequence[int] | None,
             frame_rate: float | None) -> tuple[Contents, Source, float]:
    """What the file holds, with the units that are wanted; its stimulus at the rate that is wanted; and that rate."""
    wanted = rate_of("datasets.open", frame_rate)
    file = readable("datasets.open", path)
    with file.open("rb") as head:
        zipped = head.read(2) == b"PK"
    found = (from_npz if zipped else from_hdf5)(file, stimulus, wanted)
    try:
        found = chosen(found, units, file)
        own = found.stimulus.frame_rate
        rate = wanted or own
        if rate is None or own is None:
            raise StreamError(f"datasets.open: {file} does not say the rate of its stimulus; give frame_rate=<Hz>")
        if not found.spike_times:
            raise StreamError(f"datasets.open: {file} holds no unit")
        if found.stimulus.length is None:
            raise ParameterError("datasets.open", "stimulus", "must have an end", repr(found.stimulus))
        if math.isclose(own, rate, rel_tol=EDGE):
            return found, found.stimulus, rate
        length = int(found.stimulus.length / own * rate + EDGE)
        return found, TimedResampleStream(found.stimulus, rate, "area", length=length), rate
    except BaseException:
        if found.stimulus is not stimulus:
            found.stimulus.close()
        raise


def chosen(found: Contents, units: Sequence[int] | None, file: Path) -> Contents:
    """The same with these units only, in this order."""
    if units is None:
        return found
    for unit in units:
        if unit not in found.unit_ids:
            raise ParameterError("datasets.open", "units", f"{file} has the units {list(found.unit_ids)}", unit)
    at = [found.unit_ids.index(unit) for unit in units]
    return found._replace(spike_times=tuple(found.spike_times[i] for i in at), unit_ids=tuple(found.unit_ids[i] for i in at))


def parted(times: Any, ends: Any, where: str) -> tuple[np.ndarray, ...]:
    """The times of each unit, from those of all and where each unit's end."""
    times = np.asarray(times, np.float64)
    ends = np.array([len(times)]) if ends is None else np.asarray(ends, np.int64)
    last = ends[-1] if len(ends) else 0
    if times.ndim != 1 or ends.ndim != 1 or (np.diff(ends, prepend=0) < 0).any() or last != len(times):
        raise StreamError(f"{where}: {ENDS} must say where the {len(times)} spike times of each unit end (got {ends.tolist()})")
    return tuple(np.split(times, ends[:-1])) if len(ends) else ()


def from_npz(file: Path, stimulus: str | Source | None, rate: float | None) -> Contents:
    """Of an .npz file. Raises StreamError."""
    where = f"datasets.open: {file}"
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as data:
            held = {name: data[name] for name in data.files if name in (TIMES, ENDS, "unit_ids", "trials", "source", "licence")}
            having = data.files
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StreamError(f"{where} is damaged, or holds pickles, which are never loaded ({error})") from error
    if TIMES not in held:
        raise StreamError(f"{where} holds no array {TIMES!r} (it has {having})")
    spikes = parted(held[TIMES], held.get(ENDS), where)
    frames = stimulus if isinstance(stimulus, Source) else NumpyReader(file, stimulus or "stimulus")
    if frames.frame_rate is None and rate is not None and not isinstance(stimulus, Source):
        frames = NumpyReader(file, stimulus or "stimulus", frame_rate=rate)
    return Contents(frames, spikes, ids(held.get("unit_ids"), len(spikes), where), held.get("trials"),
                    str(held.get("source", "")), str(held.get("licence", "")))


def ids(stored: Any, units: int, where: str) -> tuple[int, ...]:
    """Ids of the units, counted where the file names none."""
    found = tuple(range(units)) if stored is None else tuple(int(one) for one in np.ravel(stored))
    if len(found) != units:
        raise StreamError(f"{where}: there are {units} units and {len(found)} ids of units")
    return found


def from_hdf5(file: Path, stimulus: str | Source | None, rate: float | None) -> Contents:
    """Of an HDF5 or NWB file. Raises StreamError."""
    where = f"datasets.open: {file}"
    with open_hdf5("datasets.open", file) as h5:
        if "nwb_version" in h5.attrs or file.suffix.lower() == ".nwb":
            return from_nwb(h5, file, stimulus, rate)
        held: Mapping[str, Any] = {name: column(h5, name, file) for name in (TIMES, ENDS, "unit_ids", "trials")}
        table = find(h5, "spikes", "datasets.open", file)
        if held[TIMES] is not None:
            spikes = parted(held[TIMES], held[ENDS], where)
        elif table is not None and table.dtype == EVENT:
            events = table[:]
            spikes = tuple(events["time"][events["unit"] == unit] for unit in range(int(events["unit"].max(initial=-1)) + 1))
        else:
            raise StreamError(f"{where} holds neither {TIMES!r} nor a table of events 'spikes'")
    name = stimulus if isinstance(stimulus, str) else "stimulus"
    frames = stimulus if isinstance(stimulus, Source) else HDF5Reader(file, name)
    if frames.frame_rate is None and rate is not None and not isinstance(stimulus, Source):
        frames.close()
        frames = HDF5Reader(file, name, frame_rate=rate)
    about = frames.parameters if isinstance(frames, HDF5Reader) and isinstance(frames.parameters, dict) else {}
    return Contents(frames, spikes, ids(held["unit_ids"], len(spikes), where), held["trials"],
                    str(about.get("source", "")), str(about.get("licence", "")))


def from_nwb(h5: Any, file: Path, stimulus: str | Source | None, rate: float | None) -> Contents:
    """Of an NWB file. Raises StreamError."""
    numbers, times, ends = unit_table(h5, file)
    trials = [column(h5, f"intervals/trials/{name}_time", file) for name in ("start", "stop")]
    if isinstance(stimulus, Source):
        frames = stimulus
    else:
        name = stimulus
        presented = [one for one in series(h5) if one.startswith("stimulus/presentation/")]
        if name is None and len(presented) == 1:
            name = presented[0]
        if name is None and not series(h5):
            raise StreamError(f"datasets.open: {file} holds no stimulus; give one, stimulus=<source>, such as "
                              "SequenceStream(array, frame_rate=...), or read its spikes alone with read_nwb_units")
        try:
            frames = NWBReader(file, name)
        except StreamError:
            if rate is None:
                raise
            frames = NWBReader(file, name, frame_rate=rate)  # irregular time stamps are resampled to a rate that was asked for
    notes = text(h5, "general/notes")
    return Contents(frames, parted(times, ends, f"datasets.open: {file}"), tuple(int(one) for one in numbers),
                    None if any(one is None for one in trials) else np.stack(cast(list[np.ndarray], trials), 1),
                    text(h5, "session_description"), notes.removeprefix(LICENCE) if notes.startswith(LICENCE) else "")


def text(h5: Any, name: str) -> str:
    """A text of the file, empty when it is not there."""
    value = h5[name][()] if name in h5 else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
