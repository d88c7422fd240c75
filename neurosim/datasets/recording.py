"""What an experiment recorded: a stimulus and the spikes that it evoked, on one clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._errors import InputError, ParameterError
from .._units import positive
from ..streams.base import Source, time_of, to_numbers, whole
from ..streams.memory import SequenceStream, frozen
from ..streams.resample import TimedResampleStream

log = logging.getLogger("neurosim")

EDGE = 1e-6  # of a bin: a spike that lies so close before an edge belongs behind it, times are rounded decimal numbers


class SpikeCounts(Source):
    """Spike times as counts per frame: frame k holds the spikes from `start_time + k / frame_rate` to the next frame.

    Args:
        spike_times: times in seconds, (spikes,), or a sequence of such arrays, one per unit; sorted when read.
        frame_rate: frames per second.
        length: frames; None: up to the last spike.
        start_time: of frame 0 in seconds; spikes before it are not counted.
    Frames are (units,) float32. Raises: InputError, ParameterError.

    >>> SpikeCounts([0.001, 0.012, 0.013], frame_rate=100.0, length=3).read(3)[:, 0]
    array([1., 2., 0.], dtype=float32)
    """

    def __init__(self, spike_times: Any, frame_rate: float, length: int | None = None, *, start_time: float = 0.0) -> None:
        units = by_unit("SpikeCounts", spike_times)
        rate = positive("SpikeCounts", "frame_rate", frame_rate, "Hz")
        start = time_of("SpikeCounts", start_time)
        self._bins = [np.floor((times - start) * rate + EDGE).astype(np.int64) for times in units]
        if length is None:
            length = max((int(bins[-1]) + 1 for bins in self._bins if len(bins) and bins[-1] >= 0), default=0)
        whole("SpikeCounts", "length", length)
        super().__init__((len(units),), frame_rate=rate, start_time=start, length=length, seekable=True)

    def _read(self, start: int, n: int) -> np.ndarray:
        stop = max(start, min(start + n, self.length or 0))
        counts = np.empty((stop - start, len(self._bins)), np.float32)
        for unit, bins in enumerate(self._bins):
            first, last = np.searchsorted(bins, (start, stop))
            counts[:, unit] = np.bincount(bins[first:last] - start, minlength=stop - start)
        return counts


def by_unit(where: str, spike_times: Any) -> tuple[np.ndarray, ...]:
    """Sorted spike times of each unit, float64; raises `InputError` unless they are finite numbers."""
    several = isinstance(spike_times, Sequence) and len(spike_times) > 0 and np.ndim(spike_times[0]) == 1
    units = []
    for times in spike_times if several else [spike_times]:
        array = to_numbers(times, f"{where}.spike_times").astype(np.float64)
        if array.ndim != 1 or not np.isfinite(array).all():
            raise InputError(f"{where}.spike_times: must be finite times in seconds, one axis per unit (got shape "
                             f"{array.shape})")
        units.append(frozen(np.sort(array)))
    return tuple(units)


@dataclass(frozen=True, eq=False)
class Recording:
    """A stimulus and the spikes that it evoked.

    Args:
        stimulus: (time, ...), at `frame_rate`; any frame shape: a number, (feature,), (y, x).
        spike_times: in seconds, (spikes,), or a sequence of such arrays, one per unit. Those outside the stimulus are kept, but
            not counted; that none lies within is logged.
        frame_rate: of the stimulus in Hz.
        start_time: of the first frame of the stimulus in seconds, on the clock of the spikes.
        source, licence: where it comes from, and what one may do with it.
        unit_ids: a number of each unit; counted from 0 when not given.
        trials: start and stop of each in seconds, (trials, 2); none when not given.
    Raises: InputError, ParameterError.

    >>> recording = Recording(np.zeros(200), [0.01, 0.05], frame_rate=1000.0)
    >>> recording
    <Recording: 0.2 s of frames () at 1000 Hz, 1 unit, 2 spikes>
    >>> recording.counts(0.05)[:, 0]
    array([1., 1., 0., 0.], dtype=float32)
    """

    stimulus: np.ndarray
    spike_times: tuple[np.ndarray, ...]
    frame_rate: float
    start_time: float = 0.0
    source: str = ""
    licence: str = ""
    unit_ids: tuple[int, ...] = ()
    trials: Any = None

    def __post_init__(self) -> None:
        stimulus = to_numbers(self.stimulus, "Recording.stimulus")
        if not stimulus.ndim or not np.isfinite(stimulus).all():
            raise InputError(f"Recording.stimulus: must be finite frames along a first axis (got shape {stimulus.shape})")
        units = by_unit("Recording", self.spike_times)
        unit_ids = tuple(int(one) for one in self.unit_ids) or tuple(range(len(units)))
        if len(set(unit_ids)) != len(units) or len(unit_ids) != len(units):
            raise ParameterError("Recording", "unit_ids", f"must be {len(units)} different numbers, one of each unit", unit_ids)
        trials = np.empty((0, 2)) if self.trials is None else to_numbers(self.trials, "Recording.trials").astype(np.float64)
        if trials.ndim != 2 or trials.shape[1] != 2 or not np.isfinite(trials).all() or (trials[:, 1] <= trials[:, 0]).any():
            raise InputError("Recording.trials: must be starts and later stops in seconds, (trials, 2) (got shape "
                             f"{trials.shape})")
        for name, value in (("stimulus", frozen(stimulus)), ("spike_times", units), ("unit_ids", unit_ids),
                            ("trials", frozen(trials)),
                            ("frame_rate", positive("Recording", "frame_rate", self.frame_rate, "Hz")),
                            ("start_time", time_of("Recording", self.start_time))):
            object.__setattr__(self, name, value)
        every = np.concatenate([np.empty(0), *units])
        if len(every) and not self._within():
            log.warning("Recording: none of the %d spikes, from %g to %g s, lies within the stimulus, from %g to %g s; are the "
                        "times in seconds, and on the clock of start_time?", len(every), every.min(), every.max(),
                        self.start_time, self.start_time + self.duration)

    def _within(self) -> int:
        """Number of spikes within the stimulus: the others are kept, but not counted."""
        begin, end = self.start_time, self.start_time + self.duration
        return sum(int(((times >= begin) & (times < end)).sum()) for times in self.spike_times)

    @property
    def duration(self) -> float:
        """Length of the stimulus in seconds."""
        return len(self.stimulus) / self.frame_rate

    def counts(self, h: float) -> np.ndarray:
        """Counts (bins, units), float32, in bins of `h` seconds over the whole bins of the stimulus. Raises ParameterError."""
        counts = self._counts(1.0 / positive("Recording.counts", "h", h, "s"))
        return counts.read(counts.length or 0)

    def by_trial(self, unit: int = 0) -> list[np.ndarray]:
        """Spike times of a unit in each trial, in seconds from the trial's start, as `analysis.psth` takes them.

        Args:
            unit: number of the unit, not its id.

        >>> Recording(np.zeros(200), [0.01, 0.12, 0.15], 1000.0, trials=[(0.0, 0.1), (0.1, 0.2)]).by_trial()
        [array([0.01]), array([0.02, 0.05])]
        """
        times = self.spike_times[unit]
        return [times[(times >= start) & (times < stop)] - start for start, stop in self.trials]

    def map(self, function: Callable[[np.ndarray], Any]) -> Recording:
        """The same with another stimulus, such as the level of a sound: `recording.map(np.log)`.

        Args:
            function: from the stimulus (time, ...) to another of as many frames.
        Raises: InputError when it gives another number of frames, or what is not finite.
        """
        stimulus = to_numbers(function(self.stimulus), "Recording.map")
        if stimulus.shape[:1] != self.stimulus.shape[:1]:
            raise InputError(f"Recording.map: the function must keep the {len(self.stimulus)} frames (got shape "
                             f"{stimulus.shape})")
        return replace(self, stimulus=stimulus)

    def _counts(self, rate: float) -> SpikeCounts:
        return SpikeCounts(self.spike_times, rate, int(self.duration * rate + EDGE), start_time=self.start_time)

    def streams(self, frame_rate: float | None = None) -> tuple[Source, Source]:
        """The stimulus and the counts of each unit as sources on one clock, frame for frame.

        Args:
            frame_rate: of both in Hz; None: that of the stimulus. Its frames are averaged over the time of one of these.
        Returns: sources of the same length; the stimulus' frames have at least one axis, (feature,), as a signal needs.
        Raises: ParameterError.
        """
        rate = self.frame_rate if frame_rate is None else positive("Recording.streams", "frame_rate", frame_rate, "Hz")
        counts = self._counts(rate)
        frames = self.stimulus[:, None] if self.stimulus.ndim == 1 else self.stimulus
        together = round(self.frame_rate / rate)
        if together >= 1 and abs(together * rate - self.frame_rate) < EDGE * rate:  # whole frames: no need to walk over them
            n = counts.length or 0
            means = frames[:n * together].reshape(n, together, *frames.shape[1:]).mean(1) if together > 1 else frames[:n]
            return SequenceStream(means, frame_rate=rate, start_time=self.start_time), counts
        stimulus = SequenceStream(frames, frame_rate=self.frame_rate, start_time=self.start_time)
        return TimedResampleStream(stimulus, rate, "area", length=counts.length), counts

    def arrays(self, frame_rate: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What `streams` gives at `frame_rate`, read to the end: stimulus (time, ...) and counts (time, units).

        Raises: ParameterError.

        >>> stimulus, counts = Recording(np.zeros(100), [0.5, 0.504], frame_rate=100.0).arrays()
        >>> stimulus.shape, float(counts.sum()), counts[50]
        ((100, 1), 2.0, array([2.], dtype=float32))
        """
        stimulus, counts = self.streams(frame_rate)
        return stimulus.read(counts.length or 0), counts.read(counts.length or 0)

    def split(self, seconds: float) -> tuple[Recording, Recording]:
        """The recording before and after so many seconds from its start, cut between two frames; trials go with their start.

        Raises: ParameterError unless both parts hold a frame.

        >>> [part.duration for part in Recording(np.zeros(100), [0.5], frame_rate=100.0).split(0.7)]
        [0.7, 0.3]
        """
        frame = round(positive("Recording.split", "seconds", seconds, "s") * self.frame_rate)
        if not 0 < frame < len(self.stimulus):
            raise ParameterError("Recording.split", "seconds", f"must lie inside the recording of {self.duration:g} s", seconds)
        cut = self.start_time + frame / self.frame_rate
        early = tuple(times[times < cut - EDGE / self.frame_rate] for times in self.spike_times)
        late = tuple(times[len(before):] for times, before in zip(self.spike_times, early, strict=True))
        first = self.trials[:, 0] < cut - EDGE / self.frame_rate
        return (replace(self, stimulus=self.stimulus[:frame], spike_times=early, trials=self.trials[first]),
                replace(self, stimulus=self.stimulus[frame:], spike_times=late, start_time=cut, trials=self.trials[~first]))

    def __repr__(self) -> str:
        spikes, within, units = sum(map(len, self.spike_times)), self._within(), len(self.spike_times)
        outside = f", {within} of them within" if within < spikes else ""
        return (f"<Recording: {self.duration:g} s of frames {self.stimulus.shape[1:]} at {self.frame_rate:g} Hz, "
                f"{units} unit{'s' * (units != 1)}, {spikes} spikes{outside}>")
