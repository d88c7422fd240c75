"""Vectors as variables of compiled code: how many registers they have, and that rows become columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosim.kernels._jit import VECTOR, compiled
from neurosim.kernels._lanes import EXACT, lanes, vload, vsplat, vstore, vtranspose

WIDE = 3


@compiled(fastmath=EXACT, allocates=False)
def add_second(x: Any, y: Any) -> int:
    size = lanes(x)
    vstore(y, 0, vload(x, 0) + vsplat(x, 1))
    vstore(y, size, vload(x, size, WIDE) + vsplat(x, 1, WIDE))
    return size


@compiled(fastmath=EXACT, allocates=False)
def turn(x: Any, y: Any) -> None:
    vtranspose(y, 1, lanes(x) + 1, x, 2, lanes(x) + 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_has_as_many_registers_as_asked_for(dtype: Any) -> None:
    size = VECTOR // np.dtype(dtype).itemsize
    x = np.arange(1.0, 1 + 4 * size, dtype=dtype)
    y = np.zeros(6 * size, dtype)
    assert add_second(x, y) == size
    np.testing.assert_array_equal(y, np.append(x + 2, np.zeros(2 * size)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_become_columns(dtype: Any) -> None:
    size = VECTOR // np.dtype(dtype).itemsize
    x = np.random.default_rng(0).normal(size=2 + size * (size + 3)).astype(dtype)
    y = np.zeros(1 + size * (size + 1), dtype)
    turn(x, y)
    rows = x[2:].reshape(size, size + 3)[:, :size]
    np.testing.assert_array_equal(y[1:].reshape(size, size + 1)[:, :size], rows.T)
    assert y[0] == 0 and (y[1:].reshape(size, size + 1)[:, size] == 0).all()
