"""The compiled convolution against scipy's and torch's, its gradients, threads, cuts, and what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve

from neurosim import InputError
from neurosim.functional.convolution import causal_conv
from neurosim.kernels.convolution import FRAMES, VECTOR, convolution, is_for_kernel

SHAPES = [((2, 2, 12, 9, 11), (3, 2, 4, 3, 2)),  # batch and channels
          ((1, 1, 2 * FRAMES + 9, 14, 14), (1, 1, 5, 5, 5)),  # blocks of frames, the last one ragged
          ((1, 2, 3 * FRAMES + 3, 12, 17), (1, 2, 11, 2, 3)),  # lags that are found together, and some that overlap
          ((1, 1, 5, 30, 31), (1, 1, 1, 4, 1)),  # space only, wide blocks and single vectors
          ((1, 2, 40, 4, 4), (2, 2, 7, 1, 1)),  # time only
          ((1, 4, 1, 1, 700), (1, 4, 1, 1, 1))]  # a sum of channels of a signal


def case(shape: tuple[int, ...], size: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(n, generator=g, dtype=dtype).requires_grad_() for n in (shape, size, size[:1])]


@given(time=st.integers(1, 9), y=st.integers(1, 9), x=st.integers(1, 12), lags=st.integers(1, 5), ky=st.integers(1, 4),
       kx=st.integers(1, 4))
def test_is_scipys_convolution(time: int, y: int, x: int, lags: int, ky: int, kx: int) -> None:
    rng = np.random.default_rng(0)
    frames, kernel = rng.normal(size=(time + lags - 1, y + ky - 1, x + kx - 1)), rng.normal(size=(lags, ky, kx))
    ours = causal_conv(torch.from_numpy(frames)[None, None], torch.from_numpy(kernel)[None, None], torch.ones(1).double())
    expected = 1.0 + convolve(frames, kernel, "valid", "direct")
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, rtol=0, atol=1e-13)  # up to 80 terms of about 1


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_output_and_gradients_against_torch(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    args = case(shape, size)
    assert is_for_kernel(*args[:2])
    ours, theirs = convolution(*args), convolution.reference(*args)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(ours, args, weight), torch.autograd.grad(theirs, args, weight),
                               rtol=0, atol=1e-11)  # sums of up to 10^4 terms


@pytest.mark.parametrize("needed", range(3))
def test_a_gradient_that_is_asked_for_alone_is_the_same(needed: int) -> None:
    args = case(*SHAPES[0])
    y = convolution(*args)
    together = torch.autograd.grad(y, args, torch.ones_like(y))[needed]
    alone = [arg if i == needed else arg.detach() for i, arg in enumerate(args)]
    y = convolution(*alone)
    assert torch.equal(torch.autograd.grad(y, alone[needed], torch.ones_like(y))[0], together)


def test_derivatives_of_first_and_second_order() -> None:
    args = case((1, 1, 4, 4, 4), (2, 1, 2, 2, 2))
    assert is_for_kernel(*args[:2])
    assert torch.autograd.gradcheck(convolution, args)
    assert torch.autograd.gradgradcheck(convolution, args)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_float32_follows_float64(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    exact, single = case(shape, size), [arg.detach().float().requires_grad_() for arg in case(shape, size)]
    ys = [convolution(*args) for args in (exact, single)]
    found = [(y, *torch.autograd.grad(y, args, torch.ones_like(y))) for y, args in zip(ys, (exact, single))]
    for one, two in zip(*found):
        assert two.dtype == torch.float32
        assert float((one.detach() - two.detach()).abs().max() / one.detach().abs().max()) < 3e-6  # 50 roundings of 6e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_and_cuts_do_not_change_a_bit(dtype: torch.dtype) -> None:
    args = case((2, 2, 70, 20, 20), (2, 2, 6, 3, 3), dtype)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = convolution(*args)
            results.append((y, *torch.autograd.grad(y, args, torch.ones_like(y))))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(results[0], other, strict=True))
    x, w, bias = args
    cuts = [convolution(x[:, :, start:start + 5 + 7], w, bias) for start in range(0, 65, 7)]
    assert torch.equal(torch.cat(cuts, 2)[:, :, :65], results[0][0])


def test_what_is_not_finite_stays_where_the_kernel_reaches() -> None:
    x, w, bias = (arg.detach() for arg in case((1, 1, 9, 12, 12), (1, 1, 3, 3, 3)))
    x[0, 0, 4, 5, 11] = float("nan")
    y = convolution(x, w, bias)
    assert torch.equal(y.isnan(), convolution.reference(x, w, bias).isnan())
    assert 0 < y.isnan().sum() <= 27


def test_frames_smaller_than_a_vector_and_many_channels_take_torch() -> None:
    wide = VECTOR // 4  # numbers in a register
    assert not is_for_kernel(torch.zeros(1, 1, 9, 1, wide - 1), torch.zeros(1, 1, 3, 1, 1))
    assert is_for_kernel(torch.zeros(1, 1, 9, 1, wide), torch.zeros(1, 1, 3, 1, 1))
    assert not is_for_kernel(torch.zeros(1, 16, 9, 9, 9), torch.zeros(16, 16, 3, 1, 1))
    assert not is_for_kernel(torch.zeros(1, 1, 9, 9, 9), torch.zeros(1, 1, 3, 1, 1, dtype=torch.float64))


@pytest.mark.parametrize(("shape", "size", "bias"), [
    ((1, 1, 9, 1, VECTOR // 8 - 1), (1, 1, 3, 1, 1), 1), ((1, 1, 9, 3, 99), (1, 1, 3, 4, 1), 1),  # no place for a vector
    ((1, 1, 9, 9, 9), (1, 1, 10, 1, 1), 1), ((1, 1, 9, 9, 9), (1, 1, 1, 1, 10), 1), ((1, 2, 9, 9, 9), (1, 3, 3, 1, 1), 1),
    ((1, 1, 9, 9, 9), (2, 1, 3, 1, 1), 1)])
def test_the_kernel_refuses_what_does_not_fit(shape: tuple[int, ...], size: tuple[int, ...], bias: int) -> None:
    x, w, _ = case(shape, size)
    with pytest.raises(InputError, match=r"convolution: needs x \(batch, in, time, y, x\), .* \(got "):
        convolution(x, w, torch.zeros(bias, dtype=x.dtype))
    with pytest.raises(InputError, match="convolution: needs"):  # two dtypes
        convolution(torch.zeros(1, 1, 9, 9, 9), torch.zeros(1, 1, 3, 1, 1, dtype=torch.float64), torch.zeros(1))


def test_the_operator_says_its_shapes() -> None:
    torch.library.opcheck(convolution.operator, [arg.detach() for arg in case(*SHAPES[0])])


def test_a_signal_of_one_pixel_is_filtered_along_time() -> None:
    x, w, _ = case((2, 2, 50, 1, 1), (3, 2, 9, 1, 1))
    y = causal_conv(x, w)
    expected = sum(np.stack([[np.convolve(x[b, c, :, 0, 0].detach(), w[o, c, :, 0, 0].detach(), "valid") for o in range(3)]
                             for b in range(2)]) for c in range(2))
    np.testing.assert_allclose(y[..., 0, 0].detach().numpy(), expected, rtol=0, atol=1e-13)
