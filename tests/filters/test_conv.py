"""Convolutions against numbers of another program, and their own promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim import InputError, ParameterError
from neurosim.filters import Conv1d, Conv2d, Conv3d

DATA = Path(__file__).parents[1] / "data" / "convis"
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-5}
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def golden() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "conv3d.npz"))


@each_dtype
@pytest.mark.parametrize("dt", [4, None])
@pytest.mark.parametrize("size", ["1x3x3", "5x3x3", "4x4x4", "7x2x5", "12x1x1"])
def test_convis_kernels(size: str, dt: int | None, dtype: torch.dtype):
    z = golden()
    conv = Conv3d(dtype=dtype)
    conv.set_weight(z[f"w_k{size}"])
    y = conv.run(z["x"], dt)[0][0, 0].numpy()
    np.testing.assert_allclose(y, z[f"out_k{size}"], rtol=0, atol=DTYPES[dtype] * np.abs(z[f"out_k{size}"]).max())


@each_dtype
def test_convis_options(dtype: torch.dtype):
    z = golden()
    atol = DTYPES[dtype] * 3
    norm, plain, bare = Conv3d(dtype=dtype), Conv3d(dtype=dtype), Conv3d(dtype=dtype, time_pad=False, autopad=False)
    norm.set_weight(z["w_norm"], normalize=True)
    plain.set_weight(z["w_noflip"], flip=False)
    bare.set_weight(z["w_nopad"])
    for conv, name in ((norm, "out_norm"), (plain, "out_noflip"), (bare, "out_nopad")):
        np.testing.assert_allclose(conv.run(z["x"], 7)[0][0, 0].numpy(), z[name], rtol=0, atol=atol)
    many = Conv3d(2, 3, dtype=dtype)
    many.set_weight(z["wm"])
    many.p.bias = z["bm"]
    np.testing.assert_allclose(many.run(z["xm"], 4)[0].numpy(), z["outm"], rtol=0, atol=atol)


@pytest.mark.parametrize("shape", [(9, 3, 6), (9, 6, 3), (0, 3, 3)])
def test_frames_smaller_than_the_kernel_are_refused_where_borders_are_not_continued(shape: tuple[int, ...]):
    conv = Conv3d(kernel_size=(2, 4, 4), autopad=False)
    with pytest.raises(InputError, match=r"Conv3d: frames must be at least as large as the kernel, \(4, 4\) pixels"):
        conv(torch.zeros(shape))
    assert conv.state is None
    assert Conv3d(kernel_size=(2, 4, 4))(torch.zeros(shape)).shape == (1, 1, *shape)


def test_conv1d_and_conv2d_are_conv3d_along_their_axes():
    x = torch.randn(2, 2, 20, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g = np.random.default_rng(0)
    for cls, w in ((Conv1d, g.normal(size=(3, 2, 5, 1, 1))), (Conv2d, g.normal(size=(3, 2, 1, 4, 3)))):
        one, three = cls(2, 3, dtype=torch.float64), Conv3d(2, 3, dtype=torch.float64)
        one.set_weight(w)
        three.set_weight(w)
        torch.testing.assert_close(one.run(x, 6)[0], three.run(x)[0], rtol=1e-12, atol=1e-12)


def test_kernels_follow_their_parameters():
    conv = Conv2d()
    conv.gaussian(0.2)
    assert conv.p.keys() == ["bias", "kernel.sigma"]
    x = torch.zeros(1, 31, 31)
    x[0, 15, 15] = 1
    narrow = conv.run(x)[0]
    conv.p.kernel.sigma = 0.4
    wide = conv.run(x)[0]
    k = torch.arange(31.0) - 15
    for y, sigma_px in ((narrow, 2.0), (wide, 4.0)):
        assert float((y[0, 0, 0].sum(0) * k**2).sum()) == pytest.approx(sigma_px**2, rel=5e-3)
    conv.clear_state()
    conv(x).square().sum().backward()
    assert conv.kernel.sigma.grad.abs() > 0
    with pytest.raises(ParameterError, match="must lie in"):
        conv.p.kernel.sigma = -1
    conv.set_weight([[0.0, 1.0, 0.0]])
    assert conv.kernel is None and conv.weight.shape == (1, 1, 1, 1, 3)


def test_a_number_fills_the_kernel():
    box = Conv3d(kernel_size=(4, 3, 1))
    box.set_weight(2.0, normalize=True)
    assert box.weight.shape == (1, 1, 4, 3, 1) and torch.equal(box.weight, torch.full_like(box.weight, 1 / 12))
    box.gaussian(0.1)
    size = box.impulse_response().shape
    box.set_weight(0.5)
    assert box.weight.shape == size and box.weight.unique().tolist() == [0.5]


def test_the_exponential_kernel_is_the_low_pass():
    from neurosim.filters import TemporalLowPass

    x = torch.randn(1, 1, 80, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, :, 0] = 0  # the convolution repeats the first frame, the low-pass starts at 0
    conv = Conv1d(dtype=torch.float64)
    conv.exponential(0.01)
    low = TemporalLowPass(tau=0.01, dtype=torch.float64)
    # the kernel's cut tail is 1e-4, of inputs of size 3
    torch.testing.assert_close(conv.run(x, 9)[0], low.run(x)[0], rtol=0, atol=5e-4)


@pytest.mark.parametrize("make, text", [
    (lambda: Conv3d(0), "in_channels: must be a whole number"),
    (lambda: Conv3d(kernel_size=(3, 3)), "kernel_size: needs 3 whole numbers"),
    (lambda: Conv2d(kernel_size=(0, 3)), "kernel_size: needs 2 whole numbers"),
    (lambda: Conv1d().set_weight(np.ones((3, 3))), "extends over an axis that this layer does not filter"),
    (lambda: Conv3d(2, 2).set_weight(np.ones((1, 2, 1, 1, 1))), r"with out, in = 2, 2 \(got \(1, 2, 1, 1, 1\)\)"),
    (lambda: Conv3d(2, 3).set_weight(np.ones(3), preserve_channels=True), "as many input as output channels"),
    (lambda: Conv3d().set_weight([1.0, float("nan")]), "must not be NaN"),
    (lambda: Conv2d().exponential(0.1), "does not filter over time"),
    (lambda: Conv1d().gaussian(0.1), "does not filter over space"),
    (lambda: Conv3d(2)(np.zeros((1, 1, 3, 4, 4))), "the layer takes 2 channels"),
])
def test_what_does_not_fit_is_refused(make, text: str):  # type: ignore[no-untyped-def]
    with pytest.raises((ParameterError, ValueError), match=text):
        make()


def test_kernels_through_files_and_stacks(tmp_path: Path):
    free, gauss, high = Conv3d(), Conv2d(), Conv1d()
    free.set_weight(np.arange(45.0).reshape(5, 3, 3))
    gauss.gaussian(0.3)
    high.highpass_exponential(0.02, 0.7)
    for layer in (free, gauss, high):
        layer.save_parameters(tmp_path / "kernel.npz")
        other = type(layer)()
        other.load_parameters(tmp_path / "kernel.npz")
        torch.testing.assert_close(other.impulse_response(), layer.impulse_response())
    free.push_parameters()
    free.set_weight(np.ones((2, 2)))
    free.pop_parameters()
    assert free.weight.shape == (1, 1, 5, 3, 3)
    with pytest.raises(ParameterError):
        free.set_parameters({"weight": np.ones((2, 2)), "bias": "many"})
    assert free.weight.shape == (1, 1, 5, 3, 3)


def test_what_is_refused_leaves_the_kernel_as_it_was():
    for values in ({"kernel_sigma": 0.3, "bias": "many"}, {"weight": np.ones((2, 2)), "nothing": 1.0}):
        conv = Conv2d()
        with pytest.raises((ParameterError, AttributeError)):
            conv.set_parameters(values)
        assert conv.kernel is None and conv.p.keys() == ["weight", "bias"] and conv.weight.shape == (1, 1, 1, 1, 1)
        assert conv.run(np.ones((2, 3, 3)))[0].shape == (1, 1, 2, 3, 3)


def test_a_convolution_without_numbers_is_given_them_by_a_state_dict():
    bare, whole = Conv3d(kernel_size=(3, 2, 2), device="meta"), Conv3d(kernel_size=(3, 2, 2))
    whole.set_weight(np.random.default_rng(0).normal(size=(3, 2, 2)))
    bare.load_state_dict(whole.state_dict(), assign=True)
    x = torch.rand(1, 1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(bare.run(x)[0], whole.run(x)[0])
