"""Stimuli made of stimuli: seen through a mask, added, shown one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InputError, ParameterError
from .._units import positive
from ..streams.base import to_numbers
from .base import Stimulus
from .masks import Mask


class Masked(Stimulus):
    """A stimulus through a window; where that is closed, its ground is seen. Also written `stimulus * mask`.

    Args:
        stimulus: what is seen.
        mask: a `Mask`, or an array (y, x) of values in [0, 1].
    Raises: InputError when an array does not fit the frame; ParameterError.

    >>> from neurosim.stimuli import Flash, CircularMask
    >>> Masked(Flash((3, 3), delay=0.0), CircularMask(radius=0.05)).array(1)[0].astype(int)
    array([[  0,   0,   0],
           [  0, 255,   0],
           [  0,   0,   0]])
    """

    def __init__(self, stimulus: Stimulus, mask: Any) -> None:
        if not isinstance(stimulus, Stimulus):
            raise ParameterError("Masked", "stimulus", "must be a stimulus", stimulus)
        super().__init__(stimulus.frame_shape, stimulus.resolution, length=stimulus.length)
        self.stimulus, self.mask, self.ground = stimulus, mask, stimulus.ground
        if isinstance(mask, Mask):
            weights = mask(*self.places(), 1 / self.resolution.pixels_per_degree)
        else:
            weights = to_numbers(mask, "Masked.mask").astype(float)
            if weights.shape != self.frame_shape or not ((weights >= 0) & (weights <= 1)).all():
                raise InputError(f"Masked.mask: must be a mask or an array of shape {self.frame_shape} with values in "
                                 f"[0, 1] (got shape {weights.shape})")
        self.weights = weights

    def frames(self, start: int, n: int) -> np.ndarray:
        return self.ground + self.weights * (self.stimulus.frames(start, n) - self.ground)

    def __repr__(self) -> str:
        return f"{self.stimulus!r} * {f'array{self.weights.shape}' if isinstance(self.mask, np.ndarray) else self.mask}"


def matching(where: str, parts: Any) -> None:
    """Raises `ParameterError` unless these are stimuli of the same size and resolution."""
    for part in parts:
        if not isinstance(part, Stimulus):
            raise ParameterError(where, "parts", "must be stimuli", part)
        if (part.frame_shape, part.resolution) != (parts[0].frame_shape, parts[0].resolution):
            raise ParameterError(where, "parts", f"must all have the size and resolution of the first, "
                                 f"{parts[0].frame_shape} and {parts[0].resolution}", (part.frame_shape, part.resolution))


class Superposed(Stimulus):
    """The first stimulus, to which the deviation of the second from its ground is added. Also written `a + b`.

    Ends with the first of them that ends.

    Args:
        first, second: stimuli of the same size and resolution.
    Raises: ParameterError.

    >>> from neurosim.stimuli import Checkerboard, Flash
    >>> both = Flash((1, 2), delay=0.0, level=50.0) + Checkerboard((1, 2), check=0.1, contrast=0.1)
    >>> both.array(1).ravel()
    array([37.25, 62.75], dtype=float32)
    """

    def __init__(self, first: Stimulus, second: Stimulus) -> None:
        matching("Superposed", (first, second))
        lengths = [part.length for part in (first, second) if part.length is not None]
        super().__init__(first.frame_shape, first.resolution, length=min(lengths, default=None))
        self.first, self.second, self.ground = first, second, first.ground

    def frames(self, start: int, n: int) -> np.ndarray:
        return self.first.frames(start, n) + (self.second.frames(start, n) - self.second.ground)

    def __repr__(self) -> str:
        return f"{self.first!r} + {self.second!r}"


class Concatenated(Stimulus):
    """Stimuli one after the other, each from its own beginning.

    Args:
        parts: pairs of a stimulus and the seconds that it is shown for, of the same size and resolution. The time is rounded
            to whole frames.
        repeat: whether it begins again at the end; then it has none.
    Raises: ParameterError.

    >>> from neurosim.stimuli import Flash
    >>> on, off = Flash((1, 1), delay=0.0), Flash((1, 1), delay=9.0)
    >>> Concatenated((on, 0.002), (off, 0.001), (on, 0.001)).read(9).ravel()
    array([255., 255.,   0., 255.], dtype=float32)
    """

    def __init__(self, *parts: tuple[Stimulus, float], repeat: bool = False) -> None:
        if not parts or any(not isinstance(part, tuple) or len(part) != 2 for part in parts):
            raise ParameterError("Concatenated", "parts", "must be pairs (stimulus, seconds), at least one", parts)
        matching("Concatenated", [stimulus for stimulus, _ in parts])
        first = parts[0][0]
        counts = [max(1, round(positive("Concatenated", "parts", seconds, "s") * first.resolution.steps_per_second))
                  for _, seconds in parts]
        for (stimulus, seconds), count in zip(parts, counts):
            if stimulus.length is not None and stimulus.length < count:
                raise ParameterError("Concatenated", "parts", f"{stimulus!r} ends after {stimulus.length} frames, before its "
                                     f"time is over", seconds)
        super().__init__(first.frame_shape, first.resolution, length=None if repeat else sum(counts))
        self.parts, self.repeat, self.ground = parts, repeat, first.ground
        self._ends = np.cumsum(counts)

    def frames(self, start: int, n: int) -> np.ndarray:
        out = np.empty((n, *self.frame_shape))
        done = 0
        while done < n:
            at = (start + done) % int(self._ends[-1])
            i = int(np.searchsorted(self._ends, at, side="right"))
            count = min(n - done, int(self._ends[i]) - at)
            began = int(self._ends[i - 1]) if i else 0
            out[done:done + count] = self.parts[i][0].frames(at - began, count)
            done += count
        return out

    def __repr__(self) -> str:
        words = [f"({stimulus!r}, {seconds:g})" for stimulus, seconds in self.parts]
        return f"Concatenated({', '.join([*words, *(['repeat=True'] if self.repeat else [])])})"
