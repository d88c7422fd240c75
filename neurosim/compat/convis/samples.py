"""The stimuli of `convis.samples` with the numbers of convis 0.6.4: arrays (time, x, y) around 0, on axes from -1 to 1.

`neurosim.stimuli` has them in degrees and seconds, endless, and as luminances. convis's random ones are there only:
`BinaryNoise`, `GaussianNoise` and `SparseNoise`, each with a seed.
"""

from __future__ import annotations

import math

import numpy as np

from ...streams.base import whole

__all__ = ["chirp", "mask_circle", "mask_square", "moving_bar", "moving_grating", "pulse"]


def axes(where: str, t: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time from 0 to t and both places from -1 to 1, ends included, each along its axis."""
    t, x, y = (whole(where, name, n, 1) for name, n in (("t", t), ("x", x), ("y", y)))
    return (np.linspace(0, t, t)[:, None, None], np.linspace(-1, 1, x)[None, :, None], np.linspace(-1, 1, y)[None, None, :])


def moving_grating(t: int = 2000, x: int = 20, y: int = 20, vt: float = 1 / 200, vx: float = 3.0,
                   vy: float = 2.0) -> np.ndarray:
    """A drifting sine grating, sin(vt T + vx X + vy Y).

    Args:
        t, x, y: frames and pixels.
        vt: radians per frame.
        vx, vy: radians per half the frame.
    Returns: (t, x, y) float64 in [-1, 1].
    Raises: ParameterError.
    Reference: convis, `samples.moving_grating`; in degrees and Hz `stimuli.DriftingGrating`.

    >>> moving_grating(3, 1, 1, vt=np.pi / 3, vx=0.0, vy=0.0).ravel().round(2) + 0.0  # time runs from 0 to t
    array([0., 1., 0.])
    """
    when, across, along = axes("moving_grating", t, x, y)
    return np.sin(vt * when + vx * across + vy * along)


def moving_bar(t: int = 2000, x: int = 20, y: int = 20, bar_pos: float = -1.0, bar_direction: float = 0.0,
               bar_width: float = 1.0, bar_v: float = 0.01, sharp: bool = False, temporal_smoothing: float = 1.0) -> np.ndarray:
    """A bar that crosses the frame again and again.

    Args:
        t, x, y: frames and pixels.
        bar_pos: where it begins, on axes from -1 to 1.
        bar_direction: radians.
        bar_width: pixels along x.
        bar_v: a crossing takes 2 / bar_v frames.
        sharp: no smoothing over time.
        temporal_smoothing: standard deviation of the smoothing in frames.
    Returns: (t, x, y) float64, 1 in the bar.
    Raises: ParameterError.
    Reference: convis, `samples.moving_bar`; in degrees and with smooth edges `stimuli.MovingBar`.

    >>> moving_bar(200, 8, 8, bar_v=0.01, sharp=True)[20:120:20, 0].argmax(1)  # where along y
    array([1, 3, 4, 6, 7])
    """
    from scipy.ndimage import gaussian_filter1d

    when, across, along = axes("moving_bar", t, x, y)
    width = bar_width / x
    away = np.abs(across * math.sin(bar_direction) - along * math.cos(bar_direction) - bar_pos
                  + (2 + width / 2) * ((when * bar_v) % 2 - 1) + 0.005)
    bar = np.where(away <= width, 1.0, 0.0)
    return bar if sharp else gaussian_filter1d(bar, temporal_smoothing, axis=0)


def pulse(t: int = 2000, x: int = 20, y: int = 20, pulse_length: int = 100) -> np.ndarray:
    """The whole frame at 1 for `pulse_length` frames, at 0 for as many, and so on.

    Returns: (t, x, y) float64.
    Raises: ParameterError.
    Reference: convis, `samples.pulse`; in seconds `stimuli.Flash`.

    >>> pulse(7, 1, 1, pulse_length=2).ravel()
    array([1., 1., 0., 0., 1., 1., 0.])
    """
    axes("pulse", t, x, y)
    on = np.arange(t) % (2 * whole("pulse", "pulse_length", pulse_length, 1)) < pulse_length
    return np.broadcast_to(on[:, None, None], (t, x, y)).astype(float)


def chirp(t: int = 2000, x: int = 20, y: int = 20, scale: bool = True) -> np.ndarray:
    """A step, a sine of rising amplitude and a sine of rising frequency, with nothing in between.

    Args:
        t, x, y: frames and pixels.
        scale: spread the course of 4500 frames over `t`; otherwise the sweeps end at frame 2500 and 4000.
    Returns: (t, x, y) float64 in [-1, 1].
    Raises: ParameterError.
    Reference: convis, `samples.chirp`; as published by Baden et al. `stimuli.Chirp`.

    >>> chirp(900, 1, 1)[[50, 150, 250, 850]].ravel()  # the step is from frame 100 to 200
    array([0., 1., 0., 0.])
    """
    axes("chirp", t, x, y)
    factor = t / 4500 if scale else 1.0
    on, off, grow, grown, rise, risen = (int(factor * frame) for frame in (500, 1000, 1500, 2500, 3000, 4000))
    course = np.zeros(max(t, risen))
    course[on:off] = 1
    k = np.arange(grown - grow)
    course[grow:grown] = np.linspace(0, 1, len(k)) * np.sin(2 * np.pi * 5 / 1000 * k)
    k = np.arange(risen - rise)
    course[rise:risen] = np.sin(2 * np.pi * np.linspace(0.1, 10, len(k)) * k / 1000)
    return np.broadcast_to(course[:t, None, None], (t, x, y)).copy()


def places(n: int, center_on_pixel: bool) -> np.ndarray:
    """Distance from the middle in pixels."""
    return np.abs(np.linspace(-n / 2, n / 2 + (1 if center_on_pixel and n % 2 == 0 else 0), n))


def mask_square(x: int = 20, y: int = 20, width: float = 5.0, center_on_pixel: bool = True) -> np.ndarray:
    """True in a square around the middle.

    Args:
        x, y: pixels.
        width: half the side, in pixels.
        center_on_pixel: the middle of an even number of pixels is one of them.
    Returns: (1, x, y) bool; convis has (1, y, x).
    Raises: ParameterError.
    Reference: convis, `samples.mask_square`; in degrees `stimuli.RectangularMask`.

    >>> mask_square(5, 7, 2).sum((1, 2))
    array([9])
    """
    axes("mask_square", 1, x, y)
    return (places(x, center_on_pixel)[:, None] < width)[None] & (places(y, center_on_pixel) < width)


def mask_circle(x: int = 20, y: int = 20, radius: float = 5.0, smooth: bool = True, sharpness: float = 5.0,
                center_on_pixel: bool = True) -> np.ndarray:
    """1 in a disc around the middle.

    Args:
        x, y: pixels.
        radius: in pixels.
        smooth: an edge that is a sigmoid of `sharpness` per pixel; otherwise True or False.
        center_on_pixel: the middle of an even number of pixels is one of them.
    Returns: (1, x, y); convis has (1, y, x).
    Raises: ParameterError.
    Reference: convis, `samples.mask_circle`; in degrees `stimuli.CircularMask`.

    >>> mask_circle(5, 7, 2.0, smooth=False).sum((1, 2))
    array([9])
    """
    axes("mask_circle", 1, x, y)
    away = np.hypot(places(x, center_on_pixel)[:, None], places(y, center_on_pixel))[None]
    return 1 / (1 + np.exp(-sharpness * (radius - away))) if smooth else away < radius
