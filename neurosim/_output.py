"""What a run gives back: named outputs over time, and spikes as events."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._axes import VIDEO, Axes, chunk_to_frames
from ._errors import ParameterError, UnknownName
from ._tree import Row, html_table, text_table

EVENTS = "events"  # the signal under which a spiking layer offers its spikes


class Spikes(NamedTuple):
    """Spikes of one recording, sorted by unit and then by time.

    Fields: `units`, int64 (n,), the number of the cell; `times`, float64 (n,), seconds on the clock of the
    recording.

    >>> import neurosim, torch
    >>> movie = torch.full((50, 4, 4), 255.0)
    >>> spikes = neurosim.retina.Retina().run(movie).spikes
    >>> isinstance(spikes, Spikes), spikes.times.dtype
    (True, torch.float64)
    """

    units: Tensor
    times: Tensor


@dataclass(frozen=True)
class Events:
    """Spike events of one spiking layer over a stretch of time.

    Args:
        batch: int64 (n,), entry of the batch.
        cell: int64 (n,), number of the cell within the layer, in the order of its output's (channel, y, x).
        time: float64 (n,), seconds. As a layer emits it, since that layer was at rest; in an `Output` on the clock of
            the recording.
        cells: how many cells the layer has.
        begun: frames that the layer had seen since it was at rest when the stretch began; None when it does not say: times
            then count from the first frame of the run.

    >>> one = Events(torch.tensor([0]), torch.tensor([3]), torch.tensor([0.012], dtype=torch.float64), cells=4)
    >>> both = Events.joined([one, one])
    >>> len(both), len(both.first(1))
    (2, 1)
    >>> one.on_clock(10.0, start=0, frame=0.001).time  # frame 0 at 10 s
    tensor([10.0120], dtype=torch.float64)
    """

    batch: Tensor
    cell: Tensor
    time: Tensor
    cells: int
    begun: int | None = None

    @staticmethod
    def joined(parts: Sequence[Events]) -> Events:
        """The events of consecutive stretches, `parts`, as one."""
        return Events(torch.cat([part.batch for part in parts]), torch.cat([part.cell for part in parts]),
                      torch.cat([part.time for part in parts]), parts[0].cells, parts[0].begun)

    def first(self, n: int) -> Events:
        """The first `n` of them."""
        return Events(self.batch[:n], self.cell[:n], self.time[:n], self.cells, self.begun)

    def on_clock(self, origin: float, start: int, frame: float) -> Events:
        """With times on the clock on which frame 0 of the run is at `origin`; the stretch begins with frame `start`."""
        # The same for all stretches of a run, so that cuts do not show.
        shift = origin - (0 if self.begun is None else self.begun - start) * frame
        return self if shift == 0 else Events(self.batch, self.cell, self.time + shift, self.cells, self.begun)

    def __len__(self) -> int:
        return len(self.time)


class Output:
    """The named outputs of a run, in order.

    `out[0]`, `out["ganglion_on"]` and `out.ganglion_on` are the same tensor; inner signals that were asked for by
    `record` follow under their path. `out.spikes` are the spikes of all spiking layers, as units and times.

    Args:
        values: tensors by name, the model's outputs first.
        axes: the kind of the data, such as VIDEO.
        others: axes of the values whose kind is another, by name.
        frame: seconds per frame.
        start: number of the first frame in its run.
        origin: time of frame 0 of the run in seconds, on the clock of the recording.
        events: spike events by the path of their layer.
        counted: names of outputs that count spikes in each frame; where no layer gave events, `events` and `spikes` tell
            them, each in the middle of its frame.

    >>> out = Output({"on": torch.ones(1, 1, 3, 2, 2), "off": torch.zeros(1, 1, 3, 2, 2)}, frame=0.01)
    >>> out.keys(), out.on is out[0], out["off"].shape
    (['on', 'off'], True, torch.Size([1, 1, 3, 2, 2]))
    >>> out.times
    array([0.  , 0.01, 0.02])
    >>> Output.joined([out, out.mapped(torch.neg)]).numpy("on")[0, 0, :, 0, 0]
    array([ 1.,  1.,  1., -1., -1., -1.], dtype=float32)
    >>> out.with_records({"inner": torch.ones(1, 1, 3, 1, 1)}, {}, start=0).keys()
    ['on', 'off', 'inner']
    """

    def __init__(self, values: Mapping[str, Tensor], *, axes: Axes = VIDEO, frame: float = 0.001, start: int = 0,
                 origin: float = 0.0, events: Mapping[str, Events] | None = None, counted: Sequence[str] = (),
                 others: Mapping[str, Axes] | None = None) -> None:
        self._values, self._others = dict(values), dict(others or {})
        self._events, self._counted = dict(events or {}), tuple(counted)
        self.axes, self.frame, self.start, self.origin = axes, frame, start, origin

    @staticmethod
    def joined(parts: Sequence[Output]) -> Output:
        """Outputs of consecutive chunks, `parts`, as one."""
        first = parts[0]
        if len(parts) == 1:
            return first
        values = {name: torch.cat([part._values[name] for part in parts], first.axes_of(name).time) for name in first._values}
        events = {name: Events.joined([part._events[name] for part in parts]) for name in first._events}
        return Output(values, axes=first.axes, frame=first.frame, start=first.start, origin=first.origin,
                      events=events, counted=first._counted, others=first._others)

    def mapped(self, function: Any) -> Output:
        """The same outputs with `function` applied to every tensor of values."""
        return Output({name: function(x) for name, x in self._values.items()}, axes=self.axes, frame=self.frame,
                      start=self.start, origin=self.origin, events=self._events, counted=self._counted, others=self._others)

    def with_records(self, values: Mapping[str, Tensor], events: Mapping[str, Events], start: int,
                     origin: float = 0.0, counts: bool = False, axes: Mapping[str, Axes] | None = None) -> Output:
        """These outputs with recorded `values` and `events`, from frame `start` of a run whose frame 0 is at `origin` (s).

        `counts` says that these outputs count spikes; `axes` are those of the values by name, as of the outputs without them.
        """
        heard = {name: one.on_clock(origin, start, self.frame) for name, one in events.items()}
        return Output({**self._values, **values}, axes=self.axes, frame=self.frame, start=start, origin=origin,
                      events={**self._events, **heard}, counted=tuple(self._values) if counts else self._counted,
                      others={**self._others, **(axes or {})})

    def axes_of(self, key: int | str) -> Axes:
        """The axes of one value, by its name or number `key`: those of the outputs, or of another kind for an inner signal.

        >>> from neurosim import SIGNAL, VIDEO
        >>> out = Output({"output": torch.ones(1, 3, 2)}, axes=SIGNAL)
        >>> out = out.with_records({"inner": torch.ones(1, 1, 3, 4, 4)}, {}, start=0, axes={"inner": VIDEO})
        >>> out.axes_of(0), out.axes_of("inner")
        (SIGNAL, VIDEO)
        """
        return self._others.get(key if isinstance(key, str) else self.keys()[key], self.axes)

    @property
    def start_time(self) -> float:
        """Time of the first frame in seconds, on the clock of the recording."""
        return self.origin + self.start * self.frame

    @property
    def times(self) -> np.ndarray:
        """Time of each frame in seconds, on the clock of the recording: float64 (time,)."""
        frames = next(iter(self._values.values())).shape[self.axes.time] if self._values else 0
        return self.origin + np.arange(self.start, self.start + frames) * self.frame

    # ---- access ---------------------------------------------------------------------------------------------------
    def keys(self) -> list[str]:
        """Names of the outputs, in order."""
        return list(self._values)

    def items(self) -> list[tuple[str, Tensor]]:
        """Names and tensors, in order."""
        return list(self._values.items())

    @property
    def events(self) -> dict[str, Events]:
        """Spike events by the path of their layer, in the order of the layers; those of counts by the name of their output."""
        return dict(self._events) or {name: self._events_of(self[name]) for name in self._counted}

    def _events_of(self, counts: Tensor) -> Events:
        """What spike counts tell: the frame of each spike, in whose middle it is said to be."""
        counts = counts.detach().movedim(self.axes.time, 1).flatten(2)
        batch, frame, cell = counts.nonzero(as_tuple=True)
        time = self.origin + (self.start + frame.double() + 0.5) * self.frame
        each = counts[batch, frame, cell].long()
        batch, cell, time = (x.repeat_interleave(each) for x in (batch, cell, time))
        return Events(batch, cell, time, counts.shape[2])

    @property
    def spikes(self) -> Spikes:
        """All spikes of batch entry 0; cells are numbered on from layer to layer."""
        return self.spikes_of(0)

    def spikes_of(self, batch: int) -> Spikes:
        """The spikes of one batch entry. Raises UnknownName when no layer of the model spikes.

        >>> events = Events(torch.tensor([0, 1]), torch.tensor([2, 0]), torch.tensor([0.1, 0.2]), cells=3)
        >>> Output({}, events={"cells": events}).spikes_of(1)
        Spikes(units=tensor([0]), times=tensor([0.2000]))
        """
        if not (layers := self.events):
            raise UnknownName("Output", "spikes", self.keys())
        units, times, offset = [], [], 0
        for events in layers.values():
            mine = events.batch == batch
            units.append(events.cell[mine] + offset)
            times.append(events.time[mine])
            offset += events.cells
        unit, time = torch.cat(units), torch.cat(times)
        order = torch.from_numpy(np.lexsort((time.cpu().numpy(), unit.cpu().numpy()))).to(unit.device)
        return Spikes(unit[order], time[order])

    def spikes_in_order(self) -> tuple[np.ndarray, np.ndarray]:
        """The spikes of batch entry 0 sorted by time, as sinks of events take them: units (n,), times (n,) in seconds.

        >>> events = Events(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([0.2, 0.1]), cells=2)
        >>> Output({}, events={"cells": events}).spikes_in_order()[0]
        array([1, 0])
        """
        units, times = (x.cpu().numpy() for x in self.spikes)
        order = np.argsort(times, kind="stable")
        return units[order], times[order]

    def first_for(self, axes: Axes, where: str) -> Tensor:
        """The first value, for what takes data with `axes`. Raises InputError, which names `where`, for another layout.

        >>> from neurosim import SIGNAL
        >>> Output({"output": torch.ones(1, 3, 2)}, axes=SIGNAL).first_for(SIGNAL, "LTC").shape
        torch.Size([1, 3, 2])
        """
        axes.check(self.axes, where, "turn its values, such as out[0].transpose(0, 1), or build both with the same batch_first")
        return self[0]

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            if key not in self._values:
                raise UnknownName("Output", key, self.keys())
            return self._values[key]
        return list(self._values.values())[key]

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_") or name not in self._values:
            raise UnknownName("Output", name, self.__dict__.get("_values", {}))
        return self._values[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._values if name.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return self.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._values.values())

    def numpy(self, key: int | str = 0) -> np.ndarray:
        """One output, by its name or number `key`, as a numpy array, all axes kept. Raises UnknownName."""
        return self[key].detach().cpu().numpy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype) if copy else np.asarray(self.numpy(), dtype=dtype)

    def plot(self, key: int | str | None = None) -> Any:
        """Time courses of every output (or of `key`): the mean over pixels and their range. Returns the figure."""
        from .plot import time_courses
        values = self._values if key is None else {str(key): self[key]}
        return time_courses(Output(values, axes=self.axes, frame=self.frame, start=self.start, origin=self.origin,
                                   others=self._others))

    def save_nwb(self, path: Any, *, stimulus: Any = None, units: Mapping[str, str] | None = None, description: str = "",
                 mode: str = "x") -> None:
        """Writes batch entry 0 as an NWB file: outputs as time series, spikes as units. Needs the extra "nwb".

        Args:
            path: ends in .nwb.
            stimulus: what the model was given, a source or an array (time, ...), with one frame for each of the outputs.
            units: unit of each output by its name, as text.
            description: of the session.
            mode: "x" makes a new file, "w" replaces an existing one.
        Raises: InputError for a batch of several; as `datasets.write_nwb`.

        >>> import neurosim, tempfile, pathlib
        >>> out = neurosim.filters.TemporalLowPass().run(torch.ones(30, 4, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out.save_nwb(pathlib.Path(folder) / "run.nwb", stimulus=torch.ones(30, 4, 4))
        ...     neurosim.streams.NWBReader(pathlib.Path(folder) / "run.nwb", "output").units
        'a.u.'
        """
        from .datasets import Series, write_nwb
        from .streams import SequenceStream, Source

        def timed(frames: Any) -> Source:
            return SequenceStream(frames, frame_rate=1.0 / self.frame, start_time=self.start_time)

        frames = {name: chunk_to_frames(x, self.axes_of(name), "Output.save_nwb") for name, x in self.items()}
        series = {name: Series(timed(x), (units or {}).get(name, "a.u.")) for name, x in frames.items()}
        given = {} if stimulus is None else {
            "stimulus": Series(stimulus if isinstance(stimulus, Source) else timed(stimulus))}
        trains = []
        if self._events:
            number, times = (x.cpu().numpy() for x in self.spikes)
            cells = sum(one.cells for one in self._events.values())
            trains = np.split(times, np.searchsorted(number, np.arange(1, cells))) if cells else []
        write_nwb(path, stimulus=given, outputs=series, spike_times=trains, description=description, mode=mode)

    # ---- what a person sees ---------------------------------------------------------------------------------------
    def _rows(self) -> list[Row]:
        rows: list[Row] = [(name, str(tuple(x.shape)), str(x.dtype).removeprefix("torch."),
                            f"{x.min().item():.4g} to {x.max().item():.4g}"
                            if x.numel() and not x.is_meta and not x.is_complex() else "")
                for name, x in self._values.items()]
        rows += [(f"events of {name}", f"{len(events)} spikes", f"{events.cells} cells", "")
                 for name, events in self._events.items()]
        return rows

    def __repr__(self) -> str:
        return f"{self._title()}\n{text_table(('name', 'shape', 'dtype', 'values'), self._rows())}"

    def _title(self) -> str:
        frames = next(iter(self._values.values())).shape[self.axes.time] if self._values else 0
        return f"Output: {frames} frames of {self.frame:g} s from {self.start_time:g} s on"

    def _repr_html_(self) -> str:
        return (f"<details open><summary><b>{html.escape(self._title())}</b></summary>"
                f"{html_table(('name', 'shape', 'dtype', 'values'), self._rows())}</details>")


def as_output(result: Any, axes: Axes, frame: float) -> Output:
    """What a layer's forward returned, a tensor or an `Output`, as an `Output`. Raises ParameterError for another thing."""
    if not isinstance(result, Output | Tensor):
        raise ParameterError("Layer", "forward", "must return a tensor or an Output", type(result).__name__)
    return result if isinstance(result, Output) else Output({"output": result}, axes=axes, frame=frame)
