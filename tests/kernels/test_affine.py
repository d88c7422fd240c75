"""The affine map whose rows do not depend on each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosim import InputError
from neurosim.kernels.affine import affine


def drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@given(batch=st.integers(0, 5), time=st.integers(0, 6), inputs=st.integers(1, 40), outputs=st.integers(1, 40),
       dtype=st.sampled_from([torch.float32, torch.float64]))
def test_is_torchs_linear(batch: int, time: int, inputs: int, outputs: int, dtype: torch.dtype) -> None:
    args = [x.requires_grad_() for x in (drawn(batch, time, inputs, dtype=dtype), drawn(outputs, inputs, dtype=dtype, seed=1),
                                         drawn(outputs, dtype=dtype, seed=2))]
    ours, theirs = affine(*args), torch.nn.functional.linear(*args)
    tolerance = 100 * torch.finfo(dtype).eps  # sums of up to 40 products of normal numbers
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    slope = drawn(batch, time, outputs, dtype=dtype, seed=3)
    for one, other in zip(torch.autograd.grad(ours, args, slope), torch.autograd.grad(theirs, args, slope), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@given(rows=st.integers(1, 40), first=st.integers(0, 39), count=st.integers(1, 9), inputs=st.integers(1, 70),
       outputs=st.integers(1, 70))
def test_a_row_does_not_depend_on_the_others(rows: int, first: int, count: int, inputs: int, outputs: int) -> None:
    x, weight, bias = drawn(rows, inputs).float(), drawn(outputs, inputs, seed=1).float(), drawn(outputs, seed=2).float()
    part = slice(min(first, rows - 1), first + count)
    assert torch.equal(affine(x[part], weight, bias), affine(x, weight, bias)[part])
    whole, some, slope = x.clone().requires_grad_(), x[part].requires_grad_(), drawn(rows, outputs, seed=3).float()
    of_whole, = torch.autograd.grad(affine(whole, weight, bias), whole, slope)
    of_some, = torch.autograd.grad(affine(some, weight, bias), some, slope[part])
    assert torch.equal(of_some, of_whole[part])
    x[0] = torch.nan
    assert torch.equal(affine(x, weight, bias)[1:], affine(x[1:], weight, bias))


def test_operator() -> None:
    args = tuple(x.requires_grad_() for x in (drawn(2, 3, 5), drawn(4, 5), drawn(4)))
    torch.library.opcheck(affine.operator, args)
    assert torch.autograd.gradcheck(affine, args) and torch.autograd.gradgradcheck(affine, args)


@pytest.mark.parametrize("shapes", [((2, 3), (4, 5), (4,)), ((2, 5), (4, 5), (3,))])
def test_what_does_not_fit_is_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(InputError, match="affine: needed"):
        affine(*(drawn(*shape) for shape in shapes))
    with pytest.raises(InputError, match="float32"):
        affine(drawn(2, 5), drawn(4, 5).float(), drawn(4))
