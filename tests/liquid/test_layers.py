"""LTC and CfC as layers: irregular streams, sequences of different length, wirings in state_dicts, refusals."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from neurosim import InputError, Layer, ParameterError, Runner
from neurosim.compat import ncps
from neurosim.filters import Sigmoid
from neurosim.liquid import LTC, AutoNCP, CfC, FullyConnected, Irregular, Wiring, wiring_from_dict
from neurosim.streams import SequenceStream

LAYERS: dict[str, Callable[..., Layer]] = {
    "LTC": lambda **options: LTC(2, AutoNCP(12, 3), **options),
    "LTC-clamp": lambda **options: LTC(2, 5, positive="clamp", **options),
    "LTC-rk4": lambda **options: LTC(2, 5, solver="rk4", **options),
    "LTC-mixed": lambda **options: LTC(2, 5, mixed_memory=True, **options),
    "CfC": lambda **options: CfC(2, 5, proj_size=3, **options),
    "CfC-pure": lambda **options: CfC(2, 5, mode="pure", backbone_layers=2, backbone_units=9, **options),
    "CfC-no_gate-mixed": lambda **options: CfC(2, 5, mode="no_gate", mixed_memory=True, **options),
    "CfC-dropout": lambda **options: CfC(2, 5, backbone_dropout=0.3, backbone_layers=2, backbone_units=9, **options),
    "CfC-dropout-mixed": lambda **options: CfC(2, 5, backbone_dropout=0.3, mixed_memory=True, **options),
    "CfC-wired": lambda **options: CfC(2, AutoNCP(12, 3), **options),
    "CfC-along-wiring": lambda **options: CfC(2, AutoNCP(12, 3), recurrent="wiring", **options),
}
every = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spans(*shape: int) -> torch.Tensor:
    """Irregular time spans, some of them 0."""
    return (3 * torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 0.5).clamp(min=0)


@every
@pytest.mark.parametrize("dt", [1, 7])
def test_irregular_recordings_stream_with_the_same_bits(make: Callable[..., Layer], dt: int) -> None:
    x, timespans = noise(3, 25, 2), spans(3, 25)
    together = torch.cat([x[:, :, :1], timespans[:, :, None], x[:, :, 1:]], 2)
    whole = make()(x, timespans=timespans)
    assert torch.equal(Irregular(make(), feature=1).run(together, dt)[0], whole)
    layer = make()
    chunks = [layer(a, timespans=b) for a, b in zip(x.split(dt, 1), timespans.split(dt, 1), strict=True)]
    assert torch.equal(torch.cat(chunks, 1), whole)
    assert not torch.equal(make()(x), whole)


@every
def test_every_form_of_time_spans(make: Callable[..., Layer]) -> None:
    x = noise(2, 6, 2)
    assert torch.equal(make()(x, timespans=0.5), make()(x, timespans=torch.full((2, 6), 0.5)))
    one = spans(6)
    assert torch.equal(make()(x, timespans=one.numpy()), make()(x, timespans=one.expand(2, 6)))
    assert torch.equal(make()(x), make()(x, timespans=1.0))
    for bad, text in ((-1.0, "not negative"), (torch.nan, "must be finite"), (torch.ones(6, 2), r"\(batch, time\) = \(2, 6\)")):
        layer = make()
        with pytest.raises(InputError, match=text):
            layer(x, timespans=bad)
        assert layer.get_state() == {}


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("make", [lambda **options: LTC(2, 3, **options), lambda **options: CfC(2, 3, **options)])
def test_gradients_of_each_sequence_in_one_vmap(make: Callable[..., Layer], batch_first: bool) -> None:
    """Neither values nor time spans can be looked at then."""
    layer, x, timespans = make(batch_first=batch_first), noise(3, 4, 2), spans(3, 4)
    start = {name: value.detach() for name, value in layer.named_parameters()}

    def loss(values: Any, x: Any, timespans: Any) -> Any:
        return torch.func.functional_call(Advanced(layer), {f"layer.{k}": v for k, v in values.items()}, (x, timespans)).sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(start, x, timespans)
    for row in range(3):
        layer.zero_grad()
        layer.advance(x[row], timespans=timespans[row])[0].sum().backward()
        for name, value in layer.named_parameters():
            torch.testing.assert_close(found[name][row], value.grad, rtol=1e-4, atol=1e-6)


class Advanced(torch.nn.Module):
    """`Layer.advance` as a module."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, timespans: torch.Tensor) -> torch.Tensor:
        return self.layer.advance(x, timespans=timespans)[0]


def test_dropout_drops_as_often_as_said_and_only_in_training() -> None:
    x = noise(3, 20, 2)
    layer, plain = CfC(2, 5, backbone_dropout=0.4), CfC(2, 5)
    assert not torch.allclose(layer(x), plain(x))
    layer.clear_state()
    plain.clear_state()
    torch.testing.assert_close(layer.eval()(x), plain(x))
    assert not torch.equal(CfC(2, 5, backbone_dropout=0.4)(x)[0], CfC(2, 5, backbone_dropout=0.4)(x[[0, 0, 0]])[1])
    ones = CfC(2, 400, backbone_dropout=0.4, backbone_units=400)
    with torch.no_grad():  # the first head shows the activations: h = tanh(f1) (1 - s) + tanh(f2) s with s = 1/2
        for p in ones.cells.parameters():
            p.zero_()
        ones.cells[0].backbone[0].bias.fill_(1.0)
        for head in (ones.cells[0].f1, ones.cells[0].f2):
            head.weight.copy_(torch.eye(400))
    h = ones(x)
    share = (h == 0).float().mean().item()
    assert abs(share - 0.4) < 5 * (0.4 * 0.6 / h.numel()) ** 0.5  # five standard deviations
    kept = 1.7159 * np.tanh(0.666) / 0.6
    assert h[h != 0].mean().item() == pytest.approx(np.tanh(kept), rel=1e-5)


def test_a_step_of_no_time_keeps_the_state() -> None:
    layer = LTC(2, AutoNCP(12, 3))
    layer(noise(2, 5, 2))
    before = layer.get_state()["v"]
    layer(noise(2, 4, 2, seed=3), timespans=0.0)
    assert torch.equal(layer.get_state()["v"], before)


@every
def test_sequences_of_different_length(make: Callable[..., Layer]) -> None:
    x, timespans, lengths = noise(4, 9, 2), spans(4, 9), [9, 0, 4, 6]
    padded = x.clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = 1e3
    layer = make().eval()  # dropout depends on the place in the batch
    y = layer(padded, timespans=timespans, lengths=lengths)
    state = layer.get_state()
    for row, length in enumerate(lengths):
        alone = make().eval()
        own = alone(x[row:row + 1, :length], timespans=timespans[row:row + 1, :length])
        # one row alone is summed in another order than four
        torch.testing.assert_close(y[row:row + 1, :length], own, rtol=1e-5, atol=1e-6)
        assert (y[row, length:] == 0).all()
        for name, value in alone.get_state().items():
            if value.ndim == 0:  # counts what has been dropped
                continue
            torch.testing.assert_close(state[name][row:row + 1], value, rtol=1e-5, atol=1e-6)
        if not length:
            assert all((value[row] == 0).all() for value in state.values() if value.ndim)
    cut, parts = make().eval(), []
    for start in (0, 5):
        parts.append(cut(padded[:, start:start + 5], timespans=timespans[:, start:start + 5],
                         lengths=(torch.tensor(lengths) - start).clamp(0, min(5, 9 - start))))
    assert torch.equal(torch.cat(parts, 1), y)
    for name, value in cut.get_state().items():
        assert torch.equal(value, state[name])


@every
def test_packed_sequences(make: Callable[..., Layer]) -> None:
    sequences = [noise(length, 2, seed=length) for length in (3, 7, 5)]
    y, lengths = pad_packed_sequence(make()(pack_sequence(sequences, enforce_sorted=False)), batch_first=True)
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    assert lengths.tolist() == [3, 7, 5]
    assert torch.equal(y, make()(padded, lengths=[3, 7, 5]))
    timespans = spans(3, 7)
    packed, state = make().advance(pack_sequence(sequences, enforce_sorted=False), timespans=timespans)
    y, after = make().advance(padded, timespans=timespans, lengths=[3, 7, 5])
    assert torch.equal(pad_packed_sequence(packed, batch_first=True)[0], y)
    assert all(torch.equal(value, after[name]) for name, value in state.items())


def test_packed_sequences_are_refused_where_they_mean_nothing() -> None:
    packed = pack_sequence([noise(3, 2), noise(2, 2)])
    with pytest.raises(InputError, match="Sigmoid: takes no PackedSequence"):
        Sigmoid()(packed)
    with pytest.raises(InputError, match=r"LTC.lengths: a PackedSequence has its own \(got \[3, 2\]\)"):
        LTC(2, 4)(packed, lengths=[3, 2])


@every
def test_a_nan_stays_in_its_sequence(make: Callable[..., Layer]) -> None:
    x = noise(3, 8, 2)
    bad = x.clone()
    bad[1, 2] = torch.nan
    found, wanted = make().run(bad, on_nan="pass")[0], make().run(x)[0]
    assert torch.equal(found[[0, 2]], wanted[[0, 2]])
    assert found[1, 2:].isnan().any() and torch.equal(found[1, :2], wanted[1, :2])


@pytest.mark.parametrize("lengths", [[1, 2], [1.0, 2.0, 3.0], [1, 2, 9], [-1, 2, 3]])
def test_bad_lengths_are_refused(lengths: Any) -> None:
    with pytest.raises(InputError, match=r"LTC.lengths: must"):
        LTC(2, 4)(noise(3, 5, 2), lengths=lengths)


@every
def test_state_dict_holds_the_wiring(make: Callable[..., Layer]) -> None:
    layer = make()
    saved = layer.state_dict()
    json.dumps(saved["_extra_state"])
    again = make(seed=5)
    again.load_state_dict(saved)
    assert torch.equal(again.eval()(noise(1, 4, 2)), make().eval()(noise(1, 4, 2)))
    if layer.wiring is not None:
        assert wiring_from_dict(saved["_extra_state"]["wiring"]) == layer.wiring


def test_values_of_another_wiring_are_refused() -> None:
    saved = LTC(2, FullyConnected(5)).state_dict()
    other = LTC(2, FullyConnected(5, erev_init_seed=3))
    before = other.get_parameters()
    with pytest.raises(RuntimeError, match="was saved with another wiring"):
        other.load_state_dict(saved)
    for name, value in other.get_parameters().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("positive", ["softplus", "clamp"])
def test_conductances_stay_positive_while_fitting(positive: str) -> None:
    layer = LTC(2, 5, positive=positive)
    optimizer = torch.optim.SGD(layer.parameters(), lr=2.0)
    for _ in range(5):
        layer.clear_state()
        optimizer.zero_grad()
        (layer(noise(2, 10, 2)) - 4).square().mean().backward()
        optimizer.step()
    acting = layer.acting()
    assert min(value.detach().min().item() for value in (acting.w, acting.sensory_w, acting.gleak, acting.cm)) >= 0
    assert min(value.detach().min().item() for value in (layer.w, layer.sensory_w, layer.gleak)) < 0  # what is free did pass 0


def test_every_parameter_has_an_effect() -> None:
    layer = LTC(2, AutoNCP(12, 3))
    assert layer.w.numel() == np.count_nonzero(layer.wiring.internal)
    (layer(noise(2, 20, 2)) ** 2).sum().backward()
    for name, p in layer.named_parameters():
        assert p.grad is not None and (p.grad != 0).float().mean() > 0.9, name


def test_time_constants_and_potentials() -> None:
    layer = LTC(2, AutoNCP(12, 3))
    x, timespans = noise(2, 8, 2), spans(2, 8)
    together = torch.cat([x, timespans[:, :, None]], 2)
    out = Irregular(LTC(2, AutoNCP(12, 3))).run(together, 3, record=["inner.v", "inner.tau"])
    tau = layer.time_constants(x, timespans)
    assert layer.get_state() == {} and tau.shape == (2, 8, 12)
    torch.testing.assert_close(out["inner.tau"], tau.detach(), rtol=1e-6, atol=0)
    p, wires = layer.acting(), layer.wires
    j, v = 3, out["inner.v"][1, 5]
    opened = sum(p.w[k] * torch.sigmoid(p.sigma[k] * (v[wires.source[k]] - p.mu[k]))
                 for k in range(len(p.w)) if wires.target[k] == j)
    opened += sum(p.sensory_w[k] * torch.sigmoid(p.sensory_sigma[k] * (x[1, 5, wires.sensory_source[k]] - p.sensory_mu[k]))
                  for k in range(len(p.sensory_w)) if wires.sensory_target[k] == j)
    torch.testing.assert_close(tau[1, 5, j], p.cm[j] / (p.gleak[j] + opened), rtol=1e-5, atol=0)


def test_what_is_shown_tells_the_network() -> None:
    assert repr(LTC(2, AutoNCP(16, 3), mixed_memory=True)).startswith(
        "LTC(Wiring(inputs=2, units=16, outputs=3, synapses=27, sensory synapses=9), solver='semi_implicit', ode_unfolds=6, "
        "mixed_memory=True, memory_input=array[64, 2]")
    shown = repr(CfC(2, 5, backbone_units=8, batch_first=False))
    assert shown.startswith("CfC(inputs=2, units=5, mode='default', batch_first=False\n") and "(f1): _Affine(8 to 5)" in shown


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("steps", [0, 5])
def test_the_number_of_features_is_told_before_the_state(batch_first: bool, steps: int) -> None:
    ltc = LTC(2, 3, batch_first=batch_first)
    ltc(torch.zeros(4, 4, 2))
    for refused in (ltc, ltc.time_constants):
        with pytest.raises(InputError, match=r"LTC: the signal must have 2 features \(got 3\)"):
            refused(torch.zeros((4, steps, 3) if batch_first else (steps, 4, 3)))


@pytest.mark.parametrize(("make", "text"), [
    (lambda: LTC(2, "AutoNCP"), "LTC.wiring: must be a number of units, a Wiring"),
    (lambda: LTC(2, 4, solver="rk5"), "LTC.solver: choose from"),
    (lambda: LTC(2, 4, positive="abs"), "LTC.positive: choose from"),
    (lambda: LTC(2, 4, ode_unfolds=0), "LTC.ode_unfolds: must be at least 1"),
    (lambda: LTC(2, 4, tau=3.0), "LTC.tau: unknown; choose from"),
    (lambda: Irregular(Sigmoid()), "Irregular.inner: must be a model of signals that takes timespans"),
    (lambda: LTC(3, Wiring.empty(inputs=2, units=3)), "this wiring was made for 2 inputs"),
    (lambda: CfC(2, 4, mode="fast"), "CfC.mode: choose from"),
    (lambda: CfC(2, 4, recurrent="wiring"), "CfC.recurrent: needs a wiring"),
    (lambda: CfC(2, AutoNCP(12, 3), backbone_layers=1), "CfC.backbone_layers: a wired network has no backbone"),
])
def test_bad_arguments_are_refused(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(text)):
        make()


def test_signals_with_other_features_are_refused() -> None:
    with pytest.raises(InputError, match=r"LTC: the signal must have 2 features \(got 3\)"):
        LTC(2, 4)(noise(1, 5, 3))
    with pytest.raises(InputError, match=r"Irregular: the time spans are feature 3 of the signal, which has 3"):
        Irregular(LTC(2, 4), feature=3)(noise(1, 5, 3).abs())
    with pytest.raises(InputError, match=r"LTC.timespans: must be finite and not negative"):
        Irregular(LTC(2, 4), feature=0)(noise(1, 5, 3))


@every
def test_layers_without_memory_are_filled_later(make: Callable[..., Layer]) -> None:
    saved, x = make(seed=3).double().eval(), noise(2, 6, 2).double()
    wanted = saved(x)
    for assign in (False, True):
        empty = make(device="meta").double().eval()
        assert all(value.is_meta for value in [*empty.parameters(), *empty.buffers()])
        if not assign:
            empty.to_empty(device="cpu")
        empty.load_state_dict(saved.state_dict(), assign=assign)
        assert torch.equal(empty(x), wanted)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_narrow_dtypes_compute_and_answer_in_themselves(make: Callable[..., Layer], dtype: torch.dtype) -> None:
    layer, x = make().eval(), noise(2, 6, 2)
    narrow = copy.deepcopy(layer).to(dtype)
    y = narrow(x.to(dtype))
    assert y.dtype == dtype and {value.dtype for value in narrow.get_state().values() if value.is_floating_point()} == {dtype}
    torch.testing.assert_close(y.float(), layer(x), rtol=0.05, atol=0.05)  # 8 bits, dozens of operations
    with pytest.raises(InputError, match=r"the data is torch.float32"):
        narrow(x)


@every
def test_a_runner_streams_irregular_recordings(make: Callable[..., Layer]) -> None:
    recording = torch.cat([noise(1, 33, 2), spans(1, 33)[:, :, None]], 2)
    wanted = Irregular(make())(recording)[0]
    sink = SequenceStream()
    with Runner(Irregular(make()), recording[0], sink, dt=5) as runner:
        runner.start()
        runner.wait()
    assert torch.equal(torch.as_tensor(np.array(sink.sequence)), wanted)


@every
def test_minibatches_with_time_spans_and_lengths(make: Callable[..., Layer]) -> None:
    """`advance` takes what a call takes, in chunks too, and gradients go through the state."""
    x, timespans, lengths = noise(3, 12, 2), spans(3, 12), torch.tensor([12, 3, 8])
    layer = make()
    whole, after = layer.advance(x, timespans=timespans, lengths=lengths)
    first, state = layer.advance(x[:, :5], timespans=timespans[:, :5], lengths=lengths.clamp(max=5))
    second, state = layer.advance(x[:, 5:], state, timespans=timespans[:, 5:], lengths=(lengths - 5).clamp(min=0))
    assert layer.get_state() == {} and torch.equal(torch.cat([first, second], 1), whole)
    assert all(torch.equal(value, after[name]) for name, value in state.items())
    grads = []
    for y in (whole, torch.cat([first, second], 1)):
        layer.zero_grad()
        (y**2).sum().backward()
        grads.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="timespan"):
        layer.advance(x, timespan=1.0)


def test_what_stands_after_the_end_may_be_anything() -> None:
    x, timespans, lengths = noise(2, 6, 2), spans(2, 6), [6, 2]
    wanted = LTC(2, 4)(x, timespans=timespans, lengths=lengths)
    x, timespans = x.clone(), timespans.clone()
    x[1, 2:], timespans[1, 2:] = torch.nan, -1.0
    layer = LTC(2, 4)
    layer.on_nan = "pass"
    assert torch.equal(layer(x, timespans=timespans, lengths=lengths), wanted)
    layer.clear_state()
    assert torch.equal(layer(x, timespans=timespans.numpy(), lengths=lengths), wanted)


@pytest.mark.parametrize("make", [lambda wiring: LTC(2, wiring), lambda wiring: CfC(2, wiring),
                                  lambda wiring: CfC(2, wiring, recurrent="wiring")], ids=["LTC", "CfC", "along-wiring"])
def test_networks_on_five_layers_made_by_hand(make: Callable[[Wiring], Layer]) -> None:
    layers = [(7, 8), (5, 6), (3, 4), (1, 2), (0,)]
    wiring = Wiring.empty(2, 9, 1, ["motor", "command", "command", *["inter"] * 6], layers)
    wiring = wiring.add_sensory_synapse(0, 7, 1).add_sensory_synapse(1, 8, -1)
    for near, far in itertools.pairwise(layers):
        for source, target in itertools.product(near, far):
            wiring = wiring.add_synapse(source, target, (-1) ** source)
    layer, x = make(wiring), noise(2, 12, 2).requires_grad_()
    y = layer(x)
    assert y.shape == (2, 12, 1)
    (grad,) = torch.autograd.grad(y[:, -1].sum(), x)
    assert (grad[:, 4:] != 0).all()  # both inputs reach the output through all layers
    again = make(wiring_from_dict(json.loads(json.dumps(layer.get_extra_state()["wiring"]))))
    assert torch.equal(again(x), y)


@every
def test_a_nan_spoils_no_gradient_of_the_others(make: Callable[..., Layer]) -> None:
    """Batches that the compiled code works on in lanes, and what is left over."""
    x, timespans, row = noise(11, 4, 2), spans(11, 4), 5
    others, found = [i for i in range(11) if i != row], []
    for bad in (False, True):
        layer, own = make(), x.clone()
        layer.on_nan = "pass"
        own[row, 2] = torch.nan if bad else own[row, 2]
        leaves = [own.requires_grad_(), timespans.clone().requires_grad_()]
        y, _ = layer.advance(leaves[0], timespans=leaves[1])
        found.append(torch.autograd.grad((y**2).sum(), leaves))
    for clean, spoiled in zip(*found, strict=True):
        assert torch.equal(spoiled[others], clean[others]) and not clean.isnan().any()


@pytest.mark.parametrize("options", [{}, {"mixed_memory": True}], ids=["plain", "mixed"])
def test_layers_start_as_ncps_does_with_the_same_seed(options: dict[str, Any]) -> None:
    x, timespans = noise(2, 6, 2), spans(2, 6)
    torch.manual_seed(11)
    face = ncps.torch.LTC(2, ncps.wirings.AutoNCP(12, 3), **options)
    assert torch.equal(LTC(2, AutoNCP(12, 3), seed=11, **options)(x, timespans=timespans), face(x, None, timespans)[0])
    torch.manual_seed(11)
    face = ncps.torch.CfC(2, 7, **options)
    assert torch.equal(CfC(2, 7, seed=11, **options)(x, timespans=timespans), face(x, None, timespans)[0])
