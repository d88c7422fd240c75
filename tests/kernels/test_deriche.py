"""Deriche's smoothing against a slow loop over the published difference equations, and what it must keep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosim.functional.spatial import deriche_coefficients
from neurosim.kernels.deriche import deriche


def smooth_line(x: np.ndarray, sigma: float) -> np.ndarray:
    """Deriche (1993) with replicated borders and steady start, pixel by pixel, second-order form."""
    if sigma < 0.1:
        return x
    a = float(np.float32(1.695)) / float(np.float32(sigma))
    e = np.exp(-a)
    k = (1 - e) ** 2 / (1 + 2 * a * e - e**2)
    a0, a1, a2, a3, b1, b2 = k, k * (a - 1) * e, k * (a + 1) * e, -k * e**2, 2 * e, -(e**2)
    n = len(x)
    plus, minus = np.zeros(n), np.zeros(n)
    x1, y1 = x[0], x[0] * (a0 + a1) / (1 - b1 - b2)
    y2 = y1
    for i in range(n):
        plus[i] = a0 * x[i] + a1 * x1 + b1 * y1 + b2 * y2
        x1, y1, y2 = x[i], plus[i], y1
    x1 = x2 = x[-1]
    y1 = y2 = x[-1] * (a2 + a3) / (1 - b1 - b2)
    for i in range(n - 1, -1, -1):
        minus[i] = a2 * x1 + a3 * x2 + b1 * y1 + b2 * y2
        x1, x2, y1, y2 = x[i], x1, minus[i], y1
    return plus + minus


def smooth(frame: np.ndarray, sigma: float) -> np.ndarray:
    rows = np.stack([smooth_line(row, sigma) for row in frame])
    return np.stack([smooth_line(column, sigma) for column in rows.T]).T


@pytest.fixture
def keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@given(frames=st.integers(1, 2), height=st.integers(1, 35), width=st.integers(1, 35), sigma=st.floats(0.0, 12.0))
def test_is_the_published_recursion(frames: int, height: int, width: int, sigma: float) -> None:
    x = np.random.default_rng(height * width).normal(size=(frames, height, width))
    ours = deriche(torch.from_numpy(x), deriche_coefficients(torch.tensor(sigma, dtype=torch.float64)))
    expected = np.stack([smooth(frame, sigma) for frame in x])
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)  # the second-order form loses some digits


@given(height=st.integers(1, 35), width=st.integers(1, 35), sigma=st.floats(0.1, 12.0))
def test_gradients_against_the_reference(height: int, width: int, sigma: float) -> None:
    generator = torch.Generator().manual_seed(height + 100 * width)
    x = torch.randn(2, height, width, dtype=torch.float64, generator=generator).requires_grad_()
    blur = deriche_coefficients(torch.tensor(sigma, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(x.shape, dtype=torch.float64, generator=generator)
    ours = torch.autograd.grad(deriche(x, blur), (x, blur), weight)
    theirs = torch.autograd.grad(deriche.reference(x, blur), (x, blur), weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)  # sums of 10^3 terms that nearly cancel
    alone, = torch.autograd.grad(deriche(x, blur.detach()), x, weight)  # another compiled function
    torch.testing.assert_close(alone, theirs[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.3, 2.0, 30.0])
def test_float32_follows_float64(sigma: float) -> None:
    x = torch.rand(2, 70, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    blur = deriche_coefficients(sigma)
    single = deriche(x.float(), blur)
    torch.testing.assert_close(single.double(), deriche(x, blur), rtol=0, atol=2e-6)  # some 30 roundings of 6e-8


@pytest.mark.parametrize("sigma", [0.3, 2.0, 30.0])
def test_constants_stay(sigma: float) -> None:
    x = torch.full((1, 40, 23), 7.0)
    torch.testing.assert_close(deriche(x, deriche_coefficients(sigma)), x, rtol=2e-6, atol=0)
    x = x.double()
    torch.testing.assert_close(deriche(x, deriche_coefficients(sigma)), x, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("sigma", "deviation"), [(0.6 * 0.5**0.5, 0.420), (0.6, 0.673), (1.0, 1.172), (2.0, 2.359)])
def test_width_of_the_impulse_response(sigma: float, deviation: float) -> None:
    """As measured on the C++ program of Virtual Retina, to its three digits (the first is 0.42 px rounded)."""
    x = torch.zeros(1, 61, 61, dtype=torch.float64)
    x[0, 30, 30] = 1.0
    y = deriche(x, deriche_coefficients(sigma))[0]
    at = torch.arange(61.0) - 30
    assert float((y.sum(0) * at).sum()) == pytest.approx(0, abs=1e-12)  # it does not drift
    assert float((y.sum(0) * at**2).sum().sqrt()) == pytest.approx(deviation, abs=1e-3)
    assert float((y.sum(1) * at**2).sum().sqrt()) == pytest.approx(deviation, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_do_not_change_a_bit(dtype: torch.dtype, keep_threads: None) -> None:
    args = (torch.randn(7, 60, 70, dtype=dtype, requires_grad=True), deriche_coefficients(2.0).requires_grad_())
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        y = deriche(*args)
        results.append((y, *torch.autograd.grad(y, args, torch.ones_like(y))))
    for other in results[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(results[0], other, strict=True))


def test_a_nan_comes_out_as_nan_and_other_frames_are_not_touched() -> None:
    x = torch.ones(2, 20, 20)
    x[0, 3, 3] = float("nan")
    y = deriche(x, deriche_coefficients(1.0))
    assert y[0].isnan().all() and torch.isfinite(y[1]).all()
    assert deriche(x, deriche_coefficients(float("nan"))).isnan().all()


def test_nothing_to_smooth() -> None:
    for shape in ((0, 4, 5), (2, 0, 5), (2, 4, 0)):
        x = torch.zeros(shape, requires_grad=True)
        y = deriche(x, deriche_coefficients(1.0))
        y.sum().backward()
        assert y.shape == x.grad.shape == shape
