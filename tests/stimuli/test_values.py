"""What stimuli show, against formulas, spectra and laws of chance that do not come from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal, stats

from neurosim import Resolution
from neurosim import stimuli as st

PPD, H = 10.0, 0.002
COMMON = {"resolution": Resolution(H, pixels_per_degree=PPD)}


def test_drifting_grating_is_the_formula_at_a_pixel() -> None:
    grating = st.DriftingGrating((21, 31), direction=35, spatial_frequency=0.7, temporal_frequency=3, phase=40, mean=100,
                                 contrast=0.4, **COMMON)
    y, x, t = (4 - 10) / PPD, (22 - 15) / PPD, 77 * H
    u = x * math.cos(math.radians(35)) - y * math.sin(math.radians(35))  # y downwards, directions counter-clockwise
    value = 100 * (1 + 0.4 * math.sin(2 * math.pi * (0.7 * u - 3 * t) + math.radians(40)))
    assert grating.array(1, 77)[0, 4, 22] == pytest.approx(value, rel=1e-6)  # float32


@pytest.mark.parametrize("direction", [0, 45, 90, 135, 200, 300])
def test_drifting_grating_has_its_peak_in_space_and_time(direction: float) -> None:
    fs, ft = 1.0, 12.0  # whole cycles in 250 frames
    video = st.DriftingGrating((64, 64), direction=direction, spatial_frequency=fs, temporal_frequency=ft, **COMMON).array(250)
    power = np.abs(np.fft.fftn(video - video.mean()))
    t, y, x = np.unravel_index(power.argmax(), power.shape)
    ft_found = np.fft.fftfreq(250, H)[t]
    fy, fx = np.fft.fftfreq(64, 1 / PPD)[[y, x]]
    assert abs(ft_found) == pytest.approx(ft)
    turn = -np.sign(ft_found)  # sin(k.u - w t): the peak at +k has frequency -w
    step = PPD / 64
    assert abs(turn * fx - fs * math.cos(math.radians(direction))) <= step / 2 + 1e-9
    assert abs(-turn * fy - fs * math.sin(math.radians(direction))) <= step / 2 + 1e-9


def test_square_wave_is_the_sign_of_the_sine() -> None:
    options = {"direction": 20.0, "spatial_frequency": 0.37, "phase": 13.0, **COMMON}
    sine, square = (st.DriftingGrating((20, 30), wave=wave, **options).array(50) for wave in ("sine", "square"))
    np.testing.assert_array_equal(square, np.where(sine > 127.5, 255, 0))


def test_counterphase_grating_stands() -> None:
    video = st.CounterphaseGrating((1, 40), temporal_frequency=5, **COMMON).array(100)[:, 0] - 127.5  # half a cycle is 50
    np.testing.assert_allclose(video[50:], -video[:50], atol=1e-4)  # float32 of 255
    assert np.linalg.matrix_rank(video, tol=1e-2) == 1  # a product of space and time


def test_michelson_contrast() -> None:
    video = st.DriftingGrating((40, 40), mean=80, contrast=0.25, wave="square", **COMMON).array(200)
    assert (video.max() - video.min()) / (video.max() + video.min()) == pytest.approx(0.25)
    flipped = st.DriftingGrating((40, 40), mean=80, contrast=-0.25, wave="square", **COMMON).array(200)
    np.testing.assert_allclose(flipped + video, 160, rtol=1e-6)


def test_checkerboard_reverses_twice_a_cycle() -> None:
    video = st.Checkerboard((20, 20), check=0.5, temporal_frequency=10, **COMMON).array(100)
    changes = np.flatnonzero(np.abs(np.diff(video[:, 0, 0]))) + 1
    np.testing.assert_array_equal(changes, [25, 50, 75])
    assert set(np.unique(video[0, :5, :5])) == {video[0, 0, 0]} and video[0, 0, 0] != video[0, 0, 5]


@pytest.mark.parametrize(("direction", "sign", "axis"), [(0, 1, 1), (180, -1, 1), (90, -1, 0), (270, 1, 0)])
def test_bar_moves_where_and_as_fast_as_it_says(direction: float, sign: int, axis: int) -> None:
    bar = st.MovingBar((41, 41), width=0.5, speed=10, direction=direction, **COMMON)
    assert bar.sweep == pytest.approx((4.1 + 0.5) / 10)
    profile = bar.array(round(bar.sweep / H)).sum(axis=2 - axis)[40:190] / 255 / 41
    np.testing.assert_allclose(profile.sum(1), 5, atol=1e-4)  # 0.5 deg is 5 pixels, at any time
    middle = (profile * np.arange(41)).sum(1) / profile.sum(1)
    np.testing.assert_allclose(np.diff(middle), sign * 10 * H * PPD, atol=1e-4)


def test_bar_has_a_length_and_a_pause() -> None:
    bar = st.MovingBar((50, 50), width=0.5, bar_length=2.0, speed=10, pause=0.1, **COMMON)
    half = round(bar.sweep / 2 / H)
    assert bar.array(1, half).sum() / 255 == pytest.approx(5 * 20, rel=1e-5)  # its area in pixels
    assert not bar.array(48, round(bar.sweep / H) + 1).any()


def test_flash_times_and_a_spot_of_the_right_area() -> None:
    flash = st.Flash((60, 60), delay=0.1, duration=0.06, period=0.2, level=200, background=10, **COMMON)
    on = flash.array(300)[:, 0, 0] == 200
    np.testing.assert_array_equal(np.flatnonzero(np.diff(on.astype(int))) + 1, [50, 80, 150, 180, 250, 280])
    spot = (flash * st.CircularMask(2.0)).array(1, 60)[0]
    assert ((spot - 10) / 190).sum() / PPD**2 == pytest.approx(math.pi * 4, rel=2e-3)  # pixels of 0.1 deg at the edge
    ring = (flash * st.AnnulusMask(1.0, 2.0)).array(1, 60)[0]
    assert ((ring - 10) / 190).sum() / PPD**2 == pytest.approx(math.pi * 3, rel=2e-3)


def test_chirp_has_the_published_course() -> None:
    chirp = st.Chirp((1, 1), **COMMON)
    x = chirp.array(16000).ravel()
    at = lambda seconds: round(seconds / H)  # noqa: E731
    for begin, end, value in [(0, 2, 0), (2, 5, 255), (5, 8, 0), (8, 10, 127.5), (18, 20, 127.5), (28, 30, 127.5), (30, 32, 0)]:
        np.testing.assert_array_equal(x[at(begin):at(end)], value)
    phase = np.unwrap(np.angle(signal.hilbert(x[at(10):at(18)] - 127.5)))
    frequency = np.gradient(phase, H) / (2 * math.pi)
    for seconds in (2, 3, 4, 5, 6):
        # Hilbert's transform of a chirp of finite length ripples; averaged over half a second
        assert frequency[at(seconds - 0.25):at(seconds + 0.25)].mean() == pytest.approx(seconds, rel=0.03)
    growing = x[at(20):at(28)] - 127.5
    peaks = signal.find_peaks(growing)[0][2:]  # the first come early, since the amplitude grows under them
    np.testing.assert_allclose(np.diff(peaks) * H, 0.5, atol=2 * H)  # 2 Hz
    np.testing.assert_allclose(growing[peaks], 127.5 * peaks * H / 8, rtol=3e-3)  # peaks lie a little early
    np.testing.assert_array_equal(chirp.array(16000, 16000).ravel(), x)


def test_binary_noise_is_fair_and_white() -> None:
    video = st.BinaryNoise((20, 20), contrast=1.0, seed=5, **COMMON).array(1000)
    signs = video.reshape(1000, -1) / 127.5 - 1
    n = signs.size
    assert abs(signs.mean()) < 4 / math.sqrt(n) and np.all(signs**2 == 1)
    for lag in (signs[1:] * signs[:-1], signs[:, 1:] * signs[:, :-1]):
        assert abs(lag.mean()) < 4 / math.sqrt(lag.size)  # four standard errors


def test_checks_and_intervals_of_noise() -> None:
    video = st.BinaryNoise((6, 9), check=0.3, interval=0.01, contrast=1.0, seed=2, **COMMON).array(50)
    np.testing.assert_array_equal(video, np.repeat(np.repeat(np.repeat(video[::5, ::3, ::3], 5, 0), 3, 1), 3, 2))
    assert len(np.unique(video[::5].reshape(10, -1), axis=0)) == 10


def test_gaussian_noise_is_normal() -> None:
    values = st.GaussianNoise((10, 10), mean=100, contrast=0.2, seed=1, **COMMON).array(500).ravel()
    assert stats.kstest((values - 100) / 20, "norm").pvalue > 1e-3


def test_sparse_noise_has_as_many_bright_as_dark() -> None:
    video = st.SparseNoise((20, 20), probability=0.1, **COMMON).array(500)
    n = video.size
    error = 4 * math.sqrt(0.05 * 0.95 / n)
    assert abs((video == 255).mean() - 0.05) < error and abs((video == 0).mean() - 0.05) < error


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_pink_noise_has_its_slope_in_space(exponent: float) -> None:
    video = st.PinkNoise((64, 64), spatial_exponent=exponent, temporal_exponent=0.0, seed=1, **COMMON).array(100) / 127.5 - 1
    power = (np.abs(np.fft.fft2(video))**2).mean(0)
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    inside = (f > 0) & (f < 0.5)
    slope = np.polyfit(np.log(f[inside]), np.log(power[inside]), 1)[0]
    # 3000 ordinates, each the mean of 100 frames: log power has deviation 0.1, the slope a standard error of 0.005
    assert slope == pytest.approx(-exponent, abs=0.02)
    assert video.std() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("exponent", "decibels"), [(0.5, 1.0), (1.0, 1.0), (1.5, 3.0)])
def test_pink_noise_keeps_to_its_power_law_in_time(exponent: float, decibels: float) -> None:
    noise = st.PinkNoise((1, 1), temporal_exponent=exponent, slowest=2.0, **COMMON)
    f = np.geomspace(0.5, 50, 200)  # from 1 / slowest to a tenth of the frame rate
    # The spectrum of white noise held for N frames, at shifts by chance: N sinc²(N f) / sinc²(f)
    held = 2.0 ** np.arange(len(noise._weights))[:, None]
    power = (noise._weights[:, None]**2 * held * (np.sinc(held * f * H) / np.sinc(f * H))**2).sum(0)
    level = 10 * np.log10(power * f**exponent)
    assert np.abs(level - (level.max() + level.min()) / 2).max() < decibels


def test_pink_noise_in_time_has_the_spectrum_of_its_sum() -> None:
    video = st.PinkNoise((20, 20), spatial_exponent=0.0, temporal_exponent=1.0, slowest=1.0, **COMMON).array(4096)
    f, power = signal.welch(video.reshape(4096, -1), 1 / H, nperseg=1024, axis=0)
    inside = (f >= 1) & (f <= 50)
    slope = np.polyfit(np.log(f[inside]), np.log(power.mean(1)[inside]), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)  # 1 dB up and down over 17 dB


def test_drift_diffuses_as_it_says() -> None:
    eye = st.NaturalMotion((4, 4), diffusion=0.05, rate=0.05, scatter=0.0, seed=2, **COMMON)
    steps = np.diff(eye.gaze(0, 100_000), axis=0)
    still = np.abs(steps).max(1) < 0.2  # without microsaccades, which bring it back from afar
    assert 1 <= (~still).sum() <= 12  # one each 20 s, some of them small
    variance = (steps[still]**2).mean()
    assert variance == pytest.approx(2 * 0.05 * H, rel=4 * math.sqrt(2 / steps.size))  # four standard errors
    for lag in (10, 100):
        away = eye.gaze(0, 5_000)[lag:] - eye.gaze(0, 5_000)[:-lag]
        # 5000 / lag independent stretches on two axes
        assert (away**2).mean() == pytest.approx(2 * 0.05 * H * lag, rel=4 * math.sqrt(2 / (2 * 5000 / lag)))


def test_microsaccades_come_at_their_rate_and_scatter() -> None:
    eye = st.NaturalMotion((4, 4), diffusion=0.0, rate=2.0, scatter=0.3, seed=1, **COMMON)
    gaze = eye.gaze(0, 500_000)  # 1000 s
    jumps = np.flatnonzero(np.any(np.diff(gaze, axis=0) != 0, axis=1)) + 1
    assert abs(len(jumps) - 2000) <= 1
    points = gaze[jumps]
    assert points.std() == pytest.approx(0.3, rel=4 / math.sqrt(2 * points.size))
    intervals = np.diff(jumps) * H  # 1/2 s on the mean, no longer than 1 s
    assert intervals.mean() == pytest.approx(0.5, rel=1e-3) and intervals.max() <= 1.0 + H


def test_eye_movements_shift_the_image_and_interpolate() -> None:
    image = np.add.outer(3.0 * np.arange(40), 2.0 * np.arange(50))  # a plane: interpolation is exact
    eye = st.NaturalMotion((10, 12), image=image, diffusion=0.02, seed=3, **COMMON)
    y, x = eye.gaze(0, 300).T[..., None, None] * PPD
    plane = 3.0 * (np.arange(10)[:, None] + 15 + y) + 2.0 * (np.arange(12) + 19 + x)
    assert np.abs(y).max() < 14  # the frame stays inside the image
    np.testing.assert_allclose(eye.array(300), plane, rtol=1e-5)


def test_a_natural_image_goes_on_at_the_opposite_edge() -> None:
    image = st.natural_image((64, 64), seed=2)
    across = np.abs(image[:, 0] - image[:, -1]).mean()
    assert across < 1.5 * np.abs(np.diff(image, axis=1)).mean()


def test_coherent_dots_move_together() -> None:
    dots = st.MovingDots((40, 40), coherence=1.0, direction=0, speed=10, lifetime=1e6, radius=0.2, seed=3, **COMMON)
    a, b = dots.array(1, 0)[0], dots.array(1, 25)[0]  # 0.5 deg, 5 pixels later
    np.testing.assert_allclose(np.roll(a, 5, axis=1), b, atol=0.1)  # the position is a float64 of a life of 1e6 s
    assert 0.5 * dots.dots * math.pi * 4 < (a > 127).sum() < 1.5 * dots.dots * math.pi * 4


def test_dots_without_coherence_go_everywhere() -> None:
    dots = st.MovingDots((60, 60), coherence=0.0, density=0.5, speed=10, lifetime=1e6, radius=0.2, seed=3, **COMMON)
    a, b = dots.array(1, 0)[0], dots.array(1, 25)[0]
    moved = np.corrcoef(np.roll(a, 5, axis=1).ravel(), b.ravel())[0, 1]
    assert moved < 0.5


def test_gaussian_mask_makes_a_gabor_patch_of_a_grating() -> None:
    grating = st.DriftingGrating((31, 31), spatial_frequency=1.0, phase=90, temporal_frequency=0.0, **COMMON)
    patch = grating * st.GaussianMask(0.5)
    kernel = st.gabor_kernel((31, 31), spatial_frequency=1.0, sigma=0.5, resolution=COMMON["resolution"])
    np.testing.assert_allclose(patch.array(1)[0] / 127.5 - 1, kernel, atol=1e-6)  # float32


def test_masks_have_their_place() -> None:
    flash = st.Flash((20, 40), delay=0.0, **COMMON)
    seen = (flash * st.RectangularMask(0.4, 0.6, centre=(0.5, -1.0))).array(1)[0] == 255
    rows, columns = np.nonzero(seen)
    assert seen.sum() == 4 * 6
    assert rows.mean() == 9.5 + 5 and columns.mean() == 19.5 - 10  # y downwards


def test_letters_have_holes() -> None:
    o = st.text_kernel("O", (32, 32))
    assert o[16, 16] == 0 and o.max() == 1 and o.min() == 0
    assert o[16].sum() > 0 and o[:, 16][:6].sum() > 1


def test_added_stimuli_add_their_deviations() -> None:
    a = st.DriftingGrating((5, 5), contrast=0.3, **COMMON)
    b = st.BinaryNoise((5, 5), contrast=0.2, mean=60, **COMMON)
    np.testing.assert_allclose((a + b).array(20), a.array(20) + b.array(20) - 60, rtol=1e-6)


def test_concatenated_parts_begin_at_their_beginning_and_end() -> None:
    a, b = st.PinkNoise((3, 3), **COMMON), st.Chirp((3, 3), dark=0.02, **COMMON)
    both = st.Concatenated((a, 0.1), (b, 0.06))
    assert both.length == 80
    np.testing.assert_array_equal(both.array(100), np.concatenate([a.array(50), b.array(30)]))
    with both:
        both.seek(70)
        assert len(both.read(100)) == 10 and not len(both.read(1))
