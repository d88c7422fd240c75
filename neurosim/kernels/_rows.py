"""Compiled products with small matrices: a vector holds neighbouring columns; four sequences share their reads of a matrix.

Matrices are kept row by row for the vector that they are multiplied with from the left; rows are filled up with zeros to
whole vectors. What lays them out so, and the gradients of all their numbers, are at the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ._jit import VECTOR, compiled
from ._lanes import EXACT, LOG2E, lanes, vconstant, vload, vlogistic2, vsplat, vstore

LINES = 4  # sequences that are worked on together
ZERO = np.int64(0)  # as an argument: for a literal 0 numba compiles a version of its own


def padded(count: int, like: Any) -> int:
    """`count` filled up to whole vectors of the dtype of `like`, an array or tensor."""
    return count + -count % (VECTOR // like.dtype.itemsize)


@compiled(fastmath=EXACT, allocates=False)
def filled(count: int, like: Any) -> int:
    """`padded` in compiled code, where the number of lanes is a constant."""
    return count + -count % lanes(like)


@compiled(fastmath=EXACT, allocates=False)
def multiply_one(x: Any, start: int, rows: int, matrix: Any, at: int, columns: int, into: Any, to: int) -> None:
    """Adds to into[to:] the product of x[start:start + rows] with the matrix (rows, columns) at matrix[at:]."""
    width = lanes(x)
    column = 0
    while column + 4 * width <= columns:  # four sums at once: one alone would wait for itself
        p, t = at + column, to + column
        a, b = vload(into, t), vload(into, t + width)
        c, d = vload(into, t + 2 * width), vload(into, t + 3 * width)
        for row in range(rows):
            factor = vsplat(x, start + row)
            a = a + factor * vload(matrix, p)
            b = b + factor * vload(matrix, p + width)
            c = c + factor * vload(matrix, p + 2 * width)
            d = d + factor * vload(matrix, p + 3 * width)
            p += columns
        vstore(into, t, a)
        vstore(into, t + width, b)
        vstore(into, t + 2 * width, c)
        vstore(into, t + 3 * width, d)
        column += 4 * width
    while column < columns:
        a = vload(into, to + column)
        for row in range(rows):
            a = a + vsplat(x, start + row) * vload(matrix, at + row * columns + column)
        vstore(into, to + column, a)
        column += width


@compiled(fastmath=EXACT, allocates=False)
def multiply_four(x: Any, start: int, step: int, rows: int, matrix: Any, at: int, columns: int, into: Any, to: int,
                  to_step: int) -> None:
    """`multiply_one` for four sequences at once, `step` and `to_step` apart: every number of the matrix is read once."""
    width = lanes(x)
    column = 0
    while column < columns:
        p, t = at + column, to + column
        two = column + 2 * width <= columns
        q = width if two else 0  # a last single column of vectors is computed twice
        a0, a1 = vload(into, t), vload(into, t + q)
        b0, b1 = vload(into, t + to_step), vload(into, t + to_step + q)
        c0, c1 = vload(into, t + 2 * to_step), vload(into, t + 2 * to_step + q)
        d0, d1 = vload(into, t + 3 * to_step), vload(into, t + 3 * to_step + q)
        for row in range(start, start + rows):
            m0, m1 = vload(matrix, p), vload(matrix, p + q)
            a, b, c, d = vsplat(x, row), vsplat(x, row + step), vsplat(x, row + 2 * step), vsplat(x, row + 3 * step)
            a0, a1, b0, b1 = a0 + a * m0, a1 + a * m1, b0 + b * m0, b1 + b * m1
            c0, c1, d0, d1 = c0 + c * m0, c1 + c * m1, d0 + d * m0, d1 + d * m1
            p += columns
        vstore(into, t, a0)
        vstore(into, t + q, a1)
        vstore(into, t + to_step, b0)
        vstore(into, t + to_step + q, b1)
        vstore(into, t + 2 * to_step, c0)
        vstore(into, t + 2 * to_step + q, c1)
        vstore(into, t + 3 * to_step, d0)
        vstore(into, t + 3 * to_step + q, d1)
        column += 2 * width


@compiled(fastmath=EXACT, allocates=False)
def multiply(x: Any, start: int, step: int, lines: int, rows: int, matrix: Any, at: int, columns: int, into: Any,
             to: int, to_step: int) -> None:
    """`multiply_one` for `lines` sequences; the order of every sum is the same for any number of them."""
    if lines == LINES:
        multiply_four(x, start, step, rows, matrix, at, columns, into, to, to_step)
    else:
        for line in range(lines):
            multiply_one(x, start + line * step, rows, matrix, at, columns, into, to + line * to_step)


@compiled(fastmath=EXACT, allocates=False)
def affine(x: Any, start: int, step: int, lines: int, rows: int, matrix: Any, at: int, columns: int, into: Any,
           to: int, to_step: int) -> int:
    """The product plus the bias that follows the matrix; returns where the next matrix begins."""
    bias = at + rows * columns
    for line in range(lines):
        for column in range(columns):
            into[to + line * to_step + column] = matrix[bias + column]
    multiply(x, start, step, lines, rows, matrix, at, columns, into, to, to_step)
    return bias + columns


@compiled(fastmath=EXACT, allocates=False)
def logistic(like: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)) of a vector."""
    return vlogistic2(vconstant(like, -LOG2E) * x)


@compiled(fastmath=EXACT, allocates=False)
def hyperbolic(like: Any, x: Any) -> Any:
    """tanh of a vector, to the rounding of 1."""
    return vconstant(like, 2.0) * vlogistic2(vconstant(like, -2 * LOG2E) * x) - vconstant(like, 1.0)


@compiled(allocates=False)
def spread(weights: Any, start: int, groups: int, rows: int, columns: int, into: Any, to: int, row_step: int,
           column_step: int) -> None:
    """Copies the matrix (groups of rows, columns) at weights[start:] to into[to:], where each group is filled up to whole
    vectors and neighbours in a column are `row_step`, in a row `column_step` apart.
    """
    room = filled(rows, into)
    for group in range(groups):
        for row in range(rows):
            source, target = start + (group * rows + row) * columns, to + (group * room + row) * row_step
            for column in range(columns):
                into[target + column * column_step] = weights[source + column]


def aligned(*shape: int, dtype: Any, make: Any = np.empty) -> np.ndarray:
    """As `vectors` of `_lanes`, outside compiled code: an array that begins where a cache line does. `make`: or np.zeros."""
    count, size = math.prod(shape), dtype.itemsize
    if not count:
        return make(shape, dtype)
    room = make(count + 64 // size, dtype)
    skip = -room.__array_interface__["data"][0] % 64 // size
    return room[skip:skip + count].reshape(shape)


def matrix_gradient(sums: np.ndarray, fed: np.ndarray, groups: int, rows: int) -> np.ndarray:
    """Gradient of a matrix (groups of rows, columns), as one product over all frames.

    Args:
        sums: (batch, time, groups of at least `rows`), gradients of what the matrix gave.
        fed: (batch, time, columns), what it got.
    """
    of_sums, of_fed = (torch.from_numpy(array.reshape(-1, array.shape[2])) for array in (sums, fed))
    product = (of_fed.T @ of_sums).numpy()  # the narrow one first: torch is faster so
    return product.T.reshape(groups, -1, fed.shape[2])[:, :rows]
