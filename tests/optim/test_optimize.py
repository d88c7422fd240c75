"""One step per chunk: losses, goals, windows, penalties, ranges; what is refused leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import neurosim
from neurosim import SIGNAL, FrameLayer, InputError, Layer, Param, ParameterError, Resolution, StateError, UnknownName
from neurosim.filters import Conv3d, NLRectifyScale, TemporalLowPass
from neurosim.models import LN, RF, Sequential
from neurosim.optim import Ridge, Smooth, Sparse
from neurosim.streams import CallableStream, SequenceStream

F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class IntegratorState(NamedTuple):
    v: Tensor


class Integrator(FrameLayer):
    """v += a x, so that the gradient through n frames is a sum of n terms."""

    axes = SIGNAL
    a = Param(1.0, doc="gain")

    def initial_state(self, frame: Tensor) -> IntegratorState:
        return IntegratorState(torch.zeros_like(frame))

    def step(self, state: IntegratorState, frame: Tensor) -> tuple[Tensor, IntegratorState]:
        v = state.v + self.a * frame
        return v, IntegratorState(v)


class Spikes(Layer):
    """Spikes without a gradient."""

    threshold = Param(0.5, above=0.0, doc="threshold")

    def forward(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)


@pytest.mark.parametrize(("window", "terms"), [(None, 2), (2, 2), (4, 4), (6, 6), (100, 8)])
def test_gradients_go_back_through_the_window(window: int | None, terms: int) -> None:
    """Input 1, loss v of the last frame of 8: dv/da is the number of frames that the gradient goes through."""
    layer = Integrator(dtype=F64)
    layer.set_optimizer.SGD(lr=0.0)
    layer.optimize(torch.ones(8, 1, dtype=F64), torch.zeros(8, 1, dtype=F64), dt=2, window=window,
                   loss_fn=lambda output, goal: output[:, -1].sum())
    assert layer.a.grad.item() == terms
    assert layer.get_state()["v"].item() == 8


def test_the_state_under_the_accepted_parameters_goes_on_with_a_window() -> None:
    layer = Integrator(dtype=F64)
    layer.set_optimizer.SGD(lr=0.01)
    layer.optimize(noise(6, 1), noise(6, 1, seed=1), dt=2, window=4)
    other = Integrator(dtype=F64)
    other.set_optimizer.SGD(lr=0.01)
    other.optimize(noise(6, 1), noise(6, 1, seed=1), dt=2, window=4)
    assert torch.equal(layer.get_state()["v"], other.get_state()["v"]) and layer.a != 1


def test_a_step_is_that_of_torch() -> None:
    """The same chunks, state and loss in a loop of one's own."""
    layer, other = TemporalLowPass(tau=0.02, dtype=F64), TemporalLowPass(tau=0.02, dtype=F64)
    x, goal = noise(30, 3, 3), noise(30, 3, 3, seed=1)
    layer.set_optimizer.SGD(lr=1e-4)
    losses = layer.optimize(x, goal, dt=10)
    state, mine = None, []
    for start in (0, 10, 20):
        part, wanted = x[None, None, start:start + 10], goal[None, None, start:start + 10]
        loss = ((other.advance(part, state)[0] - wanted) ** 2).mean()
        mine.append(loss.item())
        gradient, = torch.autograd.grad(loss, other.tau)
        with torch.no_grad():
            other.tau -= 1e-4 * gradient
            state = other.advance(part, state)[1]
    assert losses == mine and layer.tau.item() == other.tau.item()
    assert torch.equal(layer.get_state()["stages"], state["stages"])


def test_only_what_is_fitted_gets_a_gradient() -> None:
    model = LN(dtype=F64)
    model.conv.set_weight(np.ones((3, 3, 3)))
    layer = Sequential(TemporalLowPass(dtype=F64), model)
    layer.set_optimizer.SGD([model.conv.weight], lr=1e-3)
    layer.optimize(noise(20, 4, 4), noise(20, 4, 4))
    assert layer[0].tau.grad is None and model.conv.weight.grad is not None and layer._stacks == {}


def test_goals_have_the_axes_of_the_output() -> None:
    """A model from videos to signals; and the course of one value per frame as (time,)."""
    model = Sequential(TemporalLowPass(dtype=F64), lambda video: video.mean((1, 3, 4))[..., None])
    model.set_optimizer.SGD(lr=0.0)
    x = noise(12, 4, 5)
    goal = model.run(x)[0][0]
    assert goal.shape == (12, 1)
    model.clear_state()
    assert model.optimize(x, goal, dt=5) == [0.0, 0.0, 0.0]
    field = RF(dtype=F64)
    field.conv.set_weight(np.ones((2, 4, 5)))
    field.set_optimizer.SGD(lr=0.0)
    course = field.run(x)[0].flatten().numpy(force=True)
    field.clear_state()
    assert field.optimize(x, course, dt=7) == [0.0, 0.0]


def test_several_goals_by_name() -> None:
    retina = neurosim.retina.Retina(resolution=Resolution(frame=0.005, pixels_per_degree=10), dtype=F64)
    x = noise(20, 6, 6) * 50 + 100
    out = retina.run(x, record=[])
    goals = {name: value for name, value in out.items()}
    retina.clear_state()
    total = retina.compute_loss(x, {name: value + 1 for name, value in goals.items()}, dt=8)
    assert total == pytest.approx(len(goals), rel=1e-12)
    with pytest.raises(UnknownName, match="did you mean 'ganglion_off'"):
        retina.compute_loss(x, {"ganglion_of": goals["ganglion_off"]})


def test_losses_by_name() -> None:
    layer = TemporalLowPass(dtype=F64)
    x = noise(20, 2, 2).abs()
    y = layer.run(x)[0]
    layer.clear_state()
    assert layer.compute_loss(x, y, loss_fn="poisson") == pytest.approx(float((y - y * torch.log(y + 1e-8)).mean()))
    with pytest.raises(UnknownName, match="poison"):
        layer.compute_loss(x, y, loss_fn="poison")
    with pytest.raises(ParameterError, match="must be a function"):
        layer.compute_loss(x, y, loss_fn=3)
    with pytest.raises(ParameterError, match="one element"):
        layer.compute_loss(x, y, loss_fn=lambda output, goal: output - goal)


def test_penalties_pull_and_are_not_in_the_losses() -> None:
    x = noise(60, 4, 4)
    fitted = {}
    for name, penalty in (("none", None), ("ridge", {"weight": Ridge(1.0)}), ("smooth", {"weight": Smooth(1.0)}),
                          ("sparse", {"weight": Sparse(0.1)})):
        conv = Conv3d(dtype=F64)
        conv.set_weight(noise(3, 3, 3, seed=4))
        conv.set_optimizer.LBFGS(max_iter=50, line_search_fn="strong_wolfe")
        first = conv.compute_loss(x, torch.roll(x, 1, 0))
        assert conv.optimize(x, torch.roll(x, 1, 0), penalty=penalty)[0] == pytest.approx(first, rel=1e-12)
        fitted[name] = conv.weight.detach()
    assert fitted["ridge"].norm() < 0.7 * fitted["none"].norm()
    assert fitted["smooth"].diff(dim=3).norm() < 0.5 * fitted["none"].diff(dim=3).norm()
    assert (fitted["sparse"].abs() < 1e-3).sum() > (fitted["none"].abs() < 1e-3).sum()
    conv = Conv3d()
    conv.set_optimizer.SGD(lr=0.1)
    with pytest.raises(UnknownName, match="did you mean 'weight'"):
        conv.optimize(x, x, penalty={"wieght": Smooth(1.0)})
    with pytest.raises(ParameterError, match=r"Ridge.weight: must be finite and at least 0 \(got -1\)"):
        Ridge(-1)


def test_ridge_has_its_closed_form() -> None:
    """min mean (w x - y)^2 + r w^2 is at w = mean xy / (mean x^2 + r)."""
    x, y = noise(50, 1, 1), noise(50, 1, 1, seed=1)
    conv = Conv3d(bias=False, dtype=F64)
    conv.set_optimizer.LBFGS(max_iter=50, line_search_fn="strong_wolfe", tolerance_grad=1e-14)
    conv.optimize(x, y, penalty={"weight": Ridge(0.3)})
    assert conv.weight.item() == pytest.approx(float((x * y).mean() / ((x * x).mean() + 0.3)), rel=1e-8)


def test_a_parameter_at_the_edge_of_its_range_is_fitted() -> None:
    """lambda_amp = 0 switches the gain control off; the first step of a fit must be able to leave it, or to stay."""
    resolution = Resolution(frame=0.005, pixels_per_degree=10)
    bipolar = neurosim.retina.Bipolar(resolution=resolution, dtype=F64)
    bipolar.p.lambda_amp = 0.0
    goal = neurosim.retina.Bipolar(resolution=resolution, dtype=F64)
    goal.p.lambda_amp = 50.0
    x = noise(60, 5, 5)
    bipolar.set_optimizer.Adam([bipolar.lambda_amp], lr=5.0)
    wanted = goal.run(x)[0]
    losses = []
    for _ in range(40):
        bipolar.clear_state()
        losses += bipolar.optimize(x, wanted)
        assert bipolar.lambda_amp >= 0
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize("optimizer", ["LBFGS", "CautiousLBFGS", "L-BFGS-B", "Adam"])
def test_ranges_hold_whatever_the_optimizer(optimizer: str) -> None:
    layer = TemporalLowPass(tau=0.01, dtype=F64)
    seen = []

    def loss(output: Tensor, goal: Tensor) -> Tensor:
        seen.append(layer.tau.item())
        return ((output - goal) ** 2).mean() + 100 * layer.tau

    x = noise(30, 2, 2)
    for _ in range(5):
        layer.optimize(x, x, optimizer=optimizer, loss_fn=loss)
    assert min(seen) >= 0 and layer.tau.item() < 0.01


def test_refusals_leave_everything_as_it_was() -> None:
    layer = TemporalLowPass(dtype=F64)
    x = noise(20, 2, 2)
    layer.run(x)
    parameters, state = layer.get_parameters(), layer.get_state()
    layer.set_optimizer.SGD(lr=1e-3)
    for goal, options, text in (
            (x[:15], {}, r"same number of frames \(got 20 and 15\)"),
            (SequenceStream(x[:15]), {"dt": 4}, r"same number of frames \(got 20 and 15\)"),
            (CallableStream(lambda k: x[k].numpy() if k < 15 else None, (2, 2)), {"dt": 4}, "same number of frames"),
            (torch.where(x > 2, torch.nan, x), {"dt": 4}, r"the goal holds NaN or infinite values; leave those frames out"),
            (x[:, :1], {}, r"the goal must have the shape of the output, \(1, 1, 20, 2, 2\) \(got \(1, 1, 20, 1, 2\)\)"),
            (x, {"t_skip": -1}, "must be a whole number"), (x, {"window": 0}, "must be a whole number"),
            (x, {"clip": -1.0}, "must be above 0"), (x, {"optimizer": "Adamm"}, "did you mean 'Adam'")):
        layer.set_state(state)
        with pytest.raises((InputError, ParameterError, UnknownName), match=text):
            layer.optimize(x, goal, **options)
        if not options.get("dt"):
            assert torch.equal(layer.get_state()["stages"], state["stages"])
    spikes = Spikes(dtype=F64)
    spikes.set_optimizer.SGD(lr=0.1)
    with pytest.raises(ParameterError, match=r"no gradient reaches .* use layer.set_optimizer.FiniteDifference"):
        spikes.optimize(x, x)
    layer = TemporalLowPass(dtype=F64)
    for name, value in layer.get_parameters().items():
        np.testing.assert_array_equal(value, parameters[name])


def test_a_step_to_nowhere_is_taken_back() -> None:
    layer = TemporalLowPass(dtype=F64)
    layer.set_optimizer.SGD(lr=float("inf"))
    with pytest.raises(StateError, match="a step made parameters that are not finite; they are back"):
        layer.optimize(noise(20, 2, 2), noise(20, 2, 2, seed=1))
    assert layer.tau.item() == 0.01 and layer.get_state() == {}


def test_gradients_are_clipped() -> None:
    layer = Conv3d(dtype=F64)
    layer.set_weight(np.ones((2, 2, 2)))
    layer.set_optimizer.SGD(lr=0.0)
    layer.optimize(100 * noise(20, 3, 3), noise(20, 3, 3, seed=1), clip=0.5)
    norm = torch.cat([p.grad.flatten() for p in layer.parameters()]).norm().item()
    assert norm == pytest.approx(0.5, rel=1e-5)


def test_streams_of_other_rates_are_aligned() -> None:
    """The goal starts 50 ms late and has half of the rate: each of its values holds for two frames."""
    layer = TemporalLowPass(tau=0.03, resolution=Resolution(frame=0.005, pixels_per_degree=10), dtype=F64)
    x = noise(40, 2, 2).numpy()
    y = noise(15, 2, 2, seed=1).numpy()
    source, goal = SequenceStream(x, frame_rate=200.0), SequenceStream(y, frame_rate=100.0, start_time=0.05)
    expected = layer.compute_loss(x[10:], np.repeat(y, 2, 0))
    assert layer.compute_loss(source, goal, dt=7) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["Adam", "FiniteDifference", "L-BFGS-B"])
@pytest.mark.parametrize("change", [lambda conv: conv.set_weight(np.ones((4, 1, 1))), lambda conv: conv.gaussian(0.2)])
def test_a_parameter_that_is_no_longer_the_layer_s_is_refused(optimizer: str, change: Callable[[Conv3d], None]) -> None:
    model = LN(bias=True, dtype=F64)
    model.conv.set_weight(np.ones((3, 1, 1)))
    x = noise(20, 2, 2)
    model.set_optimizer(optimizer)
    model.optimize(x, x)
    change(model.conv)
    model.clear_state()
    before = model.get_parameters()
    text = r"the optimizer holds weight of shape \(1, 1, 3, 1, 1\), which is not a parameter .* choose the optimizer anew"
    with pytest.raises(StateError, match=text):
        model.optimize(x, x)
    for name, value in model.get_parameters().items():
        np.testing.assert_array_equal(value, before[name])
    model.set_optimizer(optimizer)
    model.optimize(x, x)


def test_parameters_of_a_loss_are_fitted_along() -> None:
    """A readout outside of the layer, in the same optimizer."""
    layer, readout = TemporalLowPass(dtype=F64), torch.nn.Parameter(torch.ones((), dtype=F64))
    optimizer = torch.optim.SGD([layer.tau, readout], lr=1e-4)
    x = noise(20, 2, 2)
    layer.optimize(x, x, optimizer=optimizer, loss_fn=lambda output, goal: ((readout * output - goal) ** 2).mean())
    assert readout.item() != 1.0


def test_moments_follow_a_layer_to_another_dtype() -> None:
    layer, x = TemporalLowPass(), noise(20, 2, 2)
    layer.set_optimizer.Adam(lr=1e-3)
    layer.optimize(x.float(), x.float() / 2)
    layer.double()
    layer.clear_state()
    layer.optimize(x, x / 2)
    moments = layer.optimizer.state[layer.tau]
    assert moments["exp_avg"].dtype == F64 and moments["step"] == 2


def test_without_gradients_there_is_a_word() -> None:
    layer, x = TemporalLowPass(dtype=F64), noise(20, 2, 2)
    with pytest.raises(ParameterError, match=r"has no optimizer; choose one first, such as layer.set_optimizer.Adam"):
        layer.optimize(x, x)
    layer.set_optimizer.Adam(lr=1e-3)
    with torch.no_grad():
        layer.optimize(x, x)  # fits all the same
    with torch.inference_mode(), pytest.raises(StateError, match=r"no gradients under torch\.inference_mode"):
        layer.optimize(x, x)
    layer.requires_grad_(False)
    with pytest.raises(ParameterError, match="none of the optimizer's parameters requires a gradient any more"):
        layer.optimize(x, x)


def test_a_loss_leaves_sources_where_they_were() -> None:
    layer, x = TemporalLowPass(dtype=F64), noise(20, 2, 2)
    source, goal = SequenceStream(x.numpy()), SequenceStream(x.numpy())
    source.seek(5), goal.seek(5)
    first = layer.compute_loss(source, goal, dt=4)
    assert (source.position, goal.position) == (5, 5) and layer.compute_loss(source, goal) == pytest.approx(first, rel=1e-12)


def test_first_frames_without_an_output_do_not_count() -> None:
    conv = Conv3d(kernel_size=(4, 1, 1), time_pad=False, dtype=F64)
    conv.set_weight(noise(4, 1, 1, seed=3))
    x, goal = noise(12, 2, 2), noise(12, 2, 2, seed=1)
    y = conv.run(x)[0][0, 0]
    assert y.shape[0] == 9
    conv.clear_state()
    wanted = float(((y - goal[3:]) ** 2).mean())
    assert conv.compute_loss(x, goal) == pytest.approx(wanted, rel=1e-12)
    assert conv.compute_loss(x, goal, dt=5) == pytest.approx(wanted, rel=1e-12)
    assert conv.compute_loss(x, goal, dt=2, t_skip=4) == pytest.approx(float(((y - goal[3:]) ** 2)[1:].mean()), rel=1e-12)
    conv.set_optimizer.SGD(lr=0.0)
    for window in (None, 8):
        conv.clear_state()
        assert np.dot(conv.optimize(x, goal, dt=6, window=window), [3, 6]) / 9 == pytest.approx(wanted, rel=1e-12)
    conv.clear_state()
    with pytest.raises(InputError, match=r"gives no output for the first 2 frames, .* more frames per chunk \(dt\), or leave"):
        conv.compute_loss(x, goal, dt=2)


def test_a_tiny_loss_is_scaled_for_optimizers_that_stop_by_its_gradient() -> None:
    """From the edge of the range too; see docs/fitting.md."""
    resolution = Resolution(frame=0.005, pixels_per_degree=10)
    bipolar, goal = (neurosim.retina.Bipolar(resolution=resolution, dtype=F64) for _ in range(2))
    goal.p.lambda_amp = 50.0
    bipolar.p.lambda_amp = 0.0
    bipolar.requires_grad_(False)
    bipolar.lambda_amp.requires_grad_(True)
    x = noise(40, 5, 5)
    wanted = goal.run(x)[0]
    for optimizer in ("LBFGS", "L-BFGS-B"):
        bipolar.p.lambda_amp = 0.0
        for _ in range(10):
            bipolar.clear_state()
            bipolar.optimize(x, wanted, optimizer=optimizer, loss_fn=lambda output, goal: 1e6 * ((output - goal) ** 2).mean())
        assert bipolar.lambda_amp.item() == pytest.approx(50.0, rel=0.02), optimizer


@pytest.mark.parametrize(("make", "evaluations"), [
    (lambda: LN((3, 1, 1), dtype=F64), 1),  # remembers the input alone: nothing to compute again
    (lambda: Sequential(TemporalLowPass(dtype=F64), Conv3d(kernel_size=(3, 1, 1), dtype=F64)), 2),
    (lambda: Sequential(NLRectifyScale(dtype=F64), Conv3d(kernel_size=(3, 1, 1), dtype=F64)), 2),  # what comes in is scaled
    (lambda: Sequential(lambda x: 1.0 * x, Conv3d(kernel_size=(3, 1, 1), dtype=F64)), 2)])
def test_the_state_is_computed_again_where_parameters_have_a_say(make: Callable[[], Layer], evaluations: int) -> None:
    layer, twin, x = make(), make(), noise(20, 2, 2)
    calls = []
    layer.register_forward_hook(lambda *args: calls.append(1))
    layer.set_optimizer.SGD(lr=0.1)
    for part in x.split(5):
        calls.clear()
        layer.optimize(part[None, None], part[None, None])
        assert len(calls) == evaluations
        twin.load_state_dict(layer.state_dict())
        twin.run(part)
        for name, value in layer.get_state().items():
            assert torch.equal(value, twin.get_state()[name])


def test_a_kernel_that_follows_a_time_constant_has_a_say() -> None:
    conv, twin, x = Conv3d(dtype=F64), Conv3d(dtype=F64), noise(20, 2, 2)
    for one in (conv, twin):
        one.exponential(0.002)
    conv.set_optimizer.SGD([conv.kernel.tau], lr=1e-3)
    conv.optimize(x, -x)
    twin.p.kernel.tau = conv.kernel.tau
    twin.run(x)
    assert conv.kernel.tau != 0.002
    assert torch.equal(conv.get_state()["frames"], twin.get_state()["frames"])
