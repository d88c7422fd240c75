"""Integrate-and-fire kernel: against its reference forward and backward, in chunks, on threads, with nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurosim.kernels.lif import BLOCK, lif

DTYPES = [torch.float32, torch.float64]
VARIANTS: list[dict[str, Any]] = [{}, {"spread": 0.1}, {"pause": 2.0}, {"pause": 1.0, "jitter": 2.0, "spread": 0.1},
                                  {"kind": 1}, {"kind": 2}, {"kind": 3, "pause": 1.4}]


def arguments(shape: tuple[int, int, int], dtype: torch.dtype, *, spread: float = 0.0, pause: float = 0.0,
              jitter: float = 0.0, kind: int = 0) -> list[Any]:
    g = torch.Generator().manual_seed(1)
    rows, _, cells = shape
    x = 2 * torch.rand(shape, generator=g, dtype=torch.float64) - 0.3
    v = torch.rand(rows, cells, generator=g, dtype=torch.float64)
    p = torch.tensor([0.9, 0.3, spread, 1.0, 0.1], dtype=dtype)
    return [x.to(dtype), v.to(dtype), torch.zeros(rows, cells, dtype=dtype), torch.tensor(3), torch.tensor(5), p,
            torch.tensor([pause, jitter], dtype=dtype), kind, 0.3, 0.7]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])  # 20 frames of roundings
def test_kernel_agrees_with_reference(changes: dict, dtype: torch.dtype, eps: float) -> None:
    args = arguments((2, 20, 301), dtype, **changes)
    wanted = [args[i].requires_grad_() for i in (0, 1, 5)]
    ours, expected = lif(*args), lif.reference(*args)
    assert torch.equal(ours[0].detach(), expected[0].detach()) and 0.05 < ours[0].mean() < 0.5
    torch.testing.assert_close(ours[1], expected[1], rtol=0, atol=eps)
    assert torch.equal(ours[2], expected[2])
    weights = torch.rand(ours[0].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    found, right = (torch.autograd.grad((weights * y[0]).sum() + (weights[:, 3] * y[1]).sum(), wanted)
                    for y in (ours, expected))
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b, rtol=10 * eps, atol=10 * eps * float(b.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1, 7])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    args = arguments((2, 40, 50), dtype, spread=0.1, pause=1.0, jitter=1.0)
    whole = lif(*args)
    x, v, wait, frame, *rest = args
    parts = []
    for chunk in x.split(dt, 1):
        spikes, v, wait = lif(chunk, v, wait, frame, *rest)
        frame = frame + chunk.shape[1]
        parts.append(spikes)
    assert torch.equal(torch.cat(parts, 1), whole[0])
    assert torch.equal(v, whole[1]) and torch.equal(wait, whole[2])


def test_threads_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        args = arguments((2, 8, 2 * BLOCK + 70), torch.float32, spread=0.1, pause=1.0)
        wanted = [args[i].requires_grad_() for i in (0, 1, 5)]
        spikes, v, _ = lif(*args)
        results.append([spikes, v, *torch.autograd.grad((spikes * args[0]).sum() + v.sum(), wanted)])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("pause", [0.0, 2.0])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_comes_out_as_nan(bad: float, pause: float) -> None:
    args = arguments((1, 20, 40), torch.float32, pause=pause)
    args[0][0, 4, 7] = bad
    for spikes, v, _ in (lif(*args), lif.reference(*args)):
        assert spikes[0, 4:, 7].isnan().all() and v[0, 7].isnan()
        rest = torch.ones(40, dtype=torch.bool)
        rest[7] = False
        assert spikes[0, :, rest].isfinite().all() and spikes[0, :4].isfinite().all()


def test_nothing_to_do() -> None:
    for shape in ((2, 0, 3), (0, 4, 3), (2, 4, 0)):
        args = arguments(shape, torch.float32)
        assert lif(*args)[0].shape == shape
        assert torch.equal(lif(*args)[1], args[1])


def test_operator_is_well_formed() -> None:
    args = arguments((2, 3, 5), torch.float64, spread=0.1)
    for i in (0, 1, 5):
        args[i].requires_grad_()
    torch.library.opcheck(lif.operator, args)
