"""Integrate-and-fire kernel: against its reference, in chunks, on several threads, with nothing to do and with nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurosim.kernels.spiking import BLOCK, STRONGEST, spiking

DTYPES = [torch.float32, torch.float64]


def arguments(shape: tuple[int, int, int], dtype: torch.dtype, *, noise: float = 0.0, jitter: float = 0.0,
              scale: float = 1.0, refractory: float = 0.003, h: float = 0.005) -> list[Any]:
    rows, _, cells = shape
    x = 60 + 200 * torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    zeros = torch.zeros(rows, cells, dtype=dtype)
    numbers = [torch.tensor(value, dtype=dtype) for value in (50.0, noise, refractory, jitter)]
    return [(x * scale).to(dtype), zeros, zeros.clone(), torch.zeros(rows, cells, dtype=torch.int64), torch.tensor(3),
            torch.tensor(5), *numbers, h]


VARIANTS = [{}, {"noise": 30.0}, {"jitter": 0.002}, {"noise": 300.0, "jitter": 0.01}, {"scale": 50.0, "refractory": 0.0},
            {"h": 0.1}, {"h": 0.0001}, {"scale": 0.1}, {"scale": -1.0}]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])  # s
def test_kernel_agrees_with_reference(changes: dict, dtype: torch.dtype, atol: float) -> None:
    args = arguments((2, 12, 301), dtype, **changes)
    ours, expected = spiking(*args), spiking.reference(*args)
    for place in (0, 3, 4, 5):  # counts, spikes so far, row, cell
        assert torch.equal(ours[place], expected[place])
    strength = 200 * changes.get("scale", 1.0) + 10 * changes.get("noise", 0.0)  # v changes by J t
    torch.testing.assert_close(ours[1], expected[1], rtol=0, atol=10 * atol * (1 + abs(strength)))
    torch.testing.assert_close(ours[2], expected[2], rtol=0, atol=atol)
    torch.testing.assert_close(ours[6], expected[6], rtol=0, atol=atol)
    assert ours[0].sum() == len(ours[6])


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_blocks_are_put_in_order(dtype: torch.dtype) -> None:
    args = arguments((2, 5, 2 * BLOCK + 10), dtype, noise=10.0)
    counts, *_, row, cell, time = spiking(*args)
    frame = torch.div(time, 0.005, rounding_mode="floor").long() - 3
    place = torch.stack([frame, row, cell])
    order = (place[0] * 2 + place[1]) * (2 * BLOCK + 10) + place[2]
    assert (order.diff() >= 0).all()
    again = torch.zeros_like(counts).index_put_((row, frame, cell), torch.ones_like(time, dtype=dtype), accumulate=True)
    assert torch.equal(again, counts)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1, 7])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    args = arguments((2, 40, 50), dtype, noise=30.0, jitter=0.001)
    whole = spiking(*args)
    x, v, wait, fired, frame, *rest = args
    parts = []
    for chunk in x.split(dt, 1):
        counts, v, wait, fired, *spikes = spiking(chunk, v, wait, fired, frame, *rest)
        frame = frame + chunk.shape[1]
        parts.append((counts, *spikes))
    counts, *spikes = zip(*parts, strict=True)
    assert torch.equal(torch.cat(counts, 1), whole[0])
    for ours, expected in zip((v, wait, fired, *map(torch.cat, spikes)), whole[1:], strict=True):
        assert torch.equal(ours, expected)


def test_threads_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    args = arguments((1, 8, 3 * BLOCK), torch.float32, noise=30.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    one = spiking(*args)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for a, b in zip(one, spiking(*args), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 4, 0), (0, 4, 3)])
def test_nothing_to_do(shape: tuple[int, int, int]) -> None:
    args = arguments(shape, torch.float32)
    for op in (spiking, spiking.reference):
        counts, v, _, _, row, cell, time = op(*args)
        assert counts.shape == shape
        assert torch.equal(v, args[1])
        assert len(row) == len(cell) == len(time) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_a_number_does_not_spike(dtype: torch.dtype) -> None:
    args = arguments((1, 6, 7), dtype)
    args[0][0, 2, :4] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.1 * STRONGEST])
    for op in (spiking, spiking.reference):
        counts, v, _, _, _, cell, time = op(*args)
        assert torch.isnan(counts[0, 2:, :4]).all()
        assert torch.isnan(v[0, :4]).all()
        assert torch.isfinite(counts[0, :2]).all()
        assert torch.isfinite(counts[0, :, 4:]).all()
        assert time[cell < 4].max() < (3 + 2) * 0.005 + 1e-9  # before the third frame


@pytest.mark.parametrize("dtype", DTYPES)
def test_strongest_current_ends(dtype: torch.dtype) -> None:
    args = arguments((1, 1, 1), dtype, refractory=0.0, h=0.01)
    args[0][:] = STRONGEST
    counts, *_, time = spiking(*args)
    assert counts.item() == pytest.approx(STRONGEST * 0.01, rel=1e-3)
    assert (time.diff() > 0).all()


def test_operator_is_well_formed() -> None:
    torch.library.opcheck(spiking.operator, arguments((2, 4, 5), torch.float64, noise=3.0),
                          test_utils=("test_schema", "test_faketensor", "test_autograd_registration"))
