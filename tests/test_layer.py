"""Layer: calling, running, recording, parameters, stacks and files, as a user meets them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils import parametrize

import neurosim
from neurosim import (
    FrameLayer,
    InputError,
    Layer,
    Output,
    Param,
    ParameterError,
    StateError,
    StreamError,
    UnknownName,
)
from neurosim.streams import RandomStream, SequenceStream


class LeakyState(NamedTuple):
    v: Tensor


class Leaky(FrameLayer):
    """A leaky integrator, the neuron that the documents show."""

    tau = Param(0.01, unit="s", above=0.0, doc="time constant")
    sign = Param(1.0, choices=(-1, 1), fit=False, doc="sign of the input")
    signals = {"drive": "what is integrated"}

    def initial_state(self, frame: Tensor) -> LeakyState:
        return LeakyState(torch.zeros_like(frame))

    def step(self, state: LeakyState, frame: Tensor) -> tuple[Tensor, LeakyState]:
        decay = torch.exp(-self.resolution.frame / self.tau)
        v = decay * state.v + (1 - decay) * frame * self.sign
        return v, LeakyState(v)


class Drive(Layer):
    """A layer without memory that documents a signal."""

    gain = Param(2.0, doc="gain")
    signals = {"drive": "the input times the gain"}

    def forward(self, x: Tensor) -> Tensor:
        y = self.gain * x
        self.emit("drive", y)
        return y - 1


class Two(Layer):
    """Two layers, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Drive()
        self.second = Leaky(tau=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_frame_layer_is_the_recursion_it_says():
    x = noise(30, 2, 3).double()
    layer = Leaky(tau=0.004, dtype=torch.float64)
    decay, v, wanted = np.exp(-0.001 / 0.004), np.zeros((2, 3)), []
    for frame in x.numpy():
        v = decay * v + (1 - decay) * frame
        wanted.append(v)
    np.testing.assert_allclose(layer.run(x, 7)[0][0, 0].detach(), np.array(wanted), rtol=1e-12, atol=1e-14)


@given(cuts=st.lists(st.integers(1, 9), max_size=12))
def test_any_cut_gives_the_same_bits(cuts: list[int]):
    x = noise(1, 1, 20, 2, 2)
    whole = Two().run(x)[0]
    layer, start, parts = Two(), 0, []
    for n in [*cuts, 20]:
        parts.append(layer(x[:, :, start:start + n]))
        start += n
    assert torch.equal(torch.cat(parts, 2), whole)


def test_stream_yields_the_chunks_of_run():
    source = RandomStream(size=(3, 4), seed=5)
    parts = []
    for out in Two().stream(source, 8):
        parts.append(out[0])
        if len(parts) == 4:
            break
    assert torch.equal(torch.cat(parts, 2), Two().run(RandomStream(size=(3, 4), seed=5), max_t=32)[0])
    assert out.start == 24


def test_max_t_is_exact_and_a_source_goes_on_where_it_is():
    source = RandomStream(size=(2, 2))
    layer = Two()
    assert layer.run(source, 30, max_t=50)[0].shape[2] == 50
    assert source.position == 50
    both = torch.cat([layer.run(source, 7, max_t=10)[0]], 2)
    assert both.shape[2] == 10
    assert Two().run(noise(100, 2, 2), 30, max_t=50)[0].shape[2] == 50


def test_an_unbounded_source_needs_an_end():
    with pytest.raises(InputError, match=r"Two.run: the source has no end; give max_t=<frames>, take chunks from stream"):
        Two().run(RandomStream(size=(2, 2)), 10)
    with pytest.raises(ParameterError, match=r"Two.run.dt: must be a whole number of at least 1 \(got 0\)"):
        Two().run(noise(10, 2, 2), 0)


def test_a_run_without_graph_and_one_with():
    layer = Two()
    x = noise(10, 2, 2).requires_grad_()
    assert not layer.run(x, 3)[0].requires_grad
    layer.clear_state()
    layer.run(x, 3, detach=False)[0].sum().backward()
    assert x.grad is not None and layer.second.tau.grad is not None
    layer.clear_state()
    for _ in range(3):  # calls by hand: each can be differentiated by itself, whatever came before
        layer(x).sum().backward()


def test_record_gives_inner_outputs_and_signals():
    x = noise(12, 2, 2)
    out = Two().run(x, 5, record=["first", "first.drive"])
    assert out.keys() == ["output", "first", "first.drive"]
    assert torch.equal(out["first.drive"], 2 * x[None, None]) and torch.equal(out["first"], 2 * x[None, None] - 1)
    with pytest.raises(UnknownName, match=r"Two.record.frist: unknown; did you mean 'first'"):
        Two().run(x, record=["frist"])
    with pytest.raises(StateError, match=r"'second.drive' was not computed"):
        Two().run(x, record=["second.drive"])
    with pytest.raises(ParameterError, match="record: must be a list of paths"):
        Two().run(x, record="first")
    model = Two()
    model.run(x, record=["first.drive"])
    assert all(module._taps is None for module in model.modules() if isinstance(module, Layer))


def test_an_error_in_the_middle_leaves_the_state_of_before():
    class Fails(Layer):
        """Fails on request."""

        def __init__(self) -> None:
            super().__init__()
            self.first = Leaky()

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            if bool((x == 7).any()):
                raise RuntimeError("seven")
            return y

    layer = Fails()
    layer(noise(5, 2, 2))
    before = layer.get_state()
    x = noise(30, 2, 2)
    x[25] = 7
    for attempt in (lambda: layer(x), lambda: layer.run(x, 10), lambda: layer.advance(x)):
        with pytest.raises(RuntimeError, match="seven"):
            attempt()
        assert torch.equal(layer.get_state()["first.v"], before["first.v"])


def test_parameters_are_set_in_place_and_checked():
    layer = Two()
    tau = layer.second.tau
    layer.p.second.tau = 0.5
    layer.p["second.tau"] = 0.25
    layer.second.tau.set(0.125)
    assert layer.second.tau is tau and tau.item() == 0.125 and float(tau) == 0.125
    for bad in (-1.0, 0.0, float("nan"), "fast", [0.1, 0.2]):
        with pytest.raises(ParameterError, match=r"Leaky.tau: "):
            layer.p.second.tau = bad
    assert tau.item() == 0.125
    with pytest.raises(ParameterError, match=r"Leaky.sign: choose from \[-1, 1\] \(got 0.0\)"):
        layer.p.second.sign = 0
    with pytest.raises(ParameterError, match=r"Leaky.tua: unknown; choose from \['tau', 'sign'\] \(got 1\)"):
        Leaky(tua=1)
    with pytest.raises(ParameterError, match="is a group; set one of its members"):
        layer.p.second = 3
    layer.second.tau = torch.nn.Parameter(torch.tensor(0.3))
    assert isinstance(layer.second.tau, neurosim.Parameter)
    with pytest.raises(ParameterError, match="must lie in"):
        layer.second.tau = torch.nn.Parameter(torch.tensor(-0.3))


def test_views_look_and_never_hold():
    layer = Two()
    tree = layer.p
    layer.second = Leaky(tau=0.07)
    assert tree.second.tau.item() == pytest.approx(0.07)
    assert tree.keys() == ["first.gain", "second.tau", "second.sign"]
    assert [v.item() for v in tree] == pytest.approx([2.0, 0.07, 1.0])
    assert tree._all.keys() == ["first_gain", "second_tau", "second_sign"]
    assert len(tree) == 3 and "second.tau" in tree and "second.tua" not in tree
    for p in tree._search.s:
        assert p is layer.second.tau or p is layer.second.sign or p is layer.first.gain
    assert layer.m.keys() == ["first", "second"] and layer.m.second is layer.second
    layer(noise(3, 2, 2))
    layer.s.second.v = 1.0
    assert bool((layer.second.state.v == 1).all())
    with pytest.raises(StateError, match="must fit the shape"):
        layer.s.second.v = torch.zeros(3, 3)


def test_a_constrained_parameter_is_set_through_its_constraint():
    class Positive(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp()

        def right_inverse(self, y: Tensor) -> Tensor:
            return y.log()

    layer = Two()
    parametrize.register_parametrization(layer.second, "tau", Positive())
    assert layer.p.keys() == ["first.gain", "second.tau", "second.sign"]
    layer.p.second.tau = 0.3
    assert layer.second.tau.item() == pytest.approx(0.3)
    with pytest.raises(ParameterError, match="must lie in"):
        layer.p.second.tau = -0.3
    assert copy.deepcopy(layer).second.tau.item() == pytest.approx(0.3)
    assert layer.get_parameters()["second_tau"] == pytest.approx(0.3)
    layer.run(noise(5, 2, 2))


def test_get_and_set_parameters():
    layer = Two()
    d = layer.get_parameters()
    d["second_tau"][0] = 0.5
    assert layer.second.tau.item() == pytest.approx(0.02)
    layer.set_parameters(d)
    layer.set_parameters({"first.gain": 3})
    assert layer.second.tau.item() == 0.5 and layer.first.gain.item() == 3
    with pytest.raises(UnknownName, match="did you mean 'second_tau'"):
        layer.set_parameters({"first_gain": 9.0, "second_tua": 1.0})
    with pytest.raises(ParameterError, match="must lie in"):
        layer.set_parameters({"first_gain": 9.0, "second_tau": -1.0})
    assert layer.first.gain.item() == 3


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_parameter_files(tmp_path: Path, suffix: str):
    path = tmp_path / f"parameters{suffix}"
    layer = Two()
    layer.p.second.tau = 0.5
    layer.save_parameters(path)
    other = Two()
    other.load_parameters(path)
    assert other.second.tau.item() == 0.5
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(StreamError, match=f"is not a readable {suffix} file"):
        other.load_parameters(path)
    with pytest.raises(StreamError, match="no such file"):
        other.load_parameters(tmp_path / f"none{suffix}")
    with pytest.raises(StreamError, match=r"the name must end in one of"):
        layer.save_parameters(tmp_path / "parameters.pt")


def test_stacks():
    layer = Two()
    with pytest.raises(StateError, match=r"nothing to pop; push_state\(\) comes first"):
        layer.pop_state()
    layer.set_optimizer.Adam(lr=0.1)
    x = noise(10, 2, 2)
    layer.optimize(x, torch.zeros(10, 2, 2))
    layer.push_optimizer()
    moments = copy.deepcopy(layer.optimizer.state_dict())
    layer.optimize(x, torch.ones(10, 2, 2))
    layer.pop_optimizer()
    for a, b in zip(moments["state"].values(), layer.optimizer.state_dict()["state"].values(), strict=True):
        assert torch.equal(a["exp_avg"], b["exp_avg"])
    layer.store_all("here")
    gain = layer.first.gain.item()
    layer.optimize(x, torch.ones(10, 2, 2))
    assert layer.first.gain.item() != gain
    layer.retrieve_all("here")
    assert layer.first.gain.item() == gain
    with pytest.raises(UnknownName, match="retrieve_all"):
        layer.retrieve_all("there")


def test_a_layer_without_parameters_computes_in_its_dtype():
    delay = neurosim.filters.Delay(1, dtype=torch.float64)
    assert delay.run(np.zeros((3, 2, 2), np.float32))[0].dtype == torch.float64
    assert delay.float().run(np.zeros((3, 2, 2)))[0].dtype == torch.float32
    assert neurosim.filters.Delay(1).run(torch.zeros(3, 2, 2, dtype=torch.float64))[0].dtype == torch.float64


def test_a_state_of_another_layer_is_refused():
    layer = Two()
    with pytest.raises(StateError, match="there is no layer 'third'"):
        layer.set_state({"third.v": torch.zeros(1)})
    layer.set_state({"second.w": torch.zeros(1)})
    with pytest.raises(StateError, match=r"a state has the fields \['v'\] \(got \['w'\]\)"):
        layer(noise(3, 2, 2))
    layer.set_state({"second.v": torch.zeros(1, 1, 9, 9)})
    with pytest.raises(StateError, match="left by other frames"):
        layer(noise(3, 2, 2))


def test_defaults_are_read_when_a_layer_is_built():
    before = Leaky()
    neurosim.default_resolution.steps_per_second = 200
    neurosim.default_grad_enabled = False
    try:
        after = Leaky()
    finally:
        neurosim.default_resolution.steps_per_second = 1000
        neurosim.default_grad_enabled = True
    assert before.resolution.frame == 0.001 and after.resolution.frame == 0.005
    assert before.tau.requires_grad and not after.tau.requires_grad
    with pytest.raises(ParameterError, match="set its attributes"):
        neurosim.default_resolution = 3


def test_output():
    out = Two().run(noise(5, 2, 2), record=["first"])
    assert isinstance(out, Output)
    assert out[0] is out["output"] and out.first is out[1] and out[-1] is out.first
    assert len(out) == 2 and np.asarray(out).shape == (1, 1, 5, 2, 2) and out.numpy("first").shape == (1, 1, 5, 2, 2)
    with pytest.raises(UnknownName, match="did you mean 'output'"):
        _ = out.outptu
    with pytest.raises(UnknownName, match="spikes"):
        _ = out.spikes
    assert "5 frames of 0.001 s" in repr(out) and "<table" in out._repr_html_()
    assert torch.equal(Two().run(out)[0], Two().run(out[0])[0])


def test_progress_shows_frames_and_real_time(capsys: pytest.CaptureFixture[str]):
    Two().run(noise(50, 2, 2), 10, progress=True)
    shown = capsys.readouterr().err
    assert "50/50" in shown and "frames/s" in shown and "x real time" in shown


def test_optimize_steps_once_per_chunk_and_goes_on_from_the_accepted_parameters():
    x, wanted = noise(40, 3, 3), Two()
    wanted.p.first.gain = 1.5
    goal = wanted.run(x)[0]
    layer = Two()
    layer.set_optimizer.LBFGS(line_search_fn="strong_wolfe")
    losses = layer.optimize(x, goal, dt=10)
    assert len(losses) == 4 and losses[-1] < losses[0] * 1e-3
    with pytest.raises(InputError, match="same number of frames"):
        layer.optimize(x, goal[:, :, :30])
    bad = goal.clone()
    bad[0, 0, 3] = torch.nan
    with pytest.raises(InputError, match="the goal holds NaN"):
        layer.optimize(x, bad)
    with pytest.raises(ParameterError, match="has no optimizer; choose one first"):
        Two().optimize(x, goal)
    with pytest.raises(UnknownName, match="did you mean 'Adam'"):
        layer.set_optimizer.Adamm(lr=1)


def test_a_loss_that_is_lost_leaves_good_parameters():
    x, layer = noise(20, 2, 2), Two()
    layer.run(x)
    layer.set_optimizer.SGD(lr=0.1)
    before, state = layer.get_parameters(), layer.get_state()
    with pytest.raises(StateError, match="the loss became nan"):
        layer.optimize(x, torch.zeros(1, 1, 20, 2, 2), loss_fn=lambda out, goal: (out - goal).sum() * torch.nan)
    for name, value in layer.get_parameters().items():
        np.testing.assert_array_equal(value, before[name])
    assert torch.equal(layer.get_state()["second.v"], state["second.v"])


def test_compute_loss_has_no_side_effects():
    x, layer = noise(20, 2, 2), Two()
    layer.run(x)
    state = layer.get_state()
    again = layer.compute_loss(x, torch.zeros(1, 1, 20, 2, 2), dt=6)
    assert again == pytest.approx(layer.compute_loss(x, torch.zeros(1, 1, 20, 2, 2)), rel=1e-6)
    assert all(p.grad is None for p in layer.parameters())
    assert torch.equal(layer.get_state()["second.v"], state["second.v"])
    whole = layer.advance(x, state)[0].detach()
    assert layer.compute_loss(x, torch.zeros(1, 1, 20, 2, 2), t_skip=15, dt=4) == pytest.approx(
        float((whole[:, :, 15:] ** 2).mean()), rel=1e-5)


def test_a_sequence_stream_is_read_and_counted():
    x = noise(20, 3, 3).numpy()
    source = SequenceStream(x)
    assert torch.equal(Two().run(source, 6)[0], Two().run(x)[0])
    assert torch.equal(Two().run(source)[0], Two().run(x[:0])[0])  # it is at its end


def test_a_file_is_read_by_its_path(tmp_path: Path):
    x = noise(20, 3, 3).numpy()
    np.save(tmp_path / "movie.npy", x)
    assert torch.equal(Two().run(tmp_path / "movie.npy", 6)[0], Two().run(x)[0])


def test_impulse_plots_leave_the_layer_alone():
    import matplotlib.pyplot as plt

    layer = Two()
    layer(noise(3, 10, 10))
    state = layer.get_state()
    for figure in (layer.plot_impulse((60, 10, 10)), layer.plot_impulse_space((20, 10, 10)),
                   layer.run(noise(9, 10, 10)).plot()):
        assert figure.axes[0].has_data()
    plt.close("all")
    layer.set_state(state)
    curve = neurosim.plot.impulse_response(layer, (60, 5, 5))[0, 0, :, 2, 2].double().detach()
    decay = np.exp(-0.001 / 0.02)
    np.testing.assert_allclose(curve, 2 * (1 - decay) * decay ** np.arange(60), rtol=1e-4, atol=1e-7)


def test_a_step_stays_in_the_range():
    layer = Two()
    layer.set_optimizer.SGD([layer.second.tau], lr=1e6)
    tau = layer.second.tau.item()
    x = noise(20, 2, 2)
    layer.optimize(x, 5 * torch.ones(1, 1, 20, 2, 2) * x.sign())
    assert layer.second.tau.item() == pytest.approx(0.1 * tau)  # a tenth of the way to 0, which is outside


def test_a_reversed_array_is_an_array_and_a_large_one_does_not_hide_the_message():
    conv = neurosim.filters.Conv1d(kernel_size=3)
    conv.set_weight(np.arange(3.0)[::-1])
    assert conv.weight.flatten().tolist() == [2.0, 1.0, 0.0]
    with pytest.raises(ParameterError, match=r"must be a number, \(time,\)") as caught:
        conv.set_weight(np.zeros((2, 2, 2, 2)))
    with pytest.raises(ParameterError, match=r"must be a number or an array of numbers \(got array") as caught:
        conv.set_weight(np.full((50, 50, 50), "x"))
    assert len(str(caught.value)) < 500


def test_a_parameter_by_itself():
    p = neurosim.Parameter(42, requires_grad=False)
    p.set(3.0)
    assert float(p) == 3.0 and not p.requires_grad


def test_a_state_left_under_inference_mode_goes_on_with_gradients():
    x = torch.rand(1, 1, 20, 3, 3, generator=torch.Generator().manual_seed(0))
    layer, same = (neurosim.filters.TemporalLowPass(tau=0.02).requires_grad_(True) for _ in range(2))
    with torch.inference_mode():
        layer(x)
    same(x)
    y = layer(x)
    y.sum().backward()
    torch.testing.assert_close(y, same(x), rtol=0, atol=0)
    assert bool(layer.tau.grad.isfinite().all())
