"""Contrast gain control kernel: against its reference, gradients of everything, chunks, threads, nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurosim.functional.spatial import deriche_coefficients
from neurosim.kernels.gain_control import SATURATION, gain_control

DTYPES = [torch.float32, torch.float64]
# gain, leak, decay, feedback, exponent, threshold, e_inh, weight, slow_decay, symmetric
STANDARD = (150.0, 5.0, 0.6, 100.0, 2.0, 0.0, 0.0, 0.0, 0.0, True)
CUSTOM = (150.0, 5.0, 0.6, 100.0, 1.5, 0.1, -0.3, 0.4, 0.88, False)
BOTH_SIDES = (150.0, 5.0, 0.6, 100.0, 1.5, -0.4, -0.3, 0.4, 0.88, True)  # a negative threshold: q(v) and q(-v) at once
BLUR, NUMBERS = 4, 5  # where these arguments are


def arguments(shape: tuple[int, int, int, int], dtype: torch.dtype, values: tuple, sigma: float = 1.5) -> list[Any]:
    g = torch.Generator().manual_seed(0)
    o = torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)
    frame = (shape[0], *shape[2:])
    state = [(scale * torch.rand(frame, generator=g, dtype=torch.float64)).to(dtype) for scale in (1.0, 50.0, 1.0)]
    *numbers, symmetric = values
    blur = deriche_coefficients(torch.tensor(sigma, dtype=torch.float64))
    return [o, *state, blur, *(torch.tensor(v, dtype=dtype) for v in numbers), symmetric, 0.005]


@pytest.mark.parametrize("values", [STANDARD, CUSTOM, BOTH_SIDES], ids=["standard", "custom", "both"])
@pytest.mark.parametrize("sigma", [0.0, 1.5])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])  # a few roundings a frame
def test_kernel_agrees_with_reference(values: tuple, sigma: float, dtype: torch.dtype, rtol: float) -> None:
    args = arguments((2, 12, 9, 21), dtype, values, sigma)
    for ours, expected in zip(gain_control(*args), gain_control.reference(*args), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=rtol * float(expected.abs().max()))


@pytest.mark.parametrize("values", [STANDARD, CUSTOM, BOTH_SIDES], ids=["standard", "custom", "both"])
def test_gradients(values: tuple) -> None:
    args = arguments((2, 3, 3, 4), torch.float64, values)
    fixed = (NUMBERS + 5, NUMBERS + 7) if values is STANDARD else ()  # a kink at threshold 0; w and x are not used
    for i in range(NUMBERS + 9):
        args[i].requires_grad_(i not in fixed)
    assert torch.autograd.gradcheck(gain_control, args, fast_mode=values is not CUSTOM)
    assert torch.autograd.gradgradcheck(gain_control, args, fast_mode=True)


@pytest.mark.parametrize("values", [STANDARD, CUSTOM], ids=["standard", "custom"])
@pytest.mark.parametrize("needs_blur", [True, False])
def test_gradients_are_those_of_the_reference(values: tuple, needs_blur: bool) -> None:
    args = arguments((2, 8, 18, 23), torch.float64, values)
    wanted = [args[i].requires_grad_() for i in range(NUMBERS + 9) if needs_blur or i != BLUR]
    found, expected = (torch.autograd.grad(sum((y * y).sum() for y in op(*args)), wanted)
                       for op in (gain_control, gain_control.reference))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * float(theirs.abs().max()) + 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dt", [1, 7])
def test_chunks_give_the_same_bits(dtype: torch.dtype, dt: int) -> None:
    args = arguments((2, 40, 5, 6), dtype, CUSTOM)
    whole = gain_control(*args)
    o, v, g, x, *rest = args
    parts = []
    for chunk in o.split(dt, 1):
        vs, gs, x = gain_control(chunk, v, g, x, *rest)
        v, g = vs[:, -1], gs[:, -1]
        parts.append((vs, gs))
    for ours, expected in zip((*(torch.cat(p, 1) for p in zip(*parts, strict=True)), x), whole, strict=True):
        assert torch.equal(ours, expected)


def test_threads_do_not_change_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    args = arguments((3, 40, 25, 30), torch.float32, STANDARD)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    one = gain_control(*args)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for a, b in zip(one, gain_control(*args), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(2, 0, 3, 4), (0, 2, 3, 4)])
def test_nothing_to_do(shape: tuple[int, int, int, int]) -> None:
    args = arguments(shape, torch.float32, STANDARD)
    for op in (gain_control, gain_control.reference):
        v, g, x = op(*args)
        assert v.shape == g.shape == shape
        assert torch.equal(x, args[3])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [STANDARD, CUSTOM], ids=["standard", "custom"])
def test_what_is_not_a_number_stays_so(dtype: torch.dtype, values: tuple) -> None:
    args = arguments((1, 3, 4, 6), dtype, values, sigma=0.0)
    args[0][0, 1, 2, 3], args[0][0, 1, 1, 1] = torch.nan, torch.inf
    for op in (gain_control, gain_control.reference):
        v, g, _ = op(*args)
        assert torch.isnan(v[0, 1:, 2, 3]).all()
        assert torch.isnan(g[0, 2, 2, 3])
        assert not torch.isfinite(v[0, 1:, 1, 1]).any()
        assert torch.isfinite(v[0, :, 0]).all()


def test_feedback_saturates() -> None:
    args = arguments((1, 2, 2, 2), torch.float64, STANDARD, sigma=0.0)
    args[1][:] = 1e9
    args[2][:] = 0.0
    g = gain_control(*args)[1]
    torch.testing.assert_close(g[:, 0], torch.full_like(g[:, 0], 0.4 * SATURATION), rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_input_settles_where_the_equations_say(dtype: torch.dtype) -> None:
    """V (leak + g) = gain O and g = Q(V): the root of a cubic."""
    args = arguments((1, 400, 4, 5), dtype, STANDARD)
    args[0][:] = 0.7
    v, g, _ = gain_control(*args)
    ends = v[0, -1].double(), g[0, -1].double()
    torch.testing.assert_close(ends[0] * (5 + ends[1]), torch.full_like(ends[0], 150 * 0.7), rtol=1e-5, atol=0)
    z = 100 * ends[0] ** 2
    torch.testing.assert_close(ends[1], z / (1 + z / SATURATION), rtol=1e-5, atol=0)


def test_operator_is_well_formed() -> None:
    args = arguments((2, 3, 4, 5), torch.float64, CUSTOM)
    for i in range(NUMBERS + 9):
        args[i].requires_grad_()
    torch.library.opcheck(gain_control.operator, args)
