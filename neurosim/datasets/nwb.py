"""Writing NWB files with pynwb: recordings, and what runs of models gave."""

from __future__ import annotations

import datetime
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InputError, MissingExtra, ParameterError
from ..streams._paths import PathLike, writable
from ..streams.base import Source

FRAMES = 256  # that are read and written together
LICENCE = "licence: "  # NWB has no field for it: it stands in the notes


@dataclass(frozen=True)
class Series:
    """A time series of an NWB file.

    Args:
        frames: a source with an end that knows its rate; read from where it is.
        unit: of the numbers, as text.
        doc: what they are.
    """

    frames: Source
    unit: str = "a.u."
    doc: str = ""


def write_nwb(path: PathLike, *, stimulus: Mapping[str, Series] | None = None, outputs: Mapping[str, Series] | None = None,
              spike_times: Sequence[np.ndarray] = (), unit_ids: Sequence[int] | None = None, trials: Any = None,
              description: str = "", licence: str = "", began: datetime.datetime | None = None, mode: str = "x") -> None:
    """An NWB file of a stimulus, outputs of a model, spikes and trials, in the memory of some frames.

    Args:
        path: ends in .nwb; the file appears when it is complete.
        stimulus: by name; stored under stimulus/presentation, a movie (time, y, x) as an image series.
        outputs: by name; stored under processing/model.
        spike_times: in seconds, one array per unit.
        unit_ids: of these units; counted from 0 when not given.
        trials: start and stop of each in seconds, (trials, 2).
        description: of the session.
        licence: stored among the notes.
        began: when the session began, with its time zone; now when not given. Time 0 of all that is written.
        mode: "x" makes a new file, "w" replaces an existing one.
    Raises: MissingExtra without pynwb; StreamError, ParameterError, InputError.
    Reference: Ruebel et al., eLife 11:e78362 (2022); https://nwb-schema.readthedocs.io. Frames of images stay (y, x), where the
        schema names x first.

    >>> import neurosim, pynwb, tempfile, pathlib
    >>> movie = neurosim.streams.SequenceStream(np.zeros((20, 4, 5)), frame_rate=50.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "session.nwb"
    ...     write_nwb(path, stimulus={"movie": Series(movie, "cd/m2")}, spike_times=[np.array([0.1, 0.2])])
    ...     pynwb.validate(path=path)
    ...     neurosim.datasets.open(path)
    []
    <Recording: 0.4 s of frames (4, 5) at 50 Hz, 1 unit, 2 spikes>
    """
    file = writable("write_nwb", path, mode, ("x", "w"))
    if file.suffix.lower() != ".nwb":
        raise ParameterError("write_nwb", "path", "the suffix must be .nwb", os.fspath(path))
    if began is not None and began.tzinfo is None:
        raise ParameterError("write_nwb", "began", "must know its time zone", began)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb's own affairs: its imports, its advice on compression
        try:
            import pynwb
        except ImportError as error:
            raise MissingExtra("writing NWB", "nwb") from error

        nwb = pynwb.NWBFile(description or "written by neurosim", uuid.uuid4().hex,
                            began or datetime.datetime.now(datetime.UTC), notes=f"{LICENCE}{licence}" if licence else None)
        for name, one in (stimulus or {}).items():
            nwb.add_stimulus(time_series(pynwb, name, one, movie=len(one.frames.frame_shape) == 2))
        if outputs:
            module = nwb.create_processing_module("model", "what the model gave")
            for name, one in outputs.items():
                module.add(time_series(pynwb, name, one))
        for unit, times in zip(range(len(spike_times)) if unit_ids is None else unit_ids, spike_times, strict=True):
            nwb.add_unit(id=int(unit), spike_times=np.asarray(times, np.float64))
        for start, stop in () if trials is None else trials:
            nwb.add_trial(start_time=float(start), stop_time=float(stop))
        new = file.with_name(f".{file.name}.new")
        try:
            with pynwb.NWBHDF5IO(new, "w") as io:
                io.write(nwb)
            os.replace(new, file)
        finally:
            Path(new).unlink(missing_ok=True)


def time_series(pynwb: Any, name: str, series: Series, movie: bool = False) -> Any:
    """A `TimeSeries` or `ImageSeries` whose data are read as they are written. Raises InputError."""
    source = series.frames
    if source.frame_rate is None or source.length is None:
        raise InputError(f"write_nwb: the series {name!r} must have an end and know its rate (got {source!r:.100})")
    kind = pynwb.image.ImageSeries if movie else pynwb.TimeSeries
    options = {"format": "raw"} if movie else {}
    start = source.start_time + source.position / source.frame_rate
    return kind(name=name, data=iterated(source), unit=series.unit, rate=float(source.frame_rate), starting_time=float(start),
                description=series.doc or "no description", **options)


def iterated(source: Source) -> Any:
    """The frames for hdmf, some at a time."""
    from hdmf.data_utils import DataChunkIterator

    def frames() -> Iterator[np.ndarray]:
        for chunk in source.chunks(FRAMES):
            yield from np.asarray(chunk)

    kind = np.asarray(source.read(0)).dtype
    return DataChunkIterator(data=frames(), buffer_size=FRAMES, maxshape=(None, *source.frame_shape), dtype=kind)
