"""What a result holds, read in bounded memory: courses over time, some frames, spikes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import StreamError
from neurosim.streams import HDF5Reader
from neurosim.streams._hdf5 import EVENT, get_text, holds_frames, names
from neurosim.streams._paths import readable
from neurosim.streams.hdf5 import open_hdf5

BINS = 600  # points of a course over time
VALUES = 100_000_000  # numbers that are read of one dataset; of a larger one, some frames of every bin
CHUNK = 4_000_000  # numbers that are held at a time
FRAMES = 6  # that are shown
MARKS = 40_000  # spikes that are drawn
BLOCK = 1_000_000  # events that are held at a time
SHOWN = 40  # datasets


@dataclass
class Frames:
    """A dataset of frames, summarised.

    Fields: `name`, `units`, `rate` in Hz or None, `length`, `shape` of a frame; `time` (bins,) in s, or in frames without a
    rate; `start`, of the first frame in s; `low`, `mean`, `high` (bins,) over pixels; for videos `average` (y, x) over time
    and `some` (frames, y, x) at `moments`; `read`, how many frames it was made from.
    """

    name: str
    units: str
    rate: float | None
    length: int
    shape: tuple[int, ...]
    time: np.ndarray
    start: float
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray
    average: np.ndarray | None
    some: np.ndarray | None
    moments: list[int]
    read: int


@dataclass
class Spikes:
    """A table of events, summarised: some of them, and how many fall into each bin.

    Fields: `name`, `count`, `unit` and `time` of those that are drawn, `edges` (bins + 1,) in s, `counts` (bins,), `units`.
    """

    name: str
    count: int
    unit: np.ndarray
    time: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    units: int


@dataclass
class Contents:
    """All of a result: what it says about itself, its frames, its spikes, and names of datasets that were left out."""

    path: Path
    about: dict[str, Any]
    frames: list[Frames]
    spikes: list[Spikes]
    left_out: list[str]


def read_contents(path: str | Path) -> Contents:
    """Reads a result. Raises StreamError for what is no HDF5 file, is damaged, or holds nothing that can be shown."""
    file = readable("FILE", path)
    with open_hdf5("FILE", file) as h5:
        text = get_text(h5.attrs, "parameters")
        tables = names(h5, lambda item: item.dtype == EVENT)
        datasets = names(h5, lambda item: item.dtype != EVENT and holds_frames(item))
        found = [_spikes(h5, name, file) for name in tables[:SHOWN]]
    if not tables and not datasets:
        raise StreamError(f"FILE: {file} holds neither frames nor spikes")
    try:
        about = json.loads(text) if text else {}
    except ValueError as error:
        raise StreamError(f"FILE: {file} is damaged: what it says about itself is not JSON ({error})") from error
    said = about.get("order") if isinstance(about, dict) else None
    order = [str(name) for name in said] if isinstance(said, list) else []
    datasets.sort(key=lambda name: order.index(name) if name in order else len(order))
    frames = [_frames(file, name) for name in datasets[:SHOWN]]
    return Contents(file, about if isinstance(about, dict) else {"parameters": about}, frames, found,
                    datasets[SHOWN:] + tables[SHOWN:])


def _frames(path: Path, name: str) -> Frames:
    with HDF5Reader(path, name) as reader:
        length, shape = reader.length or 0, reader.frame_shape
        starts = np.unique(np.linspace(0, length, min(BINS, length) + 1).astype(int))
        size = int(np.prod(shape, dtype=int)) or 1
        few = max(1, VALUES // (size * max(len(starts) - 1, 1)))  # frames per bin
        video = len(shape) in (2, 3) and min(shape[-2:]) > 1
        total = np.zeros(shape[-2:]) if video else None
        low, mean, high = (np.full(len(starts) - 1, np.nan) for _ in range(3))
        read = 0
        for number, (start, stop) in enumerate(pairwise(starts.tolist())):
            stop = min(stop, start + few)
            sums = 0.0
            for first in range(start, stop, max(1, CHUNK // size)):
                reader.seek(first)
                chunk = reader.read(min(stop - first, max(1, CHUNK // size))).astype(np.float64)
                low[number], high[number] = np.fmin(low[number], chunk.min()), np.fmax(high[number], chunk.max())
                sums += float(chunk.sum())
                if total is not None:
                    total += (chunk if chunk.ndim == 3 else chunk[:, 0]).sum(0)
            mean[number] = sums / ((stop - start) * size)
            read += stop - start
        moments = np.unique(np.linspace(0, max(length - 1, 0), FRAMES).astype(int)).tolist() if video and length else []
        some = [_at(reader, moment) for moment in moments]
        rate, start = reader.frame_rate, reader.start_time
        time = start + 0.5 * (starts[1:] + starts[:-1]) / (rate or 1.0)
        average = None if total is None or not read else total / read
        return Frames(name, reader.units or "", rate, length, shape, time, start, low, mean, high, average,
                      np.stack(some) if some else None, moments, read)


def _at(reader: HDF5Reader, moment: int) -> np.ndarray:
    reader.seek(moment)
    frame = reader.read(1)[0].astype(np.float64)
    return frame if frame.ndim == 2 else frame[0]


def _spikes(h5: Any, name: str, path: Path) -> Spikes:
    """Two passes over the table: how long it is, then what falls where."""
    item = h5[name]
    count = int(item.shape[0])
    every = max(1, -(-count // MARKS))
    try:
        first_time, end, units = (np.inf, -np.inf, 0) if count else (0.0, 0.0, 0)
        for first in range(0, count, BLOCK):
            block = item[first:first + BLOCK]
            first_time, end = min(first_time, float(block["time"].min())), max(end, float(block["time"].max()))
            units = max(units, int(block["unit"].max()) + 1)
        begin = first_time if first_time > 0.5 * end or first_time < 0 else 0.0  # a late piece of a recording, or an early one
        edges = np.linspace(begin, end + 1e-9 * abs(end) if end > begin else begin + 1.0, 201)
        counts, unit, time = np.zeros(200), [], []
        for first in range(0, count, BLOCK):
            block = item[first:first + BLOCK]
            counts += np.histogram(block["time"], edges)[0]
            kept = block[(-first) % every::every]
            unit.append(kept["unit"])
            time.append(kept["time"])
    except (OSError, RuntimeError, ValueError) as error:
        raise StreamError(f"FILE: {name!r} in {path} cannot be read, the file is damaged ({error})") from error
    none = np.zeros(0)
    return Spikes(name, count, np.concatenate(unit) if unit else none, np.concatenate(time) if time else none, edges, counts,
                  units)
