"""Receptive fields from spikes: averages and covariances of the stimulus before spikes, chunk by chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .._errors import InputError, ParameterError, StateError
from ..streams.base import Source, to_numbers, whole

CHUNK, VALUES = 4096, 1 << 22  # frames that are read together from a source; values that are worked on together


class _Triggered(ABC):
    """What STA and STC share: the last frames of the stimulus are kept, so that chunks need not overlap.

    A frame counts once its whole history has come: the first `lags` - 1 frames are only history.
    """

    def __init__(self, lags: int) -> None:
        self.lags = whole(type(self).__name__, "lags", lags, 1)
        self.frames = 0
        self._past: np.ndarray | None = None
        self._units = 0

    def update(self, stimulus: Any, counts: Any) -> Any:
        """Takes in a chunk.

        Args:
            stimulus: (time, ...).
            counts: spikes in each frame, (time,) or (time, units).
        Returns: this object. Raises: InputError; nothing has changed then.
        """
        where = f"{type(self).__name__}.update"
        x, n = (to_numbers(a, where).astype(np.float64) for a in (stimulus, counts))
        n = n[:, None] if n.ndim == 1 else n
        if not x.ndim or n.ndim != 2 or len(x) != len(n):
            raise InputError(f"{where}: needs a stimulus (time, ...) and counts (time,) or (time, units) of the same frames "
                             f"(got {x.shape} and {n.shape})")
        if not np.isfinite(x).all() or not np.isfinite(n).all() or (n < 0).any():
            raise InputError(f"{where}: stimulus and counts must be finite, and counts not negative")
        if self._past is not None and (self._past.shape[1:] != x.shape[1:] or self._units != n.shape[1]):
            raise InputError(f"{where}: chunks before had frames {self._past.shape[1:]} and {self._units} units, this one has "
                             f"{x.shape[1:]} and {n.shape[1]}")
        self._units = n.shape[1]
        both = x if self._past is None else np.concatenate([self._past, x])
        usable = max(0, len(both) - self.lags + 1)
        if usable:
            self._add(both, n[len(n) - usable:])
            self.frames += usable
        self._past = both[max(0, len(both) - self.lags + 1):].copy()
        return self

    def over(self, stimulus: Source, counts: Source) -> Any:
        """Takes in two sources to the end of the shorter one, with the memory of one chunk.

        Args:
            stimulus, counts: sources on one clock, as `Recording.streams` and `datasets.stream` give them.
        Returns: this object. Raises: InputError, StreamError.
        """
        for chunk in stimulus.chunks(max(1, min(CHUNK, VALUES // max(1, int(np.prod(stimulus.frame_shape)))))):
            n = counts.read(len(chunk))
            self.update(chunk[:len(n)], n)
            if len(n) < len(chunk):
                break
        return self

    @abstractmethod
    def _add(self, frames: np.ndarray, n: np.ndarray) -> None:
        """Takes in counts (time, units) and the frames of their history, `lags` - 1 more of them."""

    def _needs(self, spikes: Any) -> None:
        if not self.frames or not np.all(spikes > 0):
            raise StateError(f"{type(self).__name__}: every unit needs a spike with its whole history (got {self.frames} "
                             "frames)")


class STA(_Triggered):
    """Spike-triggered average: the mean stimulus before a spike.

    Args:
        lags: frames before a spike, that of the spike included.

    >>> import numpy as np
    >>> flashes = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    >>> STA(2).update(flashes[:3], [0, 0, 1]).update(flashes[3:], [0, 0, 1]).average()  # a flash one frame before each spike
    array([0., 1.])
    """

    def __init__(self, lags: int) -> None:
        super().__init__(lags)
        self._sum: Any = 0.0
        self._plain: Any = 0.0
        self.spikes: Any = 0.0

    def _add(self, frames: np.ndarray, n: np.ndarray) -> None:
        lagged = [frames[self.lags - 1 - lag:len(frames) - lag] for lag in range(self.lags)]
        self._sum = self._sum + np.stack([np.tensordot(n, x, (0, 0)) for x in lagged], 1)
        self._plain = self._plain + np.stack([x.sum(0) for x in lagged])
        self.spikes = self.spikes + n.sum(0)

    def average(self, *, centered: bool = False) -> np.ndarray:
        """The average, (lags, ...), or (units, lags, ...) for several units; lag 0 first, as `set_weight` of a filter takes it.

        Args:
            centered: subtracts the mean stimulus.
        Raises: StateError before every unit has a spike.
        """
        self._needs(self.spikes)
        average = self._sum / self.spikes.reshape(-1, *(1,) * self._plain.ndim)
        if centered:
            average = average - self._plain / self.frames
        return average[0] if self._units == 1 else average


class STC(_Triggered):
    """Spike-triggered covariance: directions in which the variance of the stimulus before spikes is unlike that before all
    frames.

    The stimulus is flattened, so that memory is (lags pixels)^2 per unit; `lags` times pixels should be below some thousand.

    Args:
        lags: frames before a spike, that of the spike included.
    Reference: Schwartz et al., J Vision 6:484 (2006). Departs from it: the average is not projected out, and covariances are
        relative to all frames of the stimulus, so that it need not be white.

    >>> import numpy as np
    >>> light = np.random.default_rng(0).normal(size=5000)
    >>> values, directions = STC(2).update(light, np.roll(light, 1) ** 2 > 4).components()  # bright or dark one frame before
    >>> (values.round() + 0.0).tolist(), np.abs(directions[0]).round().tolist()
    ([5.0, 0.0], [0.0, 1.0])
    """

    def __init__(self, lags: int) -> None:
        super().__init__(lags)
        self.spikes: Any = 0.0
        self._sums: Any = 0.0
        self._squares: Any = 0.0
        self._frame: tuple[int, ...] = ()

    def _add(self, frames: np.ndarray, n: np.ndarray) -> None:
        self._frame = frames.shape[1:]
        history = np.lib.stride_tricks.sliding_window_view(frames.reshape(len(frames), -1), self.lags, axis=0)
        size = self.lags * history.shape[1]
        weights = np.concatenate([np.ones((len(n), 1)), n], 1)  # all frames first, then each unit
        sums, squares = np.zeros((weights.shape[1], size)), np.zeros((weights.shape[1], size, size))
        together = max(1, VALUES // size)
        for at in range(0, len(n), together):
            flat = np.ascontiguousarray(history[at:at + together, :, ::-1].swapaxes(1, 2)).reshape(-1, size)
            part = weights[at:at + together]
            sums += part.T @ flat
            for square, weight in zip(squares, part.T, strict=True):
                rows = weight > 0
                square += (flat[rows] * weight[rows, None]).T @ flat[rows]
        self._sums, self._squares = self._sums + sums, self._squares + squares
        self.spikes = self.spikes + n.sum(0)

    def covariances(self) -> tuple[np.ndarray, np.ndarray]:
        """Covariance of the stimulus before spikes, (units, n, n), and before all frames, (n, n), with n = lags times pixels.

        Raises: StateError before every unit has a spike.

        >>> triggered, plain = STC(2).update([0.0, 2.0, 0.0, 2.0, 0.0], [0, 1, 0, 1, 0]).covariances()
        >>> triggered.tolist(), plain.tolist()  # a spike is always at 2, after 0
        ([[[0.0, 0.0], [0.0, 0.0]]], [[1.0, -1.0], [-1.0, 1.0]])
        """
        self._needs(self.spikes)
        weight = np.concatenate([[self.frames], self.spikes])
        mean = self._sums / weight[:, None]
        covariance = self._squares / weight[:, None, None] - mean[:, :, None] * mean[:, None, :]
        return covariance[1:], covariance[0]

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Change of variance along each direction, and the directions.

        Returns: eigenvalues of the difference of the covariances, from the largest to the smallest, (n,), positive where spikes
            come with more variance, and eigenvectors (n, lags, ...); with a first axis of units for several.
        Raises: StateError.
        """
        triggered, plain = self.covariances()
        values, vectors = np.linalg.eigh(triggered - plain)
        directions = vectors[..., ::-1].swapaxes(-1, -2).reshape(*values.shape, self.lags, *self._frame)
        values = values[..., ::-1]
        return (values[0], directions[0]) if self._units == 1 else (values, directions)


def stc_significance(stimulus: Any, counts: Any, lags: int, *, seed: int, surrogates: int = 200,
                     level: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components of the STC of one unit that chance does not give, against spikes shifted in time along the stimulus.

    A shift, around the end, keeps the statistics of both and breaks their relation. A component is significant when its
    eigenvalue is larger than the largest, or smaller than the smallest, eigenvalue of all but a fraction `level / 2` of the
    surrogates, itself counted as one of them.

    Args:
        stimulus: (time, ...). counts: (time,).
        lags: as for `STC`.
        seed: of the shifts.
        surrogates: how many; at least 2 / level.
        level: probability of calling anything significant when nothing is.
    Returns: eigenvalues (n,) as of `STC.components`, directions (n, lags, ...), whether each is significant (n,).
    Raises: InputError, ParameterError, StateError.
    Reference: Rust et al., Neuron 46:945 (2005), without their nested sequence of hypotheses.

    >>> rng = np.random.default_rng(0)
    >>> light = rng.normal(size=4000)
    >>> spikes = rng.poisson(0.2 * np.roll(light, 1)**2)  # ON and OFF alike: the average shows nothing
    >>> values, directions, significant = stc_significance(light, spikes, 3, seed=1)
    >>> significant.tolist(), np.abs(directions[0]).round(1).tolist()
    ([True, False, False], [0.0, 1.0, 0.0])
    """
    where = "stc_significance"
    if not 0 < level < 1:
        raise ParameterError(where, "level", "must lie between 0 and 1", level)
    whole(where, "surrogates", surrogates, int(np.ceil(2 / level)))
    x, n = to_numbers(stimulus, where), to_numbers(counts, where)
    if n.shape not in ((len(n),), (len(n), 1)) or len(n) < 4 * whole(where, "lags", lags, 1):
        raise InputError(f"{where}: needs counts (time,) of one unit, and at least {4 * lags} frames to shift them (got shape "
                         f"{n.shape})")
    values, directions = STC(lags).update(x, n).components()
    shifts = np.random.default_rng(seed).integers(lags, len(n) - lags, surrogates)
    together = max(1, VALUES // len(values)**2)  # each a unit of one covariance, so that all frames are gone through once
    ends = []
    for at in range(0, surrogates, together):
        shifted = np.stack([np.roll(n.reshape(-1), shift) for shift in shifts[at:at + together]], 1)
        found = STC(lags).update(x, shifted).components()[0].reshape(-1, len(values))
        ends.append(found[:, [0, -1]])
    high, low = np.concatenate(ends).T
    above, below = (high >= values[:, None]).sum(1), (low <= values[:, None]).sum(1)
    return values, directions, np.minimum(above, below) + 1 <= level / 2 * (surrogates + 1)
