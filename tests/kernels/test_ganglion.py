"""Ganglion cell current: kernel against reference and numpy, gradients, chunk law, saturation and silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosim.kernels.ganglion import SATURATION, ganglion
from tests.reference import virtualretina as slow

DTYPES = [torch.float32, torch.float64]
P = {"decay": 0.85, "weight": 0.7, "sign": -1.0, "v0": 0.1, "i0": 80.0, "gain": 100.0}


def arguments(shape: tuple[int, int, int], dtype: torch.dtype, grad: bool = False, **changes: float) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    v = torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)
    y = torch.randn(shape[0], shape[2], generator=g, dtype=torch.float64).to(dtype)
    p = [torch.tensor(value, dtype=dtype) for value in {**P, **changes}.values()]
    return [x.requires_grad_(grad and i != 4) for i, x in enumerate([v, y, *p])]  # 4: the sign


@pytest.mark.parametrize("i0", [80.0, 0.0])
def test_agrees_with_numpy(i0: float) -> None:
    v, _, *p = arguments((1, 50, 12), torch.float64, i0=i0)
    layer = dict(transient_tau=-0.005 / np.log(0.85), transient_weight=0.7, sign=-1.0, v0=0.1, i0=i0, gain=100.0,
                 sigma_pool=0.0)
    frames = v[0].numpy().reshape(50, 3, 4)
    t = slow.transient(frames, layer, 0.005)
    transient, current, _ = ganglion(v, torch.zeros(1, 12, dtype=torch.float64), *p)
    np.testing.assert_allclose(transient[0].numpy().reshape(frames.shape), t, rtol=0, atol=1e-14)
    np.testing.assert_allclose(current[0].numpy().reshape(frames.shape), slow.current(t, layer, 1.0), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 2e-6), (torch.float64, 4e-15)])  # about 20 roundings
def test_kernel_agrees_with_reference(dtype: torch.dtype, rtol: float) -> None:
    args = arguments((2, 9, 1500), dtype)  # more than one block of pixels
    for ours, reference in zip(ganglion(*args), ganglion.reference(*args), strict=True):
        torch.testing.assert_close(ours, reference, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("i0", [80.0, 0.0])
def test_gradients(i0: float) -> None:
    args = arguments((2, 4, 5), torch.float64, grad=True, i0=i0)
    if i0 == 0:
        args[6].requires_grad_(False)  # i0 cannot be varied to both sides
    assert torch.autograd.gradcheck(ganglion, args)
    assert torch.autograd.gradgradcheck(ganglion, args)


def test_gradient_of_many_blocks_and_rows() -> None:
    args = arguments((2, 3, 1100), torch.float64, grad=True)
    wanted = [x for x in args if x.requires_grad]
    found, expected = (torch.autograd.grad(sum(y.square().sum() for y in op(*args)), wanted)
                       for op in (ganglion, ganglion.reference))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-9)  # sums of thousands of terms


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1, 7])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    v, y, *p = arguments((2, 40, 30), dtype)
    whole = ganglion(v, y, *p)
    parts = []
    for chunk in v.split(dt, 1):
        t, n, y = ganglion(chunk, y, *p)
        parts.append((t, n))
    assert torch.equal(torch.cat([t for t, _ in parts], 1), whole[0])
    assert torch.equal(torch.cat([n for _, n in parts], 1), whole[1])
    assert torch.equal(y, whole[2])


def test_no_frames() -> None:
    v, y, *p = arguments((2, 0, 3), torch.float32)
    for op in (ganglion, ganglion.reference):
        t, n, after = op(v, y, *p)
        assert t.shape == n.shape == (2, 0, 3)
        assert torch.equal(after, y)


def test_saturates_and_stays_positive() -> None:
    v = torch.tensor([-1e6, -1.0, 0.0, 1.0, 1e30], dtype=torch.float64)[None, None]
    p = arguments((1, 1, 1), torch.float64, decay=0.0, weight=0.0, sign=1.0, v0=0.0)[2:]
    current = ganglion(v, torch.zeros(1, 5, dtype=torch.float64), *p)[1][0, 0]
    exact = torch.tensor([80**2 / (80 + 1e8), 80**2 / 180, 80, 80 + 100 / (1 + 100 / (SATURATION - 80)), SATURATION])
    torch.testing.assert_close(current, exact.double(), rtol=1e-6, atol=0)  # `exact` was rounded to float32


@pytest.mark.parametrize("i0", [80.0, 0.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_a_number_stays_so(dtype: torch.dtype, i0: float) -> None:
    v, y, *p = arguments((1, 3, 20), dtype, i0=i0)
    v[0, 1, 4], v[0, 1, 9] = torch.nan, torch.inf
    for op in (ganglion, ganglion.reference):
        t, n, _ = op(v, y, *p)
        assert torch.isnan(t[0, 1:, 4]).all()
        assert torch.isnan(n[0, 1:, 4]).all()
        assert not torch.isfinite(t[0, 2, 9])
        assert torch.isfinite(n[0, :, :4]).all()


def test_threads_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    args = arguments((2, 9, 3000), torch.float32)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    one = ganglion(*args)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for a, b in zip(one, ganglion(*args), strict=True):
        assert torch.equal(a, b)


def test_operator_is_well_formed() -> None:
    torch.library.opcheck(ganglion.operator, arguments((2, 4, 5), torch.float64, grad=True))
