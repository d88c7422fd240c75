"""First-order recursion over time, y[t] = c y[t-1] + b x[t], for many pixels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._op import make_op
from ._pool import each_row

BLOCK = 2048  # pixels whose state stays in the first-level cache


def reference(x: Tensor, y0: Tensor, c: Tensor, b: Tensor) -> Tensor:
    """y[t] = c y[t-1] + b x[t].

    Args:
        x: (rows, time, pixels).
        y0: (rows, pixels), y before the first frame.
        c, b: 0-d.
    Returns: y, shape of x.
    """
    y, ys = y0, []
    for frame in x.unbind(1):
        y = c * y + b * frame
        ys.append(y)
    return torch.stack(ys, 1) if ys else torch.empty_like(x)


def _shapes(x: Tensor, y0: Tensor, c: Tensor, b: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@compiled
def _forward_units(start: int, stop: int, x: Any, y0: Any, c: Any, b: Any, ys: Any) -> None:
    """A unit is one block of pixels of one row."""
    time, pixels = x.shape[1:]
    blocks = (pixels + BLOCK - 1) // BLOCK
    state = np.empty(BLOCK, x.dtype)
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        count = min(BLOCK, pixels - first)
        state[:count] = y0[row, first:first + count]
        for t in range(time):
            frame, out = x[row, t, first:first + count], ys[row, t, first:first + count]
            for i in range(count):
                state[i] = c * state[i] + b * frame[i]
                out[i] = state[i]


@compiled
def _backward_units(start: int, stop: int, x: Any, y0: Any, c: Any, b: Any, ys: Any, grad: Any, grad_x: Any, grad_y0: Any,
                    sums: Any) -> None:
    """Sums for c and b go to `sums`, one row for each unit, so that they do not depend on the threads."""
    time, pixels = x.shape[1:]
    blocks = (pixels + BLOCK - 1) // BLOCK
    adjoint = np.empty(BLOCK, x.dtype)
    for unit in range(start, stop):
        row, first = unit // blocks, unit % blocks * BLOCK
        count = min(BLOCK, pixels - first)
        last = first + count
        adjoint[:count] = 0
        for t in range(time - 1, -1, -1):
            before = ys[row, t - 1, first:last] if t > 0 else y0[row, first:last]
            frame, above, out = x[row, t, first:last], grad[row, t, first:last], grad_x[row, t, first:last]
            for_c = for_b = x.dtype.type(0)
            for i in range(count):
                g = above[i] + c * adjoint[i]
                adjoint[i] = g
                out[i] = b * g
                for_c += g * before[i]
                for_b += g * frame[i]
            sums[unit, 0] += for_c
            sums[unit, 1] += for_b
        for i in range(count):
            grad_y0[row, first + i] = c * adjoint[i]


def _units(x: np.ndarray) -> int:
    return x.shape[0] * -(-x.shape[2] // BLOCK)


def _forward(x: np.ndarray, y0: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    ys = np.empty_like(x)
    each_row(_forward_units, _units(x), x.size, x, y0, x.dtype.type(c), x.dtype.type(b), ys)
    return ys


def _backward(needs: tuple[bool, ...], grads: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...], x: np.ndarray,
              y0: np.ndarray, c: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    grad_x, grad_y0, sums = np.empty_like(x), np.empty_like(y0), np.zeros((_units(x), 2))
    each_row(_backward_units, _units(x), 2 * x.size, x, y0, x.dtype.type(c), x.dtype.type(b), outputs[0], grads[0], grad_x,
             grad_y0, sums)
    return grad_x, grad_y0, *sums.sum(0)


recursion = make_op("recursion", reference, _shapes, _forward, _backward)
