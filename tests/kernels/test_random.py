"""Philox and what is made of it: published vectors, statistics, agreement of compiled code and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from neurosim.kernels.random import NOISE, REFRACTORY, START, fill_normals, normal, one_normal, philox, uniform, uniforms

# Random123, kat_vectors, "philox4x32 10": counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]
FRAME = torch.tensor(0)


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_words(counter: tuple, key: tuple, result: tuple) -> None:
    assert philox(counter, key) == result
    words = philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))
    assert tuple(int(word) for word in words) == result


def compiled_normals(key: int, stream: int, index: int, row: int, first: int, count: int,
                     dtype: torch.dtype) -> torch.Tensor:
    out = torch.empty(count, dtype=dtype)
    fill_normals(out.numpy(), np.empty((4, 64), np.uint32), key, stream, index, row, first)
    return out


@pytest.mark.parametrize("key", [0, 5, -1, -123456789012345, 2**62])
@pytest.mark.parametrize("index", [0, 7, 2**32 - 1, 2**40 + 3])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 2e-15)])  # a few roundings of 6.8
def test_compiled_numbers_are_those_of_torch(key: int, index: int, dtype: torch.dtype, atol: float) -> None:
    ours = compiled_normals(key, REFRACTORY, index, 3, 256, 512, dtype)
    expected = normal(torch.tensor(key), REFRACTORY, torch.tensor(index), 4, 768, dtype)[3]
    torch.testing.assert_close(ours, expected[256:], rtol=0, atol=atol)
    pair, words = torch.empty(2, 1, dtype=dtype).numpy(), np.empty((4, 1), np.uint32)
    for cell in (0, 63, 64, 200, 300, 500, 767):
        assert abs(one_normal(pair, words, key, REFRACTORY, index, 3, cell) - expected[cell]) <= atol


def test_normals_are_normal() -> None:
    x = normal(torch.tensor(1), NOISE, FRAME, 10, 20_480, torch.float64).numpy().ravel()
    assert stats.kstest(x, "norm").pvalue > 0.01
    assert abs(x).max() < 6.8
    pair = x.reshape(-1, 2, 64).swapaxes(1, 2).reshape(-1, 2)
    angle = np.arctan2(pair[:, 1], pair[:, 0]) / (2 * np.pi) % 1
    assert stats.kstest(angle, "uniform").pvalue > 0.01  # members of a pair share no more than the radius
    assert stats.kstest((pair**2).sum(1) / 2, "expon").pvalue > 0.01


def test_uniforms_are_uniform() -> None:
    x = uniform(torch.tensor(2), START, FRAME, 10, 20_000, torch.float64).numpy().ravel()
    assert stats.kstest(x, "uniform").pvalue > 0.01
    assert stats.chisquare(np.bincount((x * 100).astype(int), minlength=100)).pvalue > 0.01
    assert x.min() >= 0
    assert x.max() < 1


def test_neighbours_are_independent() -> None:
    """In cell, row, frame, stream and key: correlations within five standard errors, squares too."""
    key, n = torch.tensor(3), 40_000
    base = normal(key, NOISE, FRAME, 2, n, torch.float64)
    others = [base[1], base[0].roll(1), base[0].roll(64), base[0].roll(128), base[0].roll(256),
              normal(key, NOISE, FRAME + 1, 1, n, torch.float64)[0],
              normal(key, REFRACTORY, FRAME, 1, n, torch.float64)[0],
              normal(key + 1, NOISE, FRAME, 1, n, torch.float64)[0],
              normal(key + 2**32, NOISE, FRAME, 1, n, torch.float64)[0],
              normal(key, NOISE, FRAME + 2**32, 1, n, torch.float64)[0]]
    for other in others:
        for a, b in ((base[0], other), (base[0].square(), other.square())):
            assert abs(np.corrcoef(a, b)[0, 1]) < 5 / n**0.5


def test_a_number_does_not_depend_on_how_many_are_drawn() -> None:
    key, index = torch.tensor(4), torch.tensor(9)
    many = normal(key, NOISE, index, 5, 37, torch.float32)
    assert torch.equal(normal(key, NOISE, index, 2, 10, torch.float32), many[:2, :10])
    each = torch.arange(20).reshape(2, 10)
    mixed = normal(key, NOISE, each, 2, 10, torch.float32)
    assert mixed[1, 3] == normal(key, NOISE, torch.tensor(13), 2, 10, torch.float32)[1, 3]


@pytest.mark.parametrize("key", [0, -5, 2**62])
@pytest.mark.parametrize("frame", [0, 2**32 - 2, 2**40 + 3])
@pytest.mark.parametrize("cells", [0, 1, 64, 65, 300, 513])
def test_uniforms_of_many_frames_are_those_of_each(key: int, frame: int, cells: int) -> None:
    start = torch.tensor(key), torch.tensor(frame)
    found = uniforms(*start, START, 3, 4, cells)
    assert torch.equal(found, uniforms.reference(*start, START, 3, 4, cells))
    for t in range(4):
        assert torch.equal(found[:, t], uniform(start[0], START, start[1] + t, 3, cells, torch.float32))


def test_the_operator_of_uniforms_is_well_formed() -> None:
    torch.library.opcheck(uniforms.operator, (torch.tensor(4), torch.tensor(9), START, 3, 4, 70))


@pytest.mark.cuda
def test_devices_agree() -> None:
    key, index = torch.tensor(4), torch.tensor(9)
    here = normal(key, NOISE, index, 5, 37, torch.float64)
    there = normal(key.cuda(), NOISE, index.cuda(), 5, 37, torch.float64).cpu()
    torch.testing.assert_close(there, here, rtol=0, atol=1e-14)
