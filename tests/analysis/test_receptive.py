"""Spike-triggered averages and covariances against loops written out and models whose fields are known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim import InputError, ParameterError, StateError
from neurosim.analysis import STA, STC, ellipse, separate, stc_significance
from neurosim.datasets import Recording, SpikeCounts
from neurosim.streams import RandomStream, SequenceStream

rng = np.random.default_rng(0)
MOVIE = rng.normal(size=(120, 3, 2)) + 0.5
COUNTS = rng.poisson(0.4, (120, 2)).astype(float)
LAGS = 4


def histories(x: np.ndarray, lags: int) -> np.ndarray:
    """(time, lags, ...) of the frames that have a whole history."""
    return np.stack([[x[t - lag] for lag in range(lags)] for t in range(lags - 1, len(x))])


def test_the_average_is_the_mean_before_spikes() -> None:
    past, n = histories(MOVIE, LAGS), COUNTS[LAGS - 1:]
    sta = STA(LAGS).update(MOVIE, COUNTS)
    for unit in range(2):
        wanted = np.average(past, axis=0, weights=n[:, unit])
        np.testing.assert_allclose(sta.average()[unit], wanted, rtol=1e-12)
        np.testing.assert_allclose(sta.average(centered=True)[unit], wanted - past.mean(0), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(STA(LAGS).update(MOVIE, COUNTS[:, unit]).average(), wanted, rtol=1e-12)
    assert sta.frames == 120 - LAGS + 1 and sta.spikes.tolist() == n.sum(0).tolist()


def test_the_covariances_are_those_of_numpy() -> None:
    past, n = histories(MOVIE, LAGS).reshape(-1, 24), COUNTS[LAGS - 1:].astype(int)
    triggered, plain = STC(LAGS).update(MOVIE, COUNTS).covariances()
    np.testing.assert_allclose(plain, np.cov(past.T, ddof=0), atol=1e-12)
    for unit in range(2):
        np.testing.assert_allclose(triggered[unit], np.cov(past.T, ddof=0, fweights=n[:, unit]), atol=1e-12)
    values, directions = STC(LAGS).update(MOVIE, COUNTS).components()
    assert values.shape == (2, 24) and directions.shape == (2, 24, LAGS, 3, 2) and (np.diff(values) <= 0).all()
    for value, direction in zip(values[1], directions[1].reshape(24, 24), strict=True):
        np.testing.assert_allclose((triggered[1] - plain) @ direction, value * direction, atol=1e-12)


@pytest.mark.parametrize("kind", [STA, STC])
@given(st.lists(st.integers(0, 40), max_size=12))
@settings(max_examples=25, deadline=None)
def test_chunks_of_any_length_give_what_the_whole_gives(kind: type[STA | STC], lengths: list[int]) -> None:
    one, other = kind(LAGS).update(MOVIE, COUNTS), kind(LAGS)
    at = 0
    for n in [*lengths, 500]:
        other.update(MOVIE[at:at + n], COUNTS[at:at + n])
        at += n
    assert other.frames == one.frames
    for a, b in zip(*((x.average(),) if isinstance(x, STA) else x.covariances() for x in (one, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)  # sums in another order


def test_sources_of_any_length_take_the_memory_of_a_chunk() -> None:
    def peak(frames: int) -> int:
        stimulus = RandomStream((64, 64), seed=3, frame_rate=100.0)
        tracemalloc.start()
        sta = STA(3).over(stimulus, SpikeCounts(np.arange(0.5, frames / 100, 0.37), 100.0, frames))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sta.frames == frames - 2
        return most

    peak(10)  # what is compiled and imported
    assert peak(6000) < 1.05 * peak(2100)


def test_chunks_of_sources_end_with_the_shorter_one() -> None:
    recording = Recording(MOVIE, [np.arange(0.005, 1.2, 0.07), np.arange(0.005, 1.2, 0.03)], 100.0)
    stimulus, counts = recording.streams()
    over = STA(LAGS).over(stimulus, counts)
    np.testing.assert_allclose(over.average(), STA(LAGS).update(*recording.arrays()).average(), rtol=1e-12)
    short = STA(LAGS).over(SequenceStream(MOVIE), SequenceStream(COUNTS[:50]))
    np.testing.assert_allclose(short.average(), STA(LAGS).update(MOVIE[:50], COUNTS[:50]).average(), rtol=1e-12)


def test_the_average_of_a_linear_nonlinear_cell_is_its_kernel() -> None:
    g = np.random.default_rng(1)
    kernel = np.array([0.0, 0.5, 1.0, 0.3, -0.4, -0.2])
    x = g.normal(size=60000)
    counts = g.poisson(0.1 * np.exp(0.5 * np.convolve(x, kernel)[:len(x)]))
    average = STA(6).update(x, counts).average()
    np.testing.assert_allclose(average, 0.5 * kernel, atol=0.05)  # Bussgang: exp keeps the scale; 4 standard errors
    values, _, significant = stc_significance(x[:20000], counts[:20000], 6, seed=0, surrogates=80)
    assert not significant.any(), "an exponential changes no variance"
    assert abs(values).max() < 0.2


def test_a_planted_quadratic_direction_is_found_and_a_suppressive_one() -> None:
    g = np.random.default_rng(2)
    shape = (3, 4)
    up, down = np.linalg.qr(g.normal(size=(12, 2)))[0].T.reshape(2, *shape)
    x = g.normal(size=(20000, 4)) * 3.0 + 7.0  # no zero mean, no unit variance
    past = (histories(x, 3) - 7.0) / 3.0
    drive = 0.08 * np.tensordot(past, up, 2)**2 - 0.3 * np.tensordot(past, down, 2)**2
    counts = np.concatenate([[0, 0], g.poisson(0.5 * np.exp(drive))])
    values, directions, significant = stc_significance(x, counts, 3, seed=0, surrogates=80)
    assert np.flatnonzero(significant).tolist() == [0, 11]
    assert abs(np.vdot(directions[0], up)) > 0.9 and abs(np.vdot(directions[-1], down)) > 0.97
    # Under exp(a u^2) a Gaussian u of variance 1 has the variance 1 / (1 - 2 a) before spikes.
    assert values[0] == pytest.approx(9 * (1 / (1 - 0.16) - 1), rel=0.25)
    assert values[-1] == pytest.approx(9 * (1 / 1.6 - 1), rel=0.1)


def test_significance_holds_its_level() -> None:
    g = np.random.default_rng(3)
    called = 0
    for trial in range(200):
        x = np.convolve(g.normal(size=410), np.ones(5) / 5, "valid")  # correlated in time, as are the bursts
        bursts = np.convolve(g.random(len(x)) < 0.05, [1, 1, 1])[:len(x)]
        called += stc_significance(x, bursts, 3, seed=trial, surrogates=40, level=0.1)[2].any()
    assert called < 20 + 3 * np.sqrt(200 * 0.1 * 0.9)
    assert called > 4, "and is not idle"


def test_the_nearest_product_is_the_first_singular_pair() -> None:
    time, space = np.array([0.6, -0.8]), rng.normal(size=(3, 4))
    space *= np.sign(space.flat[np.abs(space).argmax()])
    got = separate(np.multiply.outer(time, space))
    np.testing.assert_allclose(got[0], time, atol=1e-12)
    np.testing.assert_allclose(got[1], space, atol=1e-12)
    assert got[2] == pytest.approx(1.0, abs=1e-12)
    assert separate(np.eye(2))[2] == pytest.approx(0.5)
    with pytest.raises(InputError, match=r"separate: needs a finite field \(lags, \.\.\.\)"):
        separate(np.ones(3))


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.3, 2.5])
@pytest.mark.parametrize("amplitude", [2.0, -0.5])
def test_an_ellipse_is_found_at_any_angle(angle: float, amplitude: float) -> None:
    y, x = np.mgrid[:24, :30]
    along = (x - 13.3) * np.cos(angle) + (y - 9.8) * np.sin(angle)
    across = -(x - 13.3) * np.sin(angle) + (y - 9.8) * np.cos(angle)
    field = amplitude * np.exp(-(along / 4)**2 / 2 - (across / 1.5)**2 / 2) + 0.3
    wanted = (13.3, 9.8, 4.0, 1.5, angle, amplitude, 0.3)
    got = np.array(ellipse(field))
    got[4] = angle + (got[4] - angle + np.pi / 2) % np.pi - np.pi / 2  # an axis has no head
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    noisy = ellipse(field + np.random.default_rng(0).normal(scale=0.05, size=field.shape))
    np.testing.assert_allclose(noisy[:4], wanted[:4], atol=0.4)
    with pytest.raises(InputError, match=r"finite field .* that varies"):
        ellipse(np.ones((5, 5)))


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    sta = STA(LAGS).update(MOVIE, COUNTS)
    before = sta.average()
    with pytest.raises(InputError, match=r"STA\.update: chunks before had frames \(3, 2\) and 2 units"):
        sta.update(MOVIE[:, 0], COUNTS)
    with pytest.raises(InputError, match=r"STA\.update: stimulus and counts must be finite"):
        sta.update(MOVIE * np.nan, COUNTS)
    with pytest.raises(InputError, match=r"needs a stimulus \(time, \.\.\.\) and counts .* \(119, 3, 2\) and \(120, 2\)"):
        sta.update(MOVIE[1:], COUNTS)
    np.testing.assert_array_equal(sta.average(), before)
    with pytest.raises(StateError, match="STC: every unit needs a spike"):
        STC(3).update(MOVIE, COUNTS * 0).components()
    with pytest.raises(ParameterError, match=r"STA\.lags: must be a whole number of at least 1"):
        STA(0)
    with pytest.raises(ParameterError, match=r"stc_significance\.surrogates: must be a whole number of at least 40"):
        stc_significance(MOVIE[:, 0, 0], COUNTS[:, 0], 3, seed=0, surrogates=20)
    with pytest.raises(InputError, match="at least 480 frames to shift them"):
        stc_significance(MOVIE[:, 0, 0], COUNTS[:, 0], 120, seed=0)
    with pytest.raises(InputError, match="of one unit"):
        stc_significance(MOVIE[:, 0, 0], COUNTS, 3, seed=0)
