"""exp and log of compiled loops against numpy in extended precision."""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
import pytest

from neurosim.kernels._jit import compiled
from neurosim.kernels._math import exp, log


@compiled
def exp_all(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = exp(x[i])


@compiled
def log_all(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = log(x[i])


def apply(function: Any, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    function(x, y)
    return y


def ulps(ours: np.ndarray, exact: np.ndarray) -> float:
    """Largest distance to the exact values, in units of the last place."""
    return float((np.abs(ours - exact) / np.spacing(np.abs(exact).astype(ours.dtype))).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    limit = 87 if dtype == np.float32 else 708
    for x in (rng.uniform(-limit, limit, 100_000), rng.uniform(-1, 1, 100_000)):
        x = x.astype(dtype)
        assert ulps(apply(exp_all, x), np.exp(x.astype(np.longdouble))) < 1.5
    for x in (np.exp(rng.uniform(-limit, limit, 100_000)), rng.uniform(0.5, 2, 100_000)):
        x = x.astype(dtype)
        assert ulps(apply(log_all, x), np.log(x.astype(np.longdouble))) < 1.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:(overflow|divide by zero|invalid value) encountered:RuntimeWarning")
def test_limits(dtype: Any) -> None:
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    x = np.array([np.nan, np.inf, -np.inf, -1e5, 1e5, 0.0, -0.0, -90.0, -103.0, -720.0, -745.0, 88.8, tiny, huge], dtype)
    np.testing.assert_allclose(apply(exp_all, x), np.exp(x), rtol=4 * np.finfo(dtype).eps, atol=tiny)
    x = np.array([np.nan, np.inf, -np.inf, -1.0, 0.0, -0.0, 1.0, tiny, 1e-40, 3 * tiny, huge], dtype)
    np.testing.assert_allclose(apply(log_all, x), np.log(x), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("function", [exp_all, log_all])
def test_several_at_once(function: Any) -> None:
    fresh = numba.njit(fastmath=set(function.fastmath), error_model="numpy")(function.plain())
    fresh(np.ones(8, np.float32), np.ones(8, np.float32))
    code = next(iter(fresh.inspect_llvm().values()))
    assert re.search(r"fmul .*<(4|8|16) x float>", code)  # else every number is computed on its own, ten times slower
