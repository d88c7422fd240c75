"""Spikes: rasters with their population rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from .._axes import Axes, kind_of_rank
from .._errors import ParameterError
from .._units import Resolution, positive
from ..analysis.trains import train
from ._canvas import BLUE, array, frame_of, subplots

MAX_MARKS = 100_000  # more cannot be told apart, and take long to draw


def raster(spikes: Any, *, seconds: float | None = None, units: int | None = None, bin: float = 0.010,
           resolution: Resolution | None = None, title: str = "",
           rows: str = "unit") -> Any:
    """A raster of spikes, one row per unit, and below it the mean rate of the units in Hz.

    Args:
        spikes: an `Output` with spikes, or whose first value is spike counts; `Spikes` or another tuple (units, times in s);
            a list of the spike times in s of each unit, or of each trial; or a video (batch, channel, time, y, x), a signal
            (batch, time, feature) or an array (time, unit) of spike counts per frame, of which batch entry 0 is shown.
        seconds: length of the recording; up to the last spike, or that of the frames given, when not given. An `Output` starts
            at its `start_time`, else time starts at 0.
        units: how many units there are, silent ones included; as many as are seen when not given.
        bin: width of the bins of the rate, in seconds.
        resolution: of spike counts, whose frames it tells the length of; the default one when not given.
        title: above the picture.
        rows: what a row is called; the mean rate over rows that are trials is the PSTH.
    Returns: the matplotlib figure. Of more than 100,000 spikes every so many are drawn, and the title says so; the rate
        counts all.
    Raises: ParameterError.

    >>> import matplotlib.pyplot as plt
    >>> figure = raster(([0, 0, 1], [0.01, 0.02, 0.025]), seconds=0.03, bin=0.01)
    >>> [panel.get_ylabel() for panel in figure.axes]
    ['unit', 'rate (Hz)']
    >>> plt.close(figure)
    """
    positive("plot.raster", "bin", bin, "s")
    unit, time, count, begin, length = _events(spikes, resolution)
    count = max(count, int(units or 0))
    length = positive("plot.raster", "seconds", seconds, "s") if seconds is not None else max(length, bin)
    inside = (time >= begin) & (time < begin + length) if seconds is not None else np.ones(len(time), bool)
    unit, time = unit[inside], time[inside]
    figure, panels = subplots(2, 1, sharex=True, figsize=(8, 4.5), height_ratios=(3, 1))
    above, below = panels[:, 0]
    every = -(-len(time) // MAX_MARKS) if len(time) else 1
    size = float(np.clip(160 / max(count, 1), 0.8, 9.0))
    above.plot(time[::every], unit[::every], linestyle="none", marker="|", markersize=size, markeredgewidth=0.7,
               color="black", rasterized=True)
    end = max(begin + length, float(time.max(initial=begin)) + 0.005 * length)  # half a mark at the border would not be seen
    above.set(ylabel=rows, ylim=(count - 0.5, -0.5), xlim=(begin, end))
    above.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    said = [title] if title else []
    if every > 1:
        said.append(f"{len(time[::every]):,} of {len(time):,} spikes drawn")
    if said:
        above.set_title(", ".join(said), fontsize=10)
    edges = begin + np.append(np.arange(0.0, length - 1e-9 * length, bin), length)
    rate = np.histogram(time, edges)[0] / np.diff(edges) / max(count, 1)
    below.stairs(rate, edges, fill=True, color=BLUE, alpha=0.8)
    below.set(xlabel="time (s)", ylabel="rate (Hz)", ylim=(0.0, None if rate.any() else 1.0))
    below.grid(alpha=0.3)
    return figure


def _events(spikes: Any, resolution: Resolution | None) -> tuple[np.ndarray, np.ndarray, int, float, float]:
    """Units, times in s, number of units, start in s, seconds."""
    where = "plot.raster"
    frame, begin = frame_of(spikes, resolution), 0.0
    likely: tuple[Axes, ...] = ()
    if (events := getattr(spikes, "events", None)) == {} and len(spikes):  # an Output of counts
        begin, likely, spikes = spikes.start_time, (spikes.axes,), spikes[0]
    elif isinstance(events, dict):
        unit, time = (x.cpu().numpy() for x in spikes.spikes)
        frames = next((x.shape[spikes.axes.time] for _, x in spikes.items()), 0)
        return unit, time, sum(part.cells for part in events.values()), spikes.start_time, frames * frame
    if isinstance(spikes, list):
        trains = [train(where, one) for one in spikes]
        spikes = np.repeat(np.arange(len(trains)), [len(one) for one in trains]), np.concatenate([np.empty(0), *trains])
        return *spikes, max(len(trains), 1), 0.0, float(max((one[-1] for one in trains if len(one)), default=0.0)) * (1 + 1e-9)
    if isinstance(spikes, tuple) and len(spikes) == 2:
        unit, time = (np.asarray(x.cpu() if isinstance(x, Tensor) else x) for x in spikes)
        if unit.ndim != 1 or unit.shape != time.shape or (unit.size and (unit.dtype.kind not in "iu" or unit.min() < 0)):
            raise ParameterError(where, "spikes", "must be whole unit numbers and times in s, one of each per spike",
                                 f"shapes {unit.shape} and {time.shape}, {unit.dtype} units")
        if not np.isfinite(time.astype(float)).all():
            raise ParameterError(where, "spikes", "times must be finite")
        return unit, time, int(unit.max()) + 1 if len(unit) else 1, 0.0, float(time.max()) * (1 + 1e-9) if len(time) else 0.0
    counts = array(where, "spikes", spikes)
    axes = kind_of_rank(counts.ndim, *likely)
    if axes is not None:
        counts = np.moveaxis(counts, (axes.batch, axes.time), (0, 1))[0]
    elif counts.ndim != 2:
        raise ParameterError(where, "spikes", "must be an Output, (units, times), a list of spike times per unit, or "
                             "counts as a video, a signal or (time, unit)", counts.shape)
    counts = counts.reshape(len(counts), -1)
    if not (counts >= 0).all() or not (counts == np.rint(counts)).all():
        raise ParameterError(where, "spikes", "counts must be whole numbers, at least 0")
    at, unit = np.nonzero(counts)
    repeats = counts[at, unit].astype(int)
    return np.repeat(unit, repeats), begin + (np.repeat(at, repeats) + 0.5) * frame, counts.shape[1], begin, len(counts) * frame
