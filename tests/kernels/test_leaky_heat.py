"""The leaky heat equation step by step from its two parts, and the centre of the original retina."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim.functional.spatial import deriche, deriche_coefficients, leaky_heat
from neurosim.kernels.leaky_heat import leaky_heat as kernel

GOLDEN = Path(__file__).parent.parent / "data" / "virtualretina" / "A_default_gain_control.npz"


@pytest.fixture
def keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_decay_then_smoothing(dtype: torch.dtype) -> None:
    x, y = torch.randn(2, 5, 18, 21, dtype=dtype), torch.randn(2, 18, 21, dtype=dtype)
    c, b = torch.tensor(0.6, dtype=dtype), torch.tensor(0.9, dtype=dtype)
    ours = kernel(x, y, c, b, deriche_coefficients(1.4))
    for t in range(5):
        y = deriche(0.6 * y + 0.9 * x[:, t], 1.4)
        torch.testing.assert_close(ours[:, t], y, rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-14)


def test_gradients_of_all_arguments_over_more_than_one_panel() -> None:
    x, y0 = torch.randn(2, 3, 18, 21, dtype=torch.float64), torch.randn(2, 18, 21, dtype=torch.float64)
    numbers = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.9, dtype=torch.float64), deriche_coefficients(1.4)
    args = [arg.requires_grad_() for arg in (x, y0, *numbers)]
    weight = torch.randn_like(x)
    ours = torch.autograd.grad(kernel(*args), args, weight)
    theirs = torch.autograd.grad(kernel.reference(*args), args, weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)  # sums of 10^3 terms
    alone = torch.autograd.grad(kernel(*args[:4], numbers[2].detach()), args[:4], weight)  # another compiled function
    torch.testing.assert_close(alone, theirs[:4], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_do_not_change_a_bit(dtype: torch.dtype, keep_threads: None) -> None:
    x, y0 = torch.randn(3, 8, 40, 50, dtype=dtype), torch.randn(3, 40, 50, dtype=dtype)
    numbers = torch.tensor(0.6, dtype=dtype), torch.tensor(0.9, dtype=dtype), deriche_coefficients(1.4)
    args = [arg.requires_grad_() for arg in (x, y0, *numbers)]
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        y = kernel(*args)
        results.append((y, *torch.autograd.grad(y, args, torch.ones_like(y))))
    for other in results[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(results[0], other, strict=True))


def test_the_centre_of_the_original_retina() -> None:
    """Map `center` of configuration A: 5 ms, 20 px/deg, sigma 0.03 deg, tau 10 ms, gain 10 / 255, luminance 127.5 before."""
    golden = np.load(GOLDEN)
    x = torch.from_numpy(golden["stimulus"].astype(np.float64))[None, None]
    start = torch.full((1, 1, 32, 40), 10 / 255 * 127.5, dtype=torch.float64)
    ours, _ = leaky_heat(x, start, torch.tensor(0.03 * 20, dtype=torch.float64), 0.010, 0.005, 10 / 255)
    at = golden["pixels_xy"]
    series = ours[0, 0][:, at[:, 1], at[:, 0]].numpy()
    np.testing.assert_allclose(series, golden["series_center"], rtol=0, atol=1e-9 * np.ptp(golden["series_center"]))
    np.testing.assert_allclose(ours[0, 0].numpy()[golden["frames"]], golden["map_center"], rtol=1e-6)  # stored as float32
