"""Configurations of Virtual Retina: round trips, and refusals by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import neurosim
from neurosim import ConfigError, InputError, ParameterError, Resolution, StreamError
from neurosim.retina import Bipolar, Channel, Retina
from neurosim.retina.config import from_dict, from_xml, to_dict, to_xml

from .test_golden import CONFIGS, DATA, LEAKY


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip_through_dict_and_xml(tmp_path: Path, name: str):
    config = from_dict(CONFIGS[name])
    assert from_dict(to_dict(config)) == config
    to_xml(config, tmp_path / "retina.xml")
    assert from_xml(tmp_path / "retina.xml") == config


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_retina_gives_its_configuration_back(tmp_path: Path, dtype: torch.dtype):
    retina = Retina.from_xml(DATA / "A_default_gain_control.xml", dtype=dtype)
    assert from_dict(retina.to_dict()) == from_xml(DATA / "A_default_gain_control.xml")
    retina.p.opl.center_tau = 0.02
    retina.to_xml(tmp_path / "changed.xml")
    again = Retina.from_xml(tmp_path / "changed.xml", dtype=dtype)
    for name, value in retina.get_parameters().items():
        assert again.get_parameters()[name] == value, name
    assert again.resolution == retina.resolution == Resolution(0.005, 20.0)


def test_the_default_retina_through_xml(tmp_path: Path):
    retina = Retina(seed=3)
    retina.to_xml(tmp_path / "default.xml")
    again = Retina.from_xml(tmp_path / "default.xml", seed=3)
    x = 255 * torch.rand(50, 5, 6, generator=torch.Generator().manual_seed(0))
    for a, b in zip(retina.run(x), again.run(x), strict=True):
        assert torch.equal(a, b)


def write(path: Path, body: str) -> Path:
    path.write_text(body)
    return path


OPL_XML = "<outer-plexiform-layer><linear-version/></outer-plexiform-layer>"
BAD_XML = [
    ("<retina-description-file><retina><log-polar-scheme/>" + OPL_XML, r"log-polar scheme \(foveation\) is not built yet"),
    ("<retina-description-file><basic-microsaccade-generator/><retina>" + OPL_XML, "microsaccades is not built yet"),
    ("<retina-description-file><retina><outer-plexiform-layer><luminance-gain-control-version/></outer-plexiform-layer>",
     "the luminance gain control is not built yet"),
    ("<retina-description-file><retina><contrast-gain-control adaptation-tau='1'/>" + OPL_XML,
     r"contrast-gain-control.adaptation-tau: unknown key; choose from \['opl-amplification__Hz'"),
    ("<retina-description-file><retina pixels-per-degree='many'>" + OPL_XML,
     r"pixels-per-degree: must be a number \(got 'many'\)"),
    ("<retina-description-file><retina temporal-step__sec='nan'>" + OPL_XML, "temporal-step__sec: must be finite"),
    ("<retina-description-file><retina>" + OPL_XML + "<ganglion-layer><spiking-channel><circular-array/></spiking-channel>"
     "</ganglion-layer>", "circular cell arrays are not built yet; give the cells as all-units"),
    ("<retina-description-file><retina>" + OPL_XML + "<ganglion-layer><spiking-channel><square-array/></spiking-channel>"
     "</ganglion-layer>", "square cell arrays of automatic size are not built yet"),
    ("<retina-description-file><retina>" + OPL_XML + "<ganglion-layer><spiking-channel-adap/></ganglion-layer>",
     "adaptation of the spiking channel is not built yet"),
    ("<retina-description-file><retina><outer-plexiform-layer><linear-version><undershoot relative-weight='1'/>"
     "</linear-version></outer-plexiform-layer>", r"undershoot: needs the keys \['tau__sec'\]"),
    ("<retina-description-file><retina>", "needs an outer-plexiform-layer"),
    ("<retina-description-file><retina>" + OPL_XML + OPL_XML, "has <outer-plexiform-layer> twice"),
    ("<retina-description-file><retina>" + OPL_XML + "<contrast-gain-control/><contrast-gain-control-custom/>",
     "has two gain controls"),
]


@pytest.mark.parametrize("body, text", BAD_XML, ids=range(len(BAD_XML)))
def test_what_is_unknown_or_not_built_is_refused_by_name(tmp_path: Path, body: str, text: str):
    path = write(tmp_path / "bad.xml", body + "</retina></retina-description-file>")
    with pytest.raises(ConfigError, match=text) as caught:
        Retina.from_xml(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_configuration(tmp_path: Path):
    with pytest.raises(StreamError, match="no such file"):
        Retina.from_xml(tmp_path / "none.xml")
    with pytest.raises(ConfigError, match="is not well-formed XML"):
        Retina.from_xml(write(tmp_path / "a.xml", "<retina"))
    with pytest.raises(ConfigError, match="the root element must be <retina-description-file>"):
        Retina.from_xml(write(tmp_path / "b.xml", "<retina/>"))


def with_layer(**channel: Any) -> dict[str, Any]:
    return {"pixels-per-degree": 5, "temporal-step__sec": 0.005, "outer-plexiform-layer": {"linear-version": LEAKY},
            "ganglion-layer": [{"spiking-channel": channel}]}


def test_a_square_array_of_a_stated_size():
    config = from_dict(with_layer(**{"square-array": {"size-x__deg": 1.0, "size-y__deg": 0.5, "uniform-density__inv-deg": 4}}))
    cells = config.ganglion[0].cells
    assert cells is not None and len(cells.offsets) == 4 * 2
    assert cells.offsets[:3] == ((-0.375, -0.125), (-0.375, 0.125), (-0.125, -0.125))
    retina = Retina.from_config(config)
    # margin 7 * 5 px/deg * sqrt(.05^2 + .15^2) rounded up is 6, the array 5 x 2.5 px: the map is 10 x 7
    out = retina.run(torch.full((10, 30, 40), 100.0), record=["opl"])
    assert out["opl"].shape[-2:] == (7, 10) and out[0].shape == (1, 1, 10, 1, 8)
    with pytest.raises(InputError, match="needs at least 10 pixels per axis"):
        Retina.from_config(config).run(torch.full((10, 30, 8), 100.0))


@pytest.mark.parametrize("channel, text", [
    ({"all-units": []}, "must be a list of at least one unit"),
    ({"all-units": [{"x": 1}]}, r"all-units\[0\].x: unknown key"),
    ({"all-units": [{"mvaspike-id": 5}]}, r"this is number 0 \(got 5\)"),
    ({"square-array": {"size-x__deg": 1, "size-y__deg": 1, "noise_pos": 0.1}}, "random positions are not built yet"),
    ({"square-array": {"size-x__deg": 0.1, "size-y__deg": 0.1}}, "size times density is below 1"),
    ({"square-array": {}, "circular-array": {}}, "keep one"),
])
def test_bad_cells(channel: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=text):
        from_dict(with_layer(**channel))


def test_stages_can_be_switched_and_replaced():
    x = torch.full((5, 6, 6), 100.0)
    assert Retina(gang=False).run(x).keys() == ["bipolar"]
    assert Retina(gang=False, bipolar=False).run(x).keys() == ["opl"]
    currents = Retina(spikes=False).run(x)
    assert currents.keys() == ["ganglion_on", "ganglion_off"] and not currents.events
    assert Retina(opl=False).run(x).spikes.units.dtype == torch.int64
    mine = Bipolar(lambda_amp=50.0)
    assert Retina(bipolar=mine).bipolar is mine
    four = Retina(channels=[Channel({"sign": s}, {}) for s in (1, -1, 1, -1)])
    assert four.run(x).keys() == ["ganglion_0", "ganglion_1", "ganglion_2", "ganglion_3"]
    with pytest.raises(ParameterError, match="needs at least one stage"):
        Retina(opl=False, bipolar=False, gang=False)
    with pytest.raises(ParameterError, match="needs an OPL stage"):
        Retina(opl=False, initial_luminance=3.0)
    with pytest.raises(ConfigError, match="needs an OPL"):
        Retina(opl=False).to_dict()


def test_seeds():
    x = 255 * torch.rand(100, 6, 6, generator=torch.Generator().manual_seed(0))
    same = [Retina(seed=1).run(x).spikes.times for _ in range(2)]
    assert torch.equal(*same) and len(same[0])
    other = Retina(seed=2).run(x).spikes.times
    assert len(other) != len(same[0]) or not torch.equal(other, same[0])
    on, off = Retina(seed=1, channels=[Channel({}, {}), Channel({}, {})]).run(x)
    assert not torch.equal(on, off)  # each channel has noise of its own


def test_names_that_users_know():
    retina = neurosim.retina.Retina()
    for path in ("bipolar.lambda_amp", "bipolar.g_leak", "bipolar.input_amp", "bipolar.tau", "bipolar.adaptation_sigma",
                 "gang_0_input.i_0", "gang_0_input.v_0", "gang_0_input.lambda_G", "gang_0_input.sign",
                 "gang_0_input.sigma_surround", "gang_0_input.transient_tau_center",
                 "gang_1_input.transient_relative_weight_center", "gang_0_spikes.refr_mu", "gang_0_spikes.refr_sigma",
                 "gang_1_spikes.noise_sigma", "gang_1_spikes.g_L", "opl.lambda_opl"):
        assert path in retina.p
    assert "opl_center_tau" in retina.p._all
