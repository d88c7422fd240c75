"""Using `neurosim.compat.ncps` as scripts use ncps: arguments, layouts, states, time spans, initial values, state_dicts."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurosim import InputError, ParameterError, StateError
from neurosim.compat import ncps

from ..reference import ncps as reference

F, B, T = 3, 4, 6
WIRINGS = {"fc": lambda: ncps.wirings.FullyConnected(7, 3), "random": lambda: ncps.wirings.Random(7, 3, 0.4),
           "ncp": lambda: ncps.wirings.NCP(5, 4, 2, 3, 2, 3, 2, seed=5), "autoncp": lambda: ncps.wirings.AutoNCP(12, 3)}
NETWORKS: dict[str, Any] = {
    "ltc": lambda **o: ncps.torch.LTC(F, 7, **o),
    "ltc-explicit": lambda **o: ncps.torch.LTC(F, WIRINGS["autoncp"](), implicit_param_constraints=False, ode_unfolds=3, **o),
    "ltc-epsilon": lambda **o: ncps.torch.LTC(F, WIRINGS["random"](), epsilon=0.05, input_mapping=None, **o),
    "ltc-no-maps": lambda **o: ncps.torch.LTC(F, 7, input_mapping="linear", output_mapping=None, **o),
    "cfc": lambda **o: ncps.torch.CfC(F, 7, **o),
    "cfc-deep": lambda **o: ncps.torch.CfC(F, 7, proj_size=2, mode="no_gate", activation="gelu", backbone_units=9,
                                           backbone_layers=3, backbone_dropout=0.2, **o),
    "cfc-pure": lambda **o: ncps.torch.CfC(F, 7, mode="pure", backbone_layers=0, **o),
    "cfc-wired": lambda **o: ncps.torch.CfC(F, WIRINGS["ncp"](), **o),
    "cfc-wired-proj": lambda **o: ncps.torch.CfC(F, WIRINGS["autoncp"](), proj_size=2, mode="pure", **o),
}
every = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def moved(model: nn.Module) -> nn.Module:
    """The model in float64, away from the values it starts with."""
    model.double().eval()
    with torch.no_grad():
        for seed, p in enumerate(model.parameters()):
            p.add_(0.2 * noise(*p.shape, seed=seed))
    return model


def expected(model: Any, x: Tensor, h: Tensor, c: Tensor | None, timespans: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the equations give for the model's state_dict."""
    def cell(p: Any, x: Tensor, h: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        inner = model.rnn_cell
        if isinstance(inner, ncps.torch.LTCCell):
            y, v = reference.ltc_step(p, x, h, dt, inner._ode_unfolds, inner._epsilon, inner._implicit_param_constraints)
            return y[:, :inner.output_size], v
        if isinstance(inner, ncps.torch.CfCCell):
            return (reference.cfc_step(p, x, h, dt, inner.mode, inner._activation),) * 2
        hs = []
        for layer, own in enumerate(h.split(inner.layer_sizes, 1)):
            x = reference.cfc_step(reference.part(p, f"layer_{layer}."), x, own, dt, inner.mode)
            hs.append(x)
        return x, torch.cat(hs, 1)

    return reference.run(model.state_dict(keep_vars=True), cell, x, h, c, timespans)


@every
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_the_equations(make: Any, mixed: bool) -> None:
    """Outputs, states and all gradients over irregular steps, in two chunks with the state carried."""
    model = moved(make(mixed_memory=mixed))
    x, timespans = noise(B, 15, F).requires_grad_(), (noise(B, 15, seed=1).abs() + 0.01).requires_grad_()
    h, c = (noise(B, model.state_size, seed=seed).requires_grad_() for seed in (2, 3))
    first, hx = model(x[:, :6], (h, c) if mixed else h, timespans[:, :6])
    second, hx = model(x[:, 6:], hx, timespans[:, 6:])
    wanted, last, memory = expected(model, x, h, c if mixed else None, timespans)
    y = torch.cat([first, second], 1)
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(hx[0] if mixed else hx, last, rtol=1e-12, atol=1e-12)
    if mixed:
        torch.testing.assert_close(hx[1], memory, rtol=1e-12, atol=1e-12)
    leaves = [x, timespans, h, *model.parameters(), *([c] if mixed else [])]
    for found, right in zip(*(torch.autograd.grad((z**2).sum(), leaves, allow_unused=True, materialize_grads=True)
                              for z in (y, wanted)), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10 * max(1.0, float(right.abs().max())))


@every
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
@pytest.mark.parametrize("batch_first", [True, False], ids=["batch-first", "time-first"])
def test_layouts_and_returned_values(make: Any, mixed: bool, batch_first: bool) -> None:
    model = moved(make(mixed_memory=mixed, batch_first=batch_first))
    model.return_sequences = True
    x, timespans, h = noise(B, T, F), noise(B, T, seed=1).abs(), noise(B, model.state_size, seed=2)
    hx = (h, h.flip(0)) if mixed else h
    wanted, last, memory = expected(model, x, h, h.flip(0) if mixed else None, timespans)
    given = (x, timespans) if batch_first else (x.transpose(0, 1), timespans.T)
    y, out = model(given[0], hx, given[1])
    assert y.is_contiguous()  # scripts call view
    torch.testing.assert_close(y if batch_first else y.transpose(0, 1), wanted)
    torch.testing.assert_close(out, (last, memory) if mixed else last)
    row = (h[1], h.flip(0)[1]) if mixed else h[1]
    y, out = model(x[1], row, timespans[1])  # no batch
    torch.testing.assert_close(y, wanted[1])
    torch.testing.assert_close(out, (last[1], memory[1]) if mixed else last[1])
    model.return_sequences = False
    torch.testing.assert_close(model(given[0], hx, given[1])[0], wanted[:, -1])
    torch.testing.assert_close(model(x[1], row, timespans[1])[0], wanted[1, -1])
    zero = torch.zeros_like(h)
    torch.testing.assert_close(model(given[0])[0], model(given[0], (zero, zero) if mixed else zero)[0])
    torch.testing.assert_close(model(x[1:2] if batch_first else x[1:2].transpose(0, 1))[0][0], model(x[1])[0])


@every
def test_every_form_of_time_spans(make: Any) -> None:
    model = moved(make())
    x, timespans, units = noise(B, T, F), noise(B, T, seed=1).abs(), model.state_size
    wanted = model(x, None, timespans)[0]
    for form in (timespans[..., None], timespans[..., None].expand(B, T, units)):  # the second was ncps's only way
        assert torch.equal(model(x, None, form)[0], wanted)
    time_first = copy.copy(model)
    time_first.batch_first = False
    for form in (timespans.T, timespans.T[..., None], timespans.T.numpy()):
        assert torch.equal(time_first(x.transpose(0, 1), None, form)[0].transpose(0, 1), wanted)
    assert torch.equal(model(x[0], None, timespans[0, :, None])[0], model(x[0], None, timespans[0])[0])
    for once in (0.5, torch.tensor(0.5), torch.full((T,), 0.5)):
        assert torch.equal(model(x, None, once)[0], model(x, None, torch.full((B, T), 0.5))[0])
    assert torch.equal(model(x)[0], model(x, None, 1.0)[0])
    cell, h = model.rnn_cell, noise(B, units, seed=2)
    rows = timespans[:, 0]
    wanted = cell(x[:, 0], h, rows[:, None])[1]
    for form in (rows, rows[:, None].expand(B, units)):
        assert torch.equal(cell(x[:, 0], h, form)[1], wanted)
    for once in (0.5, np.float32(0.5), torch.tensor(0.5), torch.tensor([0.5]), torch.tensor([[0.5]])):
        assert torch.equal(cell(x[:, 0], h, once)[1], cell(x[:, 0], h, torch.full((B, 1), 0.5))[1])
    differing = torch.arange(1.0, B * T * units + 1).reshape(B, T, units)
    for call, text in ((lambda: model(x, None, differing), "must be the same for all neurons"),
                       (lambda: cell(x[:, 0], h, differing[:, 0]), "must be the same for all neurons"),
                       (lambda: model(x, None, -timespans), "not negative"), (lambda: cell(x[:, 0], h, -1.0), "not negative"),
                       (lambda: model(x, None, timespans.T), r"\(batch, time\)"),
                       (lambda: time_first(x.transpose(0, 1), None, timespans), r"\(time, batch\)")):
        with pytest.raises(InputError, match=text):
            call()


@every
def test_the_batch_as_large_as_the_network_is_no_trap(make: Any) -> None:
    """ncps takes time spans of (batch, time) for one of each neuron there, without an error."""
    model = moved(make())
    n = model.state_size
    x, timespans = noise(n, T, F), noise(n, T, seed=1).abs()
    y = model(x, None, timespans)[0]
    for row in range(n):
        torch.testing.assert_close(y[row], model(x[row], None, timespans[row])[0], rtol=1e-12, atol=1e-12)


def uniform(low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape) * (high - low) + low


def memory_draws(model: Any) -> None:
    """Draws the LSTM of mixed memory as torch's modules do, and compares."""
    n = model.state_size
    into, onto = nn.Linear(F, 4 * n), nn.Linear(n, 4 * n, bias=False)
    nn.init.xavier_uniform_(into.weight)
    nn.init.uniform_(into.bias, -0.1, 0.1)
    nn.init.orthogonal_(onto.weight)
    for found, wanted in ((model.lstm.input_map.weight, into.weight), (model.lstm.input_map.bias, into.bias),
                          (model.lstm.recurrent_map.weight, onto.weight)):
        assert torch.equal(found, wanted)


def same_next_draw(before: torch.Tensor) -> None:
    """Whether the global generator stands where the model left it."""
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_ltc_draws_in_the_order_of_ncps(mixed: bool) -> None:
    torch.manual_seed(0)
    model = ncps.torch.LTC(F, WIRINGS["autoncp"](), mixed_memory=mixed)
    after, cell, n = torch.random.get_rng_state(), model.rnn_cell, 12
    torch.manual_seed(0)
    for name, low, high, shape in [
            ("gleak", 0.001, 1.0, (n,)), ("vleak", -0.2, 0.2, (n,)), ("cm", 0.4, 0.6, (n,)), ("sigma", 3, 8, (n, n)),
            ("mu", 0.3, 0.8, (n, n)), ("w", 0.001, 1.0, (n, n)), ("sensory_sigma", 3, 8, (F, n)),
            ("sensory_mu", 0.3, 0.8, (F, n)), ("sensory_w", 0.001, 1.0, (F, n))]:
        assert torch.equal(cell.get_parameter(name), uniform(low, high, *shape)), name
    if mixed:
        memory_draws(model)
    same_next_draw(after)
    wiring = model._wiring
    for prefix, matrix in (("", wiring.adjacency_matrix), ("sensory_", wiring.sensory_adjacency_matrix)):
        assert torch.equal(cell.get_parameter(f"{prefix}erev"), torch.tensor(matrix, dtype=torch.float32))
        assert torch.equal(cell.get_buffer(f"{prefix}sparsity_mask"), torch.tensor(np.abs(matrix), dtype=torch.float32))
    assert [name for name, _ in cell.named_parameters()] == [
        "gleak", "vleak", "cm", "sigma", "mu", "w", "erev", "sensory_sigma", "sensory_mu", "sensory_w", "sensory_erev",
        "input_w", "input_b", "output_w", "output_b"]


@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
@pytest.mark.parametrize("wired", [False, True], ids=["units", "wired"])
def test_cfc_draws_in_the_order_of_ncps(mode: str, mixed: bool, wired: bool) -> None:
    torch.manual_seed(0)
    units = WIRINGS["autoncp"]() if wired else 5
    model = ncps.torch.CfC(F, units, mode=mode, mixed_memory=mixed, proj_size=2, **({} if wired else {
        "backbone_layers": 2, "backbone_units": 9}))
    after = torch.random.get_rng_state()
    torch.manual_seed(0)
    sizes = [len(units.get_neurons_of_layer(layer)) for layer in range(3)] if wired else [5]
    below = F
    for layer, n in enumerate(sizes):
        cell = model.rnn_cell.get_submodule(f"layer_{layer}") if wired else model.rnn_cell
        width = below + n if wired else 9
        drawn: dict[str, Any] = {} if wired else {"backbone.0": nn.Linear(F + n, 9), "backbone.2": nn.Linear(9, 9)}
        drawn |= {name: nn.Linear(width, n) for name in (["ff1"] if mode == "pure" else ["ff1", "ff2", "time_a", "time_b"])}
        if mode == "pure":  # ncps draws over the zeros and ones that it says it starts from
            for name in ("w_tau", "A"):
                assert torch.equal(cell.get_parameter(name), nn.init.xavier_uniform_(torch.empty(1, n)))
        for name, made in drawn.items():
            nn.init.xavier_uniform_(made.weight)
            assert torch.equal(cell.get_submodule(name).weight, made.weight), name
            assert torch.equal(cell.get_submodule(name).bias, made.bias), name
        below = n
    if mixed:
        memory_draws(model)
    projection = nn.Linear(sizes[-1], 2)
    assert torch.equal(model.fc.weight, projection.weight) and torch.equal(model.fc.bias, projection.bias)
    same_next_draw(after)


def dense(model: nn.Module, change: Any) -> dict[str, Tensor]:
    """A state_dict of ncps with other masks."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in state.items():
        if name.endswith("mask"):
            change(value)
    return state


@pytest.mark.parametrize("assign", [False, True], ids=["copied", "assigned"])
@pytest.mark.parametrize("change", [lambda mask: mask.copy_(mask.flip(0)), lambda mask: mask.mul_(0.7).add_(0.01)],
                         ids=["other-synapses", "trained-masks"])
@pytest.mark.parametrize("kind", ["ltc", "ltc-explicit", "cfc-wired"])
def test_a_state_dict_brings_its_own_masks(kind: str, change: Any, assign: bool) -> None:
    """ncps multiplies by the masks that were loaded, whatever they hold."""
    model = moved(NETWORKS[kind]())
    state = dense(model, change)
    x, h, timespans = noise(B, T, F), noise(B, model.state_size, seed=2), noise(B, T, seed=1).abs()
    before = model(x, h, timespans)[0]
    model.load_state_dict(state, assign=assign)
    y = model(x, h, timespans)[0]
    torch.testing.assert_close(y, expected(model, x, h, None, timespans)[0], rtol=1e-12, atol=1e-12)
    if kind != "ltc" or "0.01" not in inspect.getsource(change):
        assert not torch.allclose(y, before)
    for mask in (value for name, value in model.named_buffers() if name.endswith("mask")):
        with torch.no_grad():
            mask[0] = 0  # pruning by hand
    torch.testing.assert_close(model(x, h, timespans)[0], expected(model, x, h, None, timespans)[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(copy.deepcopy(model)(x, h, timespans), model(x, h, timespans))


@every
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_made_without_memory_and_loaded(make: Any, mixed: bool) -> None:
    model = moved(make(mixed_memory=mixed))
    x = noise(B, T, F)
    for assign in (False, True):
        with torch.device("meta"):
            empty = make(mixed_memory=mixed).double().eval()
        assert all(value.is_meta for value in [*empty.parameters(), *empty.buffers()])
        if not assign:
            empty.to_empty(device="cpu")
        empty.load_state_dict(model.state_dict(), assign=assign)
        assert torch.equal(empty(x)[0], model(x)[0])


@every
def test_parameters_have_one_place(make: Any) -> None:
    """What ncps ignores: functional_call, parametrizations, assigned and replaced parameters."""
    model, other, x = moved(make()), moved(make()), noise(B, T, F)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.1)
    wanted = other(x)[0]
    assert not torch.allclose(model(x)[0], wanted)
    assert torch.equal(torch.func.functional_call(model, dict(other.named_parameters()), (x,))[0], wanted)
    assigned = copy.deepcopy(model)
    assigned.load_state_dict(other.state_dict(), assign=True)
    assert torch.equal(assigned(x)[0], wanted)
    for name, p in other.named_parameters():
        owner, _, field = name.rpartition(".")
        setattr(model.get_submodule(owner), field, nn.Parameter(p.detach().clone()))
    assert torch.equal(model(x)[0], wanted)

    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again(x)[0], wanted)
    for name in dict(other.named_parameters()):
        owner, _, field = name.rpartition(".")
        nn.utils.parametrize.register_parametrization(other.get_submodule(owner), field, Halved())
    with torch.no_grad():
        for p in model.parameters():
            p.div_(2)
    assert torch.equal(other(x)[0], model(x)[0])


class Halved(nn.Module):
    """A parametrization."""

    def forward(self, value: Tensor) -> Tensor:
        return value / 2


@every
def test_masks_are_no_parameters(make: Any) -> None:
    model = make().requires_grad_(True)
    assert not [name for name, _ in model.named_parameters() if "mask" in name]
    masks = {name: mask.clone() for name, mask in model.named_buffers()}
    optimizer = torch.optim.AdamW(model.parameters())
    model(noise(B, T, F).float())[0].sum().backward()
    optimizer.step()
    assert all(torch.equal(mask, masks[name]) for name, mask in model.named_buffers())


@every
def test_dtypes(make: Any) -> None:
    model, x = make(), noise(B, T, F)
    for given in (x.float(), torch.ones(B, T, F, dtype=torch.int64)):
        assert model(given)[0].dtype == torch.float32
    if isinstance(model, ncps.torch.LTC):  # as ncps: the wider of the two
        y, hx = model(x)
        assert y.dtype == hx.dtype == torch.float64
        torch.testing.assert_close(y, model(x.float())[0].double(), rtol=1e-4, atol=1e-5)
    else:
        with pytest.raises(InputError, match=r"CfC: computes in torch.float32, the input is torch.float64"):
            model(x)
    with pytest.raises(InputError, match=r"C: computes in torch.float32"):
        make(mixed_memory=True)(x)
    assert make(mixed_memory=True).double()(x)[0].dtype == torch.float64  # fails in ncps
    for narrow in (torch.bfloat16, torch.float16):
        y, hx = copy.deepcopy(model).eval().to(narrow)(x.to(narrow))
        assert y.dtype == hx.dtype == narrow
        torch.testing.assert_close(y.float(), model.eval()(x.float())[0], rtol=0.05, atol=0.1)  # 8 bits, dozens of operations


def test_networks_side_by_side_in_one_vmap() -> None:
    models = [ncps.torch.LTC(F, WIRINGS["autoncp"]()) for _ in range(3)]
    values, x = torch.func.stack_module_state(models), noise(B, T, F).float()
    base = copy.deepcopy(models[0])
    ys = torch.func.vmap(lambda p, b: torch.func.functional_call(base, (p, b), (x,))[0])(*values)
    for y, model in zip(ys, models, strict=True):
        torch.testing.assert_close(y, model(x)[0])


def test_explicit_constraints() -> None:
    model = ncps.torch.LTC(F, 5, implicit_param_constraints=False)
    free = ncps.torch.LTC(F, 5)
    for cell in (model.rnn_cell, free.rnn_cell):
        with torch.no_grad():
            for p in cell.parameters():
                p.sub_(0.5)
        before = {name: p.clone() for name, p in cell.named_parameters()}
        cell.apply_weight_constraints()
        for name, p in cell.named_parameters():
            clipped = cell is model.rnn_cell and name in ("w", "sensory_w", "cm", "gleak")
            assert torch.equal(p, before[name].clamp(min=0) if clipped else before[name]), name
    assert inspect.signature(ncps.torch.LTCCell).parameters["implicit_param_constraints"].default is False
    assert inspect.signature(ncps.torch.LTC).parameters["implicit_param_constraints"].default is True


@pytest.mark.parametrize(("name", "text"), [
    ("torch.LTC", "(input_size, units, return_sequences=True, batch_first=True, mixed_memory=False, input_mapping='affine', "
                  "output_mapping='affine', ode_unfolds=6, epsilon=1e-08, implicit_param_constraints=True)"),
    ("torch.LTCCell", "(wiring, in_features=None, input_mapping='affine', output_mapping='affine', ode_unfolds=6, "
                      "epsilon=1e-08, implicit_param_constraints=False)"),
    ("torch.CfC", "(input_size, units, proj_size=None, return_sequences=True, batch_first=True, mixed_memory=False, "
                  "mode='default', activation='lecun_tanh', backbone_units=None, backbone_layers=None, backbone_dropout=None)"),
    ("torch.CfCCell", "(input_size, hidden_size, mode='default', backbone_activation='lecun_tanh', backbone_units=128, "
                      "backbone_layers=1, backbone_dropout=0.0, sparsity_mask=None)"),
    ("torch.WiredCfCCell", "(input_size, wiring, mode='default')"), ("torch.lstm.LSTMCell", "(input_size, hidden_size)"),
    ("wirings.Wiring", "(units)"),
    ("wirings.FullyConnected", "(units, output_dim=None, erev_init_seed=1111, self_connections=True)"),
    ("wirings.Random", "(units, output_dim=None, sparsity_level=0.0, random_seed=1111)"),
    ("wirings.NCP", "(inter_neurons, command_neurons, motor_neurons, sensory_fanout, inter_fanout, "
                    "recurrent_command_synapses, motor_fanin, seed=22222)"),
    ("wirings.AutoNCP", "(units, output_size, sparsity_level=0.5, seed=22222)"),
])
def test_arguments_and_defaults(name: str, text: str) -> None:
    module, _, cls = name.rpartition(".")
    found = getattr(importlib.import_module(f"neurosim.compat.ncps.{module}"), cls)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in inspect.signature(found).parameters.values()]
    assert str(inspect.Signature(bare)) == text
    for own in ("ltc", "ltc_cell", "cfc", "cfc_cell", "wired_cfc_cell", "lstm"):  # the modules of ncps
        importlib.import_module(f"neurosim.compat.ncps.torch.{own}")


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: ncps.torch.LTC(F, 5, mixed_memory=True)(torch.ones(B, T, F), torch.zeros(B, 5)), RuntimeError, "a pair"),
    (lambda: ncps.torch.LTC(F, 5)(torch.ones(B, T, F), (torch.zeros(B, 5),) * 2), StateError, "must be a tensor"),
    (lambda: ncps.torch.CfC(F, 5)(torch.ones(B, T, F), torch.zeros(5)), RuntimeError, r"the shape \(4, 5\) \(got \(5,\)\)"),
    (lambda: ncps.torch.CfC(F, 5)(torch.ones(T, F), torch.zeros(1, 5)), RuntimeError, r"the shape \(5,\)"),
    (lambda: ncps.torch.LTC(F, 5)(torch.ones(B, T, 2)), InputError, r"the input must be \(time, 3\)"),
    (lambda: ncps.torch.LTC(F, 5)(torch.ones(F)), InputError, r"\(batch, time, 3\) \(got shape \(3,\)\)"),
    (lambda: ncps.torch.LTC(F, 5).rnn_cell(torch.ones(B, 2), torch.zeros(B, 5)), InputError, r"input must be \(batch, 3\)"),
    (lambda: ncps.torch.CfCCell(F, 5)(torch.ones(B, F), torch.zeros(B, 4), 1), InputError, r"state must be \(batch, 5\)"),
    (lambda: ncps.torch.LTC(F, 5, return_sequences=False)(torch.ones(B, 0, F)), InputError, "last output of a"),
    (lambda: ncps.torch.CfCCell(F, 5, mode="x"), ValueError, "choose from"),
    (lambda: ncps.torch.CfC(F, 5, activation="x"), ValueError, "choose from"),
    (lambda: ncps.torch.CfC(F, WIRINGS["ncp"](), backbone_units=3), ValueError, "has no backbone"),
    (lambda: ncps.torch.LTCCell(WIRINGS["ncp"]()), ValueError, r"call wiring.build\(\)"),
    (lambda: ncps.torch.WiredCfCCell(None, WIRINGS["ncp"]()), ValueError, r"call wiring.build\(\)"),
])
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_no_steps_and_no_sequences() -> None:
    for model in (ncps.torch.LTC(F, 5), ncps.torch.CfC(F, 5, mixed_memory=True)):
        y, hx = model(torch.ones(B, 0, F))
        assert y.shape == (B, 0, 5)
        assert all((h == 0).all() and h.shape == (B, 5) for h in (hx if isinstance(hx, tuple) else [hx]))
        assert model(torch.ones(0, T, F))[0].shape == (0, T, 5)


def test_one_wiring_in_two_networks() -> None:
    for make in WIRINGS.values():
        wiring = make()
        first = ncps.torch.LTC(F, wiring)
        counts = (wiring.synapse_count, wiring.sensory_synapse_count)
        second = ncps.torch.LTC(F, wiring)
        assert (wiring.synapse_count, wiring.sensory_synapse_count) == counts
        assert torch.equal(first.rnn_cell.erev, second.rnn_cell.erev)
        assert (first.synapse_count, first.sensory_synapse_count) == counts
        with pytest.raises(ValueError, match=r"was built for 3 inputs; make another one \(got 2\)"):
            ncps.torch.LTC(2, wiring)


def test_wirings_as_ncps_has_them() -> None:
    for make in WIRINGS.values():
        wiring = make()
        again = type(wiring).from_config(wiring.get_config())
        for built in (wiring, again):
            assert not built.is_built() and built.sensory_adjacency_matrix is None
            built.build(F)
            assert built.is_built() and built.adjacency_matrix.dtype == built.sensory_adjacency_matrix.dtype == np.int32
        np.testing.assert_array_equal(again.adjacency_matrix, wiring.adjacency_matrix)
        np.testing.assert_array_equal(again.sensory_adjacency_matrix, wiring.sensory_adjacency_matrix)
        assert list(again.get_graph().nodes) == [*(f"neuron_{i}" for i in range(wiring.units)),
                                                 *(f"sensory_{i}" for i in range(F))]
    assert ncps.wirings.Random(5).get_config() == {"units": 5, "output_dim": 5, "sparsity_level": 0.0, "random_seed": 1111}
    assert ncps.wirings.NCP(5, 4, 2, 3, 2, 3, 2).get_config() == {
        "inter_neurons": 5, "command_neurons": 4, "motor_neurons": 2, "sensory_fanout": 3, "inter_fanout": 2,
        "recurrent_command_synapses": 3, "motor_fanin": 2, "seed": 22222}


def test_a_wiring_of_ones_own() -> None:
    class Ring(ncps.wirings.Wiring):
        def __init__(self, units: int) -> None:
            super().__init__(units)
            self.set_output_dim(1)
            for i in range(units):
                self.add_synapse(i, (i + 1) % units, (-1) ** i)

        def build(self, input_dim: int) -> None:
            super().build(input_dim)
            for i in range(input_dim):
                self.add_sensory_synapse(i, i, 1)

        def get_type_of_neuron(self, neuron_id: int) -> str:
            return "motor" if neuron_id == 0 else "command"

    ring = Ring(5)
    model = moved(ncps.torch.LTC(F, ring))
    assert (model.synapse_count, model.sensory_synapse_count, model.motor_size) == (5, 3, 1)
    x, h = noise(B, T, F), noise(B, 5, seed=2)
    torch.testing.assert_close(model(x, h)[0], expected(model, x, h, None, torch.ones(B, T))[0])
    assert "5 units, 1 outputs, 5 + 3 synapses" in repr(model)
    with pytest.raises(ParameterError, match="target: must lie in"):
        ring.add_synapse(0, 5, 1)


def test_dropout_acts_after_every_layer_in_training() -> None:
    model, x = NETWORKS["cfc-deep"](), noise(B, T, F).float()
    torch.manual_seed(0)
    first = model(x)[0]
    torch.manual_seed(0)
    assert torch.equal(model(x)[0], first) and not torch.equal(model(x)[0], first)
    assert torch.equal(model.eval()(x)[0], model(x)[0])
    one = ncps.torch.CfC(F, 7, backbone_dropout=0.5)  # ncps has none with a single layer
    assert not torch.equal(one(x)[0], one(x)[0]) and math.isfinite(one(x)[0].sum().item())
