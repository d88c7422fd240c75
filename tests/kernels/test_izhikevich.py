"""Kernel of Izhikevich's neurons: against its reference forward and backward, in chunks, on threads, with nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurosim.kernels.izhikevich import BLOCK, izhikevich

DTYPES = [torch.float32, torch.float64]
SET = [0.02, 0.2, -65.0, 6.0, 30.0, 0.04, 5.0, 140.0]


def arguments(shape: tuple[int, int, int], dtype: torch.dtype, tests: int = 1, kind: int = 0) -> list[Any]:
    g = torch.Generator().manual_seed(1)
    rows, _, cells = shape
    x = 60 * torch.rand(shape, generator=g, dtype=torch.float64)
    v = -65 + 30 * torch.rand(rows, cells, generator=g, dtype=torch.float64)
    return [x.to(dtype), v.to(dtype), (0.2 * v).to(dtype), torch.tensor(SET, dtype=dtype), tests, 0.5 / tests, kind, 10.0, 0.1]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("tests", [1, 3])
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 1e-3), (torch.float64, 1e-11)])  # v grows by e in 1 ms
def test_kernel_agrees_with_reference(tests: int, kind: int, dtype: torch.dtype, eps: float) -> None:
    args = arguments((2, 12, 301), dtype, tests, kind)
    wanted = [args[i].requires_grad_() for i in range(4)]
    ours, expected = izhikevich(*args), izhikevich.reference(*args)
    assert torch.equal(ours[0].detach(), expected[0].detach()) and ours[0].sum() > 100
    for a, b in zip(ours[1:], expected[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=eps, atol=eps)
    weights = torch.rand(ours[0].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    found, right = (torch.autograd.grad((weights * y[0]).sum() + (weights[:, 3] * y[1]).sum() + y[2].sum(), wanted)
                    for y in (ours, expected))
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b, rtol=eps, atol=eps * float(b.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1, 7])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    args = arguments((2, 40, 50), dtype)
    whole = izhikevich(*args)
    x, v, u, *rest = args
    parts = []
    for chunk in x.split(dt, 1):
        counts, v, u = izhikevich(chunk, v, u, *rest)
        parts.append(counts)
    assert torch.equal(torch.cat(parts, 1), whole[0])
    assert torch.equal(v, whole[1]) and torch.equal(u, whole[2])


def test_threads_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        args = arguments((2, 8, 2 * BLOCK + 70), torch.float32)
        wanted = [args[i].requires_grad_() for i in range(4)]
        counts, v, u = izhikevich(*args)
        results.append([counts, v, u, *torch.autograd.grad((counts * args[0]).sum() + v.sum(), wanted)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_comes_out_as_nan(bad: float) -> None:
    args = arguments((1, 20, 40), torch.float32)
    args[0][0, 4, 7] = bad
    for counts, v, _ in (izhikevich(*args), izhikevich.reference(*args)):
        assert counts[0, 4:, 7].isnan().all() and v[0, 7].isnan()
        rest = torch.arange(40) != 7
        assert counts[0, :, rest].isfinite().all() and counts[0, :4].isfinite().all()


def test_nothing_to_do() -> None:
    for shape in ((2, 0, 3), (0, 4, 3), (2, 4, 0)):
        args = arguments(shape, torch.float32)
        assert izhikevich(*args)[0].shape == shape
        assert torch.equal(izhikevich(*args)[1], args[1])


def test_operator_is_well_formed() -> None:
    args = arguments((2, 3, 5), torch.float64)
    for i in range(4):
        args[i].requires_grad_()
    torch.library.opcheck(izhikevich.operator, args)
