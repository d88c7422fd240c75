"""Causal convolution over time and space, its gradients, for kernels of any size.

Frames are taken as flat: y[i] = sum over k of w[k] x[i + offset[k]], with one offset for each channel, lag, row and column of
the kernel. Where a row of the kernel would run over the edge of the frame the sums mean nothing and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ._gather import BYTES, GROUP, products, weighted_1, weighted_8
from ._jit import compiled
from ._op import make_op
from ._pool import each_row

MANY_CHANNELS = 64  # pairs of channels
FRAMES = 16  # worked on together; products are summed over them before the sum goes on in double


def reference(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """y[o, t, y, x] = bias[o] + sum over c, l, a, b of w[o, c, l, a, b] x[c, t - l, y - a, x - b], where all are there.

    Args:
        x: (batch, in, time, y, x).
        w: impulse response (out, in, lag, y, x), lag 0 the present frame.
        bias: (out,).
    Returns: (batch, out, time - lags + 1, y - ky + 1, x - kx + 1).
    """
    flipped = w.flip((2, 3, 4))  # torch's convolutions are correlations
    if w.shape[2] == 1:  # frame by frame is several times as fast as a flat 3-D convolution
        frames = x.movedim(2, 1).flatten(0, 1)
        return F.conv2d(frames, flipped[:, :, 0], bias).unflatten(0, (x.shape[0], x.shape[2])).movedim(1, 2)
    return F.conv3d(x, flipped, bias)


def is_for_kernel(x: Tensor, w: Tensor) -> bool:
    """Whether the compiled code can do it (frames that hold a vector of places) and is not the slower one."""
    count = (x.shape[3] - w.shape[3]) * x.shape[4] + x.shape[4] - w.shape[4] + 1
    few = w.shape[0] * w.shape[1] <= MANY_CHANNELS or x.dtype == torch.float64  # matrix products win with many channels
    return x.dtype == w.dtype and few and count >= BYTES // x.element_size() and x.shape[2] >= w.shape[2]


def _out_shape(x: Any, w: Any) -> tuple[int, ...]:
    return x.shape[0], w.shape[0], *(x.shape[i] - w.shape[i] + 1 for i in (2, 3, 4))


def _shapes(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(_out_shape(x, w))


@compiled
def _forward_units(start: int, stop: int, x: Any, w: Any, bias: Any, offsets: Any, step: int, batch_step: int, width: int,
                   ys: Any) -> None:
    """A unit is a block of frames of one channel of the output: their inputs overlap and stay in the cache."""
    outs, time, high, wide = ys.shape[1:]
    blocks = (time + FRAMES - 1) // FRAMES
    count = (high - 1) * width + wide
    lanes = BYTES // x.itemsize
    flat = np.empty(FRAMES * count, x.dtype)
    for unit in range(start, stop):
        block, o, row = unit % blocks, unit // blocks % outs, unit // blocks // outs
        t0 = block * FRAMES
        frames, first = min(FRAMES, time - t0), row * batch_step + t0 * step
        i = 0
        while i + GROUP * lanes <= count:
            for t in range(frames):
                weighted_8(flat, t * count + i, x, first + t * step + i, offsets, w, o * len(offsets), bias[o])
            i += GROUP * lanes
        while i < count:
            i = min(i, count - lanes)  # the last vector overlaps the one before
            for t in range(frames):
                weighted_1(flat, t * count + i, x, first + t * step + i, offsets, w, o * len(offsets), bias[o])
            i += lanes
        for t in range(frames):
            for y in range(high):
                ys[row, o, t0 + t, y] = flat[t * count + y * width:t * count + y * width + wide]


@compiled
def _weight_units(start: int, stop: int, x: Any, grad: Any, offsets: Any, step: int, batch_step: int, width: int,
                  found: Any) -> None:
    """A unit is a block of frames of one channel of the output; each has its own row of sums in `found`."""
    outs, time, high, wide = grad.shape[1:]
    blocks = (time + FRAMES - 1) // FRAMES
    count = (high - 1) * width + wide
    lanes = BYTES // x.itemsize
    whole = count // lanes
    sums = np.empty(len(offsets) * lanes, x.dtype)
    flat, rest = np.zeros(count, x.dtype), np.zeros(lanes, x.dtype)
    for unit in range(start, stop):
        block, o, row = unit % blocks, unit // blocks % outs, unit // blocks // outs
        sums[:] = 0
        for t in range(block * FRAMES, min(time, (block + 1) * FRAMES)):
            for y in range(high):
                flat[y * width:y * width + wide] = grad[row, o, t, y]
            for i in range(whole * lanes, count):
                rest[lanes - count + i] = flat[i]
            first = row * batch_step + t * step
            for k in range(0, len(offsets), GROUP):
                products(sums, k * lanes, flat, 0, whole, x, first, offsets, k)
                products(sums, k * lanes, rest, 0, 1, x, first + count - lanes, offsets, k)
        for k in range(len(offsets)):
            total = 0.0
            for i in range(lanes):
                total += sums[k * lanes + i]
            found[unit, k] = total


def _offsets(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Where the numbers are that one place of the output is made of, counted from the first of them."""
    channel, lag, y, x_ = np.indices(w.shape[1:])
    return (((channel * x.shape[2] + lag) * x.shape[3] + y) * x.shape[4] + x_).ravel()


def _correlate(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """As torch's conv3d; arrays are contiguous."""
    ys = np.empty(_out_shape(x, w), x.dtype)
    step = x.shape[3] * x.shape[4]
    units = ys.shape[0] * ys.shape[1] * -(-ys.shape[2] // FRAMES)
    each_row(_forward_units, units, ys.size * w[0].size, x.ravel(), w.ravel(), bias, _offsets(x, w), step,
             step * x.shape[1] * x.shape[2], x.shape[4], ys)
    return ys


def _flipped(w: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(w[:, :, ::-1, ::-1, ::-1])


def _forward(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return _correlate(x, _flipped(w), bias)


def _weight_gradient(x: np.ndarray, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
    offsets = _offsets(x, w)
    padded = np.concatenate([offsets, np.full(-len(offsets) % GROUP, offsets[0])])
    batch, outs, time = grad.shape[:3]
    blocks = -(-time // FRAMES)
    found = np.empty((batch * outs * blocks, len(padded)))
    step = x.shape[3] * x.shape[4]
    each_row(_weight_units, len(found), grad.size * w[0].size, x.ravel(), grad, padded, step, step * x.shape[1] * x.shape[2],
             x.shape[4], found)
    sums = found.reshape(batch, outs, blocks, len(padded)).sum((0, 2))[:, :len(offsets)]
    return _flipped(sums.reshape(w.shape))


def _backward(needs: tuple[bool, ...], grads: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...], x: np.ndarray,
              w: np.ndarray, bias: np.ndarray) -> tuple[Any, ...]:
    grad, grad_x, grad_w = grads[0], None, None
    if needs[0]:  # every place that an input reached, with the kernel turned round
        around = [(n - 1, n - 1) for n in w.shape[2:]]
        grad_x = _correlate(np.pad(grad, [(0, 0), (0, 0), *around]), np.ascontiguousarray(w.swapaxes(0, 1)),
                            np.zeros(w.shape[1], x.dtype))
    if needs[1]:
        grad_w = _weight_gradient(x, w, grad)
    return grad_x, grad_w, grad.sum((0, 2, 3, 4)) if needs[2] else None


convolution = make_op("convolution", reference, _shapes, _forward, _backward)
