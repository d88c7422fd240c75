"""Liquid networks compiled, exported for any length, and as ONNX: the numbers of eager torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurosim import Layer
from neurosim.compat import ncps
from neurosim.liquid import LTC, AutoNCP, CfC, Irregular
from neurosim.models import Bidirectional, Sequential

TIME, BATCH = torch.export.Dim("time", min=2, max=4096), torch.export.Dim("batch", min=1, max=512)
LAYERS: dict[str, Callable[[], Layer]] = {
    "LTC": lambda: LTC(2, AutoNCP(12, 3)),
    "CfC": lambda: CfC(2, 5, proj_size=3, backbone_units=8),
    "CfC-wired": lambda: CfC(2, AutoNCP(12, 3), mode="pure"),
    "LTC-mixed": lambda: LTC(2, AutoNCP(12, 3), mixed_memory=True),
    "LTC-mixed-rk4": lambda: LTC(2, AutoNCP(12, 3), mixed_memory=True, solver="rk4"),
    "CfC-mixed": lambda: CfC(2, 5, backbone_units=8, mixed_memory=True),
    "CfC-wired-mixed": lambda: CfC(2, AutoNCP(12, 3), mixed_memory=True),
    "stack": lambda: Irregular(Sequential(LTC(1, 4), CfC(4, 3, backbone_units=8))),
    "Bidirectional": lambda: Bidirectional(LTC(2, 4), LTC(2, 4, seed=1)),
}
FACES: dict[str, Callable[[], nn.Module]] = {
    "LTC": lambda: ncps.torch.LTC(2, ncps.wirings.AutoNCP(12, 3)),
    "CfC": lambda: ncps.torch.CfC(2, 5, proj_size=3),
    "CfC-wired": lambda: ncps.torch.CfC(2, ncps.wirings.AutoNCP(12, 3)),
    "LTC-mixed": lambda: ncps.torch.LTC(2, ncps.wirings.AutoNCP(12, 3), mixed_memory=True),
    "CfC-mixed": lambda: ncps.torch.CfC(2, 5, mixed_memory=True),
}
CELLS: dict[str, Callable[[], nn.Module]] = {
    "LTCCell": lambda: ncps.torch.LTCCell(ncps.wirings.AutoNCP(12, 3), 2),
    "CfCCell": lambda: ncps.torch.CfCCell(2, 5),
    "WiredCfCCell": lambda: ncps.torch.WiredCfCCell(2, ncps.wirings.AutoNCP(12, 3)),
}


def positive(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Advancing(nn.Module):
    """A layer as a function of a chunk, its time spans and the state of the chunk before."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, timespans: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.layer.advance(x, state, timespans=timespans)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_layers_are_exported_for_any_length(make: Callable[[], Layer]) -> None:
    layer = make().eval()
    program = torch.export.export(layer, (positive(2, 5, 2),), dynamic_shapes={"x": {0: BATCH, 1: TIME}})
    assert layer.get_state() == {}
    assert set(program.state_dict) == {name for name, _ in layer.named_parameters()}
    for batch, time in ((1, 33), (5, 2)):
        x = positive(batch, time, 2, seed=time)
        layer.clear_state()
        torch.testing.assert_close(program.module()(x), layer(x))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["LTC", "CfC-wired", "LTC-mixed"])
def test_a_chunk_with_its_state_is_exported_and_saved(kind: str, tmp_path: Path) -> None:
    model = Advancing(LAYERS[kind]().eval())
    x, timespans = positive(3, 20, 2), positive(3, 20, seed=1)
    _, state = model.layer.advance(x[:, :5])
    shapes = {"x": {0: BATCH, 1: TIME}, "timespans": {0: BATCH, 1: TIME}, "state": {name: {0: BATCH} for name in state}}
    example = (x[:, :5].contiguous(), timespans[:, :5].contiguous(), state)
    program = torch.export.export(model, example, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    zero = {name: torch.zeros_like(value) for name, value in state.items()}
    whole, after = model.layer.advance(x, timespans=timespans)
    first, state = loaded(x[:, :13], timespans[:, :13], zero)
    second, state = loaded(x[:, 13:], timespans[:, 13:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("make", FACES.values(), ids=FACES.keys())
def test_the_networks_of_ncps_are_exported_for_any_length(make: Callable[[], nn.Module]) -> None:
    model = make().eval()
    shapes = ({0: BATCH, 1: TIME}, None, {0: BATCH, 1: TIME})
    program = torch.export.export(model, (positive(2, 5, 2), None, positive(2, 5)), dynamic_shapes=shapes)
    x, timespans = positive(4, 30, 2, seed=2), positive(4, 30, seed=3)
    torch.testing.assert_close(program.module()(x, None, timespans), model(x, None, timespans))


def test_dropout_is_exported_for_any_length() -> None:
    layer = CfC(2, 5, backbone_units=8, backbone_dropout=0.4, mixed_memory=True)
    program = torch.export.export(layer, (positive(2, 5, 2),), dynamic_shapes={"x": {0: BATCH, 1: TIME}})
    x = positive(3, 21, 2, seed=1)
    y = layer(x)
    torch.testing.assert_close(program.module()(x), y)
    layer.clear_state()
    assert not torch.allclose(layer.eval()(x), y)


@pytest.mark.parametrize("kind", ["LTC", "CfC", "LTC-mixed", "CfC-wired-mixed", "lengths"])
def test_compiled_layers_train_and_carry_their_state(kind: str) -> None:
    layer = LAYERS["LTC" if kind == "lengths" else kind]()
    other = copy.deepcopy(layer)
    torch.compiler.reset()  # torch takes eight layers in a process, then no more
    compiled = torch.compile(other, backend="aot_eager", fullgraph=True)
    for step in range(2):  # the state of the first call is not part of the second's graph
        x, given = positive(2, 6, 2, seed=step), {"timespans": positive(2, 6, seed=9)}
        if kind == "lengths":
            given["lengths"] = torch.tensor([6, 3])
        y, again = layer(x, **given), compiled(x, **given)
        assert torch.equal(y, again)
        (y**2).sum().backward()
        (again**2).sum().backward()
    for p, q in zip(layer.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    assert layer.get_state().keys() == other.get_state().keys()


def test_compiled_chunks_carry_the_gradient_through_the_state() -> None:
    def loss(layer: Layer, x: Tensor) -> Tensor:
        y, state = layer.advance(x)
        return (layer.advance(x, state, timespans=0.5)[0] * y).sum()

    grads = []
    for call in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        layer = LAYERS["LTC"]()
        call(layer, positive(2, 5, 2)).backward()
        grads.append([p.grad for p in layer.parameters()])
    torch.testing.assert_close(*grads)


def test_the_networks_of_ncps_compile() -> None:
    model = FACES["LTC"]()
    x, timespans = positive(2, 6, 2), positive(2, 6)
    y, hx = torch.compile(model, backend="aot_eager", fullgraph=True)(x, None, timespans)
    torch.testing.assert_close((y, hx), model(x, None, timespans))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("make", FACES.values(), ids=FACES.keys())
def test_a_traced_network_takes_any_length(make: Callable[[], nn.Module]) -> None:
    """What is traced is the operator: its result in the example is no constant."""
    model = make().eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, (positive(2, 5, 2),), check_trace=False)
        x = positive(3, 9, 2, seed=4)
        torch.testing.assert_close(traced(x), model(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the exporter about itself
@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS.keys())
def test_cells_become_onnx(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    import onnxruntime as runtime

    cell: Any = make().eval()
    arguments = (positive(4, 2), positive(4, cell.state_size), positive(4, 1))
    program = torch.onnx.export(cell, arguments, dynamo=True, verbose=False, dynamic_shapes=[{0: BATCH}] * 3)
    program.save(tmp_path / "cell.onnx")
    session = runtime.InferenceSession(tmp_path / "cell.onnx", providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        given = [positive(rows, 2, seed=5), positive(rows, cell.state_size, seed=6), 3 * positive(rows, 1, seed=7)]
        found = session.run(None, {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), given, strict=True)})
        for mine, wanted in zip(found, cell(*given), strict=True):
            np.testing.assert_allclose(mine, wanted.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_step_of_a_layer_becomes_onnx(tmp_path: Path) -> None:
    import onnxruntime as runtime

    model = Advancing(LAYERS["LTC"]().eval())
    state = {"v": positive(1, 12)}
    program = torch.onnx.export(model, (positive(1, 1, 2), positive(1, 1)), kwargs={"state": state}, dynamo=True, verbose=False)
    program.save(tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x, timespans = positive(1, 8, 2, seed=5), positive(1, 8, seed=6)
    wanted, after = model(x, timespans, state)
    names, v, ys = [entry.name for entry in session.get_inputs()], state["v"].numpy(), []
    for t in range(8):
        y, v = session.run(None, dict(zip(names, (x[:, t:t + 1].numpy(), timespans[:, t:t + 1].numpy(), v), strict=True)))
        ys.append(y)
    np.testing.assert_allclose(np.concatenate(ys, 1), wanted.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(v, after["v"].detach(), rtol=1e-5, atol=1e-6)
