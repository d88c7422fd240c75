"""Slow numpy loops over every output value of what convis's convolutions, delays and cascades do, as its users know them.

Nothing here is shared with the library. Movies are (batch, channel, time, y, x), kernels impulse responses
(out, in, lag, y, x).
"""

from __future__ import annotations

import numpy as np


def at(x: np.ndarray, t: int, y: int, x_: int) -> np.ndarray:
    """The movie at one place, (batch, channel), with the first frame before time 0 and the border beyond the frame."""
    rows, columns = x.shape[3:]
    return x[:, :, max(t, 0), min(max(y, 0), rows - 1), min(max(x_, 0), columns - 1)]


def conv(x: np.ndarray, w: np.ndarray, bias: np.ndarray | float = 0.0, *, time_pad: bool = True,
         autopad: bool = True) -> np.ndarray:
    """Causal in time. In space an even kernel of k pixels looks at k / 2 pixels before and k / 2 - 1 behind."""
    (lags, ky, kx), (frames, rows, columns) = w.shape[2:], x.shape[2:]
    # where the kernel's value a acts: at y - a + shift
    shift_y, shift_x = ((ky - 1 - ky // 2, kx - 1 - kx // 2) if autopad else (ky - 1, kx - 1))
    size = (rows, columns) if autopad else (rows - ky + 1, columns - kx + 1)
    out = np.zeros((len(x), len(w), frames, *size))
    for t, i, j in np.ndindex(frames, *size):
        for lag, a, b in np.ndindex(lags, ky, kx):
            out[:, :, t, i, j] += at(x, t - lag, i - a + shift_y, j - b + shift_x) @ w[:, :, lag, a, b].T
    out += np.broadcast_to(np.asarray(bias, float), len(w))[:, None, None, None]
    return out if time_pad else out[:, :, lags - 1:]


def receptive_field(x: np.ndarray, w: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """One value per output channel: the frame's top left corner, cut or filled with zeros to the kernel's size."""
    ky, kx = w.shape[3:]
    seen = np.zeros((*x.shape[:3], ky, kx))
    for i, j in np.ndindex(min(ky, x.shape[3]), min(kx, x.shape[4])):
        seen[..., i, j] = x[..., i, j]
    out = np.zeros((len(x), len(w), x.shape[2], 1, 1))
    for t in range(x.shape[2]):
        for lag, a, b in np.ndindex(*w.shape[2:]):
            out[:, :, t, 0, 0] += seen[:, :, max(t - lag, 0), ky - 1 - a, kx - 1 - b] @ w[:, :, lag, a, b].T
    return out + np.broadcast_to(np.asarray(bias, float), len(w))[:, None, None, None]


def delayed(x: np.ndarray, delays: np.ndarray | int) -> np.ndarray:
    """Each pixel by its own number of frames, zeros before."""
    out, delays = np.zeros_like(x), np.broadcast_to(delays, x.shape[3:])
    for t, i, j in np.ndindex(x.shape[2:]):
        if t >= delays[i, j]:
            out[:, :, t, i, j] = x[:, :, t - delays[i, j], i, j]
    return out


def rectify(x: np.ndarray) -> np.ndarray:
    """The nonlinearity of LN models."""
    return np.where(x < 0, 0.0, np.where(x > 1e6, 1e6, x))


def cascade(x: np.ndarray, *stages: tuple) -> np.ndarray:
    """(kernel, bias, function) after one another."""
    for w, bias, function in stages:
        x = function(conv(x, w, bias))
    return x


def lnfdlnf(x: np.ndarray, w1: np.ndarray, f1: np.ndarray, delays: np.ndarray, w2: np.ndarray, f2: np.ndarray) -> np.ndarray:
    """Two stages, each less a temporal filter (lag,) of itself, with the delays between them."""
    r = rectify(conv(x, w1))
    r = delayed(r - conv(r, f1[None, None, :, None, None]), delays)
    r = rectify(conv(r, w2))
    return r - conv(r, f2[None, None, :, None, None])


def mcintosh(x: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, readout: np.ndarray,
             bias: np.ndarray) -> np.ndarray:
    """readout: (cell, channel * y * x), channels slowest. Returns (batch, 1, time, 1, cell)."""
    r = rectify(conv(rectify(conv(x, w1, b1)), w2, b2))
    values = np.stack([r[:, :, t].reshape(len(x), -1) @ readout.T + bias for t in range(r.shape[2])], 1)
    return values[:, None, :, None]
