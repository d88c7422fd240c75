"""CfC as pure functions: the numbers of ncps, time spans, chunks, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from neurosim._errors import InputError, ParameterError
from neurosim.functional.cfc import CfCParams, CfCState, Linear, cfc_scan, cfc_step, wired_cfc_scan
from neurosim.functional.memory import LSTMState, lstm_step
from tests.liquid.golden import Case, names

# float64: rounding of some thousand operations. float32: what we promise.
TOLERANCE = {torch.float64: (1e-12, 1e-10), torch.float32: (1e-5, 1e-4)}


def cell(inputs: int, units: int, mode: str, depth: int = 1, width: int = 10, dtype: torch.dtype = torch.float64,
         seed: int = 0) -> CfCParams:
    """Random weights."""
    g = torch.Generator().manual_seed(seed)

    def linear(rows: int, columns: int) -> Linear:
        return Linear(*(torch.randn(shape, generator=g, dtype=torch.float64).div(columns ** 0.5).to(dtype)
                        for shape in ((rows, columns), (rows,))))

    columns = [inputs + units, *[width] * depth]
    backbone = tuple(linear(width, columns[layer]) for layer in range(depth))
    if mode == "pure":
        w_tau, a = torch.randn(2, units, generator=g, dtype=torch.float64).to(dtype)
        return CfCParams(backbone, (linear(units, columns[-1]),), w_tau, a)
    return CfCParams(backbone, tuple(linear(units, columns[-1]) for _ in range(4)))


def sequence(batch: int, time: int, inputs: int, units: int, dtype: torch.dtype = torch.float64
             ) -> tuple[CfCState, Tensor, Tensor]:
    """State, inputs and time spans."""
    g = torch.Generator().manual_seed(1)
    h = torch.randn(batch, units, generator=g, dtype=torch.float64)
    x = torch.randn(batch, time, inputs, generator=g, dtype=torch.float64)
    return CfCState(h.to(dtype)), x.to(dtype), (torch.rand(batch, time, generator=g, dtype=torch.float64) * 2).to(dtype)


def golden_cells(case: Case) -> list[CfCParams]:
    """Cells of ncps with its parameters, masks applied to f1 and f2 of wired ones."""
    wired = "layer_sizes" in case.meta and case.meta["layer_sizes"]
    cells = []
    for prefix in ([f"layer_{layer}." for layer in range(len(case.meta["layer_sizes"]))] if wired else [""]):
        def linear(name: str, prefix: str = prefix) -> Linear:
            weight, bias = (case.parameter(f"{prefix}{name}.{part}") for part in ("weight", "bias"))
            if wired and name in ("ff1", "ff2"):
                weight = weight * case.arrays[f"param/rnn_cell.{prefix}sparsity_mask"].to(weight.dtype)
            return Linear(weight, bias)

        depth = 0 if wired else case.meta["backbone_layers"]
        backbone = tuple(linear(f"backbone.{2 * layer}") for layer in range(depth))
        pure = case.meta["mode"] == "pure"
        heads = tuple(map(linear, ("ff1",) if pure else ("ff1", "ff2", "time_a", "time_b")))
        extra = (case.parameter(f"{prefix}w_tau")[0], case.parameter(f"{prefix}A")[0]) if pure else (None, None)
        cells.append(CfCParams(backbone, heads, *extra))
    return cells


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", names("cfc"))
def test_the_numbers_of_ncps(name: str, dtype: torch.dtype) -> None:
    rtol, rtol_gradient = TOLERANCE[dtype]
    case = Case.load(name, dtype)
    cells, x, mode = golden_cells(case), case.get("x"), case.meta["mode"]
    activation = next((known for known in ("silu", "relu", "gelu", "tanh") if f"_act_{known}" in name), "lecun_tanh")
    if case.meta["mixed_memory"]:
        memory = tuple(case.leaves[f"param/lstm.{part}"] for part in
                       ("input_map.weight", "input_map.bias", "recurrent_map.weight"))
        state = LSTMState(case.get("h0"), case.get("c0"))
        steps = []
        for t in range(x.shape[1]):
            state = lstm_step(memory, state, x[:, t])
            h, _ = cfc_step(cells[0], CfCState(state.h), x[:, t], case.timespans[:, t], mode=mode)
            state = LSTMState(h, state.c)
            steps.append(h)
        hs = torch.stack(steps, 1)
        torch.testing.assert_close(state.c.double(), case.arrays["cn"], rtol=rtol, atol=rtol)
    elif len(cells) > 1 or "layer_0.sparsity_mask" in str(list(case.arrays)):
        hs, _ = wired_cfc_scan(cells, CfCState(case.get("h0")), x, case.timespans, mode=mode)
    else:
        hs, _ = cfc_scan(cells[0], CfCState(case.get("h0")), x, case.timespans, mode=mode, activation=activation)
    y = hs[..., -cells[-1].heads[0].weight.shape[0]:]
    if "param/fc.weight" in case.leaves:
        y = torch.nn.functional.linear(y, case.leaves["param/fc.weight"], case.leaves["param/fc.bias"])
    torch.testing.assert_close(hs.double(), case.arrays["states"], rtol=rtol, atol=rtol)
    torch.testing.assert_close(y.double(), case.arrays["y"], rtol=rtol, atol=rtol)
    case.check_gradients((y ** 2).sum(), rtol_gradient)


@pytest.mark.parametrize("mode", ["default", "no_gate", "pure"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3, 32])
@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_do_not_change_one_bit(mode: str, dtype: torch.dtype, batch: int, chunk: int) -> None:
    p = cell(3, 6, mode, depth=2, dtype=dtype)
    state, x, spans = sequence(batch, 17, 3, 6, dtype)
    whole, end = cfc_scan(p, state, x, spans, mode=mode)
    parts = []
    for start in range(0, 17, chunk):
        part, state = cfc_scan(p, state, x[:, start:start + chunk], spans[:, start:start + chunk], mode=mode)
        parts.append(part)
    assert torch.equal(torch.cat(parts, 1), whole) and torch.equal(state.h, end.h)


@pytest.mark.parametrize("mode", ["default", "no_gate", "pure"])
def test_each_sequence_of_a_batch_has_its_own_time(mode: str) -> None:
    """Also where the batch is as large as the network, which ncps mixes up."""
    p = cell(3, 6, mode)
    state, x, spans = sequence(6, 5, 3, 6)
    whole, _ = cfc_scan(p, state, x, spans, mode=mode)
    for row in range(6):
        alone, _ = cfc_scan(p, CfCState(state.h[row:row + 1]), x[row:row + 1], spans[row], mode=mode)
        torch.testing.assert_close(whole[row:row + 1], alone, rtol=1e-13, atol=1e-13)  # order of sums may differ


def test_layers_feed_each_other_within_a_step() -> None:
    cells = [cell(3, 5, "default", depth=0, seed=1), cell(5, 2, "default", depth=0, seed=2)]
    state, x, spans = sequence(2, 6, 3, 7)
    hs, end = wired_cfc_scan(cells, state, x, spans)
    lower, upper = CfCState(state.h[:, :5]), CfCState(state.h[:, 5:])
    for t in range(6):
        y, lower = cfc_step(cells[0], lower, x[:, t], spans[:, t])
        y, upper = cfc_step(cells[1], upper, y, spans[:, t])
        assert torch.equal(hs[:, t], torch.cat([lower.h, upper.h], 1))
    assert torch.equal(end.h, hs[:, -1])


def test_no_frames_no_output() -> None:
    p = cell(3, 6, "default")
    state, x, _ = sequence(2, 3, 3, 6)
    hs, end = cfc_scan(p, state, x[:, :0])
    assert hs.shape == (2, 0, 6) and torch.equal(end.h, state.h)


def test_a_nan_stays_in_its_sequence() -> None:
    for mode in ("default", "no_gate", "pure"):
        for activation in ("lecun_tanh", "silu", "relu", "tanh", "gelu"):
            p = cell(3, 6, mode)
            state, x, _ = sequence(9, 5, 3, 6)
            clean, _ = cfc_scan(p, state, x, mode=mode, activation=activation)
            x[4, 2, 0] = torch.nan
            hs, _ = cfc_scan(p, state, x, mode=mode, activation=activation)
            others = [row for row in range(9) if row != 4]
            assert torch.equal(hs[others], clean[others])
            assert torch.equal(hs[4, :2], clean[4, :2]) and hs[4, 2:].isnan().all()


@pytest.mark.parametrize(("arguments", "text"), [
    ({"mode": "fast"}, r"cfc_scan\.mode: choose from \['default', 'no_gate', 'pure'\] \(got 'fast'\)"),
    ({"activation": "sin"}, r"cfc_scan\.activation: choose from \['lecun_tanh', .*\(got 'sin'\)"),
    ({"mode": "pure"}, r"cfc_scan\.p: mode 'pure' needs 1 heads"),
])
def test_what_is_not_known_is_refused(arguments: dict[str, Any], text: str) -> None:
    p = cell(3, 6, "default")
    state, x, _ = sequence(2, 5, 3, 6)
    with pytest.raises(ParameterError, match=text):
        cfc_scan(p, state, x, **arguments)


def test_weights_and_time_spans_that_do_not_fit_are_refused() -> None:
    p = cell(3, 6, "default")
    state, x, _ = sequence(2, 5, 3, 6)
    with pytest.raises(InputError, match=r"cfc_scan\.timespans: must be finite and not negative"):
        cfc_scan(p, state, x, -1.0)
    uneven = p._replace(backbone=(*p.backbone, Linear(torch.ones(3, 10), torch.ones(3))))
    with pytest.raises(ParameterError, match=r"cfc_scan\.p: all layers of the backbone must have one width"):
        cfc_scan(uneven, state, x)
