"""Causal convolution over time and space, its gradients, for kernels of any size.

Frames are taken as flat: y[i] = sum over k of w[k] x[i + offset[k]], with one offset for each channel, lag, row and column of
the kernel. Where a row of the kernel would run over the edge of the frame the sums mean nothing and are left out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .._errors import InputError
from ._gather import ACROSS, GROUP, LAGS, STACK, products, products_of_1, products_of_4, stacked, weighted_1, weighted_8
from ._jit import VECTOR, compiled
from ._lanes import lanes
from ._op import make_op
from ._pool import each_row

MANY_CHANNELS = 64  # pairs of channels
TILE = 32  # vectors of a frame that stay in the nearest cache while their products with several lags are summed
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
    few = w.shape[0] * w.shape[1] <= MANY_CHANNELS or x.dtype == torch.float64  # matrix products win with many channels
    return few and x.dtype == w.dtype and _fits(x.shape, w.shape, x.element_size())


def _fits(shape: Any, kernel: Any, size: int) -> bool:
    """Whether the output holds a place, and its frames, as they are worked on, a vector of places."""
    (_, _, time, high, wide), (_, _, lags, ky, kx) = shape, kernel
    return time >= lags and high >= ky and wide >= kx and (high - ky) * wide + wide - kx + 1 >= VECTOR // size


def check(x: Any, w: Any, bias: Any) -> None:
    """Raises InputError unless the arrays fit each other: compiled code reads memory unchecked."""
    shape, kernel = x.shape, w.shape
    if (kernel[1] != shape[1] or bias.shape != kernel[:1] or not x.dtype == w.dtype == bias.dtype
            or not _fits(shape, kernel, x.itemsize)):
        raise InputError("convolution: needs x (batch, in, time, y, x), w (out, in, lag, y, x) not larger, bias (out,), all of "
                         f"one dtype, and frames of {VECTOR // x.itemsize} places; `reference` takes smaller ones (got "
                         f"{[(array.shape, array.dtype.name) for array in (x, w, bias)]})")


def _out_shape(x: Any, w: Any) -> tuple[int, ...]:
    return x.shape[0], w.shape[0], *(x.shape[i] - w.shape[i] + 1 for i in (2, 3, 4))


def _shapes(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(_out_shape(x, w))


@compiled
def _forward_units(start: int, stop: int, x: Any, w: Any, bias: Any, places: Any, offsets: Any, step: int, batch_step: int,
                   width: int, ys: Any) -> None:
    """A unit is a block of frames of one channel of the output: their inputs overlap and stay in the cache.

    `places` are the offsets of the weights of lag 0, `offsets` those of all, place by place; `w` is in their order.
    """
    outs, time, high, wide = ys.shape[1:]
    blocks = (time + FRAMES - 1) // FRAMES
    count = (high - 1) * width + wide
    size = lanes(x)
    lags, across = len(offsets) // len(places), ACROSS * size
    direct = wide == width  # then frames are flat as they are, and need not be put together
    flat = ys.ravel() if direct else np.empty(FRAMES * count, x.dtype)
    for unit in range(start, stop):
        block, o, row = unit % blocks, unit // blocks % outs, unit // blocks // outs
        t0 = block * FRAMES
        frames, first, weights = min(FRAMES, time - t0), row * batch_step + t0 * step, o * len(offsets)
        to = ((row * outs + o) * time + t0) * count if direct else 0
        together = frames - frames % STACK if lags >= STACK and count >= across else 0
        for t in range(0, together, STACK):
            i = 0
            while i < count:
                i = min(i, count - across)  # the last vectors overlap those before
                stacked(flat, to + t * count + i, count, x, first + t * step + i, step, places, lags, w, weights, bias, o)
                i += across
        i = 0
        while i + GROUP * size <= count:
            for t in range(together, frames):
                weighted_8(flat, to + t * count + i, x, first + t * step + i, offsets, w, weights, bias, o)
            i += GROUP * size
        while i < count:
            i = min(i, count - size)
            for t in range(together, frames):
                weighted_1(flat, to + t * count + i, x, first + t * step + i, offsets, w, weights, bias, o)
            i += size
        for t in range(0 if direct else frames):
            for y in range(high):
                ys[row, o, t0 + t, y] = flat[t * count + y * width:t * count + y * width + wide]


@compiled
def _weight_units(start: int, stop: int, x: Any, grad: Any, places: Any, offsets: Any, step: int, batch_step: int, width: int,
                  found: Any) -> None:
    """A unit is a block of frames of one channel of the output; each has its own row of sums in `found`.

    The sums are those of the weights at `offsets`, place by place; with lags enough, those of LAGS lags are found together.
    """
    outs, time, high, wide = grad.shape[1:]
    blocks = (time + FRAMES - 1) // FRAMES
    count = (high - 1) * width + wide
    size = lanes(x)
    whole, lags = count // size, len(offsets) // len(places)
    parts = (lags + LAGS - 1) // LAGS if lags >= LAGS else 0
    padded = len(offsets) + (-len(offsets)) % GROUP
    several = np.empty(padded, offsets.dtype)
    several[:len(offsets)], several[len(offsets):] = offsets, offsets[0]
    sums = np.empty(max(padded, 2 * LAGS * parts * len(places)) * size, x.dtype)
    direct = wide == width  # then frames are flat as they are
    flat = grad.ravel() if direct else np.zeros(STACK * count, x.dtype)
    rest = np.zeros(STACK * size, x.dtype)
    for unit in range(start, stop):
        block, o, row = unit % blocks, unit // blocks % outs, unit // blocks // outs
        sums[:] = 0
        t, last = block * FRAMES, min(time, (block + 1) * FRAMES)
        while t < last:
            frames = STACK if parts and t + STACK <= last else 1
            own = ((row * outs + o) * time + t) * count if direct else 0
            for f in range(frames):
                for y in range(0 if direct else high):
                    flat[f * count + y * width:f * count + y * width + wide] = grad[row, o, t + f, y]
                for i in range(whole * size, count):
                    rest[(f + 1) * size - count + i] = flat[own + f * count + i]
            first = row * batch_step + t * step
            if not parts:
                for k in range(0, len(offsets), GROUP):
                    products(sums, k * size, flat, own, whole, x, first, several, k)
                    products(sums, k * size, rest, 0, 1, x, first + count - size, several, k)
            for begin in range(0, whole if parts else 0, TILE):
                vectors = min(TILE, whole - begin)
                for part in range(parts):
                    lag = min(part * LAGS, lags - LAGS)  # the last ones overlap those before
                    for s in range(len(places)):
                        at = (s * parts + part) * 2 * LAGS * size
                        here = first + places[s] + lag * step
                        if frames == STACK:
                            products_of_4(sums, at, flat, own + begin * size, count, vectors, x, here + begin * size, step)
                        else:
                            products_of_1(sums, at, flat, own + begin * size, vectors, x, here + begin * size, step)
                        if begin + vectors == whole and whole * size < count:
                            if frames == STACK:
                                products_of_4(sums, at, rest, 0, size, 1, x, here + count - size, step)
                            else:
                                products_of_1(sums, at, rest, 0, 1, x, here + count - size, step)
            t += frames
        for k in range(len(offsets)):
            at, length = k * size, size
            if parts:
                part = k % lags // LAGS
                lag = min(part * LAGS, lags - LAGS)
                at, length = ((k // lags * parts + part) * LAGS + k % lags - lag) * 2 * size, 2 * size
            total = 0.0
            for i in range(length):
                total += sums[at + i]
            found[unit, k] = total


@functools.lru_cache(maxsize=64)
def _offsets(frames: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where the numbers are that one place of the output is made of, counted from the first: of lag 0, and all, lags last.

    Args:
        frames: (time, y, x) of the input.
        kernel: (in, lag, y, x).
    """
    channel, lag, y, x = np.indices(kernel)
    offsets = np.moveaxis(((channel * frames[0] + lag) * frames[1] + y) * frames[2] + x, 1, 3)
    return offsets[..., 0].ravel(), offsets.ravel()


def _correlate(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """As torch's conv3d; arrays are contiguous."""
    ys = np.empty(_out_shape(x, w), x.dtype)
    step = x.shape[3] * x.shape[4]
    units = ys.shape[0] * ys.shape[1] * -(-ys.shape[2] // FRAMES)
    each_row(_forward_units, units, ys.size * w[0].size, x.ravel(), np.moveaxis(w, 2, 4).ravel(), bias,
             *_offsets(x.shape[2:], w.shape[1:]), step, step * x.shape[1] * x.shape[2], x.shape[4], ys)
    return ys


def _flipped(w: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(w[:, :, ::-1, ::-1, ::-1])


def _forward(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    check(x, w, bias)
    return _correlate(x, _flipped(w), bias)


def _weight_gradient(x: np.ndarray, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
    outs, channels, lags, high, wide = w.shape
    batch, _, time = grad.shape[:3]
    blocks = -(-time // FRAMES)
    found = np.empty((batch * outs * blocks, w[0].size))
    step = x.shape[3] * x.shape[4]
    each_row(_weight_units, len(found), grad.size * w[0].size, x.ravel(), grad, *_offsets(x.shape[2:], w.shape[1:]), step,
             step * x.shape[1] * x.shape[2], x.shape[4], found)
    sums = found.reshape(batch, outs, blocks, channels, high, wide, lags).sum((0, 2))
    return _flipped(np.moveaxis(sums, 4, 2))


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
