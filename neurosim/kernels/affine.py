"""An affine map of many rows, in which each gives the same bits whatever other rows there are.

Libraries add up the terms of a larger product in another order: a recording cut into chunks would give other numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from ._jit import compiled
from ._lanes import EXACT, vectors
from ._op import make_op
from ._pool import each_row
from ._rows import LINES, padded, spread
from ._rows import affine as affine_rows


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """weight x + bias for every row.

    Args:
        x: (..., inputs).
        weight: (outputs, inputs).
        bias: (outputs,).
    Returns: (..., outputs).
    """
    return torch.nn.functional.linear(x, weight, bias).contiguous()


def shapes(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Output of `reference`, empty."""
    return x.new_empty(*x.shape[:-1], weight.shape[0])


@compiled(fastmath=EXACT)
def map_rows(start: int, stop: int, x: Any, inputs: int, matrix: Any, columns: int, out: Any) -> None:
    """Rows LINES * start to LINES * stop of x, flat, to those of out (rows, outputs); `columns`: outputs filled up."""
    sums = vectors(LINES * columns, x)
    for first in range(start * LINES, min(stop * LINES, out.shape[0]), LINES):
        lines = min(LINES, out.shape[0] - first)
        affine_rows(x, first * inputs, inputs, lines, inputs, matrix, 0, columns, sums, 0, columns)
        for line in range(lines):
            for j in range(out.shape[1]):
                out[first + line, j] = sums[line * columns + j]


def forward(x: Any, weight: Any, bias: Any) -> Any:
    """`reference` in compiled code. Raises InputError: that reads memory unchecked."""
    (outputs, inputs), kinds = weight.shape, {array.dtype for array in (x, weight, bias)}
    if x.shape[-1] != inputs or bias.shape != (outputs,) or len(kinds) > 1:
        raise InputError(f"affine: needed x (..., {inputs}), bias ({outputs},), all of one dtype (got {x.shape}, {bias.shape} "
                         f"and {sorted(map(str, kinds))})")
    columns = padded(outputs, x)
    matrix = np.zeros((inputs + 1) * columns, x.dtype)
    spread(weight.reshape(-1), 0, 1, outputs, inputs, matrix, 0, 1, columns)
    matrix[inputs * columns:inputs * columns + outputs] = bias
    out = np.empty((*x.shape[:-1], outputs), x.dtype)
    rows = out.reshape(-1, outputs)
    each_row(map_rows, -(-len(rows) // LINES), x.size * columns // 8, x.reshape(-1), inputs, matrix, columns, rows)
    return out


def backward(needs: tuple[bool, ...], grads: Any, outputs: Any, x: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    """Gradients of all arguments; that of a row of x follows from this row alone."""
    g, rows = (torch.from_numpy(array.reshape(-1, array.shape[-1])) for array in (grads[0], x))
    of_x = forward(grads[0], weight.T, np.zeros(weight.shape[1], weight.dtype))
    return of_x, (g.T @ rows).numpy(), g.sum(0).numpy()


affine = make_op("affine", reference, shapes, forward, backward)
