"""Linear-nonlinear models against the numbers of convis and against their stages put together by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, default_resolution
from neurosim.filters import Conv3d, NLRectifySquare, Sigmoid
from neurosim.models import LN, LNFDLNF, LNLN, LNLNLN, LNLNLNLN, RF, RFN, L, LNCascade, McIntosh

DATA = Path(__file__).parents[1] / "data" / "convis"
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-5}


@pytest.fixture(scope="module")
def z() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "ln_models.npz"))


@pytest.fixture(params=DTYPES, ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def agrees(model, x: np.ndarray, wanted: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """The model's output for the movie, cut in two ways, to the bound of its dtype."""
    bound = DTYPES[next(model.parameters()).dtype] * np.abs(wanted).max()
    for dt in (None, 7):
        model.clear_state()
        np.testing.assert_allclose(model.run(x, dt)[0][0, 0].numpy(), wanted, rtol=0, atol=bound)


def test_ln(z, dtype):  # type: ignore[no-untyped-def]
    model = LN(dtype=dtype)
    model.conv.set_weight(z["w_ln"])
    agrees(model, z["x"], z["out_ln"])


@pytest.mark.parametrize("make", [lambda t: LN(population=False, dtype=t), lambda t: RFN(dtype=t)], ids=["LN", "RFN"])
def test_receptive_field(z, dtype, make):  # type: ignore[no-untyped-def]
    model = make(dtype)
    model.conv.set_weight(z["w_rf_ln"])
    agrees(model, z["x"], z["out_rf_ln"])
    plain = RF(dtype=dtype)
    plain.conv.set_weight(z["w_rf_ln"])
    y = plain.run(z["x"])[0][0, 0].numpy()
    assert y.min() < 0
    np.testing.assert_allclose(y.clip(0), z["out_rf_ln"], rtol=0, atol=DTYPES[dtype] * np.abs(y).max())


def test_lnln(z, dtype):  # type: ignore[no-untyped-def]
    model = LNLN(dtype=dtype)
    model.conv1.set_weight(z["w1_lnln"])
    model.conv2.set_weight(z["w2_lnln"])
    agrees(model, z["x"], z["out_lnln"])


def test_lnfdlnf(z, dtype):  # type: ignore[no-untyped-def]
    model = LNFDLNF(feedback_length=10, dtype=dtype)
    model.conv1.set_weight(z["w1_lnf"])
    model.conv2.set_weight(z["w2_lnf"])
    model.feedback1.set_weight(z["f1_lnf"])
    model.feedback2.set_weight(z["f2_lnf"])
    model.delay.set_delays(z["lnf_delays"])
    agrees(model, z["x_lnf"], z["out_lnf"])


def test_mcintosh(z, dtype):  # type: ignore[no-untyped-def]
    model = McIntosh((5, 3, 3), out_channels=2, layer1_channels=3, layer2_channels=4, frame=(9, 8), dtype=dtype)
    model.conv1.set_weight(z["w1_mcintosh_torch_orientation"], flip=False)
    model.conv2.set_weight(z["w2_mcintosh_torch_orientation"], flip=False)
    model.readout.set_weight(z["readout_mcintosh"].reshape(2, 4, 1, 9, 8), flip=False)
    agrees(model, z["x"], z["out_mcintosh"])


def test_cascade(z, dtype):  # type: ignore[no-untyped-def]
    model = LNCascade(dtype=dtype)
    model.add_layer()
    model.add_layer(nonlinear=NLRectifySquare(dtype=dtype))
    model.linearities[0].set_weight(z["w1_cascade"])
    model.linearities[1].set_weight(z["w2_cascade"])
    agrees(model, z["x"], z["out_cascade"])


@pytest.mark.parametrize("stages, kind", [(2, LNLN), (3, LNLNLN), (4, LNLNLNLN)])
@pytest.mark.parametrize("population", [True, False])
def test_stages_follow_one_another(stages: int, kind, population: bool):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 2, 20, 5, 4))
    model = kind((3, 2, 4, 3, 3) if population else (3, 2, 4, 5, 4), bias=True, population=population, dtype=torch.float64)
    y = torch.from_numpy(x)
    for i in range(1, stages + 1):
        conv = getattr(model, f"conv{i}")
        w, b = rng.normal(size=tuple(conv.weight.shape)), rng.normal(size=3)
        conv.set_weight(w)
        conv.p.bias = b
        alone = Conv3d(w.shape[1], 3, dtype=torch.float64, autopad=population or i < stages)
        alone.set_weight(w)
        alone.p.bias = b
        y = torch.relu(alone.run(y)[0])
    assert y.shape[3:] == ((5, 4) if population else (1, 1))
    torch.testing.assert_close(model.run(x, 6)[0], y, rtol=1e-12, atol=1e-12)


def test_a_cascade_is_the_model_of_as_many_stages():
    w = np.random.default_rng(0).normal(size=(2, 4, 3, 3))
    cascade, fixed = LNCascade(2, (4, 3, 3), bias=True, dtype=torch.float64), LNLN((4, 3, 3), bias=True, dtype=torch.float64)
    for linearity, conv, kernel in zip(cascade.linearities, (fixed.conv1, fixed.conv2), w, strict=True):
        assert linearity.weight.shape == conv.weight.shape and linearity.bias.shape == (1,)
        linearity.set_weight(kernel)
        conv.set_weight(kernel)
    x = np.random.default_rng(1).normal(size=(12, 5, 5))
    assert torch.equal(cascade.run(x)[0], fixed.run(x)[0])
    bare = LNCascade(1, (4, 3, 3), autopad=False, nonlinearity=Sigmoid)
    assert bare.run(x)[0].shape == (1, 1, 12, 3, 3) and bare.run(x)[0].eq(0.5).all()
    assert torch.equal(LNCascade().run(torch.from_numpy(x))[0][0, 0], torch.from_numpy(x))
    wide = LNCascade(2, (4, 1, 1, 3, 3))
    assert [tuple(conv.weight.shape[:2]) for conv in wide.linearities] == [(4, 1), (4, 4)]


def test_delays_between_the_stages_differ_by_pixel():
    x = np.random.default_rng(0).uniform(size=(10, 2, 2))
    model = LNFDLNF(feedback_length=1, dtype=torch.float64)
    for conv in (model.conv1, model.conv2):
        conv.set_weight(1.0)
    model.delay.set_delays([[0, 1], [2, 3]])
    y = model.run(x, 3)[0][0, 0].numpy()
    for (i, j), d in np.ndenumerate([[0, 1], [2, 3]]):
        np.testing.assert_array_equal(y[d:, i, j], x[:10 - d, i, j])
    model.clear_state()
    model.feedback1.set_weight(0.25)
    np.testing.assert_allclose(model.run(x)[0][0, 0], 0.75 * y, rtol=1e-12)


def test_weights_are_set_and_fitted_by_the_names_that_users_know():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(200, 6, 6)), rng.normal(size=(5, 5, 5))
    goal, model = LN(), LN()
    goal.conv.set_weight(kernel)
    assert goal.conv.weight.data.cpu().numpy()[0, 0].shape == (5, 5, 5)
    model.conv.set_weight(np.ones((5, 5, 5)), normalize=True)
    model.set_optimizer.LBFGS(max_iter=60, line_search_fn="strong_wolfe")
    y = goal.run(x)[0]
    before = model.compute_loss(x, y)
    model.optimize(x, y)
    model.clear_state()
    assert model.compute_loss(x, y) < 1e-3 * before


def test_the_nonlinearity_can_be_replaced():
    x = np.random.default_rng(0).normal(size=(5, 3, 3))
    model = LN(dtype=torch.float64)
    model.conv.set_weight(1.0)
    for new in (torch.tanh, torch.nn.Tanh()):
        model.nonlinearity = new
        np.testing.assert_allclose(model.run(x)[0][0, 0], np.tanh(x), rtol=1e-12)
    with pytest.raises(ParameterError, match=r"LN\.layers: must be layers, torch modules or functions"):
        model.nonlinearity = 3.0
    np.testing.assert_allclose(model.run(x)[0][0, 0], np.tanh(x), rtol=1e-12)


def test_mcintosh_without_a_frame_reads_the_means():
    x = np.random.default_rng(0).normal(size=(2, 2, 9, 6, 5))
    model = McIntosh((3, 3, 3), True, 3, (2, 1, 1), 2, 4, in_channels=2, seed=5, dtype=torch.float64)
    y = model.run(x, 4, record=["nonlinearity2"])
    means = y["nonlinearity2"].mean((3, 4)).sum(1)
    torch.testing.assert_close(y[0], means[:, None, :, None, None].expand(2, 1, 9, 1, 3), rtol=1e-12, atol=1e-12)
    assert means.abs().max() > 0
    full = McIntosh((3, 3, 3), True, 3, (2, 1, 1), 2, 4, frame=(6, 5), in_channels=2, seed=5, dtype=torch.float64)
    torch.testing.assert_close(full.run(x)[0], y[0], rtol=1e-12, atol=1e-12)
    assert McIntosh((3, 3, 3), False).run(x[:1, :1])[0].abs().max() == 0


def test_stages_share_the_resolution():
    from neurosim import Resolution

    fine = Resolution(0.0005, 50.0)
    for model in (L(resolution=fine), LNLN(resolution=fine), LNCascade(1, resolution=fine), LNFDLNF(resolution=fine)):
        assert {part.resolution for part in model.modules() if hasattr(part, "resolution")} == {fine}
    assert L().conv.resolution == default_resolution.current


@pytest.mark.parametrize("make, text", [
    (lambda: L((3, 3)), r"L.kernel_dim: must be \(time, y, x\) or \(out, in, time, y, x\) \(got \(3, 3\)\)"),
    (lambda: RFN((3, 3)), "RFN.kernel_dim"),
    (lambda: LNLN((3, 0, 3)), "kernel_size: needs 3 whole numbers"),
    (lambda: LNCascade(-1), "LNCascade.n: must be a whole number"),
    (lambda: LNCascade(nonlinearity=3), "LNCascade.nonlinearity: must be a class or a function"),
    (lambda: LNCascade().add_layer(linear=3), "LNCascade.layers: must be layers"),
    (lambda: LNFDLNF(feedback_length=0), "LNFDLNF.feedback_length: must be a whole number"),
    (lambda: McIntosh(layer1_channels=0), "McIntosh.layer1_channels: must be a whole number"),
])
def test_what_does_not_fit_is_refused(make, text: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=text):
        make()


def test_frames_must_fit_a_receptive_field():
    model = RFN((3, 4, 4))
    with pytest.raises(InputError, match="frames must be as large as the kernel"):
        model.run(np.zeros((5, 4, 5)))
    assert model.get_state() == {}
