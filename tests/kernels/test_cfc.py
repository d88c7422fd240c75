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
from neurosim.kernels._rows import LINES
from neurosim.kernels.cfc import ACTIVATIONS, MODES, PARTS, PURE, Sizes, cfc
from neurosim.kernels.memory import memory_size

Args = list[Any]
SMOOTH = 4  # so many arguments have a gradient


def arguments(batch: int, time: int, inputs: int, units: list[int], width: int, depth: int, mode: int, activation: int,
              dtype: torch.dtype = torch.float64, memory: bool = False, drop: bool = False) -> Args:
    """Random tensors."""
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    every = sum(units)
    scale = max(width, inputs + every) ** -0.5  # so that layers keep the size of what they get
    count = sum(cell.total for cell in Sizes.of_chain(inputs, units, width, depth, mode)) + memory_size(inputs, every, memory)
    factors = torch.rand(batch, time, depth * width if drop else 0, generator=g, dtype=torch.float64)
    tensors = [normal(batch, time, inputs), torch.rand(batch, time, generator=g, dtype=torch.float64) * 2,
               normal(batch, 2 * every if memory else every), normal(count) * scale, (factors > 0.3) / 0.7]
    return [*(x.to(dtype) for x in tensors), units, width, depth, mode, activation, memory]


def gradients(function: Any, args: Args, keep: bool) -> tuple[Tensor, list[Tensor]]:
    """States and the gradients of the tensors."""
    leaves = [x.detach().clone().requires_grad_() for x in args[:SMOOTH]]
    states, _ = function(*leaves, *args[SMOOTH:], keep)
    weight = torch.randn(states.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    loss = (states * weight.to(states.dtype)).sum() + sum(0 * x.sum() for x in leaves)  # without frames there is no graph
    return states.detach(), list(torch.autograd.grad(loss, leaves))


def check(args: Args, keep: bool = True) -> None:
    """Compares the kernel with the reference in float64, and the float32 kernel with both."""
    expected = gradients(cfc.reference, args, False)
    single = [x.float() if isinstance(x, Tensor) else x for x in args]
    for these, tolerance in ((args, 1e-12), (single, 1e-3)):  # rounding, grown over a few steps
        states, found = gradients(cfc, these, keep)
        torch.testing.assert_close(states.double(), expected[0], rtol=tolerance, atol=tolerance)
        for one, other in zip(found, expected[1], strict=True):
            scale = other.abs().max().item() if other.numel() else 0.0
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * max(1.0, scale))


@given(batch=st.integers(0, 10), time=st.integers(0, 4), inputs=st.integers(1, 9),
       units=st.lists(st.integers(1, 20), min_size=1, max_size=3), width=st.integers(1, 70), depth=st.integers(0, 3),
       mode=st.integers(0, 2), activation=st.integers(0, 4), keep=st.booleans(), memory=st.booleans(), drop=st.booleans())
@settings(max_examples=60)
def test_the_same_as_the_reference(batch: int, time: int, inputs: int, units: list[int], width: int, depth: int, mode: int,
                                   activation: int, keep: bool, memory: bool, drop: bool) -> None:
    check(arguments(batch, time, inputs, units, width, depth, mode, activation, memory=memory, drop=drop), keep)


def test_more_sequences_than_partial_sums() -> None:
    check(arguments(2 * LINES * PARTS + 3, 2, 2, [5], 7, 1, PURE, 0, memory=True))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrt", range(SMOOTH))
def test_gradients_are_those_of_differences(mode: str, wrt: int) -> None:
    args = arguments(LINES + 1, 2, 2, [2, 1], 3, 1, MODES.index(mode), 0, memory=True, drop=True)

    def function(x: Tensor) -> Tensor:
        return cfc(*args[:wrt], x, *args[wrt + 1:], True)[0]

    x = args[wrt].requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_through_every_nonlinearity(activation: str) -> None:
    args = arguments(2, 2, 2, [3], 4, 2, 0, ACTIVATIONS.index(activation))

    def function(weights: Tensor) -> Tensor:
        return cfc(*args[:3], weights, *args[4:], True)[0]

    assert torch.autograd.gradcheck(function, args[3].requires_grad_())


ROWS = {"plain": arguments(2 * LINES + 1, 6, 3, [9], 40, 1, 0, 0),
        "everything": arguments(2 * LINES + 1, 6, 3, [9, 4], 40, 2, PURE, 1, memory=True, drop=True)}


@pytest.mark.parametrize("args", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_on_its_own_gives_the_same_bits(args: Args, dtype: torch.dtype) -> None:
    args = [x.to(dtype) if isinstance(x, Tensor) else x for x in args]
    whole, _ = cfc(*args, False)
    for row in range(2 * LINES + 1):
        x, timespans, state, drop = (args[number][row:row + 1] for number in (0, 1, 2, 4))
        alone, _ = cfc(x, timespans, state, args[3], drop, *args[5:], False)
        assert torch.equal(alone, whole[row:row + 1])


def test_the_number_of_threads_does_not_change_one_bit() -> None:
    args = arguments(21, 40, 3, [20, 4], 64, 1, PURE, 0, torch.float32, memory=True, drop=True)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = gradients(cfc, args, True)
        torch.set_num_threads(2)
        two = gradients(cfc, args, True)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one[0], two[0]) and all(map(torch.equal, one[1][:3], two[1][:3]))
    torch.testing.assert_close(one[1][3], two[1][3])  # torch's own product of matrices, which may differ


@pytest.mark.parametrize("units", [[3], [2, 1]])
def test_the_operator_is_well_formed(units: list[int]) -> None:
    for mode in range(len(MODES)):
        args = arguments(5, 3, 2, units, 4, 1, mode, 0, memory=mode > 0, drop=mode < PURE)
        args = [x.requires_grad_() if isinstance(x, Tensor) else x for x in args]
        torch.library.opcheck(cfc.operator, (*args, True))


def test_what_does_not_fit_is_refused() -> None:
    args = arguments(2, 3, 2, [4], 5, 1, 0, 0, memory=True, drop=True)
    for index, wrong, text in [(1, args[1][:, :2], "arrays do not fit each other"),
                               (2, args[2][:1], "arrays do not fit each other"),
                               (2, args[2][:, :4], "arrays do not fit each other"),
                               (3, args[3][:-1], "arrays do not fit each other"),
                               (4, args[4][:, :, :-1], "arrays do not fit each other"),
                               (5, [3], "arrays do not fit each other"),
                               (10, False, "arrays do not fit each other"),
                               (3, args[3].float(), "all values must have the dtype of x, float64")]:
        broken = copy.copy(args)
        broken[index] = wrong
        with pytest.raises(InputError, match=text):
            cfc(*broken, False)
