"""Compiled LTC: the same function as its reference, in both dtypes, for every batch, alone and in torch's transforms."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neurosim._errors import InputError
from neurosim.kernels._jit import compiled
from neurosim.kernels._lanes import EXACT, lanes, vload, vlogistic2, vstore
from neurosim.kernels.ltc import PARTS, ltc

Args = list[Any]


def arguments(batch: int, time: int, inputs: int, units: int, density: float, seed: int,
              dtype: torch.dtype = torch.float64) -> Args:
    """Random tensors; each possible synapse exists with probability `density`."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=g, dtype=torch.float64).mul(high - low).add(low).to(dtype)

    def synapses(sources: int) -> tuple[Tensor, Tensor, Tensor]:
        target, source = (torch.rand(units, sources, generator=g) < density).nonzero().T.contiguous()
        count = len(source)
        return source, target, torch.stack([uniform(0.01, 1, count), uniform(-8, 8, count), uniform(-0.5, 0.8, count),
                                            uniform(-1, 1, count)])

    source, target, values = synapses(units)
    sensory_source, sensory_target, sensory_values = synapses(inputs)
    neurons = torch.stack([uniform(0.1, 1, units), uniform(-0.2, 0.2, units), uniform(0.4, 0.6, units)])
    spans = uniform(0, 2, batch, time)
    spans[:, ::3] = 0
    return [uniform(-2, 2, batch, time, inputs), spans, uniform(-1, 1, batch, units), neurons, values, sensory_values,
            source, target, sensory_source, sensory_target, 3, 1e-3]


def gradients(function: Any, args: Args, weight: Tensor, keep: bool) -> tuple[Tensor, list[Tensor]]:
    """Potentials and the gradients of the first six arguments."""
    leaves = [x.detach().clone().requires_grad_() for x in args[:6]]
    vs, _ = function(*leaves, *args[6:], keep)
    loss = (vs * weight.to(vs.dtype)).sum() + sum(0 * x.sum() for x in leaves)  # without frames there is no graph
    return vs.detach(), list(torch.autograd.grad(loss, leaves))


def check(args: Args, keep: bool = True) -> None:
    """Compares the kernel with the reference in float64, and the float32 kernel with both."""
    weight = torch.randn(args[0].shape[0], args[0].shape[1], args[2].shape[1],
                         generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    expected = gradients(ltc.reference, args, weight, False)
    single = [x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in args]
    # Rounding, grown by some hundred sub-steps of a steep function.
    for these, tolerance in ((args, 1e-11), (single, 2e-3)):
        vs, found = gradients(ltc, these, weight, keep)
        torch.testing.assert_close(vs.double(), expected[0], rtol=tolerance, atol=tolerance)
        for one, other in zip(found, expected[1], strict=True):
            scale = other.abs().max().item() if other.numel() else 0.0
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * max(1.0, scale))


@given(batch=st.integers(0, 20), time=st.integers(0, 4), inputs=st.integers(1, 9), units=st.integers(1, 20),
       density=st.sampled_from([0.0, 0.2, 0.7, 1.0]), seed=st.integers(0, 1000), keep=st.booleans())
@settings(max_examples=60)
def test_the_same_as_the_reference(batch: int, time: int, inputs: int, units: int, density: float, seed: int,
                                   keep: bool) -> None:
    check(arguments(batch, time, inputs, units, density, seed), keep)


def test_more_blocks_than_partial_sums() -> None:
    check(arguments(8 * PARTS + 9, 2, 2, 5, 0.5, 0))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("wrt", range(6))
def test_gradients_are_those_of_differences(batch: int, wrt: int) -> None:
    args = arguments(batch, 2, 2, 5, 0.6, 3)
    args[1] = args[1] + 0.1  # differences need room on both sides of a time span

    def function(x: Tensor) -> Tensor:
        return ltc(*args[:wrt], x, *args[wrt + 1:], True)[0]

    x = args[wrt].requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_number_of_threads_does_not_change_one_bit(dtype: torch.dtype) -> None:
    args = arguments(45, 20, 3, 24, 0.8, 1, dtype)
    weight = torch.ones(45, 20, 24)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = gradients(ltc, args, weight, True)
        torch.set_num_threads(2)
        two = gradients(ltc, args, weight, True)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip([one[0], *one[1]], [two[0], *two[1]], strict=True))


@pytest.mark.parametrize("batch", [1, 8])
def test_a_row_on_its_own_gives_the_same(batch: int) -> None:
    """Vectors over sequences and over neurons add in other orders: equal to rounding."""
    args = arguments(batch, 6, 3, 17, 0.5, 2)
    whole, _ = ltc(*args, False)
    for row in range(batch):
        alone, _ = ltc(*(x[row:row + 1] for x in args[:3]), *args[3:], False)
        torch.testing.assert_close(alone, whole[row:row + 1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_and_infinity_come_out_as_nan_and_only_where_they_belong(dtype: torch.dtype) -> None:
    """Input 0 reaches neuron 0 only, which reaches neuron 1: neuron 2 stays finite, in its own sequence as in others."""
    args = arguments(11, 3, 2, 3, 0.0, 0, dtype)
    u = args[0]
    one = torch.ones(4, 1, dtype=dtype)
    args[5], args[8], args[9] = one, torch.tensor([0]), torch.tensor([0])
    args[4], args[6], args[7] = one, torch.tensor([0]), torch.tensor([1])
    clean, _ = ltc(*args, False)
    for bad in (torch.nan, torch.inf, -torch.inf):
        args[0] = u.clone()
        args[0][[2, 9], 1, 0] = bad
        args[2] = args[2].clone()
        vs, _ = ltc(*args, False)
        others = [row for row in range(11) if row not in (2, 9)]
        assert torch.equal(vs[others], clean[others]) and torch.equal(vs[:, 0], clean[:, 0])
        assert torch.equal(vs[..., 2], clean[..., 2])
        if bad != bad:
            assert vs[[2, 9], 1:, 0].isnan().all() and vs[[2, 9], 2, 1].isnan().all()
        else:
            expected, _ = ltc.reference(*args, False)
            torch.testing.assert_close(vs, expected, equal_nan=True)
    args[3] = args[3].clone()
    args[3][2, 1] = torch.nan
    vs, _ = ltc(*args, False)
    assert vs[..., 1].isnan().all() and torch.equal(vs[..., 2], clean[..., 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logistic_function(dtype: type) -> None:
    """Against extended precision, to two units in the last place over the whole range."""
    @compiled(fastmath=EXACT)
    def logistic(x: Any, y: Any) -> None:
        for i in range(0, len(x), lanes(x)):
            vstore(y, i, vlogistic2(vload(x, i)))

    x = np.random.default_rng(0).uniform(-60, 60, 8000).astype(dtype)
    x[:8] = np.nan, np.inf, -np.inf, 3000, -3000, 0, 0.5, -0.5
    y = np.empty_like(x)
    logistic(x, y)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp2(x.astype(np.longdouble)))
    np.testing.assert_allclose(y[8:], exact[8:].astype(np.float64), rtol=2 * float(np.finfo(dtype).eps))
    assert np.isnan(y[0]) and y[2] == y[4] == 1 and y[5] == 0.5
    assert 0 <= y[1] <= 2 * np.finfo(dtype).tiny and 0 <= y[3] <= 2 * np.finfo(dtype).tiny


def test_the_operator_is_well_formed() -> None:
    args = [x.requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x
            for x in arguments(5, 3, 2, 6, 0.5, 0)]
    torch.library.opcheck(ltc.operator, (*args, True))


@pytest.mark.slow
def test_compiled_and_functional_torch() -> None:
    args = arguments(5, 3, 2, 6, 0.5, 0)
    expected, _ = ltc(*args, False)
    compiled_ltc = torch.compile(lambda *a: ltc(*a, False)[0] * 2, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled_ltc(*args), expected * 2, rtol=0, atol=0)
    gradient = torch.func.grad(lambda w: ltc(*args[:4], w, *args[5:], False)[0].sum())(args[4])
    weight = torch.ones_like(expected)
    torch.testing.assert_close(gradient, gradients(ltc, args, weight, True)[1][4], rtol=1e-10, atol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    args = arguments(2, 3, 2, 4, 1.0, 0)
    for index, wrong, text in [(1, args[1][:, :2], "arrays do not fit each other"),
                               (2, args[2][:, :3], "arrays do not fit each other"),
                               (3, args[3].float(), "all values must have the dtype of u, float64"),
                               (6, args[6] + 1, r"sources below 4 \(neurons\) and 2 \(inputs\)"),
                               (7, args[7].flip(0), "targets must be sorted and below 4"),
                               (9, args[9] + 1, "targets must be sorted and below 4")]:
        broken = copy.copy(args)
        broken[index] = wrong
        with pytest.raises(InputError, match=text):
            ltc(*broken, False)
