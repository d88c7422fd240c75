"""The first-order recursion against scipy's filter, across dtypes, threads and cuts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from neurosim.kernels.recursion import BLOCK, recursion


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.fixture
def keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@given(rows=st.integers(0, 3), time=st.integers(0, 6), pixels=st.integers(0, 20), c=st.floats(0, 1), b=st.floats(-2, 2))
def test_is_scipys_filter(rows: int, time: int, pixels: int, c: float, b: float) -> None:
    rng = np.random.default_rng(0)
    x, y0 = rng.normal(size=(rows, time, pixels)), rng.normal(size=(rows, pixels))
    ours = recursion(torch.from_numpy(x), torch.from_numpy(y0), number(c), number(b)).numpy()
    assert ours.shape == x.shape
    if x.size:
        expected, _ = lfilter([b], [1, -c], x, axis=1, zi=c * y0[:, None])
        np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-13)


def test_gradients_against_the_reference_over_several_blocks() -> None:
    x, y0 = torch.randn(2, 3, BLOCK + 5, dtype=torch.float64), torch.randn(2, BLOCK + 5, dtype=torch.float64)
    args = [arg.requires_grad_() for arg in (x, y0, number(0.8), number(0.3))]
    weight = torch.randn_like(x)
    ours = torch.autograd.grad(recursion(*args), args, weight)
    theirs = torch.autograd.grad(recursion.reference(*args), args, weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)  # sums of 10^4 terms


def test_float32_follows_float64() -> None:
    x, y0 = torch.randn(2, 300, 7, dtype=torch.float64), torch.randn(2, 7, dtype=torch.float64)
    exact = recursion(x, y0, number(0.99), number(0.01))
    single = recursion(x.float(), y0.float(), number(0.99), number(0.01))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)  # 1 / (1 - c) = 100 roundings of 6e-8 each


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_do_not_change_a_bit(dtype: torch.dtype, keep_threads: None) -> None:
    x, y0 = torch.randn(3, 5, 3 * BLOCK + 11, dtype=dtype), torch.randn(3, 3 * BLOCK + 11, dtype=dtype)
    args = [arg.requires_grad_() for arg in (x, y0, number(0.8), number(0.3))]
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        y = recursion(*args)
        results.append((y, *torch.autograd.grad(y, args, torch.ones_like(y))))
    for other in results[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(results[0], other, strict=True))


def test_what_is_not_finite_stays_in_its_pixel() -> None:
    x = torch.zeros(1, 3, 20)
    x[0, 1, 4], x[0, 1, 9] = float("nan"), float("inf")
    y = recursion(x, torch.zeros(1, 20), number(0.5), number(0.5))
    assert y[0, 1:, 4].isnan().all() and (y[0, 1:, 9] == float("inf")).all()
    assert torch.isfinite(y).sum() == 60 - 4
