"""Containers against their layers called by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from neurosim import SIGNAL, VIDEO, InputError, Output, ParameterError, Resolution
from neurosim.filters import RF, Delay, NLRectify, SmoothConv, TemporalHighPass, TemporalLowPass
from neurosim.models import Dict, List, Parallel, Recurrent, Sequential
from neurosim.retina import Retina

X = torch.randn(2, 1, 20, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
D = {"dtype": torch.float64}


def low(tau: float = 0.01) -> TemporalLowPass:
    return TemporalLowPass(tau=tau, **D)


@pytest.mark.parametrize("dt", [3, None])
def test_one_after_another(dt: int | None):
    wanted = torch.square(TemporalHighPass(tau=0.02, **D).run(low().run(X)[0])[0].clamp(min=0))
    many = (low(), TemporalHighPass(tau=0.02, **D), NLRectify(), torch.square)
    for model in (Sequential(*copy.deepcopy(many)), List(*copy.deepcopy(many)),
                  Dict(zip("abcd", copy.deepcopy(many), strict=True))):
        assert torch.equal(model.run(X, dt)[0], wanted)


@pytest.mark.parametrize("dt", [3, None])
def test_side_by_side(dt: int | None):
    one, two = low(0.01).run(X)[0], low(0.1).run(X)[0]
    for join, wanted in (("cat", torch.cat([one, two], 1)), ("sum", one + two),
                         (lambda ys: ys[0] - 2 * ys[1], one - 2 * two)):
        for model in (Parallel(low(0.01), low(0.1), join=join), List(low(0.01), low(0.1), mode="parallel", join=join),
                      Dict({"fast": low(0.01), "slow": low(0.1)}, mode="parallel", join=join)):
            assert torch.equal(model.run(X, dt)[0], wanted)


def test_signals_are_joined_by_feature():
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    model = Parallel(Delay(1, SIGNAL), Delay(2, SIGNAL))
    assert model.axes is SIGNAL and model.run(x, 4)[0].shape == (2, 9, 6)


def test_names_axes_and_resolution_come_from_the_layers():
    fine = Resolution(0.0005, 20.0)
    model = Sequential(torch.abs, TemporalLowPass(SIGNAL, tau=0.02, resolution=fine), nn.Linear(3, 2))
    assert model.axes is SIGNAL and model.resolution == fine
    assert [name for name, _ in model.named_children()] == ["layer_0", "layer_1", "layer_2"]
    assert model.p.keys() == ["layer_1.tau", "layer_1.n", "layer_2.weight", "layer_2.bias"]
    assert Sequential(torch.abs).axes is VIDEO
    assert Sequential(low(), resolution=fine).resolution == fine
    model.p.layer_1.tau = 0.5
    assert model.layer_1.tau.item() == model[1].tau.item() == model["layer_1"].tau.item() == 0.5
    assert len(model) == 3 and list(model)[-1] is model[-1]


def test_layers_are_added_at_rest():
    model = List(low())
    model.run(X)
    model.append(Delay(2))
    model += [NLRectify(), torch.sqrt]
    first = TemporalLowPass(tau=0.01, **D)
    first.run(X)
    wanted = Delay(2).run(first.run(X)[0])[0].clamp(min=0).sqrt()
    assert torch.equal(model.run(X)[0], wanted)
    with pytest.raises(ParameterError, match="must be layers, torch modules or functions"):
        model.extend([Delay(1), 3])
    assert len(model) == 4
    by_name = Dict({"a": low()})
    by_name["b"] = Delay(1)
    assert torch.equal(by_name.run(X)[0], Delay(1).run(low().run(X)[0])[0])


def test_containers_nest():
    model = Sequential(Parallel(low(0.01), Sequential(low(0.1), NLRectify())), SmoothConv(2, 0.01, (1, 1), in_channels=2, **D))
    y = model.run(X, 7, record=["layer_0.layer_1"])
    assert y.keys() == ["output", "layer_0.layer_1"]
    assert torch.equal(y["layer_0.layer_1"], low(0.1).run(X)[0].clamp(min=0))
    state = model.get_state()
    assert "layer_0.layer_1.layer_0.stages" in state
    model.clear_state()
    model.set_state(state)
    model.run(X, 20)


def test_the_first_of_several_outputs_goes_on_but_functions_get_all():
    movie = 255 * np.random.default_rng(0).random((30, 6, 6))
    retina = Retina(spikes=False)
    off = Sequential(Retina(spikes=False), lambda out: out[1], NLRectify()).run(movie, 11)[0]
    on = Sequential(Retina(spikes=False), NLRectify()).run(movie, 11)[0]
    y = retina.run(movie)
    torch.testing.assert_close(on, y[0].clamp(min=0), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(off, y[1].clamp(min=0), rtol=1e-5, atol=1e-3)
    assert Sequential(Retina(spikes=False)).run(movie, 11).keys() == y.keys()


@pytest.mark.parametrize("dt", [3, None])
def test_a_video_may_become_a_signal(dt: int | None):
    lstm = nn.LSTM(20, 3, batch_first=True, **D)
    model = Sequential(low(), lambda v: v.movedim(2, 1).flatten(2), Recurrent(lstm))
    out = model.run(X, dt)
    assert out.axes is SIGNAL
    wanted, _ = lstm(low().run(X)[0].movedim(2, 1).flatten(2))
    torch.testing.assert_close(out[0], wanted.detach(), rtol=0, atol=1e-12)
    assert isinstance(model(X), Output)
    linear = Sequential(low(), lambda v: v.movedim(2, 1).flatten(2), nn.Linear(20, 2, **D))
    assert linear.run(X, dt)[0].shape == (2, 20, 2)


@pytest.mark.parametrize("make, error, text", [
    (lambda: Dict({}), ParameterError, "Dict.layers: needs at least one layer"),
    (lambda: Sequential(3), ParameterError, r"Sequential.layers: must be layers, torch modules or functions \(got 3\)"),
    (lambda: Sequential(nn.LSTM(2, 3)), ParameterError, r"only inside Recurrent\(LSTM\(\.\.\.\)\)"),
    (lambda: Parallel(low(), join="mean"), ParameterError, r"Parallel.join: choose from \['cat', 'sum'\] or pass"),
    (lambda: List(low(), mode="both"), ParameterError, r"List.mode: choose from \['sequential', 'parallel'\]"),
    (lambda: Dict({"run": low()}), ParameterError, "Dict.layers: names must be new"),
    (lambda: Dict({"state": low()}), ParameterError, "Dict.layers: (an attribute of this name|names must be new)"),
    (lambda: Dict([("a", low()), ("a", low())]), ParameterError, "names must be new"),
    (lambda: List(low())[1], ParameterError, r"choose from \['layer_0'\] or a number below 1 \(got 1\)"),
    (lambda: Parallel(low(), RF(**D), join="sum")(X), InputError, r"one shape to be joined by 'sum' \(got \(2, 1, 20, 4, 5\)"),
    (lambda: Parallel(low(), RF(**D))(X), InputError, "one shape but for their channels to be joined by 'cat'"),
    (lambda: Sequential(low(), Delay(1, SIGNAL))(X), InputError, r"layer_1: takes a signal \(batch, time, feature\)"),
    (lambda: Sequential(low(), torch.mean)(X), InputError, "must give a video or a signal"),
])
def test_what_does_not_fit_is_refused(make, error: type[Exception], text: str):  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=text):
        make()


def test_a_failed_chunk_leaves_the_state():
    model = Sequential(low(), RF(kernel_size=(1, 2, 2), **D))
    with pytest.raises(InputError, match="as large as the kernel"):
        model(X)
    assert model.get_state() == {}
