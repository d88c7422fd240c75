"""Temporal bases against scipy and the published formula, and kernels that follow them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from neurosim import ParameterError, Resolution
from neurosim.filters import BSplines, Conv1d, Conv2d, Conv3d, RaisedCosines

H = 0.001


@pytest.mark.parametrize("n, degree, offset", [(8, 3, None), (5, 2, None), (4, 3, None), (3, 0, None), (9, 3, 0.01)])
def test_splines_are_those_of_scipy(n: int, degree: int, offset: float | None):
    values = BSplines(n, 0.1, degree, offset)(H).numpy()
    t = np.arange(101) * H
    u, low, high = (t, 0.0, 0.1) if offset is None else (np.log(t + offset), np.log(offset), np.log(0.1 + offset))
    knots = np.r_[[low] * degree, np.linspace(low, high, n - degree + 1), [high] * degree]
    inside = u <= high - 1e-9  # at the very end scipy's last interval is open
    wanted = np.array([BSpline.basis_element(knots[j:j + degree + 2], extrapolate=False)(u) for j in range(n)])
    np.testing.assert_allclose(values[:, inside][:, 1:-1], np.nan_to_num(wanted)[:, inside][:, 1:-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(values.sum(0), 1.0, rtol=0, atol=1e-12)
    assert values.shape == (n, 101) and values[-1, -1] == pytest.approx(1.0) and (values >= -1e-15).all()


def test_raised_cosines_are_those_of_the_paper():
    n, first, last, c = 6, 0.002, 0.08, 0.015
    values = RaisedCosines(n, first, last, c)(H).numpy()
    a = (n - 1) * math.pi / 2 / (math.log(last + c) - math.log(first + c))  # peaks lie a quarter of a period apart
    t = np.arange(values.shape[1]) * H
    for j in range(n):
        phi = a * math.log(first + c) + j * math.pi / 2
        x = a * np.log(t + c) - phi
        np.testing.assert_allclose(values[j], np.where(np.abs(x) < math.pi, np.cos(x) / 2 + 0.5, 0.0), rtol=0, atol=1e-12)
    peaks = np.exp(np.linspace(math.log(first + c), math.log(last + c), n)) - c
    np.testing.assert_allclose(t[values.argmax(1)], peaks, rtol=0, atol=H)
    between = (t > peaks[1]) & (t < peaks[-2])
    np.testing.assert_allclose(values.sum(0)[between], 2.0, rtol=0, atol=1e-12)
    assert values[-1, -1] < 1e-2 and values[:-1, -1].max() == 0


def test_the_kernel_follows_the_weights():
    conv = Conv3d(2, 1, (1, 3, 3), resolution=Resolution(H, 10.0), dtype=torch.float64)
    functions = BSplines(4, 0.02)
    conv.basis(functions)
    assert conv.p.keys() == ["bias", "kernel.weights"] and conv.p.kernel.weights.shape == (1, 2, 4, 3, 3)
    w = np.random.default_rng(0).normal(size=(1, 2, 4, 3, 3))
    conv.p.kernel.weights = w
    np.testing.assert_allclose(conv.impulse_response().detach(), np.einsum("oinyx,nt->oityx", w, functions(H)), rtol=0,
                               atol=1e-12)
    free = Conv3d(2, 1, dtype=torch.float64)
    free.set_weight(conv.impulse_response().detach())
    x = np.random.default_rng(1).normal(size=(1, 2, 30, 4, 4))
    torch.testing.assert_close(conv.run(x, 9)[0], free.run(x)[0], rtol=0, atol=1e-12)


def test_weights_are_found_by_fitting():
    x = torch.randn(1, 1, 400, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    goal, fitted = Conv1d(dtype=torch.float64), Conv1d(dtype=torch.float64)
    goal.basis(RaisedCosines(4, last_peak=0.02), [0.5, 1.0, -0.5, 0.2])
    fitted.basis(RaisedCosines(4, last_peak=0.02))
    fitted.set_optimizer.LBFGS(max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14)
    fitted.optimize(x, goal.run(x)[0])
    np.testing.assert_allclose(fitted.kernel.weights.detach().flatten(), [0.5, 1.0, -0.5, 0.2], rtol=1e-4)


def test_functions_may_be_an_array_or_any_callable():
    conv = Conv1d(2, 3)
    conv.basis(np.eye(4)[:2], [2.0, -1.0])
    assert conv.impulse_response().shape == (3, 2, 4, 1, 1)
    assert conv.impulse_response()[1, 1, :, 0, 0].tolist() == [2.0, -1.0, 0.0, 0.0]
    conv.basis(lambda h: torch.full((1, 3), h), np.ones((3, 2, 1)))
    assert conv.impulse_response()[2, 0, 0].item() == pytest.approx(conv.resolution.frame)


@pytest.mark.parametrize("make, text", [
    (lambda: RaisedCosines(1), "RaisedCosines.n: must be a whole number of at least 2"),
    (lambda: RaisedCosines(first_peak=0.2), "last_peak: peaks must lie at 0 s or later, the last after the first"),
    (lambda: RaisedCosines(offset=0.0), r"offset: must lie in \(0, inf\) s \(got 0.0\)"),
    (lambda: BSplines(3), "BSplines.n: must be a whole number of at least 4"),
    (lambda: BSplines(duration=-1.0), r"duration: must lie in \(0, inf\) s"),
    (lambda: BSplines(offset=-1.0), "offset: must lie in"),
    (lambda: Conv2d().basis(BSplines()), "does not filter over time"),
    (lambda: Conv1d().basis([1.0, 2.0]), r"functions must be \(n, lag\) \(got \(2,\)\)"),
    (lambda: Conv1d().basis(BSplines(5), [1.0, 2.0]), r"weights must be \(n,\), .* with out, in, n = 1, 1, 5 \(got"),
    (lambda: Conv1d().basis(BSplines(5), np.ones((1, 1, 5, 2, 2))), "weights extend over an axis"),
])
def test_what_does_not_fit_is_refused(make, text: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=text):
        make()
