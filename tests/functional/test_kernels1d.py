"""Kernels against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim.functional.kernels1d import exponential_kernel, gaussian_kernel_1d, gaussian_kernel_2d, highpass_kernel


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.7])
def test_gaussian(sigma: float):
    g = gaussian_kernel_1d(number(sigma)).detach().numpy()
    k = np.arange(len(g)) - len(g) // 2
    assert g.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(g / g.max(), np.exp(-k**2 / (2 * sigma**2)), rtol=1e-12)
    if sigma >= 1:  # a sampled Gaussian has its own variance down to about a pixel; the cut takes a thousandth
        assert (g * k**2).sum() == pytest.approx(sigma**2, rel=2e-3)
    np.testing.assert_allclose(gaussian_kernel_2d(number(sigma)).detach(), np.outer(g, g), rtol=1e-14)


@pytest.mark.parametrize("tau", [0.0005, 0.01, 0.2])
def test_exponential(tau: float):
    w = exponential_kernel(number(tau), 0.001).detach().numpy()
    c = np.exp(-0.001 / tau)
    assert w.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(w[:5], ((1 - c) * c ** np.arange(len(w)))[:5], rtol=2e-4)  # the tail that was cut
    assert len(exponential_kernel(number(tau), 0.001, 7)) == 7


def test_nothing_to_smooth():
    assert gaussian_kernel_1d(number(0.0)).tolist() == [1.0] and exponential_kernel(number(0.0), 0.001).tolist() == [1.0]


def test_highpass():
    w = highpass_kernel(number(0.01), number(0.7), 0.001).detach()
    assert float(w.sum()) == pytest.approx(0.3, abs=1e-14) and float(w[0]) > 0 > float(w[1])


def test_gradients():
    assert torch.autograd.gradcheck(gaussian_kernel_2d, (number(1.3),))
    assert torch.autograd.gradcheck(lambda tau: exponential_kernel(tau, 0.001, 40), (number(0.01),))
    assert torch.autograd.gradcheck(lambda tau, w: highpass_kernel(tau, w, 0.001), (number(0.0103), number(0.7)))
