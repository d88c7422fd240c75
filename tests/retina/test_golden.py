"""The retina against the numbers of the original program, and against a slow transcription of its equations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurosim.retina import Retina
from tests.reference import virtualretina as slow

DATA = Path(__file__).parents[1] / "data" / "virtualretina"
# Of the range: what the float64 program and ours may differ by, and what float32 costs over 200 frames.
BOUND = {torch.float64: 1e-9, torch.float32: 2e-4}
PATHS = {"center": "opl.center", "receptor": "opl.receptor", "horizontal": "opl.surround", "opl": "opl",
         "bipolar": "bipolar", "adaptation": "bipolar.adaptation", "transient_0": "gang_0_input.transient",
         "transient_1": "gang_1_input.transient", "ganglion_0": "gang_0_input", "ganglion_1": "gang_1_input"}


def stimulus() -> np.ndarray:
    return np.load(DATA / "A_default_gain_control.npz")["stimulus"].astype(np.float64)


def agree(ours: np.ndarray, theirs: np.ndarray, bound: float) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound * np.ptp(theirs))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", ["A_default_gain_control", "D_custom_gain_control"])
def test_maps_and_time_courses_of_the_original_program(case: str, dtype: torch.dtype):
    golden = np.load(DATA / f"{case}.npz")
    retina = Retina.from_xml(DATA / f"{case}.xml", dtype=dtype, stage_delays=True)
    names = [name.removeprefix("map_") for name in golden.files if name.startswith("map_") and "attenuation" not in name]
    assert len(names) >= 5
    out = retina.run(stimulus(), dt=37, record=[PATHS[name] for name in names])
    for name in names:
        ours = out[PATHS[name]]
        assert ours.shape == (1, 1, 200, 32, 40) and ours.dtype == dtype
        x, y = golden["pixels_xy"].T
        agree(ours[0, 0, :, y, x].numpy(), golden[f"series_{name}"], BOUND[dtype])
        whole = ours[0, 0, golden["frames"]].numpy()
        agree(whole, golden[f"map_{name}"], max(BOUND[dtype], 1.2e-7))  # the maps are stored as float32


def test_spikes_of_the_original_program():
    golden = np.load(DATA / "A_default_gain_control.npz")
    retina = Retina.from_xml(DATA / "A_default_gain_control.xml", dtype=torch.float64, stage_delays=True)
    out = retina.run(stimulus(), dt=37)
    units, times = out.spikes
    np.testing.assert_array_equal(np.bincount(units, minlength=160), np.bincount(golden["spike_unit"], minlength=160))
    np.testing.assert_array_equal(units, golden["spike_unit"])
    np.testing.assert_allclose(times, golden["spike_time_s"], rtol=0, atol=1e-9)
    assert int(out.ganglion_on.sum() + out.ganglion_off.sum()) == len(times) == 7812


LEAKY = {"center-sigma__deg": 0.05, "center-tau__sec": 0.01, "surround-sigma__deg": 0.15, "surround-tau__sec": 0.012,
         "opl-relative-weight": 0.9, "leaky-heat-equation": 1, "opl-amplification": 8}
SEPARABLE = {"center-sigma__deg": 0.06, "center-tau__sec": 0.012, "center-n__uint": 2, "surround-sigma__deg": 0.2,
             "surround-tau__sec": 0.015, "opl-relative-weight": 0.8, "leaky-heat-equation": 0, "opl-amplification": 12,
             "undershoot": {"relative-weight": 0.6, "tau__sec": 0.08}}
GAIN = {"opl-amplification__Hz": 120, "bipolar-inert-leaks__Hz": 20, "adaptation-sigma__deg": 0.3,
        "adaptation-tau__sec": 0.02, "adaptation-feedback-amplification__Hz": 250}
CUSTOM = {**GAIN, "adaptation-powerlaw-exponent": 1.3, "adaptation-E-inh": -0.2, "adaptation-ONOFF-symmetry": 1,
          "bipolar-to-adaptation-threshold": 0.05, "transient-relative-weight": 0.3, "transient-tau__sec": 0.03}
UNITS = [{"x-offset__deg": x, "y-offset__deg": y} for x in (-0.9, 0.01, 0.4, 2.0) for y in (-0.5, 0.3)]
ON = {"sign": 1, "transient-tau__sec": 0.02, "transient-relative-weight": 0.8, "bipolar-linear-threshold": 0.02,
      "value-at-linear-threshold__Hz": 60, "bipolar-amplification__Hz": 150, "sigma-pool__deg": 0.1,
      "spiking-channel": {"g-leak__Hz": 40, "refr-mean__sec": 0.004, "square-array": {}, "all-units": UNITS}}
OFF = {"sign": -1, "transient-relative-weight": 0, "value-at-linear-threshold__Hz": 0, "bipolar-amplification__Hz": 200,
       "spiking-channel": {"g-leak__Hz": 70, "refr-mean__sec": 0.0, "square-array": {}, "all-units": UNITS[2:]}}
BASE = {"temporal-step__sec": 0.002, "input-luminosity-range": 400, "pixels-per-degree": 12.5}
CONFIGS = {
    "separable": {**BASE, "outer-plexiform-layer": {"linear-version": SEPARABLE}, "contrast-gain-control": GAIN,
                  "ganglion-layer": [ON, OFF]},
    "leaky": {**BASE, "outer-plexiform-layer": {"linear-version": LEAKY}, "contrast-gain-control-custom": CUSTOM,
              "ganglion-layer": [OFF, ON, {**ON, "sign": -1}]},
    "no-gain-control": {**BASE, "outer-plexiform-layer": {"linear-version": {**LEAKY, "opl-relative-weight": 0}},
                        "ganglion-layer": [ON, OFF]},
    "leaky-undershoot": {**BASE, "outer-plexiform-layer": {"linear-version": {**LEAKY, "undershoot": {
        "relative-weight": 0.5, "tau__sec": 0.1}}}, "contrast-gain-control": GAIN, "ganglion-layer": [ON]},
}


@pytest.mark.parametrize("dt", [37, None])
@pytest.mark.parametrize("stage_delays", [True, False], ids=["delays", "no-delays"])
@pytest.mark.parametrize("name", CONFIGS)
def test_other_configurations_against_the_slow_transcription(tmp_path: Path, name: str, stage_delays: bool, dt: int | None):
    path = tmp_path / "retina.xml"
    Retina.from_dict(CONFIGS[name], dtype=torch.float64).to_xml(path)
    retina = Retina.from_xml(path, dtype=torch.float64, stage_delays=stage_delays, initial_luminance=60.0)
    movie = stimulus()[:120]
    wanted = slow.retina(movie, slow.read_xml(str(path)), initial=60.0, stage_delays=stage_delays)
    layers = len(CONFIGS[name]["ganglion-layer"])
    paths = {"center": "opl.center", "receptor": "opl.receptor", "surround": "opl.surround", "opl": "opl",
             **{f"ganglion_{i}": f"gang_{i}_input" for i in range(layers)}}
    if "bipolar" in wanted:
        paths |= {"bipolar": "bipolar", "adaptation": "bipolar.adaptation"}
    paths |= {f"transient_{i}": f"gang_{i}_input.transient" for i in range(layers) if f"transient_{i}" in wanted}
    out = retina.run(movie, dt=dt, record=list(paths.values()))
    for theirs, ours in paths.items():
        agree(out[ours][0, 0].numpy(), wanted[theirs], 1e-9)
    units, times = out.spikes
    np.testing.assert_array_equal(np.bincount(units, minlength=len(wanted["spikes"])), [len(t) for t in wanted["spikes"]])
    np.testing.assert_allclose(times, np.concatenate(wanted["spikes"]), rtol=0, atol=1e-9)
    assert len(times) > 50
