"""What holds for every stimulus: any cut gives the same frames, any frame is found, seeds matter, the retina takes it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import neurosim
from neurosim import ParameterError, Resolution
from neurosim import stimuli as st
from neurosim.stimuli.base import Drawn

from .cases import COMMON, SIZE, STIMULI

every = pytest.mark.parametrize("stimulus", STIMULI.values(), ids=STIMULI.keys())


@every
@settings(max_examples=5)
@given(cuts=some.lists(some.integers(0, 40), min_size=1, max_size=6), start=some.sampled_from([0, 3, 49, 10**9]))
def test_any_cut_gives_the_same_frames(stimulus: st.Stimulus, cuts: list[int], start: int) -> None:
    stream = copy.deepcopy(stimulus)
    stream.seek(start)
    pieces = np.concatenate([stream.read(n) for n in cuts])
    assert pieces.dtype == np.float32 and pieces.shape == (sum(cuts), *SIZE)
    np.testing.assert_array_equal(pieces, stimulus.array(sum(cuts), start))


@every
def test_it_has_no_end_and_says_its_rate(stimulus: st.Stimulus) -> None:
    assert stimulus.length is None and stimulus.frame_rate == 500.0
    assert np.isfinite(stimulus.array(2, start=2**40)).all()


@every
def test_something_changes_in_it(stimulus: st.Stimulus) -> None:
    video = stimulus.array(200)
    assert video.std(axis=0).max() > 1


@every
def test_the_retina_takes_it(stimulus: st.Stimulus) -> None:
    retina = neurosim.retina.Retina(spikes=False, resolution=COMMON["resolution"])
    with copy.deepcopy(stimulus) as stream:
        assert retina.run(stream, dt=10, max_t=20)[0].shape == (1, 1, 20, *SIZE)


@every
def test_it_shows_itself(stimulus: st.Stimulus) -> None:
    assert len(repr(stimulus)) < 700
    assert "unbounded" in stimulus._repr_html_() and "500" in stimulus._repr_html_()


@every
def test_it_can_be_pickled(stimulus: st.Stimulus) -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stimulus)).array(5, 7), stimulus.array(5, 7))


@pytest.mark.parametrize("name", ["dots", "binary", "gaussian", "sparse", "pink", "natural"])
def test_the_seed_matters_and_nothing_else_by_chance(name: str) -> None:
    stimulus = STIMULI[name]
    assert isinstance(stimulus, Drawn)
    again, other = dataclasses.replace(stimulus), dataclasses.replace(stimulus, seed=99, **(
        {"image": None} if name == "natural" else {}))
    np.testing.assert_array_equal(again.array(30), stimulus.array(30))
    assert np.abs(other.array(30) - stimulus.array(30)).max() > 1


def test_every_stimulus_is_among_the_cases() -> None:
    shown = {type(stimulus).__name__ for stimulus in STIMULI.values()}
    public = {name for name in st.__all__ if isinstance(getattr(st, name), type)
              and issubclass(getattr(st, name), st.Stimulus) and name != "Stimulus"}
    assert shown == public


def test_size_in_degrees() -> None:
    resolution = Resolution(0.01, pixels_per_degree=4.0)
    grating = st.DriftingGrating(degrees=(2.0, 3.1), resolution=resolution)
    assert grating.frame_shape == grating.size == (8, 12) and grating.frame_rate == 100.0
    other = dataclasses.replace(grating, phase=90.0)
    assert other.size == (8, 12) and other.phase == 90.0 and other.resolution is resolution


def test_the_default_resolution_is_that_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = st.Flash((2, 2))
    monkeypatch.setattr(neurosim.default_resolution, "_current", Resolution(0.1, 1.0))
    assert before.frame_rate == 1000.0 and st.Flash((2, 2)).frame_rate == 10.0


def test_a_parameter_is_fixed() -> None:
    bar = st.MovingBar((4, 4))
    with pytest.raises(ParameterError, match=re.escape("MovingBar.speed: is fixed; dataclasses.replace(stimulus, speed=...)")):
        bar.speed = 3.0
    assert bar.speed == 5.0


def test_repr_makes_the_stimulus_again_but_for_its_resolution() -> None:
    bar = st.MovingBar((4, 5), speed=3.0)
    again = eval(repr(bar), {"MovingBar": st.MovingBar, "inf": np.inf})
    np.testing.assert_array_equal(again.array(20), bar.array(20))


def test_help_lists_every_parameter_with_unit_and_default() -> None:
    text = st.MovingBar.__doc__ or ""
    assert "speed: how fast (deg/s, default 5.0)." in text and "degrees: (y, x)" in text and "background:" in text


@pytest.mark.parametrize(("make", "message"), [
    (lambda: st.Flash(), "Flash.size: give size=(y, x) in pixels or degrees=(y, x), one of them"),
    (lambda: st.Flash((2, 2), degrees=(1, 1)), "Flash.size: give size=(y, x) in pixels or degrees=(y, x), one of them"),
    (lambda: st.Flash((2, 2, 2)), "Flash.size: must be (y, x) in pixels (got (2, 2, 2))"),
    (lambda: st.Flash((2, 0)), "Flash.size: must be a whole number of at least 1 (got 0)"),
    (lambda: st.Flash(degrees=(1, -1)), "Flash.degrees: must be finite and above 0 deg (got -1)"),
    (lambda: st.Flash((2, 2), duration=0), "Flash.duration: must be a number above 0 s (got 0)"),
    (lambda: st.Flash((2, 2), duration=0.3, period=0.2), "Flash.period: must be at least the duration, 0.3 s (got 0.2)"),
    (lambda: st.Flash((2, 2), resolution=5), "Flash.resolution: must be a neurosim.Resolution (got 5)"),
    (lambda: st.DriftingGrating((2, 2), contrast=1.5),
     "DriftingGrating.contrast: must be a number at least -1 and at most 1 (got 1.5)"),
    (lambda: st.DriftingGrating((2, 2), direction=np.inf), "DriftingGrating.direction: must be a number deg, and finite"),
    (lambda: st.DriftingGrating((2, 2), wave="saw"), "DriftingGrating.wave: choose from ['sine', 'square'] (got 'saw')"),
    (lambda: st.DriftingGrating((2, 2), phase="x"), "DriftingGrating.phase: must be a number deg (got 'x')"),
    (lambda: st.BinaryNoise((2, 2), seed=1.5), "BinaryNoise.seed: must be a whole number at least 0"),
    (lambda: st.NaturalMotion((2, 2), image=np.zeros(3)), "NaturalMotion.image: must be finite luminances (y, x)"),
    (lambda: st.CircularMask(radius=0), "CircularMask.radius: must be finite and above 0 deg (got 0)"),
    (lambda: st.CircularMask(centre=3), "CircularMask.centre: must be (y, x) in degrees (got 3)"),
    (lambda: st.AnnulusMask(2, 1), "AnnulusMask.outer: must be above the inner radius, 2 deg (got 1)"),
    (lambda: st.Flash((2, 2)) * np.full((2, 2), 2.0), "Masked.mask: must be a mask or an array of shape (2, 2) with values"),
    (lambda: st.Flash((2, 2)) + st.Flash((2, 3)), "Superposed.parts: must all have the size and resolution of the first"),
    (lambda: st.Concatenated(), "Concatenated.parts: must be pairs (stimulus, seconds), at least one"),
    (lambda: st.Concatenated((st.Flash((1, 1)), 0)), "Concatenated.parts: must be finite and above 0 s"),
    (lambda: st.Concatenated((st.Concatenated((st.Flash((1, 1)), 0.1)), 0.2)), "ends after 100 frames, before its time"),
    (lambda: st.gabor_kernel((3, 3), sigma=0), "gabor_kernel.sigma: must be finite and above 0 deg"),
    (lambda: st.text_kernel(" "), "text_kernel.text: must hold something to draw (got ' ')"),
    (lambda: st.natural_image((3, 3), exponent=9), "natural_image.exponent: must be a number at least 0 and at most 4"),
    (lambda: st.Flash((2, 2)).array(-1), "Flash.array.frames: must be a whole number of at least 0 (got -1)"),
])
def test_what_does_not_fit_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
