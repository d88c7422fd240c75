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
from neurosim.kernels._jit import VECTOR, compiled
from neurosim.kernels._lanes import EXACT, lanes, vload, vlogistic2, vstore
from neurosim.kernels._ltc_batch import WIDE_SUMS
from neurosim.kernels._ltc_values import SOFTPLUS, act
from neurosim.kernels.ltc import SETS, ltc
from neurosim.kernels.memory import memory_size

Args = list[Any]


SYNAPSES = 5  # its place among the arguments


def arguments(batch: int, time: int, inputs: int, units: int, density: float, seed: int,
              dtype: torch.dtype = torch.float64, positive: int = 0, maps: tuple[int, int] = (2, 2),
              memory: bool = False, order: int = 0) -> Args:
    """Random tensors; each possible synapse exists with probability `density`."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=g, dtype=torch.float64).mul(high - low).add(low).to(dtype)

    def conductances(count: int) -> Tensor:
        return uniform(0.01, 1, count) if positive == 0 else uniform(-1, 1, count)

    def synapses(sources: int) -> tuple[Tensor, list[Tensor]]:
        target, source = (torch.rand(units, sources, generator=g) < density).nonzero().T.contiguous()
        count = len(source)
        return torch.stack([source, target]), [conductances(count), uniform(-8, 8, count), uniform(-0.5, 0.8, count),
                                               uniform(-1, 1, count)]

    wires, values = synapses(units)
    sensory_wires, sensory_values = synapses(inputs)
    outputs = units // 2
    parts = [conductances(units), uniform(-0.2, 0.2, units), uniform(0.4, 0.6, units), *values, *sensory_values,
             uniform(0.5, 1.5, inputs * maps[0]), uniform(-1.5, 1.5, outputs * maps[1]),
             uniform(-0.6, 0.6, memory_size(inputs, units, memory))]
    spans = uniform(0, 0.05 if order else 2, batch, time)  # explicit methods need short sub-steps
    spans[:, ::3] = 0
    return [uniform(-2, 2, batch, time, inputs), spans, uniform(-1, 1, batch, 2 * units if memory else units), torch.cat(parts),
            torch.cat([wires, sensory_wires], 1), wires.shape[1], 3, 1e-3, positive, *maps, outputs, memory, order]


def gradients(function: Any, args: Args, weight: Tensor, keep: int) -> tuple[list[Tensor], list[Tensor]]:
    """Potentials and outputs, and the gradients of the first four arguments, of the time spans only if `keep` is not 2."""
    every = [x.detach().clone() for x in args[:4]]
    leaves = [x.requires_grad_() for x in every if x is not every[1] or keep != 2]
    vs, y, _ = function(*every, *args[4:], keep)
    weight = weight.to(vs.dtype)
    loss = (vs * weight).sum() - (y * weight.flip(1)[..., :y.shape[2]]).sum() + sum(0 * x.sum() for x in leaves)
    return [vs.detach(), y.detach()], list(torch.autograd.grad(loss, leaves))  # 0 *: without frames there is no graph


def check(args: Args, keep: int = 3) -> None:
    """Compares the kernel with the reference in float64, and the float32 kernel with both."""
    weight = torch.randn(args[0].shape[0], args[0].shape[1], args[2].shape[1],
                         generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    expected = gradients(ltc.reference, args, weight, keep)
    single = [x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in args]
    # Rounding, grown by some hundred sub-steps of a steep function.
    for these, tolerance in ((args, 1e-11), (single, 2e-3)):
        found = gradients(ltc, these, weight, keep)
        for one, other in zip(found[0], expected[0], strict=True):
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)
        for one, other in zip(found[1], expected[1], strict=True):
            scale = other.abs().max().item() if other.numel() else 0.0
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * max(1.0, scale))


@pytest.mark.parametrize("order", [0, 1, 4])
@given(batch=st.integers(0, 40), time=st.integers(0, 4), inputs=st.integers(1, 20), units=st.integers(1, 40),
       density=st.sampled_from([0.0, 0.2, 0.7, 1.0]), seed=st.integers(0, 1000), keep=st.sampled_from([0, 2, 3]),
       positive=st.integers(0, 2), maps=st.tuples(st.integers(0, 2), st.integers(0, 2)), memory=st.booleans())
@settings(max_examples=50)
def test_the_same_as_the_reference(batch: int, time: int, inputs: int, units: int, density: float, seed: int, keep: int,
                                   positive: int, maps: tuple[int, int], memory: bool, order: int) -> None:
    check(arguments(batch, time, inputs, units, density, seed, positive=positive, maps=maps, memory=memory, order=order), keep)


def test_more_blocks_than_partial_sums() -> None:
    check(arguments(VECTOR // 4 * SETS + 9, 2, 2, 5, 0.5, 0))


def test_sums_that_do_not_fit_the_cache() -> None:
    args = arguments(VECTOR // 4 + 1, 1, 2, 130, 1.0, 0)
    assert (len(args[3]) - 130) * VECTOR > WIDE_SUMS  # a vector for each value that is learned
    check(args)


def test_softplus_to_the_last_place() -> None:
    """Against extended precision, over the whole range."""
    x = np.concatenate([np.linspace(-700, 40, 4001), [-0.0, 20.0, np.nextafter(20.0, 30)]])
    for dtype in (np.float32, np.float64):
        raw = x.astype(dtype)
        into = raw.copy()
        act(raw, 0, len(raw), SOFTPLUS, 0.0, into)
        exact = np.where(raw > 20, raw, np.log1p(np.exp(raw.astype(np.longdouble))))  # torch's definition
        tiny = float(np.finfo(dtype).tiny)  # below it numbers have fewer places
        np.testing.assert_allclose(into, exact.astype(np.float64), rtol=4 * float(np.finfo(dtype).eps), atol=tiny)


@pytest.mark.parametrize(("batch", "positive", "memory", "order"), [
    (1, 0, False, 0), (1, 1, False, 0), (9, 0, False, 0), (9, 1, False, 0), (1, 1, True, 0), (VECTOR // 16, 0, True, 0),
    (1, 0, False, 1), (3, 1, True, 4)])
@pytest.mark.parametrize("wrt", range(4))
def test_gradients_are_those_of_differences(batch: int, wrt: int, positive: int, memory: bool, order: int) -> None:
    args = arguments(batch, 2, 2, 4, 0.6, 3, positive=positive, memory=memory, order=order)
    args[1] = args[1] + 0.1  # differences need room on both sides of a time span

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        return ltc(*args[:wrt], x, *args[wrt + 1:], 3)[:2]

    x = args[wrt].requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    if batch == 1:
        assert torch.autograd.gradgradcheck(function, x)


def on_one_and_two_threads(args: Args) -> list[list[Tensor]]:
    """Potentials, outputs and gradients with each number of threads."""
    threads, found = torch.get_num_threads(), []
    weight = torch.ones(args[0].shape[0], args[0].shape[1], args[2].shape[1])
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            outputs, grads = gradients(ltc, args, weight, 3)
            found.append([*outputs, *grads])
    finally:
        torch.set_num_threads(threads)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_number_of_threads_does_not_change_one_bit(dtype: torch.dtype) -> None:
    one, two = on_one_and_two_threads(arguments(85, 20, 3, 24, 0.8, 1, dtype))
    assert all(map(torch.equal, one, two))


def test_the_number_of_threads_does_not_change_a_network_with_memory() -> None:
    (*one, values), (*two, others) = on_one_and_two_threads(arguments(85, 20, 3, 24, 0.8, 1, torch.float32, memory=True))
    own = len(values) - memory_size(3, 24, True)
    assert all(map(torch.equal, one, two)) and torch.equal(values[:own], others[:own])
    torch.testing.assert_close(values[own:], others[own:])  # torch's own product of matrices, which may differ


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("memory", [False, True], ids=["plain", "mixed"])
def test_a_row_on_its_own_gives_the_same(batch: int, memory: bool) -> None:
    """Vectors over sequences and over neurons add in other orders: equal to rounding."""
    args = arguments(batch, 6, 3, 17, 0.5, 2, memory=memory)
    whole, _, _ = ltc(*args, 0)
    for row in range(batch):
        alone, _, _ = ltc(*(x[row:row + 1] for x in args[:3]), *args[3:], 0)
        torch.testing.assert_close(alone, whole[row:row + 1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nan_and_infinity_come_out_as_nan_and_only_where_they_belong(dtype: torch.dtype) -> None:
    """Input 0 reaches neuron 0 only, which reaches neuron 1: neuron 2 stays finite, in its own sequence as in others."""
    batch = VECTOR // 4 + 3
    args = arguments(batch, 3, 2, 3, 0.0, 0, dtype, maps=(0, 0))
    u = args[0]
    args[3] = torch.cat([args[3], torch.ones(8, dtype=dtype)])
    args[4], args[SYNAPSES] = torch.tensor([[0, 0], [1, 0]]), 1
    clean, _, _ = ltc(*args, 0)
    bad_rows = [2, batch - 2]
    for bad in (torch.nan, torch.inf, -torch.inf):
        args[0] = u.clone()
        args[0][bad_rows, 1, 0] = bad
        vs, _, _ = ltc(*args, 0)
        others = [row for row in range(batch) if row not in bad_rows]
        assert torch.equal(vs[others], clean[others]) and torch.equal(vs[:, 0], clean[:, 0])
        assert torch.equal(vs[..., 2], clean[..., 2])
        if bad != bad:
            assert vs[bad_rows, 1:, 0].isnan().all() and vs[bad_rows, 2, 1].isnan().all()
        else:
            expected, _, _ = ltc.reference(*args, 0)
            torch.testing.assert_close(vs, expected, equal_nan=True)
    args[3] = args[3].clone()
    args[3][2 * 3 + 1] = torch.nan  # cm
    vs, _, _ = ltc(*args, 0)
    assert vs[..., 1].isnan().all() and torch.equal(vs[..., 2], clean[..., 2])


@pytest.mark.parametrize("batch", [1, VECTOR // 8 + 3])
def test_lanes_without_a_sequence_do_not_grow(batch: int) -> None:
    """Runge-Kutta steps that are far too long, which the LSTM makes small again in every step."""
    args = arguments(batch, 60, 2, 5, 0.6, 0, memory=True, order=4)
    args[1] = torch.full_like(args[1], 20)
    weight = torch.ones(batch, 60, 10, dtype=torch.float64)
    assert all(x.isfinite().all() for x in gradients(ltc.reference, args, weight, 3)[1])
    assert all(x.isfinite().all() for x in gradients(ltc, args, weight, 3)[1])


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


@pytest.mark.parametrize("memory", [False, True], ids=["plain", "mixed"])
def test_the_operator_is_well_formed(memory: bool) -> None:
    args = [x.requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x
            for x in arguments(5, 3, 2, 6, 0.5, 0, memory=memory)]
    torch.library.opcheck(ltc.operator, (*args, 1))  # 2 and 3 leave a part of the last frame unwritten, which it would compare


@pytest.mark.slow
def test_compiled_and_functional_torch() -> None:
    args = arguments(5, 3, 2, 6, 0.5, 0, positive=1)
    expected = ltc(*args, 0)[1]
    compiled_ltc = torch.compile(lambda *a: ltc(*a, 0)[1] * 2, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled_ltc(*args), expected * 2, rtol=0, atol=0)
    gradient = torch.func.grad(lambda w: ltc(*args[:3], w, *args[4:], 0)[1].sum())(args[3])
    values = args[3].clone().requires_grad_()
    ltc(*args[:3], values, *args[4:], 3)[1].sum().backward()
    torch.testing.assert_close(gradient, values.grad, rtol=1e-10, atol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    args = arguments(2, 3, 2, 4, 1.0, 0)
    for index, wrong, text in [(1, args[1][:, :2], "arrays do not fit each other"),
                               (2, args[2][:, :3], "arrays do not fit each other"),
                               (3, args[3][1:], r"arrays do not fit each other; needed .*\(116,\)"),
                               (3, args[3].float(), "all values must have the dtype of u, float64"),
                               (4, args[4] + 1, r"sources below 4 \(neurons\) and 2 \(inputs\)"),
                               (4, args[4].flip(1), "targets must be sorted and below 4"),
                               (5, 99, "with 99 of 24 synapses"),
                               (11, 5, "arrays do not fit each other"), (12, True, "arrays do not fit each other")]:
        broken = copy.copy(args)
        broken[index] = wrong
        with pytest.raises(InputError, match=text):
            ltc(*broken, 0)
