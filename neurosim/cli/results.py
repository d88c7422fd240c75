"""Where `run` writes to: an HDF5 file with every output, or a single output as .npy or video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import neurosim
from neurosim import MissingExtra, Output, StreamError
from neurosim._axes import chunk_to_frames
from neurosim._record import recordable
from neurosim.datasets import Series, write_nwb
from neurosim.streams import HDF5File, HDF5Reader, Sink, Source, open_sink, read_events
from neurosim.streams._paths import writable

from .errors import UsageError
from .preview import preview

HDF5 = (".h5", ".hdf5", ".nwb")
SINGLE = (".npy", ".mkv", ".mp4")
SPIKES = "spikes"

# Of the outputs of layers whose numbers have a unit, by class, and of their signals, by name.
COUNTS = "spikes per frame"
UNITS = {"GanglionSpiking": COUNTS, "GanglionInput": "Hz", "LIF": COUNTS, "RefractoryLIF": COUNTS, "Izhikevich": COUNTS,
         "AdaptiveExponential": COUNTS, "Poisson": COUNTS, "HodgkinHuxley": "mV"}
SIGNAL_UNITS = {"adaptation": "Hz"}


def units_of(model: neurosim.Layer, name: str) -> str | None:
    """Unit of a recorded layer or signal, or of a model's outputs, which are those of its last stage; None for none."""
    modules = dict(model.named_modules())
    owner, _, signal = name.rpartition(".")
    if name not in modules and owner in modules and signal in modules[owner].signals:
        return SIGNAL_UNITS.get(signal)
    stages = [modules[name]] if name in modules else reversed(modules.values())
    return next((UNITS[kind] for stage in stages if (kind := type(stage).__name__) in UNITS), None)


class Results:
    """A file that outputs of a model are written to, chunk by chunk. It appears with the first chunk.

    Args:
        path: .h5, .hdf5 or .nwb for everything; .npy, .mkv, .mp4 for a single output. An NWB file is made at the end, from an
            HDF5 file beside it that is then removed.
        overwrite: whether an existing file is replaced.
        about: stored in an HDF5 file as its parameters.
        only: names of outputs or recorded paths to write, all when empty.
        limits: (black, white) for video.
    Raises: UsageError, StreamError.
    """

    def __init__(self, path: str | Path, model: neurosim.Layer, *, overwrite: bool = False,
                 about: Mapping[str, Any] | None = None, only: Sequence[str] = (),
                 limits: tuple[float, float] | None = None) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in HDF5 + SINGLE:
            raise UsageError(f"--output: the suffix must be one of {list(HDF5 + SINGLE)} (got {str(path)!r})")
        if limits is not None and suffix not in (".mkv", ".mp4"):
            raise UsageError(f"--limits: is for video, .mkv or .mp4 (got {str(path)!r})")
        if limits is None and suffix in (".mkv", ".mp4"):
            raise UsageError("--limits: video needs the values shown black and white, such as --limits 0 255")
        if suffix == ".nwb" and find_spec("pynwb") is None:
            raise MissingExtra("--output: writing NWB", "nwb")
        self._mode = "w" if overwrite else "x"
        if self.path.exists() and not overwrite:
            raise StreamError(f"--output: the file {self.path} exists; --overwrite replaces it")
        writable("--output", self.path, self._mode, (self._mode,))
        self._model, self._about, self._only, self._limits = model, dict(about or {}), list(only), limits
        self._rate = model.resolution.steps_per_second
        self._hdf5 = suffix in HDF5
        self._growing = self.path.with_name(f".{self.path.name}.h5") if suffix == ".nwb" else self.path
        self._file: HDF5File | None = None
        self._sinks: dict[str, Sink] = {}
        self._events: Any = None
        self._cells = 0
        self.frames = self.spikes = 0
        self._begin = time.perf_counter()
        self._first: tuple[float, int] | None = None  # when the first chunk was written, and its frames

    @property
    def record(self) -> list[str]:
        """The names in `only` that have to be recorded, being paths within the model."""
        return [name for name in self._only if name in recordable(self._model)]

    def look_at(self, source: Source) -> None:
        """Keeps a few frames of the input for whoever looks at the result later, if they can be had without reading all."""
        if self._hdf5 and self._file is None and (shown := preview(source)) is not None:
            self._about["input_preview"] = shown

    def write(self, out: Output) -> None:
        """Appends the outputs of one chunk. Raises StreamError, InputError, UsageError."""
        if self._file is None and not self._sinks:
            self._open(out)
        for name, sink in self._sinks.items():
            sink.write(chunk_to_frames(out[name], out.axes_of(name), "--output"))
        if self._events is not None:
            units, times = out.spikes_in_order()
            self._events.write(units, times)
            self.spikes += len(units)
        self.frames += out[0].shape[out.axes.time]
        self._first = self._first or (time.perf_counter(), self.frames)

    def _open(self, out: Output) -> None:
        names = self._chosen(out)
        if not self._hdf5:
            if len(names) > 1:
                raise UsageError(f"--output: {self.path.suffix} holds one output, the model has {names}; choose one "
                                 "with --only, or write .h5")
            options = {"limits": self._limits} if self._limits else {}
            self._sinks = {names[0]: open_sink(self.path, frame_rate=self._rate, start_time=out.start_time,
                                                 mode=self._mode, **options)}
            return
        spiking = out.events and (not self._only or SPIKES in self._only)
        self._cells = sum(one.cells for one in out.events.values()) if spiking else 0
        if SPIKES in names:
            raise UsageError(f"--output: {SPIKES!r} is the name of the table of spikes")
        stages = [name for name in recordable(self._model) if name in names]  # what comes first in the model is shown first
        order = [*stages, *(name for name in names if name not in stages)]
        self._file = HDF5File(self._growing, self._mode if self._growing == self.path else "w",
                              parameters={**self._about, "units": unit_ranges(out), "order": order})
        if spiking:
            self._events = self._file.events(SPIKES)
        self._sinks = {name: self._file.dataset(name, frame_rate=self._rate, start_time=out.start_time,
                                                units=units_of(self._model, name))
                       for name in names}

    def _chosen(self, out: Output) -> list[str]:
        known = [*out.keys(), *([SPIKES] if out.events and self._hdf5 else [])]
        for name in self._only:
            if name not in known:
                raise UsageError(f"--only {name}: is no output; choose from {known}")
        return [name for name in self._only or out.keys() if name in out]

    def summary(self) -> str:
        """What was written, and how fast; the first chunk, in which kernels are compiled or loaded, is not typical."""
        if self._first is None:
            return f"{self.path}: nothing written"
        now, (then, first) = time.perf_counter(), self._first
        spikes = f", {self.spikes} spikes" if self._events is not None else ""
        text = f"{self.path}: {self.frames} frames{spikes}; {now - self._begin:.1f} s"
        if self.frames == first:
            return text
        rate = (self.frames - first) / max(now - then, 1e-9)
        return f"{text}, after the first chunk {rate:.4g} frames/s, {rate / self._rate:.3g} x real time"

    def close(self) -> None:
        """Completes the file; closing again does nothing."""
        for sink in self._sinks.values():
            sink.close()
        if self._file is not None:
            self._file.close()
            if self._growing.exists() and self._growing != self.path:
                self._to_nwb()

    def _to_nwb(self) -> None:
        """Makes the NWB file of what has been written."""
        with ExitStack() as opened:
            readers = {name: opened.enter_context(HDF5Reader(self._growing, name)) for name in self._sinks}
            units, times = read_events(self._growing, SPIKES) if self._events is not None else (np.empty(0), np.empty(0))
            series = {name: Series(reader, reader.units or "a.u.") for name, reader in readers.items()}
            write_nwb(self.path, outputs=series, mode=self._mode, description=f"{type(self._model).__name__} run by neurosim",
                      spike_times=[times[units == unit] for unit in range(self._cells)])
        self._growing.unlink()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def unit_ranges(out: Output) -> dict[str, list[int]]:
    """Numbers of the first unit of each spiking layer, and of the one after its last, as in `out.spikes`."""
    ranges, offset = {}, 0
    for path, events in out.events.items():
        ranges[path] = [offset, offset + events.cells]
        offset += events.cells
    return ranges
