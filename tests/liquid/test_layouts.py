"""Layouts of data that torch.nn.LSTM takes: batch first or time first, with a batch or without one, and nothing at all."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

import neurosim
from neurosim import SIGNAL, TIME_FIRST_SIGNAL, Axes, InputError, Layer, Output, ParameterError, Runner
from neurosim.filters import Delay, Softplus, Sum, TemporalHighPass, TemporalLowPass, TimePadding, VariableDelay
from neurosim.liquid import LTC, AutoNCP, CfC, Irregular
from neurosim.models import GLM, Bidirectional, Parallel, Sequential
from neurosim.spiking import LIF, Izhikevich, Poisson
from neurosim.streams import SequenceStream

from .test_layers import LAYERS, noise, spans

every = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
layouts = pytest.mark.parametrize("batch_first", [True, False], ids=["batch-first", "time-first"])
SHAPES = {"batched": (3, 5, 2), "one sequence": (1, 5, 2), "one step": (3, 1, 2), "no sequence": (0, 5, 2),
          "no step": (3, 0, 2), "unbatched": (5, 2), "unbatched, no step": (0, 2)}


def turned(x: Tensor) -> Tensor:
    """From one layout to the other."""
    return x.transpose(0, 1)


def stack(batch_first: bool) -> Sequential:
    """All compositions at once, a module of torch and a function among them."""
    linear = nn.Linear(5, 4)
    with torch.no_grad():
        linear.weight.copy_(noise(4, 5))
        linear.bias.zero_()
    return Sequential(
        Parallel(LTC(2, AutoNCP(8, 2), batch_first=batch_first), CfC(2, 3, backbone_units=8, batch_first=batch_first)),
        linear, torch.relu, Bidirectional(LTC(4, 3, batch_first=batch_first), LTC(4, 3, seed=1, batch_first=batch_first)))


def near(one: Tensor, other: Tensor) -> None:
    """But for the order in which torch's own sums and products go through memory."""
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@layouts
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("make", [LTC, CfC])
def test_shapes_are_those_of_torch(make: Callable[..., Layer], shape: tuple[int, ...], batch_first: bool) -> None:
    if len(shape) == 3 and not batch_first:
        shape = (shape[1], shape[0], shape[2])
    x, layer, lstm = torch.zeros(shape), make(2, 4, batch_first=batch_first), nn.LSTM(2, 4, batch_first=batch_first)
    if shape[1 if len(shape) == 3 and batch_first else 0]:
        wanted = lstm(x)[0].shape
    else:  # torch takes no sequence without a step; it would be as for one, but for the step
        wanted = (*shape[:-1], 4)
    y = layer(x)
    assert y.shape == wanted and y.is_contiguous() and layer.batch_first == batch_first
    layer.clear_state()
    assert layer(x.numpy()).shape == wanted and layer.advance(x)[0].shape == wanted
    assert all(value.shape[:2] == (shape[not batch_first] if len(shape) == 3 else 1, 4)
               for value in layer.advance(x)[1].values())


@every
@pytest.mark.parametrize("given", ["", "timespans lengths"])
def test_time_first_is_batch_first_turned(make: Callable[..., Layer], given: str) -> None:
    """Outputs, states and gradients, to the last bit."""
    results = []
    for batch_first in (True, False):
        layer, x, timespans = make(batch_first=batch_first), noise(4, 7, 2).requires_grad_(), spans(4, 7)
        options: dict[str, Any] = {"timespans": timespans if batch_first else turned(timespans), "lengths": [7, 0, 3, 5]}
        options = {name: value for name, value in options.items() if name in given}
        first = layer(x if batch_first else turned(x), **options)
        second, after = layer.advance(x if batch_first else turned(x), layer.get_state())
        first, second = (y if batch_first else turned(y) for y in (first, second))
        (first**2).sum().backward()
        (second * first.detach()).sum().backward()
        grads = {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
        results.append({"first": first, "second": second, "input": x.grad, **after, **grads})
        assert after.keys() == layer.get_state().keys()
    assert results[0].keys() == results[1].keys()
    for name, one in results[0].items():
        assert torch.equal(one, results[1][name]), name


@every
@layouts
def test_a_sequence_without_a_batch_is_a_batch_of_one(make: Callable[..., Layer], batch_first: bool) -> None:
    layer, x, timespans = make(batch_first=batch_first), noise(9, 2), spans(9)
    batch = 0 if batch_first else 1
    wanted, after = layer.advance(x.unsqueeze(batch), timespans=timespans.unsqueeze(batch))
    for one in (x, x.numpy(), x.tolist()):
        layer.clear_state()
        assert torch.equal(layer(one, timespans=timespans), wanted.squeeze(batch))
    y, state = layer.advance(x, timespans=timespans.numpy())
    assert torch.equal(y, wanted.squeeze(batch)) and all(torch.equal(value, after[name]) for name, value in state.items())
    first, state = layer.advance(x[:4], timespans=timespans[:4])
    second, _ = layer.advance(x[4:], state, timespans=timespans[4:])
    assert torch.equal(torch.cat([first, second]), y)
    layer.clear_state()
    ended = layer(x, timespans=timespans, lengths=[6])
    assert torch.equal(ended[:6], y[:6]) and (ended[6:] == 0).all() and len(ended) == 9
    layer.clear_state()
    assert torch.equal(layer.run(x)[0], layer.advance(x.unsqueeze(batch))[0])  # a run is whole


@layouts
def test_compositions_give_back_what_came(batch_first: bool) -> None:
    x, timespans = noise(6, 2), spans(6)
    batch = 0 if batch_first else 1
    model = stack(batch_first)
    wanted = model.advance(x.unsqueeze(batch), timespans=timespans)[0]
    assert torch.equal(model.advance(x, timespans=timespans)[0], wanted.squeeze(batch))
    assert torch.equal(model(x, timespans=timespans), wanted.squeeze(batch))
    together = torch.cat([timespans[:, None], x], 1)
    assert torch.equal(Irregular(model, feature=0).advance(together)[0], wanted.squeeze(batch))
    mixed = Sequential(LTC(2, 3), Softplus(SIGNAL))  # other layers give a batch of one
    assert not mixed.takes_unbatched and mixed(x).shape == (1, 6, 3)
    assert LTC(1, 3)(x[:, 0]).shape == (1, 6, 3) and LTC(1, 3, batch_first=False)(x[:, 0]).shape == (6, 1, 3)
    assert not Sequential(nn.Linear(2, 2), torch.tanh).takes_unbatched
    ended = Bidirectional(LTC(2, 3), LTC(2, 3)).advance(x, timespans=timespans, lengths=[4])[0]
    assert ended.shape == (6, 6) and torch.equal(
        ended[:4], Bidirectional(LTC(2, 3), LTC(2, 3)).advance(x[:4], timespans=timespans[:4])[0])


@pytest.mark.parametrize("given", ["", "time", "number", "batch", "batch lengths", "time lengths"])
def test_compositions_turn_as_one(given: str) -> None:
    x, timespans = noise(3, 6, 2), spans(3, 6)
    options = {"": {}, "time": {"timespans": timespans[0]}, "number": {"timespans": 0.5}, "batch": {"timespans": timespans},
               "batch lengths": {"timespans": timespans, "lengths": [6, 0, 4]},
               "time lengths": {"timespans": timespans[0].numpy(), "lengths": [6, 2, 4]}}[given]
    wanted, state = stack(True).advance(x, **options)
    if "batch" in given:
        options["timespans"] = turned(timespans)
    found, after = stack(False).advance(turned(x), **options)
    near(turned(found), wanted)
    assert after.keys() == state.keys()
    for name, value in state.items():
        near(value, after[name])


@every
def test_packed_sequences_stay_packed(make: Callable[..., Layer]) -> None:
    sequences = [noise(length, 2, seed=length) for length in (3, 7, 5)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    one, other = make()(packed), make(batch_first=False)(packed)
    assert torch.equal(one.data, other.data) and torch.equal(one.batch_sizes, other.batch_sizes)
    padded, lengths = pad_packed_sequence(packed)  # (time, batch, feature), as torch gives it
    y, _ = make(batch_first=False).advance(padded, timespans=turned(spans(3, 7)), lengths=lengths)
    again, _ = make(batch_first=False).advance(packed, timespans=turned(spans(3, 7)))
    assert torch.equal(pack_padded_sequence(y, lengths, enforce_sorted=False).data, again.data)


def test_packed_sequences_in_both_directions() -> None:
    packed = pack_sequence([noise(length, 2, seed=length) for length in (3, 7, 5)], enforce_sorted=False)
    one, other = stack(True)(packed), stack(False)(packed)
    near(one.data, other.data)
    assert torch.equal(one.batch_sizes, other.batch_sizes)


def test_recorded_signals_and_time_constants_have_the_layout() -> None:
    x, timespans = noise(3, 8, 2), spans(3, 8)
    ltc, other = LTC(2, AutoNCP(8, 2)), LTC(2, AutoNCP(8, 2), batch_first=False)
    record = ["v", "tau"]
    wanted, found = ltc.run(x, 3, record=record), other.run(turned(x), 3, record=record)
    assert found.axes == TIME_FIRST_SIGNAL and found.keys() == wanted.keys() == ["output", *record]
    for name in found.keys():
        assert torch.equal(turned(found[name]), wanted[name])
    ltc.clear_state()
    other.clear_state()
    assert found["v"].shape == (8, 3, 8) and other.run(turned(x)[:0], record=record)["v"].shape == (0, 3, 8)
    tau = ltc.time_constants(x, timespans)
    assert torch.equal(turned(other.time_constants(turned(x), turned(timespans))), tau)
    for layer in (ltc, other):  # without a batch: none for a call, one of one for a run
        assert layer.time_constants(x[1], timespans[1]).shape == (8, 8)
        torch.testing.assert_close(layer.time_constants(x[1], timespans[1]), tau[1], rtol=1e-6, atol=0)
    assert ltc.run(x[1], record=record)["v"].shape == (1, 8, 8) and other.run(x[1], record=record)["v"].shape == (8, 1, 8)
    inner = Sequential(Irregular(LTC(1, 3, batch_first=False), feature=0)).run(turned(x).abs(), 5, record=["layer_0.inner.v"])
    assert inner["layer_0.inner.v"].shape == (8, 3, 3)


@pytest.mark.parametrize("dt", [1, 7])
def test_every_way_of_driving(dt: int, tmp_path: Path) -> None:
    """Chunks are cut along time; a sink gets frames (time, feature)."""
    x = noise(25, 1, 2)
    wanted, _ = LTC(2, AutoNCP(8, 2), batch_first=False).advance(x)

    def make() -> LTC:
        return LTC(2, AutoNCP(8, 2), batch_first=False)

    assert torch.equal(make().run(x, dt)[0], wanted) and make().run(x, dt, max_t=9)[0].shape == (9, 1, 2)
    chunks = list(make().stream(x[:, 0].numpy(), dt))
    assert torch.equal(torch.cat([chunk[0] for chunk in chunks]), wanted) and len(chunks) == -(-25 // dt)
    np.save(tmp_path / "in.npy", x[:, 0].numpy())
    np.testing.assert_array_equal(make().run(str(tmp_path / "in.npy"), dt)[0].numpy(), wanted.detach())
    with Runner(make(), tmp_path / "in.npy", {0: tmp_path / "out.npy", "v": tmp_path / "v.npy"}, dt=dt) as runner:
        runner.start().wait()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), wanted[:, 0].detach())
    assert np.load(tmp_path / "v.npy").shape == (25, 8)
    with pytest.raises(InputError, match="a sink takes one recording, the output has a batch of 3"):
        neurosim._axes.chunk_to_frames(make()(noise(5, 3, 2)), TIME_FIRST_SIGNAL, "Runner.output")
    with pytest.raises(InputError, match=r"LTC: the input holds 2 values that are NaN or infinite, the first in frame 4"):
        make()(torch.where(torch.arange(5)[:, None, None] < 4, turned(noise(3, 5, 2)), torch.nan)[:, :1])


def test_outputs_are_drawn_and_saved(tmp_path: Path) -> None:
    layer, other = LTC(2, AutoNCP(8, 2), batch_first=False), LTC(2, AutoNCP(8, 2))
    out = layer.run(noise(20, 3, 2))
    figure = out.plot()
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, out[0].mean((1, 2)), rtol=1e-6)
    layer.clear_state()
    curves = [[line.get_ydata() for line in one.plot_impulse((20, 2)).axes[0].lines] for one in (layer, other)]
    np.testing.assert_array_equal(*curves)
    counts = Output({"counts": torch.eye(3)[:, None].repeat(1, 2, 1)}, axes=TIME_FIRST_SIGNAL)
    assert len(neurosim.plot.raster(counts).axes[0].lines[0].get_xdata()) == 3  # those of the first batch entry
    plt.close("all")
    assert "20 frames" in repr(out) and len(out.times) == 20


@layouts
def test_fits_take_goals_of_every_layout(batch_first: bool) -> None:
    x = noise(20, 2)
    goal = LTC(2, AutoNCP(8, 2), seed=3).run(x)[0][0]
    batch = 0 if batch_first else 1
    losses = []
    for given in (lambda z: z, lambda z: z.numpy(), lambda z: z.unsqueeze(batch)):
        layer = LTC(2, AutoNCP(8, 2), batch_first=batch_first)
        before = layer.compute_loss(given(x), given(goal), dt=7)
        layer.set_optimizer.Adam(lr=0.01)
        assert layer.optimize(given(x), given(goal), dt=7, window=10)[0] > 0
        history = layer.fit(given(x), given(goal), epochs=2, dt=10, validation=(given(x), given(goal)))
        losses.append([before, *history.loss, *history.validation])
    assert losses[0] == losses[1] == losses[2] and losses[0][-1] < losses[0][0]
    other = LTC(2, AutoNCP(8, 2))
    assert other.compute_loss(x, goal, dt=7) == pytest.approx(losses[0][0], rel=1e-6)
    with pytest.raises(InputError, match="input and goal must have the same number of frames"):
        layer.compute_loss(x.unsqueeze(1 - batch), goal)
    layer.set_optimizer.Adam(lr=0.01)
    with Runner(copy.deepcopy(layer), x, goal=SequenceStream(goal.detach().numpy()), dt=7) as runner:
        assert list(runner.start().wait().losses) == layer.optimize(x, goal, dt=7)
    model = stack(batch_first)  # both directions need the whole
    wanted = (model.advance(x)[0] ** 2).mean().item()
    assert model.compute_loss(x, torch.zeros(20, 6)) == pytest.approx(wanted, rel=1e-6)


def test_lightning_modules_take_every_layout() -> None:
    from neurosim.lightning import LayerModule

    x, y = noise(3, 6, 2), noise(3, 6, 2, seed=1)
    one, other = (LayerModule(LTC(2, AutoNCP(8, 2), batch_first=first)) for first in (True, False))
    losses = [module._loss(module._chunk(batch, "training_step"))[0]
              for module, batch in ((one, (x, y)), (other, (turned(x), turned(y))))]
    near(*losses)
    alone = [module._loss(module._chunk((x[0], y[0]), "training_step"))[0] for module in (one, other)]
    near(*alone)
    assert not torch.equal(alone[0], losses[0])
    stream = LayerModule(LTC(2, AutoNCP(8, 2), batch_first=False), stream=True)
    assert [chunk.x.shape for chunk in stream.chunks(turned(x), turned(y), dt=4)] == [(4, 3, 2), (2, 3, 2)]


@layouts
def test_copies_and_state_dicts(batch_first: bool) -> None:
    x, layer = noise(5, 3, 2), CfC(2, AutoNCP(8, 2), batch_first=batch_first)
    wanted = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.axes == layer.axes and twin.batch_first == batch_first
        twin.clear_state()
        assert torch.equal(twin(x), wanted)
        assert Sequential(twin, layer).axes == layer.axes  # a copy has the same layout, not one like it
    other = CfC(2, AutoNCP(8, 2), seed=4, batch_first=not batch_first)
    other.load_state_dict(layer.state_dict())  # a layout is no value
    assert torch.equal(turned(other(turned(x))), wanted)


def test_compiled_layers_take_every_layout() -> None:
    torch.compiler.reset()
    for x in (noise(6, 3, 2), noise(6, 2)):
        layer = LAYERS["LTC"](batch_first=False)
        compiled = torch.compile(copy.deepcopy(layer), backend="aot_eager", fullgraph=True)
        for step in range(2):
            one, other = layer(x + step, timespans=0.5), compiled(x + step, timespans=0.5)
            torch.testing.assert_close(one, other)
            assert one.shape[:-1] == x.shape[:-1]


def test_exported_layers_keep_their_layout() -> None:
    layer = LTC(2, AutoNCP(8, 2), batch_first=False).eval()
    time, batch = torch.export.Dim("time", min=2, max=64), torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(layer, (noise(5, 3, 2),), dynamic_shapes={"x": {0: time, 1: batch}})
    x = noise(9, 4, 2)
    torch.testing.assert_close(program.module()(x), layer.advance(x)[0])
    alone = torch.export.export(layer, (noise(5, 2),), dynamic_shapes={"x": {0: time}})
    torch.testing.assert_close(alone.module()(x[:, 0]), layer.advance(x[:, 0])[0])


def flat(x: Tensor) -> Tensor:
    """A video as a time-first signal."""
    return x.flatten(3).mean(-1).permute(2, 0, 1)


LAYOUT = r"takes data of the layout \(batch, time, feature\) \(got \(time, batch, feature\)\); "


def test_layers_of_one_model_have_one_layout() -> None:
    first, second = LTC(2, 3, batch_first=False), CfC(3, 3)
    text = re.escape("layers: must take data of one layout, but layer_0 (LTC) takes (time, batch, feature) and layer_1 (CfC) "
                     "takes (batch, time, feature); build all of them with the same batch_first")
    for make in (Sequential, Parallel, lambda *parts: Sequential(first, torch.tanh).append(second),
                 lambda *parts: neurosim.models.List(*parts, mode="parallel")):
        with pytest.raises(ParameterError, match=text.replace("layer_1", "layer_[12]")):
            make(first, second)
    with pytest.raises(ParameterError, match=r"back \(CfC\) takes \(batch, time, feature\)"):
        Bidirectional(LTC(2, 3, batch_first=False), CfC(2, 3))
    changed = Sequential(LTC(2, 3, batch_first=False), LTC(3, 3, batch_first=False))
    changed.layer_1 = CfC(3, 3)
    with pytest.raises(InputError, match=r"Sequential.layer_1: " + LAYOUT):
        changed(noise(4, 4, 2))
    with pytest.raises(ParameterError, match=r"GLM.stimulus: must be a layer of signals \(batch, time, feature\)"):
        GLM(LTC(1, 3, batch_first=False), 3)


def test_a_signal_made_of_a_video_has_a_layout_too() -> None:
    inner = Sequential(Delay(1), flat, LTC(1, 3, batch_first=False))
    out = inner.run(torch.zeros(5, 4, 4), 2, record=["layer_0", "layer_1", "layer_2.v"])
    assert [tuple(x.shape) for x in out] == [(5, 1, 3), (1, 1, 5, 4, 4), (5, 1, 1), (5, 1, 3)]
    assert [out.axes_of(key).time for key in out.keys()] == [0, 2, 0, 0]
    with pytest.raises(InputError, match=r"Sequential.layer_1: " + LAYOUT + "build it and what comes before it"):
        Sequential(inner, CfC(3, 3)).run(torch.zeros(5, 4, 4))
    with pytest.raises(ParameterError, match=r"Irregular.inner: must be a model of signals that takes timespans"):
        Irregular(inner)


def test_outputs_of_another_layout_are_refused() -> None:
    out = LTC(2, 2, batch_first=False).run(noise(4, 4, 2))
    fitted = LTC(2, 2)
    for call in (fitted, fitted.advance, fitted.run, lambda x: list(fitted.stream(x, 2)),
                 lambda x: fitted.compute_loss(noise(4, 4, 2), x)):
        with pytest.raises(InputError, match=LAYOUT + r"turn its values, such as out\[0\].transpose\(0, 1\)"):
            call(out)


def test_shapes_that_do_not_fit_are_refused() -> None:
    first = LTC(2, 3, batch_first=False)
    for shape in ((3, 6), (7,)):
        with pytest.raises(InputError, match=r"LTC.timespans: must be .* \(time,\) = \(6,\) or \(time, batch\) = \(6, 3\)"):
            first(noise(6, 3, 2), timespans=torch.ones(shape))
    with pytest.raises(InputError, match=r"LTC.timespans: must be a number, \(time,\) = \(6,\)"):
        first(noise(6, 2), timespans=torch.ones(5))
    with pytest.raises(InputError, match=r"LTC.lengths: must be 1 integers"):
        first(noise(6, 2), lengths=[6, 6])
    with pytest.raises(InputError, match=r"LTC: a time-first signal must be \(time, batch, feature\) or promotable to it, 1-D "
                                         r"or 2-D or 3-D \(got 4-D"):
        first(torch.zeros(1, 2, 3, 4))
    first(noise(6, 3, 2))
    with pytest.raises(neurosim.StateError, match="left by frames of shape"):
        first(noise(6, 2))


FILTERS: dict[str, Callable[[Axes], Layer]] = {
    "TemporalLowPass": lambda axes: TemporalLowPass(axes, tau=0.004, n=2), "TemporalHighPass": TemporalHighPass,
    "Delay": lambda axes: Delay(3, axes), "VariableDelay": lambda axes: VariableDelay([1, 3], axes),
    "TimePadding": lambda axes: TimePadding(2, axes=axes), "Sum": lambda axes: Sum("feature", axes), "Softplus": Softplus,
    "Izhikevich": Izhikevich, "LIF": LIF,
}


@pytest.mark.parametrize("make", FILTERS.values(), ids=FILTERS.keys())
def test_filters_and_neurons_stand_beside_time_first_networks(make: Callable[[Axes], Layer]) -> None:
    x = 900 * noise(3, 30, 2)
    wanted, found = make(SIGNAL).run(x, 7), make(TIME_FIRST_SIGNAL).run(turned(x), 7)
    assert wanted[0].any() and torch.equal(turned(found[0]), wanted[0])
    assert found.events.keys() == wanted.events.keys()
    for name, events in found.events.items():
        assert torch.equal(events.batch.sort()[0], wanted.events[name].batch.sort()[0])
    model = Sequential(LTC(2, AutoNCP(8, 2), batch_first=False), make(TIME_FIRST_SIGNAL))
    assert model.run(turned(x), 7)[0].shape[:2] == found[0].shape[:2]


def test_random_numbers_follow_the_frames_not_the_chunks_in_both_layouts() -> None:
    x = torch.full((20, 3, 4), 400.0)
    whole, cut = (Poisson(TIME_FIRST_SIGNAL).run(x, dt)[0] for dt in (None, 7))
    assert torch.equal(whole, cut) and not torch.equal(whole[:, 0], whole[:, 1])
