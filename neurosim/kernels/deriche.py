"""Deriche's recursive smoothing of images in two dimensions, with replicated borders; whole frames for other kernels to call.

Other compiled functions smooth a frame inside their loops with `smooth_frame(flat, offset, height, width, taps, work)`;
`taps` comes from `make_taps(coefficients, dtype)` and `work` from `make_panel(max(height, width), like)`, one for each thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._jit import compiled
from ._op import make_op
from ._panel import (
    D,
    G,
    X,
    Y,
    adjoint_panel,
    gradient_panel,
    lines,
    load_columns,
    load_rows,
    make_panel,
    smooth_panel,
    store_columns,
    store_rows,
)
from ._pool import each_row


def make_taps(coefficients: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What the compiled functions need to know of the filter: nine numbers of the frames' dtype.

    Args:
        coefficients: [a0, a1, a2, a3, e] in float64.
        dtype: of the frames.
    Returns: [a0, a1, a2, a3, e, u+, y+, u-, y-]; see `_panel.py`.
    """
    a, e = np.asarray(coefficients[:4], np.float64), float(coefficients[4])
    pole = float(np.asarray(e, dtype))
    a = a * ((1.0 - pole) / (1.0 - e)) ** 2  # rounding the pole would change the gain for constants
    u_plus, u_minus = (a[0] + a[1]) / (1.0 - pole), (a[2] + a[3]) / (1.0 - pole)
    return np.array([*a, pole, u_plus, u_plus / (1.0 - pole), u_minus, u_minus / (1.0 - pole)], dtype)


@compiled
def smooth_frame(flat: Any, offset: int, height: int, width: int, taps: Any, work: Any) -> None:
    """Smooths in place the frame (height, width) that starts at `offset` of the flat array: rows first, then columns."""
    if taps[4] == 0.0:  # no filtering: the identity, also for what is not finite
        return
    for first in range(0, height, lines(work)):
        load_rows(work, X, flat, offset, first, height, width)
        smooth_panel(work, width, taps)
        store_rows(work, Y, flat, offset, first, height, width)
    for first in range(0, width, lines(work)):
        load_columns(work, X, flat, offset, first, height, width)
        smooth_panel(work, height, taps)
        store_columns(work, Y, flat, offset, first, height, width)


@compiled
def smooth_frame_adjoint(flat: Any, offset: int, height: int, width: int, taps: Any, work: Any) -> None:
    """Replaces in place the gradient of the smoothed frame by that of the frame."""
    if taps[4] == 0.0:
        return
    for first in range(0, width, lines(work)):
        load_columns(work, G, flat, offset, first, height, width)
        adjoint_panel(work, height, taps)
        store_columns(work, D, flat, offset, first, height, width)
    for first in range(0, height, lines(work)):
        load_rows(work, G, flat, offset, first, height, width)
        adjoint_panel(work, width, taps)
        store_rows(work, D, flat, offset, first, height, width)


@compiled
def smooth_frame_gradient(flat: Any, offset: int, source: Any, source_offset: int, middle: Any, height: int, width: int,
                          taps: Any, work: Any, gradient: Any) -> None:
    """`smooth_frame_adjoint` that also adds to `gradient` (5 float64) that of the coefficients.

    The frame before smoothing starts at `source_offset` of `source`; `middle` is scratch memory for a frame.
    """
    if taps[4] == 0.0:  # the identity does not depend on sigma
        return
    middle[:] = source[source_offset:source_offset + height * width]
    for first in range(0, height, lines(work)):
        load_rows(work, X, middle, 0, first, height, width)
        smooth_panel(work, width, taps)
        store_rows(work, Y, middle, 0, first, height, width)
    for first in range(0, width, lines(work)):
        load_columns(work, X, middle, 0, first, height, width)
        load_columns(work, G, flat, offset, first, height, width)
        gradient_panel(work, height, taps, gradient)
        store_columns(work, D, flat, offset, first, height, width)
    for first in range(0, height, lines(work)):
        load_rows(work, X, source, source_offset, first, height, width)
        load_rows(work, G, flat, offset, first, height, width)
        gradient_panel(work, width, taps, gradient)
        store_rows(work, D, flat, offset, first, height, width)


@compiled
def _smooth_rows(start: int, stop: int, flat: Any, height: int, width: int, taps: Any, longest: int) -> None:
    work = make_panel(longest, flat)
    for frame in range(start, stop):
        smooth_frame(flat, frame * height * width, height, width, taps, work)


@compiled
def _adjoint_rows(start: int, stop: int, flat: Any, height: int, width: int, taps: Any, longest: int) -> None:
    work = make_panel(longest, flat)
    for frame in range(start, stop):
        smooth_frame_adjoint(flat, frame * height * width, height, width, taps, work)


@compiled
def _gradient_rows(start: int, stop: int, flat: Any, source: Any, height: int, width: int, taps: Any, longest: int,
                   gradients: Any) -> None:
    work = make_panel(longest, flat)
    middle = np.empty(height * width, flat.dtype)
    for frame in range(start, stop):
        offset = frame * height * width
        smooth_frame_gradient(flat, offset, source, offset, middle, height, width, taps, work, gradients[frame])


def line_matrix(coefficients: Tensor, n: int) -> Tensor:
    """The filter along a line of n pixels as a matrix (n, n), from its impulse response in closed form."""
    a0, a1, a2, a3, e = coefficients.unbind()
    along = _half_matrix(a0, a1, e, n, 0)
    against = _half_matrix(a2, a3, e, n, 1)
    return along + against.flip(0, 1)


def _half_matrix(p: Tensor, q: Tensor, e: Tensor, n: int, shift: int) -> Tensor:
    """(p + q z) z^shift / (1 - e z)^2 on a line whose first pixel is repeated without end before it."""
    m = torch.arange(n, device=e.device)
    response = p * (m + 1) * e ** m + q * m * e ** (m - 1).clamp(min=0)
    lag = m[:, None] - m - shift
    inside = torch.where(lag >= 0, response[lag.clamp(min=0)], torch.zeros((), dtype=e.dtype, device=e.device))
    before = response.cumsum(0) - response  # the sum over smaller lags
    border = (p + q) / (1 - e) ** 2 - torch.cat([before.new_zeros(shift), before])[:n]
    return torch.cat([border[:, None], inside[:, 1:]], 1)


def reference(x: Tensor, coefficients: Tensor) -> Tensor:
    """Smooths each frame of x (frames, height, width), rows first, then columns.

    Args:
        x: frames.
        coefficients: (5,) float64, [a0, a1, a2, a3, e] of `functional.spatial.deriche_coefficients`.
    Returns: the smoothed frames.
    """
    rows = line_matrix(coefficients, x.shape[2]).to(x.dtype)
    columns = line_matrix(coefficients, x.shape[1]).to(x.dtype)
    return columns @ (x @ rows.T)


def _shapes(x: Tensor, coefficients: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _forward(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    frames, height, width = x.shape
    result = x.copy()
    each_row(_smooth_rows, frames, 3 * x.size, result.reshape(-1), height, width, make_taps(coefficients, x.dtype),
             max(height, width))
    return result


def _backward(needs: tuple[bool, ...], grads: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...],
              x: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    frames, height, width = x.shape
    result, taps, longest = grads[0].copy(), make_taps(coefficients, x.dtype), max(height, width)
    if not needs[1]:
        each_row(_adjoint_rows, frames, 3 * x.size, result.reshape(-1), height, width, taps, longest)
        return result, None
    gradients = np.zeros((frames, 5))
    each_row(_gradient_rows, frames, 9 * x.size, result.reshape(-1), x.reshape(-1), height, width, taps, longest,
             gradients)
    return result, gradients.sum(0)


deriche = make_op("deriche", reference, _shapes, _forward, _backward)
