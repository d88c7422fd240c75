"""The leaky heat equation: a first-order low-pass over time whose state is smoothed in space at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._op import make_op
from ._panel import make_panel
from ._pool import each_row
from .deriche import line_matrix, make_taps, smooth_frame, smooth_frame_adjoint, smooth_frame_gradient


def reference(x: Tensor, y0: Tensor, c: Tensor, b: Tensor, coefficients: Tensor) -> Tensor:
    """y[t] = B(c y[t-1] + b x[t]), B being Deriche's smoothing.

    Args:
        x: (rows, time, height, width).
        y0: (rows, height, width), y before the first frame.
        c, b: 0-d.
        coefficients: (5,) float64, see `functional.spatial.deriche_coefficients`.
    Returns: y, shape of x.
    """
    along_x = line_matrix(coefficients, x.shape[3]).to(x.dtype).T
    along_y = line_matrix(coefficients, x.shape[2]).to(x.dtype)
    y, ys = y0, []
    for frame in x.unbind(1):
        y = along_y @ ((c * y + b * frame) @ along_x)
        ys.append(y)
    return torch.stack(ys, 1) if ys else torch.empty_like(x)


def _shapes(x: Tensor, y0: Tensor, c: Tensor, b: Tensor, coefficients: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@compiled
def _mix(before: Any, frame: Any, c: Any, b: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = c * before[i] + b * frame[i]


@compiled
def _forward_rows(start: int, stop: int, x: Any, y0: Any, c: Any, b: Any, height: int, width: int, taps: Any, ys: Any) -> None:
    """x, ys (rows, time, pixels); y0 (rows, pixels)."""
    work = make_panel(max(height, width), x)
    for row in range(start, stop):
        before = y0[row]
        for t in range(x.shape[1]):
            y = ys[row, t]
            _mix(before, x[row, t], c, b, y)
            smooth_frame(y, 0, height, width, taps, work)
            before = y


@compiled
def _backward_rows(start: int, stop: int, x: Any, y0: Any, c: Any, b: Any, height: int, width: int, taps: Any, ys: Any,
                   grad: Any, whole: bool, grad_x: Any, grad_y0: Any, sums: Any) -> None:
    """Sums for c, b and, if `whole`, the five coefficients go to `sums`, one row for each row."""
    work = make_panel(max(height, width), x)
    pixels = height * width
    adjoint, mixed, middle = np.zeros(pixels, x.dtype), np.empty(pixels, x.dtype), np.empty(pixels, x.dtype)
    for row in range(start, stop):
        adjoint[:] = 0
        for t in range(x.shape[1] - 1, -1, -1):
            before = ys[row, t - 1] if t > 0 else y0[row]
            frame, above, out = x[row, t], grad[row, t], grad_x[row, t]
            for i in range(pixels):
                adjoint[i] = above[i] + c * adjoint[i]
            if whole:
                _mix(before, frame, c, b, mixed)
                smooth_frame_gradient(adjoint, 0, mixed, 0, middle, height, width, taps, work, sums[row, 2:])
            else:
                smooth_frame_adjoint(adjoint, 0, height, width, taps, work)
            for_c = for_b = x.dtype.type(0)
            for i in range(pixels):
                out[i] = b * adjoint[i]
                for_c += adjoint[i] * before[i]
                for_b += adjoint[i] * frame[i]
            sums[row, 0] += for_c
            sums[row, 1] += for_b
        for i in range(pixels):
            grad_y0[row, i] = c * adjoint[i]


def _flat(x: np.ndarray) -> np.ndarray:
    """Frames as one axis; explicit sizes, for there may be no frames."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _forward(x: np.ndarray, y0: np.ndarray, c: np.ndarray, b: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    kind, ys = x.dtype.type, np.empty_like(x)
    each_row(_forward_rows, len(x), 4 * x.size, _flat(x), _flat(y0), kind(c), kind(b), *x.shape[2:],
             make_taps(coefficients, x.dtype), _flat(ys))
    return ys


def _backward(needs: tuple[bool, ...], grads: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...], x: np.ndarray,
              y0: np.ndarray, c: np.ndarray, b: np.ndarray, coefficients: np.ndarray) -> tuple[Any, ...]:
    kind, grad_x, grad_y0, sums = x.dtype.type, np.empty_like(x), np.empty_like(y0), np.zeros((len(x), 7))
    each_row(_backward_rows, len(x), 10 * x.size, _flat(x), _flat(y0), kind(c), kind(b), *x.shape[2:],
             make_taps(coefficients, x.dtype), _flat(outputs[0]), _flat(grads[0]), needs[4], _flat(grad_x), _flat(grad_y0),
             sums)
    total = sums.sum(0)
    return grad_x, grad_y0, total[0], total[1], total[2:]


leaky_heat = make_op("leaky_heat", reference, _shapes, _forward, _backward)
