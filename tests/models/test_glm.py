"""Models of spike trains against loops written out, and against scikit-learn's Poisson regression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import PoissonRegressor

from neurosim import InputError, ParameterError, analysis
from neurosim.filters import Conv3d, RaisedCosines
from neurosim.models import GLM, LN, OnSignal, SpikingGLM, Subunits

from ..cases import drawn

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))
COUNTS = rng.poisson(0.4, (60, 3)).astype(float)


def expected_counts(glm: GLM, x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """exp(k * x + h * counts before + b), term by term."""
    k, h = (conv.impulse_response()[..., 0, 0].detach().numpy() for conv in (glm.stimulus, glm.history))
    b = glm.bias.detach().numpy()
    y = np.empty((len(x), glm.cells))
    for t in range(len(x)):
        for o in range(glm.cells):
            drive = b[o] + sum(k[o, f, lag] * x[max(t - lag, 0), f] for f in range(x.shape[1]) for lag in range(k.shape[2]))
            drive += sum(h[o, i, lag] * counts[t - 1 - lag, i] for i in range(glm.cells) for lag in range(h.shape[2])
                         if t - 1 - lag >= 0)
            y[t, o] = np.exp(drive)
    return y


def test_the_glm_is_its_equation() -> None:
    glm = drawn(GLM(4, 3, 2, 3, dtype=torch.float64), 0.2)
    y = glm.run(np.concatenate([X, COUNTS], 1), dt=7)[0][0]
    np.testing.assert_allclose(y, expected_counts(glm, X, COUNTS), rtol=1e-12)


def test_spikes_of_its_own_are_those_that_the_recorded_history_would_have_explained() -> None:
    glm = drawn(GLM(4, 3, 2, 3, dtype=torch.float64), 0.2)
    glm.p.history.weight = -glm.history.weight.detach().abs()  # spikes that excite each other would run away
    own = glm.spiking(seed=5).run(X)[0][0].numpy()
    other = glm.spiking(seed=6).run(X)[0][0].numpy()
    assert (own != other).any() and (own == own.round()).all() and own.sum() > 20
    # Given its own past, each count is Poisson with the expectation of the GLM: mean and variance over many trials.
    trials = np.repeat(X[None, :12], 4000, 0)
    counts = glm.spiking(seed=7).run(torch.tensor(trials))[0]
    rate = glm.run(torch.cat([torch.tensor(trials), counts], 2))[0]
    score = ((counts - rate) / rate.sqrt()).numpy()
    assert abs(score.mean(0)).max() < 4 / np.sqrt(4000) * 1.2  # four standard errors of 36 means
    assert abs(score.var() - 1) < 0.05


def test_changes_of_the_glm_do_not_reach_the_spiking_copy() -> None:
    glm = drawn(GLM(4, 3))
    model = glm.spiking()
    before = model.p.drive.stimulus.weight.detach().clone()
    glm.p.stimulus.weight = 0.0
    assert torch.equal(model.p.drive.stimulus.weight, before)


def test_bases_make_the_kernels_smooth() -> None:
    glm = GLM(20, 15)
    glm.stimulus.basis(RaisedCosines(n=5, last_peak=0.01))
    glm.history.basis(RaisedCosines(n=4, last_peak=0.008))
    names = {name for name, _ in glm.named_parameters()}
    assert names == {"bias", "stimulus.kernel.weights", "history.kernel.weights"}
    glm.run(np.zeros((30, 2)))


def test_a_stimulus_without_counts_is_refused() -> None:
    with pytest.raises(InputError, match=r"stimulus and the recorded counts side by side, 2 \+ 1 features \(got 2\)"):
        GLM(4, 3, 2).run(X)
    with pytest.raises(ParameterError, match=r"SpikingGLM\.glm: must be a GLM"):
        SpikingGLM(LN())
    with pytest.raises(InputError, match=r"GLM: without a history it takes the stimulus alone, 2 features \(got 3\)"):
        GLM(4, 0, 2).run(np.zeros((5, 3)))
    with pytest.raises(ParameterError, match=r"GLM\.history: must be a whole number of at least 0 \(got -1\)"):
        GLM(4, -1)
    with pytest.raises(ParameterError, match=r"GLM\.stimulus: must be a layer of signals \(batch, time, feature\); OnSignal"):
        GLM(LN(), 0)
    with pytest.raises(InputError, match=r"GLM: Subunits must give a value for each cell, 2 \(got 1\)"):
        GLM(Subunits(2, 3), 0, cells=2).run(np.zeros((5, 1)))


def test_videos_of_one_pixel_are_signals() -> None:
    model = OnSignal(drawn(LN((3, 2, 5, 1, 1), True, dtype=torch.float64)))
    k, b = model.inner.conv.weight[..., 0, 0].detach().numpy(), model.inner.conv.bias.detach().numpy()
    padded = np.concatenate([np.repeat(X[:1], 4, 0), X])
    slow = [[max(0, b[o] + sum(k[o, f, lag] * padded[t + 4 - lag, f] for f in range(2) for lag in range(5)))
             for o in range(3)] for t in range(len(X))]
    np.testing.assert_allclose(model.run(X)[0][0], slow, rtol=1e-10, atol=1e-14)


def test_what_is_no_model_of_a_pixel_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"OnSignal\.inner: must be a layer of videos"):
        OnSignal(GLM(4, 3))
    shrinking = Conv3d(1, 1, (1, 1, 1))
    model = OnSignal(shrinking)
    shrinking.forward = lambda x: x.expand(-1, -1, -1, 2, 2)  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"OnSignal: Conv3d must give one pixel for one"):
        model.run(np.zeros(5))


def test_subunits_are_their_equation() -> None:
    model = Subunits(3, 4, 2, 2, seed=3, dtype=torch.float64)
    k, a = (p[..., 0, 0].detach().numpy() for p in (model.filters.weight, model.pool.weight))
    c, b = (p.bias.detach().numpy() + 0.1 for p in (model.filters, model.pool))
    model.p.filters.bias, model.p.pool.bias = c, b
    padded = np.concatenate([np.repeat(X[:1], 3, 0), X])
    drive = np.stack([sum(padded[3 - lag:len(padded) - lag] @ k[n, :, lag] for lag in range(4)) + c[n] for n in range(3)], 1)
    np.testing.assert_allclose(model.run(X, 9)[0][0], np.exp(np.log1p(np.exp(drive)) @ a[..., 0].T + b), rtol=1e-10)
    assert torch.equal(Subunits(3, 4, seed=1).filters.weight, Subunits(3, 4, seed=1).filters.weight)
    assert not torch.equal(Subunits(3, 4, seed=1).filters.weight, Subunits(3, 4, seed=2).filters.weight)


def test_fitted_it_is_poisson_regression() -> None:
    g = np.random.default_rng(1)
    x = g.normal(size=(800, 1))
    truth = drawn(GLM(5, 3, dtype=torch.float64), 0.3)
    truth.p.history.weight = -truth.history.weight.detach().abs()
    counts = truth.spiking(seed=2).run(x)[0][0].numpy()
    glm = GLM(5, 3, dtype=torch.float64)
    glm.set_optimizer.LBFGS(max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=1e-14)
    glm.optimize(np.concatenate([x, counts], 1), torch.tensor(counts)[None], loss_fn=analysis.poisson)
    past = np.concatenate([np.zeros((3, 1)), counts])
    design = np.concatenate([np.concatenate([np.repeat(x[:1], 4, 0), x])[4 - lag:len(x) + 4 - lag] for lag in range(5)]
                            + [past[2 - lag:len(x) + 2 - lag] for lag in range(3)], 1)
    sklearn = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(design, counts[:, 0])
    fitted = np.concatenate([glm.p.stimulus.weight.detach().flatten(), glm.p.history.weight.detach().flatten()])
    np.testing.assert_allclose(fitted, sklearn.coef_, atol=1e-5)  # both stop at their own gradient of about 1e-6


def test_without_a_history_it_is_a_linear_nonlinear_model() -> None:
    glm = drawn(GLM(4, 0, 2, 3, dtype=torch.float64), 0.2)
    ln = LN((3, 2, 4, 1, 1), True, dtype=torch.float64)
    ln.conv.set_weight(glm.stimulus.weight.detach())
    ln.p.conv.bias, ln.nonlinearity = glm.bias.detach(), torch.exp
    np.testing.assert_allclose(glm.run(X, 7)[0], OnSignal(ln).run(X)[0].detach(), rtol=1e-12)
    counts = glm.spiking(seed=1).run(X)[0]
    assert counts.shape == (1, 60, 3) and counts.sum() > 10


def test_any_layer_of_signals_may_stand_in_the_place_of_the_filter() -> None:
    drive = Subunits(3, 4, 2, 3, seed=1, dtype=torch.float64)
    drive.output = torch.nn.Identity()
    glm = GLM(drive, 3, 2, 3)
    assert glm.bias.dtype == torch.float64
    glm.p.history.weight = -0.3
    y = glm.run(np.concatenate([X, COUNTS], 1), 11)[0][0]
    glm.clear_state()
    past = np.concatenate([np.zeros((3, 3)), COUNTS])
    back = sum(past[2 - lag:len(X) + 2 - lag] for lag in range(3)).sum(1, keepdims=True)
    np.testing.assert_allclose(y, np.exp(drive.run(X)[0][0].detach().numpy() - 0.3 * back), rtol=1e-12)
    assert glm.spiking(seed=2).run(X)[0].shape == (1, 60, 3)


def test_a_start_knows_the_scale_of_the_stimulus_and_the_mean_count() -> None:
    g = np.random.default_rng(4)
    x, counts = 1e6 + 300.0 * g.normal(size=(5000, 2)), g.poisson(0.05, (5000, 2)).astype(float)
    x[:, 1], counts[:, 1] = 3.0, 0.0  # a constant, and a silent cell
    glm = GLM(4, 0, 2, 2, dtype=torch.float64).start([x[:3000], x[3000:]], [counts[:3000], counts[3000:]])
    np.testing.assert_allclose(glm.offset, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(glm.scale, [x[:, 0].std(), 1.0], rtol=1e-9)
    np.testing.assert_allclose(glm.run(x[:9])[0][0, -1].detach(), [counts[:, 0].mean(), 0.5 / 5000], rtol=1e-9)
    glm.nonlinearity = torch.nn.Softplus()
    np.testing.assert_allclose(glm.start(x, counts).run(x[:9])[0][0, -1, 0].item(), counts[:, 0].mean(), rtol=1e-9)
    glm.nonlinearity = torch.tanh
    with pytest.raises(ParameterError, match=r"GLM\.nonlinearity: must be able to give the mean counts \[3\.0"):
        glm.start(x, counts * 0 + 3)
    with pytest.raises(InputError, match="the input must be finite and have 2 features at least"):
        glm.start(x[:, :1], counts)


def cell(kind: str, g: np.random.Generator, frames: int = 12000) -> tuple[np.ndarray, np.ndarray]:
    """Stimulus and counts of a made-up cell."""
    x = g.normal(size=(frames, 1))
    kernel, history = np.array([0.0, 0.4, 0.6, 0.2, -0.2]), np.zeros(6)
    rate = {"rare": 0.001, "busy": 0.15}.get(kind, 0.03)
    if kind == "bursts":
        history = np.array([-3.0, 1.5, 1.0, 0.5, 0.2, 0.0])
    if kind == "refractory":
        history = np.array([-30.0, -2.0, -1.0, -0.3, 0.0, 0.0])
    drive = np.log(rate) + np.convolve(x[:, 0], kernel)[:frames]
    counts = np.zeros(frames)
    for t in range(frames):
        past = counts[max(t - 6, 0):t][::-1]
        counts[t] = g.poisson(min(np.exp(drive[t] + history[:len(past)] @ past), 3.0))
    if kind == "silent at the end":
        counts[8000:] = 0.0
    scale, offset = {"rare": (1e-4, 0.02), "bursts": (40.0, 128.0), "busy": (5.0, 70.0)}.get(kind, (1.0, 0.0))
    return x * scale + offset, counts[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["rare", "busy", "bursts", "refractory", "silent at the end"])
def test_fits_reach_the_optimum_whatever_the_scale_and_the_rate(kind: str, dtype: torch.dtype) -> None:
    x, counts = cell(kind, np.random.default_rng(5))
    for lags, memory in ((8, 0), (8, 6)):
        both = np.concatenate([x, counts], 1) if memory else x
        glm = GLM(lags, memory, dtype=dtype).start(both, counts)
        glm.fit(both, counts, loss_fn="poisson", optimizer="L-BFGS-B", epochs=2)
        ours = glm.run(both)[0][0, :, 0].detach().numpy().astype(float)
        padded = np.concatenate([np.repeat(x[:1], lags - 1, 0), x])
        past = np.concatenate([np.zeros((memory, 1)), counts])
        design = np.concatenate([(padded[lags - 1 - lag:len(padded) - lag] - x.mean()) / x.std() for lag in range(lags)]
                                + [past[memory - 1 - lag:len(past) - 1 - lag] for lag in range(memory)], 1)
        theirs = PoissonRegressor(alpha=0, tol=1e-9, max_iter=3000).fit(design, counts[:, 0]).predict(design)
        loss = [(rate - counts[:, 0] * np.log(rate)).mean() for rate in (ours, theirs)]
        assert loss[0] < loss[1] + (2e-6 if dtype == torch.float32 else 1e-8)
        bits = [analysis.bits_per_spike(rate, counts[:, 0]) for rate in (ours, theirs)]
        assert bits[0] == pytest.approx(bits[1], abs=1e-3)
        if kind == "busy" and dtype == torch.float64:
            np.testing.assert_allclose(ours, theirs, rtol=1e-3)
