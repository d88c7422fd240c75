"""Virtual Retina's configuration: its XML files and the same as nested dicts, every key checked.

The dict has the names of the XML: keys of an element are keys of a dict, elements within it are dicts, `ganglion-layer` is a
list of dicts, `all-units` a list of dicts with `x-offset__deg` and `y-offset__deg`. A key that is missing has the default of
the original program; one that is unknown is refused.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._errors import ConfigError, StreamError

ROOT = "retina-description-file"

# Keys of each element with the defaults of Virtual Retina 2.2.3; None: no default, the key is needed.
KEYS: dict[str, dict[str, float | None]] = {
    "retina": {"temporal-step__sec": 1.0, "input-luminosity-range": 255.0, "pixels-per-degree": 1.0},
    "linear-version": {
        "center-sigma__deg": 0.0, "center-tau__sec": 0.01, "center-n__uint": 0.0, "surround-sigma__deg": 1.0,
        "surround-tau__sec": 0.01, "opl-relative-weight": 0.0, "leaky-heat-equation": 0.0, "opl-amplification": 1.0},
    "undershoot": {"relative-weight": None, "tau__sec": None},
    "contrast-gain-control": {
        "opl-amplification__Hz": 100.0, "bipolar-inert-leaks__Hz": 10.0, "adaptation-sigma__deg": 1.0,
        "adaptation-tau__sec": 0.01, "adaptation-feedback-amplification__Hz": 100.0},
    "ganglion-layer": {
        "sign": 1.0, "transient-tau__sec": 0.04, "transient-relative-weight": 0.75, "bipolar-linear-threshold": 0.0,
        "value-at-linear-threshold__Hz": 70.0, "bipolar-amplification__Hz": 100.0, "sigma-pool__deg": 0.0},
    "spiking-channel": {
        "g-leak__Hz": 50.0, "sigma-V": 0.0, "refr-mean__sec": 0.003, "refr-stdev__sec": 0.0, "random-init": 0.0},
    "square-array": {"size-x__deg": 0.0, "size-y__deg": 0.0, "uniform-density__inv-deg": 1.0, "noise_pos": 0.0},
    "circular-array": {"diameter__deg": 0.0, "fovea-density__inv-deg": 1.0, "noise_pos": 0.0},
    "unit": {"x-offset__deg": 0.0, "y-offset__deg": 0.0, "mvaspike-id": 0.0},
}
KEYS["contrast-gain-control-custom"] = {
    **KEYS["contrast-gain-control"], "adaptation-powerlaw-exponent": 2.0, "adaptation-E-inh": 0.0,
    "adaptation-ONOFF-symmetry": 1.0, "bipolar-to-adaptation-threshold": 0.0, "transient-relative-weight": 0.0,
    "transient-tau__sec": 0.03}

# Which elements an element may contain.
CHILDREN: dict[str, tuple[str, ...]] = {
    "retina": ("outer-plexiform-layer", "contrast-gain-control", "contrast-gain-control-custom", "ganglion-layer"),
    "outer-plexiform-layer": ("linear-version",),
    "linear-version": ("undershoot",),
    "ganglion-layer": ("spiking-channel",),
    "spiking-channel": ("square-array", "circular-array", "all-units"),
    "all-units": ("unit",),
}

NOT_BUILT = {
    "log-polar-scheme": "the log-polar scheme (foveation)",
    "luminance-gain-control-version": "the luminance gain control",
    "basic-microsaccade-generator": "microsaccades",
    "spiking-channel-adap": "adaptation of the spiking channel",
}


@dataclass(frozen=True)
class Cells:
    """Where the cells of a spiking channel sit.

    Fields: `offsets`, ((x, y), ...) in degrees from the middle of the map; `size`, (x, y) of the array in degrees, which sets
    the size of the map, 0 where it is as large as the image allows.
    """

    offsets: tuple[tuple[float, float], ...]
    size: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class GanglionConfig:
    """One ganglion layer: its current, and its cells' parameters when it spikes."""

    values: Mapping[str, float]
    spiking: Mapping[str, float] | None = None
    cells: Cells | None = None


@dataclass(frozen=True)
class RetinaConfig:
    """A whole configuration, complete and checked; made by `from_dict` or `from_xml`.

    Fields: values by the keys of the XML, for `retina` (time step, luminance, pixels per degree), `opl`, `undershoot` and
    `gain_control`, the latter two None where the stage is left out; `custom`, whether the gain control has the keys of the
    customised one; `ganglion`, the ganglion layers in order.

    >>> import neurosim
    >>> from neurosim.retina.config import from_dict
    >>> config = from_dict({"temporal-step__sec": 0.005, "outer-plexiform-layer": {"linear-version": {}}})
    >>> isinstance(config, neurosim.retina.RetinaConfig), config.retina["temporal-step__sec"]
    (True, 0.005)
    >>> neurosim.retina.Retina.from_config(config).resolution.frame
    0.005
    """

    retina: Mapping[str, float]
    opl: Mapping[str, float]
    undershoot: Mapping[str, float] | None = None
    gain_control: Mapping[str, float] | None = None
    custom: bool = False
    ganglion: Sequence[GanglionConfig] = field(default_factory=tuple)


# ---- dict ---------------------------------------------------------------------------------------------------------
def _number(where: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}.{key}: must be a number (got {value!r})") from None
    if not math.isfinite(number):
        raise ConfigError(f"{where}.{key}: must be finite (got {value!r})")
    return number


def _values(element: str, given: Any, where: str) -> dict[str, float]:
    """Every key of an element, with defaults for those not given. Raises ConfigError."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: must be a dict of keys (got {given!r})")
    keys, children = KEYS.get(element, {}), CHILDREN.get(element, ())
    for key in given:
        if key in NOT_BUILT:
            raise ConfigError(f"{where}.{key}: {NOT_BUILT[key]} is not built yet; leave the element out")
        if key not in keys and key not in children:
            raise ConfigError(f"{where}.{key}: unknown key; choose from {[*keys, *children]}")
    missing = [key for key, default in keys.items() if default is None and key not in given]
    if missing:
        raise ConfigError(f"{where}: needs the keys {missing}")
    return {key: _number(where, key, given.get(key, default)) for key, default in keys.items()}


def from_dict(given: Mapping[str, Any]) -> RetinaConfig:
    """The configuration from nested dicts. Raises ConfigError for what is unknown, malformed or not built."""
    where = "retina"
    retina = _values("retina", given, where)
    if "outer-plexiform-layer" not in given:
        raise ConfigError(f"{where}: needs an outer-plexiform-layer with a linear-version")
    opl_wrap = given["outer-plexiform-layer"]
    _values("outer-plexiform-layer", opl_wrap, f"{where}.outer-plexiform-layer")
    if "linear-version" not in opl_wrap:
        raise ConfigError(f"{where}.outer-plexiform-layer: needs a linear-version")
    linear = opl_wrap["linear-version"]
    opl = _values("linear-version", linear, f"{where}.linear-version")
    undershoot = _values("undershoot", linear["undershoot"], f"{where}.undershoot") if "undershoot" in linear else None
    kinds = [kind for kind in ("contrast-gain-control", "contrast-gain-control-custom") if kind in given]
    if len(kinds) == 2:
        raise ConfigError(f"{where}: has two gain controls, {kinds}; keep one")
    gain = _values(kinds[0], given[kinds[0]], f"{where}.{kinds[0]}") if kinds else None
    layers = given.get("ganglion-layer", ())
    if isinstance(layers, Mapping) or not isinstance(layers, Sequence):
        raise ConfigError(f"{where}.ganglion-layer: must be a list of dicts (got {type(layers).__name__})")
    _check_numbers(layers, where)
    return RetinaConfig(retina, opl, undershoot, gain, kinds == ["contrast-gain-control-custom"],
                        tuple(_ganglion(layer, f"{where}.ganglion-layer[{i}]") for i, layer in enumerate(layers)))


def _check_numbers(layers: Sequence[Any], where: str) -> None:
    """Units are numbered in their order over all layers; a file that says otherwise is refused."""
    number = 0
    for i, layer in enumerate(layers):
        channel = layer.get("spiking-channel") if isinstance(layer, Mapping) else None
        for unit in (channel.get("all-units") or () if isinstance(channel, Mapping) else ()):
            said = unit.get("mvaspike-id", number) if isinstance(unit, Mapping) else number
            if _number(where, "mvaspike-id", said) != number:
                raise ConfigError(f"{where}.ganglion-layer[{i}].all-units.mvaspike-id: units are numbered in their order, this "
                                  f"is number {number} (got {said}); leave the key out")
            number += 1


def _ganglion(given: Any, where: str) -> GanglionConfig:
    values = _values("ganglion-layer", given, where)
    if "spiking-channel" not in given:
        return GanglionConfig(values)
    channel = given["spiking-channel"]
    where = f"{where}.spiking-channel"
    spiking = _values("spiking-channel", channel, where)
    return GanglionConfig(values, spiking, _cells(channel, where))


def _cells(channel: Mapping[str, Any], where: str) -> Cells | None:
    """The cells of a spiking channel; None for one cell per pixel, where neither array nor unit is given (an extension)."""
    units = channel.get("all-units")
    square, circular = channel.get("square-array"), channel.get("circular-array")
    if square is not None and circular is not None:
        raise ConfigError(f"{where}: has a square-array and a circular-array; keep one")
    if circular is not None:
        array = _values("circular-array", circular, f"{where}.circular-array")
        size = (array["diameter__deg"],) * 2
        if units is None:
            raise ConfigError(f"{where}.circular-array: circular cell arrays are not built yet; give the cells as all-units")
    elif square is not None:
        array = _values("square-array", square, f"{where}.square-array")
        size = (array["size-x__deg"], array["size-y__deg"])
    else:
        size = (0.0, 0.0)
    if units is not None:
        if isinstance(units, Mapping) or not isinstance(units, Sequence) or not units:
            raise ConfigError(f"{where}.all-units: must be a list of at least one unit")
        rows = [_values("unit", unit, f"{where}.all-units[{i}]") for i, unit in enumerate(units)]
        return Cells(tuple((row["x-offset__deg"], row["y-offset__deg"]) for row in rows), size)
    if square is None:
        return None
    if array["noise_pos"]:
        raise ConfigError(f"{where}.square-array.noise_pos: random positions are not built yet; give the cells as all-units")
    if not all(size):
        raise ConfigError(f"{where}.square-array: square cell arrays of automatic size are not built yet; give size-x__deg "
                          "and size-y__deg, or the cells as all-units")
    density = array["uniform-density__inv-deg"]
    along = [[(i - (1 + n) / 2) / density for i in range(1, n + 1)] for n in (math.floor(s * density) for s in size)]
    if not all(along):
        raise ConfigError(f"{where}.square-array: has no cell; size times density is below 1")
    return Cells(tuple((x, y) for x in along[0] for y in along[1]), size)


def to_dict(config: RetinaConfig) -> dict[str, Any]:
    """The nested dicts of a configuration; `from_dict` gives it back."""
    linear: dict[str, Any] = dict(config.opl)
    if config.undershoot is not None:
        linear["undershoot"] = dict(config.undershoot)
    out: dict[str, Any] = {**config.retina, "outer-plexiform-layer": {"linear-version": linear}}
    if config.gain_control is not None:
        out["contrast-gain-control-custom" if config.custom else "contrast-gain-control"] = dict(config.gain_control)
    out["ganglion-layer"] = [_ganglion_dict(layer) for layer in config.ganglion]
    return out


def _ganglion_dict(layer: GanglionConfig) -> dict[str, Any]:
    out: dict[str, Any] = dict(layer.values)
    if layer.spiking is not None:
        channel: dict[str, Any] = dict(layer.spiking)
        if layer.cells is not None:
            channel["square-array"] = {"size-x__deg": layer.cells.size[0], "size-y__deg": layer.cells.size[1]}
            channel["all-units"] = [{"x-offset__deg": x, "y-offset__deg": y} for x, y in layer.cells.offsets]
        out["spiking-channel"] = channel
    return out


# ---- XML ----------------------------------------------------------------------------------------------------------
def from_xml(path: str | Path) -> RetinaConfig:
    """The configuration in a Virtual Retina XML file. Raises StreamError (no such file), ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise StreamError(f"{path}: no such file")
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise ConfigError(f"{path}: is not well-formed XML ({error})") from error
    if root.tag != ROOT:
        raise ConfigError(f"{path}: the root element must be <{ROOT}> (got <{root.tag}>)")
    for child in root:
        if child.tag in NOT_BUILT:
            raise ConfigError(f"{path}: <{child.tag}>: {NOT_BUILT[child.tag]} is not built yet; leave the element out")
        if child.tag != "retina":
            raise ConfigError(f"{path}: <{child.tag}>: unknown element; choose from ['retina']")
    retinas = root.findall("retina")
    if len(retinas) != 1:
        raise ConfigError(f"{path}: needs one <retina> (got {len(retinas)})")
    try:
        return from_dict(_element_dict(retinas[0]))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _element_dict(element: ET.Element) -> dict[str, Any]:
    out: dict[str, Any] = dict(element.attrib)
    for child in element:
        if child.tag == "ganglion-layer":
            out.setdefault(child.tag, []).append(_element_dict(child))
        elif child.tag == "all-units":
            strange = [unit.tag for unit in child if unit.tag != "unit"]
            if strange or child.attrib:
                raise ConfigError(f"all-units: holds <unit> elements only (got {strange or sorted(child.attrib)})")
            out[child.tag] = [_element_dict(unit) for unit in child]
        elif child.tag in out:
            raise ConfigError(f"{element.tag}: has <{child.tag}> twice; keep one")
        else:
            out[child.tag] = _element_dict(child)
    return out


def to_xml(config: RetinaConfig, path: str | Path) -> None:
    """Writes the configuration as Virtual Retina reads it; numbers keep all their digits.

    A spiking channel with one cell per pixel is written without an array: `from_xml` reads it back, the original program
    wants an array there. Raises: StreamError.
    """
    root = ET.Element(ROOT)
    _append(root, "retina", to_dict(config))
    ET.indent(root)
    try:
        ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise StreamError(f"{path}: cannot be written ({error})") from error


def _append(parent: ET.Element, tag: str, value: Any) -> None:
    element = ET.SubElement(parent, tag)
    for key, inner in value.items():
        if key == "all-units":
            units = ET.SubElement(element, key)
            for unit in inner:
                _append(units, "unit", unit)
        elif isinstance(inner, Mapping):
            _append(element, key, inner)
        elif isinstance(inner, list):
            for item in inner:
                _append(element, key, item)
        else:
            element.set(key, repr(inner))
