"""Receptive fields and smooth convolutions against sums written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError, Resolution
from neurosim.filters import RF, SmoothConv


def movie(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def readout(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y[b, o, t] = sum of w[o, c, lag, y, x] x[b, c, t - lag, Y - 1 - y, X - 1 - x], the first frame going back for ever."""
    y = np.zeros((len(x), len(w), x.shape[2]))
    for t in range(x.shape[2]):
        for lag in range(w.shape[2]):
            y[:, :, t] += np.einsum("ocyx,bcyx->bo", w[:, :, lag], x[:, :, max(t - lag, 0), ::-1, ::-1])
    return y


@pytest.mark.parametrize("dt", [1, 4, None])
def test_one_value_per_channel(dt: int | None):
    x, w = movie(2, 3, 15, 5, 4), movie(2, 3, 6, 5, 4)
    rf = RF(3, 2, dtype=torch.float64)
    rf.set_weight(w)
    rf.p.bias = [0.5, -1.0]
    y = rf.run(x, dt)[0]
    assert y.shape == (2, 2, 15, 1, 1)
    np.testing.assert_allclose(y[..., 0, 0], readout(x, w) + np.array([0.5, -1.0])[:, None], rtol=0, atol=1e-12 * 100)


def test_an_array_as_one_sees_it_is_a_dot_product():
    x, w = movie(7, 5, 4), movie(5, 4)
    rf = RF(dtype=torch.float64)
    rf.set_weight(w, flip=False)
    np.testing.assert_allclose(rf.run(x)[0][0, 0, :, 0, 0], (x * w).sum((1, 2)), rtol=1e-12)


def test_one_pixel_is_the_mean_of_any_frame():
    x, w = movie(12, 5, 4), movie(6)
    rf = RF(dtype=torch.float64)
    rf.set_weight(w)
    mean = np.concatenate([np.full(5, x[0].mean()), x.mean((1, 2))])
    np.testing.assert_allclose(rf.run(x, 5)[0][0, 0, :, 0, 0], np.convolve(mean, w, "valid"), rtol=1e-12)


def test_without_padding_output_starts_with_the_first_whole_history():
    x, w = movie(1, 1, 12, 3, 4), movie(1, 1, 6, 3, 4)
    rf = RF(time_pad=False, dtype=torch.float64)
    rf.set_weight(w)
    np.testing.assert_allclose(rf.run(x, 2)[0][0, 0, :, 0, 0], readout(x, w)[0, 0, 5:], rtol=0, atol=1e-12)


def test_frames_of_another_size_are_refused():
    rf = RF(kernel_size=(2, 5, 4))
    with pytest.raises(InputError, match=r"RF: frames must be as large as the kernel, \(5, 4\) pixels \(got \(4, 5\)\)"):
        rf(np.zeros((3, 4, 5)))
    assert rf.get_state() == {}
    with pytest.raises(ParameterError, match="kernel_size: needs 3 whole numbers"):
        RF(kernel_size=(5, 4))


@pytest.mark.parametrize("dt", [4, None])
def test_smooth_kernels_are_sums_of_cascaded_lowpasses(dt: int | None):
    x = movie(2, 2, 30, 6, 5)
    layer = SmoothConv(3, 0.004, (3, 3), in_channels=2, out_channels=2, seed=3, dtype=torch.float64,
                       resolution=Resolution(0.001, 10.0))
    layer.p.conv.bias = [0.1, 0.2]
    w = layer.conv.weight.detach().numpy()[:, :, 0]
    c, stages, signal = np.exp(-1 / 4), [], x
    for _ in range(3):
        y, out = np.zeros_like(signal[:, :, 0]), []
        for t in range(30):
            y = c * y + (1 - c) * signal[:, :, t]
            out.append(y)
        signal = np.stack(out, 2)
        stages.append(signal)
    padded = np.pad(np.concatenate(stages, 1), [(0, 0)] * 3 + [(1, 1)] * 2, mode="edge")
    wanted = np.zeros((2, 2, 30, 6, 5)) + np.array([0.1, 0.2])[:, None, None, None]
    for a in range(3):
        for b in range(3):
            part = padded[..., 2 - a:8 - a, 2 - b:7 - b]
            wanted += np.einsum("oc,bctyx->botyx", w[:, :, a, b], part)
    out = layer.run(x, dt, record=["components"])
    np.testing.assert_allclose(out[0], wanted, rtol=0, atol=1e-12)
    parts = out["components"].unflatten(1, (3, 2)).sum(1) + torch.tensor([0.1, 0.2])[:, None, None, None]
    np.testing.assert_allclose(parts, wanted, rtol=0, atol=1e-8)  # the bias is rounded to float32 in this line


def test_smooth_weights_come_from_their_seed():
    one, same, other = SmoothConv(seed=1), SmoothConv(seed=1), SmoothConv(seed=2)
    assert torch.equal(one.conv.weight, same.conv.weight) and not torch.equal(one.conv.weight, other.conv.weight)


@pytest.mark.parametrize("options, text", [
    ({"n": 0}, "SmoothConv.n: must be a whole number of at least 1"),
    ({"spatial_filter": (3,)}, r"spatial_filter: must be \(y, x\)"),
    ({"out_channels": 0}, "out_channels: must be a whole number"),
    ({"tau": -1.0}, "tau: must lie in"),
])
def test_what_a_smooth_convolution_refuses(options: dict, text: str):
    with pytest.raises(ParameterError, match=text):
        SmoothConv(**options)
