"""Compiled CfC: the same function as its reference, in both dtypes, for every batch, mode and nonlinearity."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neurosim._errors import InputError
from neurosim.kernels.cfc import ACTIVATIONS, LINES, MODES, PARTS, PURE, Sizes, cfc

Args = list[Any]


def arguments(batch: int, time: int, inputs: int, units: int, width: int, depth: int, mode: int, activation: int,
              dtype: torch.dtype = torch.float64) -> Args:
    """Random tensors."""
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(Sizes.of(inputs, units, width, depth, mode).total, generator=g, dtype=torch.float64)
    tensors = [torch.randn(batch, time, inputs, generator=g, dtype=torch.float64),
               torch.rand(batch, time, generator=g, dtype=torch.float64) * 2,
               torch.randn(batch, units, generator=g, dtype=torch.float64), weights * 0.4]
    return [*(x.to(dtype) for x in tensors), width, depth, mode, activation]


def gradients(function: Any, args: Args, weight: Tensor, keep: bool) -> tuple[Tensor, list[Tensor]]:
    """States and the gradients of the tensors."""
    leaves = [x.detach().clone().requires_grad_() for x in args[:4]]
    hs, _ = function(*leaves, *args[4:], keep)
    loss = (hs * weight.to(hs.dtype)).sum() + sum(0 * x.sum() for x in leaves)  # without frames there is no graph
    return hs.detach(), list(torch.autograd.grad(loss, leaves))


def check(args: Args, keep: bool = True) -> None:
    """Compares the kernel with the reference in float64, and the float32 kernel with both."""
    weight = torch.randn(*args[0].shape[:2], args[2].shape[1], generator=torch.Generator().manual_seed(9),
                         dtype=torch.float64)
    expected = gradients(cfc.reference, args, weight, False)
    single = [x.float() if isinstance(x, Tensor) else x for x in args]
    for these, tolerance in ((args, 1e-12), (single, 1e-3)):  # rounding, grown over a few steps
        hs, found = gradients(cfc, these, weight, keep)
        torch.testing.assert_close(hs.double(), expected[0], rtol=tolerance, atol=tolerance)
        for one, other in zip(found, expected[1], strict=True):
            scale = other.abs().max().item() if other.numel() else 0.0
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * max(1.0, scale))


@given(batch=st.integers(0, 10), time=st.integers(0, 4), inputs=st.integers(1, 9), units=st.integers(1, 20),
       width=st.integers(1, 70), depth=st.integers(0, 3), mode=st.integers(0, 2), activation=st.integers(0, 4),
       keep=st.booleans())
@settings(max_examples=60)
def test_the_same_as_the_reference(batch: int, time: int, inputs: int, units: int, width: int, depth: int, mode: int,
                                   activation: int, keep: bool) -> None:
    check(arguments(batch, time, inputs, units, width, depth, mode, activation), keep)


def test_more_sequences_than_partial_sums() -> None:
    check(arguments(2 * LINES * PARTS + 3, 2, 2, 5, 7, 1, PURE, 0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrt", range(4))
def test_gradients_are_those_of_differences(mode: str, wrt: int) -> None:
    args = arguments(LINES + 1, 2, 2, 3, 4, 1, MODES.index(mode), 0)

    def function(x: Tensor) -> Tensor:
        return cfc(*args[:wrt], x, *args[wrt + 1:], True)[0]

    x = args[wrt].requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_through_every_nonlinearity(activation: str) -> None:
    args = arguments(2, 2, 2, 3, 4, 2, 0, ACTIVATIONS.index(activation))

    def function(weights: Tensor) -> Tensor:
        return cfc(*args[:3], weights, *args[4:], True)[0]

    assert torch.autograd.gradcheck(function, args[3].requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_on_its_own_gives_the_same_bits(dtype: torch.dtype) -> None:
    args = arguments(2 * LINES + 1, 6, 3, 9, 40, 1, 0, 0, dtype)
    whole, _ = cfc(*args, False)
    for row in range(2 * LINES + 1):
        alone, _ = cfc(*(x[row:row + 1] for x in args[:3]), *args[3:], False)
        assert torch.equal(alone, whole[row:row + 1])


def test_the_number_of_threads_does_not_change_one_bit() -> None:
    args = arguments(21, 40, 3, 24, 64, 1, PURE, 0, torch.float32)
    weight = torch.ones(21, 40, 24)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = gradients(cfc, args, weight, True)
        torch.set_num_threads(2)
        two = gradients(cfc, args, weight, True)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one[0], two[0]) and all(map(torch.equal, one[1][:3], two[1][:3]))
    torch.testing.assert_close(one[1][3], two[1][3])  # torch's own product of matrices, which may differ


def test_the_operator_is_well_formed() -> None:
    for mode in range(len(MODES)):
        args = [x.requires_grad_() if isinstance(x, Tensor) else x for x in arguments(5, 3, 2, 3, 4, 1, mode, 0)]
        torch.library.opcheck(cfc.operator, (*args, True))


def test_what_does_not_fit_is_refused() -> None:
    args = arguments(2, 3, 2, 4, 5, 1, 0, 0)
    for index, wrong, text in [(1, args[1][:, :2], "arrays do not fit each other"),
                               (2, args[2][:1], "arrays do not fit each other"),
                               (3, args[3][:-1], "arrays do not fit each other"),
                               (3, args[3].float(), "all values must have the dtype of x, float64")]:
        broken = copy.copy(args)
        broken[index] = wrong
        with pytest.raises(InputError, match=text):
            cfc(*broken, False)
