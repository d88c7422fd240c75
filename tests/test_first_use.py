"""What people try at the prompt, half right or wrong: it works as they mean it, or says what is needed and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import h5py
import numpy as np
import pytest
import torch

import neurosim
from neurosim import Events, FrameLayer, InputError, Layer, Param, ParameterError, Resolution, Runner, StateError, StreamError
from neurosim.cli import main
from neurosim.filters import TemporalHighPass, TemporalLowPass
from neurosim.retina import OPL, Bipolar, GanglionSpiking, Retina
from neurosim.streams import RandomStream, SequenceStream, Source


class IntegrateState(NamedTuple):
    v: torch.Tensor
    frame: torch.Tensor


class Integrate(FrameLayer):
    """A neuron as a user writes it: it shows its potential, and each spike at the end of its frame."""

    tau = Param(0.02, unit="s", above=0.0, doc="time constant")
    signals: ClassVar = {"v": "potential before the reset", "events": "spikes one by one"}

    def initial_state(self, x: torch.Tensor) -> IntegrateState:
        return IntegrateState(torch.zeros_like(x), torch.zeros((), dtype=torch.int64))

    def step(self, state: IntegrateState, frame: torch.Tensor) -> tuple[torch.Tensor, IntegrateState]:
        v = state.v + self.resolution.frame / self.tau * (frame - state.v)
        self.emit("v", v)
        spikes = (v > 0.5).to(v)
        batch, *place = spikes.nonzero(as_tuple=True)
        if self.wants("events"):
            cell = torch.from_numpy(np.ravel_multi_index([p.numpy() for p in place], tuple(frame.shape[1:]))) \
                if len(batch) else batch
            time = (state.frame + 1) * self.resolution.frame
            self.emit("events", Events(batch, cell, time.double().expand(len(batch)), frame[0].numel()))
        return spikes, IntegrateState(v * (1 - spikes), state.frame + 1)


def movie(*shape: int, high: float = 1.0) -> torch.Tensor:
    return high * torch.rand(shape, generator=torch.Generator().manual_seed(0))


# ---- a neuron of one's own ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("dt", [1, 7, None])
def test_signals_of_a_step_are_put_together_over_time(dt: int | None):
    x = movie(2, 3, 60, 4, 5, high=2.0)
    out = Integrate().run(x, dt, record=["v"])
    v, wanted, spikes = torch.zeros(2, 3, 4, 5), [], []
    for frame in x.unbind(2):
        v = v + 0.001 / 0.02 * (frame - v)
        wanted.append(v)
        spikes.append((v > 0.5).float())
        v = v * (1 - spikes[-1])
    torch.testing.assert_close(out["v"], torch.stack(wanted, 2), rtol=1e-6, atol=1e-7)  # one rounding a frame
    for entry in (0, 1):
        units, times = out.spikes_of(entry)
        counts = torch.bincount(units, minlength=60).reshape(3, 4, 5)
        assert torch.equal(counts.float(), torch.stack(spikes, 2)[entry].sum(1)) and counts.sum() > 50
        assert bool(((times > 0) & (times < 0.0601)).all())


@pytest.mark.parametrize("wrong, message", [
    (lambda state, x: x, r"must return the output and the next state, \(y, state\) \(got Tensor\)"),
    (lambda state, x: (x, None), r"a state must be a NamedTuple of tensors.*\(got NoneType\)"),
    (lambda state, x: (x, x), r"a state must be a NamedTuple of tensors.*\(got Tensor\)"),
])
def test_a_step_that_returns_something_else_is_refused(wrong: Callable[..., Any], message: str):
    class Wrong(Integrate):
        def step(self, state: Any, frame: torch.Tensor) -> Any:
            return wrong(state, frame)

    layer = Wrong()
    with pytest.raises(StateError, match=message):
        layer.run(movie(2, 1, 10, 3, 3))
    assert layer.state is None


def test_a_forward_that_returns_a_dict_is_refused():
    class Wrong(Layer):
        def forward(self, x: torch.Tensor) -> Any:
            return {"a": x}

    with pytest.raises(ParameterError, match=r"Layer.forward: must return a tensor or an Output \(got 'dict'\)"):
        Wrong().run(movie(10, 3, 3))


# ---- recording ----------------------------------------------------------------------------------------------------
def test_modules_of_torch_can_be_recorded():
    class Mixed(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Conv3d(2, 2, 1)
            self.low = TemporalLowPass(tau=0.01)

        def forward(self, x: torch.Tensor) -> Any:
            return self.low(self.mix(x))

    layer, x = Mixed(), movie(1, 2, 20, 3, 3)
    out = layer.run(x, 7, record=["mix", "low"])
    torch.testing.assert_close(out["mix"], layer.mix(x).detach())
    assert not layer.mix._forward_hooks


def test_spikes_can_be_named_in_record_and_the_leak_is_told():
    retina = Retina(resolution=Resolution(0.005, 20.0), dtype=torch.float64)
    retina.p.bipolar.lambda_amp = 100.0
    x = movie(40, 6, 6, high=255.0).double()
    out = retina.run(x, 7, record=["gang_0_spikes.events", "bipolar.attenuation", "bipolar.adaptation"])
    assert list(out.events) == ["gang_0_spikes", "gang_1_spikes"]
    g = torch.cat([torch.zeros(1, 1, 1, 6, 6, dtype=torch.float64), out["bipolar.adaptation"][:, :, :-1]], 2)
    torch.testing.assert_close(out["bipolar.attenuation"], torch.exp(-0.005 * (50 + g)), rtol=1e-12, atol=0)


def test_no_frames_record_no_frames():
    retina = Retina()
    out = retina.run(torch.zeros(0, 4, 4), record=["opl.center", "bipolar.adaptation", "bipolar"])
    assert {name: x.shape[2] for name, x in out.items()} == dict.fromkeys(out.keys(), 0)
    assert all(len(events) == 0 for events in out.events.values())
    noisy = GanglionSpiking(random_init=True, noise_sigma=30.0)  # its one frame of zeros would have spikes
    assert len(noisy.run(torch.zeros(0, 20, 20)).events[""]) == 0


# ---- state, stacks, graph -----------------------------------------------------------------------------------------
def test_each_run_with_gradients_has_a_graph_of_its_own():
    layer, x = TemporalLowPass(tau=0.02), movie(30, 3, 3)
    for _ in range(2):
        layer.run(x, 10, detach=False)[0].sum().backward()
    assert not any(value.requires_grad for value in layer.get_state().values()) and not layer.state.stages.requires_grad


def test_a_pop_that_fails_pops_nothing():
    layer = TemporalLowPass(tau=0.02)
    layer.push_parameters()
    layer.p.tau = 0.05
    with pytest.raises(StateError, match=r"nothing to pop; push_state\(\) comes first"):
        layer.pop_all()
    assert float(layer.tau) == pytest.approx(0.05)
    layer.pop_parameters()
    assert float(layer.tau) == pytest.approx(0.02)
    conv = neurosim.filters.Conv3d()
    conv.push_parameters()
    conv.set_weight(np.ones((3, 3, 3)))
    conv.pop_parameters()  # a kernel of another size finds its way back
    assert float(conv.weight) == 0.0
    conv.push_parameters()
    conv.register_parameter("bias", None)
    with pytest.raises(ParameterError, match="no longer there with this shape"):
        conv.pop_parameters()
    conv.bias = torch.nn.Parameter(torch.ones(1))
    conv.pop_parameters()
    assert float(conv.bias) == 0.0


def test_a_state_that_cannot_fit_is_refused_before_anything_changes():
    layer, x = TemporalLowPass(tau=0.02), movie(10, 3, 3)
    layer.run(x)
    before = layer.get_state()
    with pytest.raises(StateError, match=r"a state has the fields \['stages'\] \(got \['foo'\]\)"):
        layer.set_state({"foo": torch.zeros(3)})
    with pytest.raises(StateError, match=r"a state is a dict of tensors.*got int"):
        layer.advance(x, 3)  # type: ignore[arg-type]
    assert torch.equal(layer.get_state()["stages"], before["stages"])
    other = TemporalLowPass(tau=0.02)
    other.set_state(before)
    other.s.stages = 1.0  # before the first chunk
    assert bool((other.get_state()["stages"] == 1).all())


# ---- values and inputs --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, message", [
    (lambda: Retina(opl=3), r"Retina.opl: must be True, False or a Layer \(got 3\)"),  # type: ignore[arg-type]
    (lambda: Retina(bipolar="no"), r"Retina.bipolar: must be True, False or a Layer"),  # type: ignore[arg-type]
    (lambda: Retina(resolution=0.001), r"Retina.resolution: must be a Resolution"),  # type: ignore[arg-type]
    (lambda: Retina(dtype=torch.int32), r"Retina.dtype: must be a real floating type"),
    (lambda: Retina(seed=-1), r"Retina.seed: must be a whole number of at least 0 \(got -1\)"),
    (lambda: OPL(center_n=2.5), r"OPL.center_n: choose from \[0, 1, 2, .*20\] \(got 2.5\)"),
    (lambda: Bipolar(tau=float("inf")), r"Bipolar.tau: must lie in \[0, inf\) s \(got inf\)"),
    (lambda: Bipolar(e_inh=float("inf")), r"Bipolar.e_inh: must be finite \(got inf\)"),
])
def test_what_does_not_fit_is_refused_when_a_layer_is_built(make: Callable[[], Layer], message: str):
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_mistyped_on_nan_does_not_let_nan_through():
    layer = TemporalHighPass()
    layer.on_nan = "rais"  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"on_nan: choose from \['raise', 'pass'\] \(got 'rais'\)"):
        layer(torch.full((3, 2, 2), torch.nan))


def test_ragged_lists_and_sources_that_return_lists_are_refused():
    layer = TemporalLowPass()
    for way in (layer, layer.run, layer.advance):
        with pytest.raises(InputError, match="data must be real numbers"):
            way([[1.0, 2.0], [3.0]])

    class Lists(Source):
        def _read(self, start: int, n: int) -> Any:
            return [[[0.0]]] * n

    with pytest.raises(StreamError, match=r"Lists._read: must return at most 5 frames of shape \(1, 1\) \(got list\)"):
        TemporalLowPass().run(Lists((1, 1), length=5))


def test_names_of_convis_over_pairs():
    retina = Retina()
    for name, p in retina.p._search.i_0.__iteritems__():
        assert name in ("gang_0_input_i_0", "gang_1_input_i_0")
        p.set(10.0)
    assert [float(p) for p in retina.p._search.i_0] == [10.0, 10.0]


# ---- files --------------------------------------------------------------------------------------------------------
def test_a_runner_completes_the_file_that_it_opened(tmp_path: Path):
    np.save(tmp_path / "in.npy", movie(130, 4, 4).numpy())
    runner = Runner(TemporalLowPass(), tmp_path / "in.npy", tmp_path / "out.h5", dt=50)
    runner.start().wait(30)
    with h5py.File(tmp_path / "out.h5", "r") as file:  # 130 is no multiple of the blocks that are compressed together
        np.testing.assert_array_equal(file["frames"][:], TemporalLowPass().run(tmp_path / "in.npy")[0][0, 0].numpy())
    with pytest.raises(neurosim.RunnerError, match=r"the input has ended.*make a new Runner"):
        runner.start()


def test_a_stopped_runner_is_closed_by_hand(tmp_path: Path):
    sink = SequenceStream(max_frames=10**6)
    runner = Runner(TemporalLowPass(), RandomStream(size=(3, 3)), {0: tmp_path / "out.h5"}, dt=7).start()
    with Runner(TemporalLowPass(), RandomStream(size=(3, 3)), sink, dt=7, max_t=21) as other:
        other.start().wait(30)
        other.start().wait(30)  # a stream of the caller's goes on
    assert sink.length == 42 and not sink.closed
    frames = runner.stop(30).frames
    runner.close()
    runner.close()
    with h5py.File(tmp_path / "out.h5", "r") as file:
        assert len(file["frames"]) == frames


def test_the_command_line_names_its_own_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "in.npy", np.zeros((5, 2, 2)))
    (tmp_path / "out.h5").touch()
    assert main(["run", "TemporalLowPass", str(tmp_path / "in.npy"), "-o", str(tmp_path / "out.h5"), "-q"]) == 1
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
