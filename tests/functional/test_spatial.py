"""Smoothing in space as users call it: the numbers of convis, gradients to sigma, shapes, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim._errors import InputError, StateError
from neurosim.functional.spatial import deriche, deriche_coefficients, leaky_heat

GOLDEN = Path(__file__).parent.parent / "data" / "convis" / "spatial_recursive.npz"


def double(value: float, grad: bool = False) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize("sigma", ["0.05", "0.15", "0.3"])
def test_impulse_responses_of_convis(sigma: str) -> None:
    golden = np.load(GOLDEN)
    y = deriche(torch.from_numpy(golden["x_impulse"]), double(10 * float(sigma)), exact=True)
    np.testing.assert_allclose(y.numpy(), golden[f"impulse_sigma{sigma}"], rtol=0, atol=1e-15)
    rounded = deriche(torch.from_numpy(golden["x_impulse"]), double(10 * float(sigma)))
    assert 1e-10 < float((rounded - y).abs().max()) < 1e-7  # what Virtual Retina's float32 numbers amount to


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("sigma", [0.3, 1.3, 8.0])
def test_the_gradient_reaches_sigma(sigma: float, exact: bool) -> None:
    x = torch.rand(2, 12, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(sigma: torch.Tensor, exact: bool) -> torch.Tensor:
        return deriche(x, sigma, exact).square().sum()

    ours, = torch.autograd.grad(loss(s := double(sigma, grad=True), exact), s)
    step = 1e-5
    numeric = (loss(double(sigma + step), True) - loss(double(sigma - step), True)) / (2 * step)
    torch.testing.assert_close(ours, numeric, rtol=1e-6, atol=1e-7)  # error of the central difference; float32 sigma


def test_second_derivative_to_sigma() -> None:
    x = torch.rand(1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda s: deriche(x, s, exact=True), (double(1.3, grad=True),))
    assert torch.autograd.gradgradcheck(lambda s: deriche(x, s, exact=True), (double(1.3, grad=True),))


@pytest.mark.parametrize("shape", [(7, 8), (3, 7, 8), (2, 1, 4, 7, 8), (0, 7, 8), (2, 1, 0, 7, 8)])
def test_any_leading_axes(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, dtype=torch.float64)
    y = deriche(x, 1.5)
    assert y.shape == x.shape
    for frame, smooth in zip(x.reshape(-1, 7, 8)[:3], y.reshape(-1, 7, 8), strict=False):
        torch.testing.assert_close(smooth, deriche(frame, 1.5), rtol=0, atol=0)


def test_below_a_tenth_of_a_pixel_nothing_happens() -> None:
    x = torch.rand(3, 7, 8)
    x[0, 0, 0] = float("nan")
    sigma = double(0.0999, grad=True)
    y = deriche(x, sigma)
    torch.testing.assert_close(y, x, rtol=0, atol=0, equal_nan=True)
    y.nansum().backward()
    assert float(sigma.grad) == 0.0
    assert not torch.equal(deriche(x[1], 0.5), x[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_leaky_heat_cuts_do_not_change_a_bit(dtype: torch.dtype) -> None:
    x = torch.randn(2, 1, 12, 9, 17, dtype=dtype, generator=torch.Generator().manual_seed(0))
    whole, end = leaky_heat(x, x.new_zeros(2, 1, 9, 17), 2.0, 0.01, 0.001)
    for size in (1, 5):
        state, out = x.new_zeros(2, 1, 9, 17), []
        for part in x.split(size, 2):
            y, state = leaky_heat(part, state, 2.0, 0.01, 0.001)
            out.append(y)
        assert torch.equal(torch.cat(out, 2), whole) and torch.equal(state, end)
    y, same = leaky_heat(x[:, :, :0], end, 2.0, 0.01, 0.001)
    assert y.shape == (2, 1, 0, 9, 17) and torch.equal(same, end)


def test_leaky_heat_answers_a_step_as_a_lowpass_does() -> None:
    x = torch.ones(1, 1, 30, 8, 8, dtype=torch.float64)
    y, _ = leaky_heat(x, x.new_zeros(1, 1, 8, 8), 2.0, 0.01, 0.001, gain=3.0)
    expected = 3 * (1 - torch.exp(-torch.arange(1.0, 31.0, dtype=torch.float64) * 0.1))
    torch.testing.assert_close(y[0, 0, :, 3, 3], expected, rtol=1e-12, atol=0)  # a constant is not changed by smoothing


def test_leaky_heat_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(1, 1, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    gain = double(1.5, grad=True)
    assert torch.autograd.gradcheck(lambda x, y, gain: leaky_heat(x, y, 2.0, 0.01, 0.002, gain), (x, y, gain))
    # Sigma and tau pass through float32, too coarse for the steps of gradcheck.
    for position, step in ((0, 1e-4), (1, 1e-6)):
        values = [double(2.0, grad=True), double(0.01, grad=True)]
        loss = leaky_heat(x, y, *values, 0.002)[0].square().sum()
        ours, = torch.autograd.grad(loss, values[position])
        numeric = []
        for sign in (1, -1):
            moved = [value.detach() + sign * step * (i == position) for i, value in enumerate(values)]
            numeric.append(leaky_heat(x, y, *moved, 0.002)[0].square().sum())
        torch.testing.assert_close(ours, (numeric[0] - numeric[1]) / (2 * step), rtol=2e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("grad", [False, True])
def test_compiles_without_graph_breaks(grad: bool) -> None:
    x, y = torch.rand(1, 1, 4, 6, 7), torch.zeros(1, 1, 6, 7)
    sigma = torch.tensor(1.3, requires_grad=grad)
    fast = torch.compile(lambda x, y, sigma: deriche(leaky_heat(x, y, sigma, 0.01, 0.002)[0], sigma),
                         fullgraph=True, backend="aot_eager")
    expected = deriche(leaky_heat(x, y, sigma, 0.01, 0.002)[0], sigma)
    torch.testing.assert_close(fast(x, y, sigma), expected)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("sigma", [0.05, 0.31, 4.2])
def test_coefficients_are_the_same_with_and_without_gradient(sigma: float, exact: bool) -> None:
    torch.testing.assert_close(deriche_coefficients(sigma, exact), deriche_coefficients(double(sigma, grad=True), exact),
                               rtol=1e-13, atol=0)


def test_coefficients_at_a_width_known_by_hand() -> None:
    e = np.exp(-1.0)  # sigma = 1.695: a = 1, a1 = 0
    k = (1 - e) ** 2 / (1 + 2 * e - e**2)
    expected = torch.tensor([k, 0.0, 2 * k * e, -k * e**2, e], dtype=torch.float64)
    torch.testing.assert_close(deriche_coefficients(double(1.695), exact=True), expected, rtol=1e-14, atol=1e-16)


def test_errors() -> None:
    with pytest.raises(InputError, match=r"deriche: x must have at least the axes \(y, x\) \(got 1-D of shape \(3,\)\)"):
        deriche(torch.zeros(3), 1.0)
    with pytest.raises(InputError, match=r"leaky_heat: x must be \(batch, channel, time, y, x\) \(got 3-D"):
        leaky_heat(torch.zeros(2, 3, 4), torch.zeros(3, 4), 1.0, 0.01, 0.001)
    with pytest.raises(StateError, match="leaky_heat: the state must have the shape of a frame"):
        leaky_heat(torch.zeros(1, 1, 2, 3, 4), torch.zeros(1, 1, 4, 4), 1.0, 0.01, 0.001)
