"""Random convolutions, receptive fields, delays and cascades against the loops in `reference.convis`, chunk by chunk."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim import Layer, ParameterError, filters, models
from neurosim.compat.convis import samples

from ..reference import convis

F64 = torch.float64
SAMPLES = np.load(Path(__file__).parents[1] / "data" / "convis" / "samples.npz")


def agrees(layer: Layer, x: np.ndarray, wanted: np.ndarray) -> None:
    """To rounding, in one piece and in two ways cut."""
    for dt in (None, 1, 5):
        layer.clear_state()
        np.testing.assert_allclose(layer.run(x, dt)[0].detach().numpy(), wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(4))
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, frame = tuple(int(n) for n in rng.integers(1, 6, 3)), tuple(int(n) for n in rng.integers(5, 7, 2))
    batch, inputs, outputs = (int(n) for n in rng.integers(1, 4, 3))
    x, w, b = rng.normal(size=(batch, inputs, 7, *frame)), rng.normal(size=(outputs, inputs, *kernel)), rng.normal(size=outputs)
    own = filters.Conv3d(inputs, outputs, dtype=F64)
    own.set_weight(w)
    own.p.bias = b
    agrees(own, x, convis.conv(x, w, b))
    bare = filters.Conv3d(inputs, outputs, bias=False, time_pad=False, autopad=False, dtype=F64)
    bare.set_weight(w[:, :, ::-1, ::-1, ::-1], flip=False, normalize=True)
    wanted = convis.conv(x, w / w.sum(), time_pad=False, autopad=False)
    agrees(bare, x, wanted)
    apart = filters.Conv3d(inputs, inputs, bias=False, dtype=F64)
    apart.set_weight(w[0, 0], preserve_channels=True)
    agrees(apart, x, np.concatenate([convis.conv(x[:, c:c + 1], w[:1, :1]) for c in range(inputs)], 1))


@pytest.mark.parametrize("rows, columns", list(itertools.product((-2, 0, 1), (-1, 0, 3))))
def test_receptive_fields_of_other_sizes_than_the_frame(rows: int, columns: int) -> None:
    rng = np.random.default_rng(10 * rows + columns + 100)
    x, w, b = rng.normal(size=(2, 2, 8, 5, 4)), rng.normal(size=(3, 2, 4, 5 + rows, 4 + columns)), rng.normal(size=3)
    field = filters.RF(2, 3, rf_mode="corner", dtype=F64)
    field.set_weight(w)
    field.p.bias = b
    wanted = convis.receptive_field(x, w, b)
    agrees(field, x, wanted)
    model = models.LN((3, 2, 4, 5, 4), bias=True, population=False, dtype=F64)
    model.conv = field
    agrees(model, x, convis.rectify(wanted))
    if rows or columns:
        field.rf_mode = "exact"
        field.clear_state()
        with pytest.raises(ValueError, match='unless rf_mode is "corner"'):
            field.run(x)


def test_an_unknown_way_to_lay_a_receptive_field_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"RF.rf_mode: choose from \['exact', 'corner'\] \(got 'middle'\)"):
        filters.RF(rf_mode="middle")


@pytest.mark.parametrize("frame", [(3, 7), (7, 3), (1, 5), (4, 4)])
def test_delays_of_frames_that_are_not_square(frame: tuple[int, int]) -> None:
    rng = np.random.default_rng(frame[0])
    x, delays = rng.normal(size=(2, 2, 12, *frame)), rng.integers(0, 15, frame)
    agrees(filters.VariableDelay(delays, dtype=F64), x, convis.delayed(x, delays))
    agrees(filters.Delay(4, dtype=F64), x, convis.delayed(x, 4))


@pytest.mark.parametrize("seed", range(4))
def test_cascades_of_all_nonlinearities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, 1, 8, 6, 5))
    s, b = 1.7, -0.3
    kinds = [(filters.NLRectify(dtype=F64), convis.rectify),
             (filters.NLRectifyScale(scale=s, bias=b, dtype=F64), lambda u: convis.rectify(b + s * u)),
             (filters.NLSquare(scale=s, bias=b, dtype=F64), lambda u: (b + s * u) ** 2),
             (filters.NLRectifySquare(scale=s, bias=b, dtype=F64), lambda u: convis.rectify(b + s * u) ** 2),
             (filters.Sigmoid(scale=s, bias=b, dtype=F64), lambda u: 1 / (1 + np.exp(-(b + s * u)))),
             (filters.Softplus(scale=s, bias=b, dtype=F64), lambda u: np.logaddexp(0, b + s * u))]
    model, stages = models.LNCascade(dtype=F64, bias=True), []
    for k in rng.permutation(len(kinds))[:3]:
        layer, function = kinds[int(k)]
        model.add_layer(nonlinear=layer)
        w = rng.normal(size=(1, 1, *rng.integers(1, 5, 3))) / 8
        model.linearities[-1].set_weight(w[0, 0])
        model.linearities[-1].p.bias = 0.1 * len(stages)
        stages.append((w, 0.1 * len(stages), function))
    agrees(model, x, convis.cascade(x, *stages))


@pytest.mark.parametrize("frame", [(6, 4), (4, 6)])
def test_feedback_and_delays(frame: tuple[int, int]) -> None:
    rng = np.random.default_rng(frame[0])
    x, delays = rng.normal(size=(1, 1, 14, *frame)), rng.integers(0, 4, frame)
    w1, w2 = rng.normal(size=(2, 1, 1, 4, 3, 2))
    f1, f2 = rng.normal(size=(2, 6)) / 6
    model = models.LNFDLNF(feedback_length=6, dtype=F64)
    for part, w in ((model.conv1, w1), (model.conv2, w2), (model.feedback1, f1), (model.feedback2, f2)):
        part.set_weight(w)
    model.delay.set_delays(delays)
    agrees(model, x, convis.lnfdlnf(x, w1, f1, delays, w2, f2))


def test_mcintosh() -> None:
    rng = np.random.default_rng(0)
    x, readout, bias = rng.normal(size=(2, 1, 7, 4, 5)), rng.normal(size=(3, 4 * 4 * 5)), rng.normal(size=3)
    model = models.McIntosh((4, 2, 3), True, 3, (2, 3, 3), 2, 4, frame=(4, 5), seed=1, dtype=F64)
    b1, b2 = rng.normal(size=2), rng.normal(size=4)
    model.conv1.p.bias, model.conv2.p.bias, model.readout.p.bias = b1, b2, bias
    model.readout.set_weight(readout.reshape(3, 4, 1, 4, 5), flip=False)
    w1, w2 = (conv.weight.detach().numpy() for conv in (model.conv1, model.conv2))
    agrees(model, x, convis.mcintosh(x, w1, b1, w2, b2, readout, bias))


@pytest.mark.parametrize("name, made", [
    ("moving_grating_50_6_5", lambda: samples.moving_grating(50, 6, 5)),
    ("moving_grating_v", lambda: samples.moving_grating(50, 6, 5, vt=0.1, vx=1.0, vy=-2.0)),
    ("moving_bar_sharp", lambda: samples.moving_bar(60, 8, 8, bar_width=2.0, bar_v=0.05, sharp=True)),
    ("moving_bar_smooth", lambda: samples.moving_bar(60, 8, 8, bar_direction=0.6, bar_width=2.0, bar_v=0.05)),
    ("pulse", lambda: samples.pulse(60, 2, 2, pulse_length=7)),
    ("chirp", lambda: samples.chirp(900, 1, 1)[:, 0, 0]),
    ("chirp_noscale", lambda: samples.chirp(5000, 1, 1, scale=False)[::5, 0, 0]),
    ("mask_square", lambda: samples.mask_square(9, 8, 2).transpose(0, 2, 1)),
    ("mask_circle", lambda: samples.mask_circle(9, 8, 3).transpose(0, 2, 1)),
    ("mask_circle_hard", lambda: samples.mask_circle(9, 8, 3, smooth=False).transpose(0, 2, 1)),
])
def test_stimuli_of_convis(name: str, made) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_allclose(made(), SAMPLES[name], rtol=0, atol=1e-14)
