"""From the keys of a configuration to the parameters of the layers, and back. Each name stands here once."""

from __future__ import annotations

from typing import Any

from .._errors import ConfigError
from .bipolar import Bipolar
from .config import Cells, GanglionConfig, RetinaConfig
from .ganglion import GanglionInput
from .opl import OPL
from .spiking import GanglionSpiking

OPL_KEYS = {
    "center-sigma__deg": "center_sigma", "center-tau__sec": "center_tau", "center-n__uint": "center_n",
    "surround-sigma__deg": "surround_sigma", "surround-tau__sec": "surround_tau",
    "opl-relative-weight": "relative_weight", "opl-amplification": "lambda_opl"}
UNDERSHOOT_KEYS = {"relative-weight": "undershoot_relative_weight", "tau__sec": "undershoot_tau"}
GAIN_KEYS = {
    "opl-amplification__Hz": "input_amp", "bipolar-inert-leaks__Hz": "g_leak", "adaptation-sigma__deg": "adaptation_sigma",
    "adaptation-tau__sec": "tau", "adaptation-feedback-amplification__Hz": "lambda_amp"}
CUSTOM_KEYS = {
    "adaptation-powerlaw-exponent": "exponent", "adaptation-E-inh": "e_inh", "adaptation-ONOFF-symmetry": "symmetric",
    "bipolar-to-adaptation-threshold": "threshold", "transient-relative-weight": "transient_relative_weight",
    "transient-tau__sec": "transient_tau"}
CURRENT_KEYS = {
    "sign": "sign", "transient-tau__sec": "transient_tau_center",
    "transient-relative-weight": "transient_relative_weight_center", "bipolar-linear-threshold": "v_0",
    "value-at-linear-threshold__Hz": "i_0", "bipolar-amplification__Hz": "lambda_G", "sigma-pool__deg": "sigma_surround"}
SPIKING_KEYS = {"g-leak__Hz": "g_L", "sigma-V": "noise_sigma", "refr-mean__sec": "refr_mu", "refr-stdev__sec": "refr_sigma"}


def opl_of(config: RetinaConfig) -> dict[str, Any]:
    """Options of `OPL`. With a range of r the initial luminance is r / 2."""
    options: dict[str, Any] = {name: config.opl[key] for key, name in OPL_KEYS.items()}
    options["leaky_heat"] = config.opl["leaky-heat-equation"] != 0
    options["input_luminosity_range"] = config.retina["input-luminosity-range"]
    options["undershoot"] = config.undershoot is not None
    if config.undershoot is not None:
        options |= {name: config.undershoot[key] for key, name in UNDERSHOOT_KEYS.items()}
    return options


def gain_control_of(config: RetinaConfig) -> dict[str, Any] | None:
    """Options of `Bipolar`, None where the stage is left out."""
    if config.gain_control is None:
        return None
    keys = {**GAIN_KEYS, **CUSTOM_KEYS} if config.custom else GAIN_KEYS
    return {name: config.gain_control[key] for key, name in keys.items()}


def channels_of(config: RetinaConfig) -> list[tuple[dict[str, Any], dict[str, Any] | None, tuple[float, float]]]:
    """Options of `GanglionInput` and `GanglionSpiking` of each channel, and the size of its cell array."""
    channels = []
    for layer in config.ganglion:
        current = {name: layer.values[key] for key, name in CURRENT_KEYS.items()}
        spikes: dict[str, Any] | None = None
        if layer.spiking is not None:
            numbers = {name: layer.spiking[key] for key, name in SPIKING_KEYS.items()}
            spikes = {**numbers, "random_init": layer.spiking["random-init"] != 0,
                      "cells": None if layer.cells is None else layer.cells.offsets}
        channels.append((current, spikes, (0.0, 0.0) if layer.cells is None else layer.cells.size))
    return channels


def _values(layer: Any, keys: dict[str, str]) -> dict[str, float]:
    """What the layer's parameters say for these keys, in the shortest decimals that its dtype reads back."""
    return {key: float(str(getattr(layer, name).detach().cpu().numpy())) for key, name in keys.items()}


def to_config(retina: Any) -> RetinaConfig:
    """The configuration that gives this retina. Raises ConfigError for stages that Virtual Retina does not have."""
    opl, bipolar = retina.opl, retina.bipolar
    if not isinstance(opl, OPL):
        raise ConfigError(f"Retina.opl: a configuration needs an OPL (got {type(opl).__name__})")
    if bipolar is not None and not isinstance(bipolar, Bipolar):
        raise ConfigError(f"Retina.bipolar: a configuration needs a Bipolar or none (got {type(bipolar).__name__})")
    gain, custom = None, False
    if bipolar is not None:
        gain, extra = _values(bipolar, GAIN_KEYS), _values(bipolar, CUSTOM_KEYS)
        custom = any(extra[key] != vars(Bipolar)[name].default for key, name in CUSTOM_KEYS.items())
        gain |= extra if custom else {}
    base = {"temporal-step__sec": retina.resolution.frame, "pixels-per-degree": retina.resolution.pixels_per_degree,
            **_values(opl, {"input-luminosity-range": "input_luminosity_range"})}
    linear = {**_values(opl, OPL_KEYS), "leaky-heat-equation": float(opl.leaky_heat)}
    undershoot = _values(opl, UNDERSHOOT_KEYS) if opl.undershoot else None
    arrays = iter(retina._arrays)
    ganglion = tuple(_ganglion(current, cells, next(arrays) if cells is not None else (0.0, 0.0))
                     for current, cells in retina.channels)
    return RetinaConfig(base, linear, undershoot, gain, custom, ganglion)


def _ganglion(current: GanglionInput, spikes: GanglionSpiking | None, array: tuple[float, float]) -> GanglionConfig:
    values = _values(current, CURRENT_KEYS)
    if spikes is None:
        return GanglionConfig(values)
    offsets: Any = spikes.cells
    cells = None if offsets is None else Cells(tuple((x, y) for x, y in offsets.tolist()), array)
    return GanglionConfig(values, {**_values(spikes, SPIKING_KEYS), "random-init": float(spikes.random_init)}, cells)
