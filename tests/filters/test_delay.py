"""Delays, padding, sums and differences against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosim import SIGNAL, InputError, ParameterError, StateError
from neurosim.filters import Conv3d, Diff, Sum, TimePadding, VariableDelay


def movie(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("dt", [1, 2, 7, None])
def test_every_pixel_has_its_own_delay(dt: int | None):
    x, delays = movie(2, 3, 20, 4, 6), np.random.default_rng(1).integers(0, 9, (3, 4, 6))
    y = VariableDelay(delays, dtype=torch.float64).run(x, dt)[0].numpy()
    for c, i, j in np.ndindex(3, 4, 6):
        d = delays[c, i, j]
        np.testing.assert_array_equal(y[:, c, d:, i, j], x[:, c, :20 - d, i, j])
        assert (y[:, c, :d, i, j] == 0).all()


def test_delays_of_a_frame_hold_for_every_channel_and_can_be_set():
    x = movie(1, 2, 8, 2, 3)
    layer = VariableDelay(dtype=torch.float64)
    np.testing.assert_array_equal(layer.run(x)[0][:, :, 1:], x[:, :, :-1])  # one frame, when nothing is said
    layer.clear_state()
    layer.set_delays([[0, 1, 2], [3, 4, 5]])
    y = layer.run(x, 3)[0].numpy()
    np.testing.assert_array_equal(y[:, :, 5:, 1, 2], x[:, :, :3, 1, 2])
    np.testing.assert_array_equal(y[:, :, :, 0, 0], x[:, :, :, 0, 0])
    layer.p.delays = 1  # shorter ones have all they need
    np.testing.assert_array_equal(layer.run(x)[0][:, :, 1:], x[:, :, :-1])
    layer.p.delays = 9
    with pytest.raises(StateError, match=r"5 frames were kept, the largest delay is now 9. Call clear_state\(\)"):
        layer.run(x)


def test_delays_that_do_not_fit_are_refused():
    layer = VariableDelay([1, 2], SIGNAL)
    with pytest.raises(ParameterError, match=r"VariableDelay.delays: must be whole numbers of frames \(got 1.5\)"):
        layer.set_delays([1.5, 2])
    with pytest.raises(ParameterError, match=r"delays: must lie in \[0, inf\] frames|delays: must lie in \[0, inf\) frames"):
        VariableDelay(-1)
    with pytest.raises(InputError, match=r"frames must fit the delays of shape \(2,\) \(got \(3,\)\)"):
        layer(np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"delays of shape \(1, 1, 1, 2\)"):
        VariableDelay(np.ones((1, 1, 1, 2)))(np.zeros((4, 3, 2)))
    assert layer.delays.tolist() == [1, 2] and layer.get_state() == {}
    layer.p.delays = [0.5, 1.0]
    with pytest.raises(ParameterError, match=r"whole numbers of frames \(got 0.5\)"):
        layer(np.zeros((4, 2)))


@pytest.mark.parametrize("dt", [1, 3, None])
def test_padding_is_put_once(dt: int | None):
    x = movie(1, 1, 10, 3, 4)
    first = TimePadding(4).run(torch.from_numpy(x), dt)[0].numpy()
    zeros = TimePadding(4, "zeros").run(torch.from_numpy(x), dt)[0].numpy()
    np.testing.assert_array_equal(first, np.concatenate([np.repeat(x[:, :, :1], 4, 2), x], 2))
    np.testing.assert_array_equal(zeros, np.concatenate([np.zeros((1, 1, 4, 3, 4)), x], 2))


def test_padding_is_what_a_convolution_does():
    x, w = movie(20, 4, 4), movie(5, 1, 1)
    own, bare = Conv3d(dtype=torch.float64), Conv3d(time_pad=False, dtype=torch.float64)
    own.set_weight(w)
    bare.set_weight(w)
    padded = TimePadding(4).run(torch.from_numpy(x), 6)[0]
    torch.testing.assert_close(bare.run(padded, 5)[0], own.run(x)[0], rtol=0, atol=1e-13)


def test_unknown_padding_is_refused():
    with pytest.raises(ParameterError, match=r"mode: choose from \['first_frame', 'zeros'\] \(got 'mirror'\)"):
        TimePadding(3, "mirror")
    with pytest.raises(ParameterError, match="length: must be a whole number"):
        TimePadding(-1)


@pytest.mark.parametrize("dt", [1, 3, None])
def test_differences(dt: int | None):
    x = movie(2, 2, 10, 3, 4)
    np.testing.assert_array_equal(Diff().run(torch.from_numpy(x), dt)[0], np.diff(x, axis=2, prepend=x[:, :, :1]))


def test_sums():
    x = torch.from_numpy(movie(2, 3, 5, 4, 6))
    torch.testing.assert_close(Sum()(x), x.sum(1, keepdim=True))
    np.testing.assert_allclose(Sum(("y", "x"))(x), x.numpy().sum((3, 4), keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(Sum("feature", SIGNAL)(x[0, 0, 0]), x[0, 0, 0].numpy().sum(1)[None, :, None], rtol=1e-13)
    for over, axes in (("time", SIGNAL), ("channel", SIGNAL)):
        with pytest.raises(ParameterError, match=r"Sum.over: choose from \['feature'\]"):
            Sum(over, axes)
    with pytest.raises(ParameterError, match=r"Sum.over: choose from \['channel', 'y', 'x'\] \(got \(\)\)"):
        Sum(())
