"""Optimizers that torch lacks, and what set_optimizer offers."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from neurosim import Layer, Param, ParameterError
from neurosim.filters import Conv3d, TemporalLowPass
from neurosim.optim import CautiousLBFGS, FiniteDifference, Scipy
from neurosim.spiking import LIF

F64 = torch.float64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rosenbrock(p: Tensor) -> Tensor:
    return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2


def closure_of(p: Tensor, optimizer: torch.optim.Optimizer):
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = rosenbrock(p)
        if loss.requires_grad:
            loss.backward()
        return loss
    return closure


def test_tab_lists_torch_s_and_ours_with_their_arguments() -> None:
    layer = TemporalLowPass()
    names = dir(layer.set_optimizer)
    assert {"Adam", "LBFGS", "SGD", "CautiousLBFGS", "FiniteDifference", "Scipy"} <= set(names)
    assert "lr" in inspect.signature(layer.set_optimizer.Adam).parameters
    assert "method" in inspect.signature(layer.set_optimizer.Scipy).parameters
    assert "L-BFGS-B" in layer.set_optimizer.Scipy.__doc__
    assert {"caution", "line_search_fn"} <= set(inspect.signature(layer.set_optimizer.CautiousLBFGS).parameters)
    torch_s = {name for name, value in vars(torch.optim).items() if inspect.isclass(value)
               and issubclass(value, torch.optim.Optimizer)} - {"Optimizer"}
    assert torch_s <= set(names) and all("params" in inspect.signature(getattr(layer.set_optimizer, name)).parameters
                                         for name in names)


def test_scipy_s_numbers() -> None:
    start = np.array([-1.2, 1.0])
    p = torch.tensor(start, requires_grad=True)
    options = {"ftol": 1e-9, "gtol": 1e-5, "maxcor": 10}
    optimizer = Scipy([p], max_iter=50, **options)
    optimizer.step(closure_of(p, optimizer))
    direct = minimize(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, start, method="L-BFGS-B",
                      jac=lambda x: np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]),
                      options={"maxiter": 50, **options})
    np.testing.assert_allclose(p.detach(), direct.x, rtol=1e-9)


@pytest.mark.parametrize("method", Scipy.METHODS)
def test_every_method_finds_the_minimum_within_the_ranges(method: str) -> None:
    """The slope of the goal is past the edge."""
    class Line(Layer):
        a = Param(0.1, at_least=0.0, at_most=2.0, doc="slope")
        b = Param(1.0, above=0.0, doc="offset")

        def forward(self, x: Tensor) -> Tensor:
            return self.a * x + self.b

    x = noise(50, 2, 2)
    layer = Line(dtype=F64)
    layer.optimize(x, 3.0 * x + 0.5, optimizer=method)
    best_b = float((3.0 * x + 0.5 - 2.0 * x).mean())  # a ends at its edge, 2
    assert layer.a.item() == pytest.approx(2.0, abs=2e-3) and layer.b.item() == pytest.approx(best_b, abs=5e-3)


def test_finite_differences_are_the_gradient() -> None:
    start = [-1.2, 1.0]
    p, q = (torch.tensor(start, dtype=F64, requires_grad=True) for _ in range(2))
    optimizer = FiniteDifference([p], lr=1e-4, step=1e-5, least=1e-6, optimizer=torch.optim.SGD)
    exact = torch.optim.SGD([q], lr=1e-4)
    for _ in range(3):
        optimizer.step(closure_of(p, optimizer))
        exact.step(closure_of(q, exact))
    np.testing.assert_allclose(p.detach(), q.detach(), rtol=1e-7)


class Spikes(Layer):
    """Spikes without a gradient."""

    threshold = Param(0.2, above=0.0, doc="threshold")

    def forward(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)


def test_spikes_without_a_gradient_are_fitted() -> None:
    """The threshold that makes as many spikes as one of 0.8."""
    x = noise(400, 5, 5)
    layer, goal = Spikes(dtype=F64), Spikes(threshold=0.8, dtype=F64)
    layer.set_optimizer.FiniteDifference(lr=0.03, step=0.1)
    wanted = goal.run(x)[0]
    for _ in range(80):
        layer.optimize(x, wanted, loss_fn=lambda output, goal: (output.mean() - goal.mean()) ** 2 * 100)
    assert layer.threshold.item() == pytest.approx(0.8, abs=0.05)
    neurons, told = LIF(g_L=50.0, dtype=F64), LIF(g_L=80.0, dtype=F64)
    drive = 150 + 50 * noise(300, 3, 3)
    neurons.set_optimizer.FiniteDifference([neurons.g_L], lr=4.0, step=0.05)
    spikes = told.run(drive)[0]
    rate = spikes.mean().expand_as(spikes)
    for _ in range(25):
        neurons.clear_state()
        neurons.optimize(drive, rate, loss_fn=lambda output, goal: (output.mean() - goal.mean()) ** 2 * 1e4)
    assert abs(neurons.g_L.item() - 80.0) < 8


def test_a_cautious_lbfgs_never_ends_higher() -> None:
    p = torch.tensor([-1.2, 1.0], dtype=F64, requires_grad=True)
    optimizer = CautiousLBFGS([p], lr=8.0, max_iter=3)  # far too long steps
    plain = torch.tensor([-1.2, 1.0], dtype=F64, requires_grad=True)
    rash = torch.optim.LBFGS([plain], lr=8.0, max_iter=3)
    seen, rose = [rosenbrock(p).item()], 0
    for _ in range(60):
        optimizer.step(closure_of(p, optimizer))
        seen.append(rosenbrock(p).item())
        before = rosenbrock(plain).item()
        rash.step(closure_of(plain, rash))
        rose += not rosenbrock(plain).item() <= before
    assert (np.diff(seen) <= 0).all() and seen[-1] < 0.1 * seen[0] and rose > 0


DENSE = sorted(set(dir(TemporalLowPass().set_optimizer)) - {"SparseAdam", "Muon"})


@pytest.mark.parametrize("name", DENSE)
def test_moments_are_pushed_and_popped_exactly(name: str) -> None:
    """Every optimizer: what came between push and pop leaves no trace in the steps after."""
    x = noise(20, 2, 2)
    layer, other = Conv3d(kernel_size=(2, 1, 1), dtype=F64), Conv3d(kernel_size=(2, 1, 1), dtype=F64)
    for one in (layer, other):
        one.set_optimizer(name)
        one.optimize(x, 2 * x, dt=10)
    layer.push_all()
    layer.optimize(x, -x)
    layer.store_all("later")
    layer.pop_all()
    assert layer._stacks == {"state": [], "parameters": [], "optimizer": []}
    layer.optimize(x, 2 * x, dt=10)
    other.optimize(x, 2 * x, dt=10)
    assert torch.equal(layer.weight, other.weight) and torch.equal(layer.bias, other.bias)
    twin = copy.deepcopy(layer)
    twin.optimize(x, x)
    other.optimize(x, x)
    assert torch.equal(twin.weight, other.weight) and twin.optimizer.param_groups[0]["params"][0] is twin.weight


def test_optimizers_for_some_parameters_only_say_so() -> None:
    x = noise(20, 2, 2)
    conv = Conv3d(kernel_size=(2, 1, 1), dtype=F64)
    with pytest.raises(ParameterError, match=r"set_optimizer.Muon: Muon only supports 2D parameters .* may be given first"):
        conv.set_optimizer.Muon(lr=0.1)
    conv.set_optimizer.SparseAdam(lr=0.1)
    with pytest.raises(RuntimeError, match="does not support dense gradients, please consider Adam"):
        conv.optimize(x, x)
    assert not conv.weight.any() and conv.get_state() == {}


def test_every_way_to_name_an_optimizer() -> None:
    layer = TemporalLowPass(dtype=F64)
    layer.set_optimizer("SGD", lr=0.1)
    layer.set_optimizer(torch.optim.SGD, [layer.tau], lr=0.2)
    assert layer.optimizer.param_groups[0]["lr"] == 0.2 and layer.optimizer.param_groups[0]["params"][0] is layer.tau
    mine = torch.optim.SGD(layer.parameters(), lr=0.3)
    layer.set_optimizer(mine)
    assert layer.optimizer is mine
    for give, text in ((lambda: layer.set_optimizer(mine, lr=1.0), "is made already"),
                       (lambda: layer.set_optimizer.Adam(learning_rate=1.0), r"'learning_rate'. Its options are \['lr',"),
                       (lambda: layer.set_optimizer.Adam(lr=-1.0), "Invalid learning rate"),
                       (lambda: layer.set_optimizer(3), "must be a torch optimizer, its class or its name")):
        with pytest.raises(ParameterError, match=text):
            give()
        assert layer.optimizer is mine


def test_refusals() -> None:
    p = [torch.zeros(1, requires_grad=True)]
    with pytest.raises(ParameterError, match=r"Scipy.method: choose from \['L-BFGS-B', .* \(got 'BFGS'\)"):
        Scipy(p, "BFGS")
    with pytest.raises(ParameterError, match=r"FiniteDifference.step: must lie in \(0, inf\)"):
        FiniteDifference(p, step=0.0)
    with pytest.raises(ParameterError, match=r"CautiousLBFGS.caution: must lie in \(0, 1\)"):
        CautiousLBFGS(p, caution=1.0)
