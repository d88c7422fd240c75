"""Slow, plain numpy transcription of Virtual Retina (Wohrer & Kornprobst 2009) in float64, one frame at a time.

Nothing here is shared with the library: tests compare the two. `stage_delays` chooses between the pipeline of the
original program, in which every stage reads the preceding frame of the stage before it, and the undelayed order.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

SATURATION = 500000.0
OPL = dict(center_sigma=0.0, center_tau=0.01, center_n=0, surround_sigma=1.0, surround_tau=0.01, weight=0.0,
           leaky_heat=False, amplification=1.0, undershoot=None)
GAIN = dict(amplification=100.0, leak=10.0, sigma=1.0, tau=0.01, feedback=100.0, exponent=2.0, e_inh=0.0,
            symmetric=True, threshold=0.0, transient_weight=0.0, transient_tau=0.03)
GANGLION = dict(sign=1.0, transient_tau=0.04, transient_weight=0.75, v0=0.0, i0=70.0, gain=100.0, sigma_pool=0.0,
                spiking=None)
SPIKING = dict(g_leak=50.0, sigma_v=0.0, refr_mean=0.003, refr_sd=0.0)


def configuration(**changes: Any) -> dict:
    """A full configuration; nested dicts `opl`, `gain` (or None), `ganglion` (a list)."""
    full: dict[str, Any] = dict(h=0.005, ppd=20.0, luminance_range=255.0, opl={}, gain={}, ganglion=[])
    full.update(changes)
    full["opl"] = {**OPL, **full["opl"]}
    full["gain"] = None if full["gain"] is None else {**GAIN, **full["gain"]}
    full["ganglion"] = [{**GANGLION, **layer} for layer in full["ganglion"]]
    return full


def read_xml(path: str) -> dict:
    """The configuration in a Virtual Retina XML file, explicit cells only."""
    retina = ET.parse(path).getroot().find("retina")
    linear = retina.find("outer-plexiform-layer/linear-version")
    under = linear.find("undershoot")
    opl = dict(
        center_sigma=number(linear, "center-sigma__deg", 0), center_tau=number(linear, "center-tau__sec", .01),
        center_n=int(number(linear, "center-n__uint", 0)), surround_sigma=number(linear, "surround-sigma__deg", 1),
        surround_tau=number(linear, "surround-tau__sec", .01), weight=number(linear, "opl-relative-weight", 0),
        leaky_heat=number(linear, "leaky-heat-equation", 0) != 0,
        amplification=number(linear, "opl-amplification", 1),
        undershoot=None if under is None else (number(under, "relative-weight", 0), number(under, "tau__sec", 0)))
    cell = retina.find("contrast-gain-control")
    if cell is None:
        cell = retina.find("contrast-gain-control-custom")
    gain = None if cell is None else dict(
        amplification=number(cell, "opl-amplification__Hz", 100), leak=number(cell, "bipolar-inert-leaks__Hz", 10),
        sigma=number(cell, "adaptation-sigma__deg", 1), tau=number(cell, "adaptation-tau__sec", .01),
        feedback=number(cell, "adaptation-feedback-amplification__Hz", 100),
        exponent=number(cell, "adaptation-powerlaw-exponent", 2), e_inh=number(cell, "adaptation-E-inh", 0),
        symmetric=number(cell, "adaptation-ONOFF-symmetry", 1) != 0,
        threshold=number(cell, "bipolar-to-adaptation-threshold", 0),
        transient_weight=number(cell, "transient-relative-weight", 0),
        transient_tau=number(cell, "transient-tau__sec", .03))
    layers = []
    for layer in retina.findall("ganglion-layer"):
        channel = layer.find("spiking-channel")
        spiking = None if channel is None else dict(
            g_leak=number(channel, "g-leak__Hz", 50), sigma_v=number(channel, "sigma-V", 0),
            refr_mean=number(channel, "refr-mean__sec", .003), refr_sd=number(channel, "refr-stdev__sec", 0),
            units=[(number(u, "x-offset__deg", 0), number(u, "y-offset__deg", 0)) for u in channel.iter("unit")])
        layers.append(dict(
            sign=number(layer, "sign", 1), transient_tau=number(layer, "transient-tau__sec", .04),
            transient_weight=number(layer, "transient-relative-weight", .75),
            v0=number(layer, "bipolar-linear-threshold", 0), i0=number(layer, "value-at-linear-threshold__Hz", 70),
            gain=number(layer, "bipolar-amplification__Hz", 100), sigma_pool=number(layer, "sigma-pool__deg", 0),
            spiking=spiking))
    return configuration(h=number(retina, "temporal-step__sec", 1), ppd=number(retina, "pixels-per-degree", 1),
                         luminance_range=number(retina, "input-luminosity-range", 255), opl=opl, gain=gain,
                         ganglion=layers)


def number(element: ET.Element, key: str, default: float) -> float:
    return float(element.get(key, default))


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Deriche's recursive smoothing, rows then columns, replicated borders with steady-state start."""
    sigma = float(np.float32(sigma_px))
    if sigma < 0.1:
        return image
    return blur_rows(blur_rows(image, sigma).T, sigma).T


def blur_rows(image: np.ndarray, sigma: float) -> np.ndarray:
    a = float(np.float32(1.695)) / sigma
    e = math.exp(-a)
    k = (1 - e) ** 2 / (1 + 2 * a * e - e * e)
    a0, a1, a2, a3, b1, b2 = k, k * (a - 1) * e, k * (a + 1) * e, -k * e * e, 2 * e, -e * e
    n = image.shape[1]
    up, down = np.empty_like(image), np.empty_like(image)
    x1 = image[:, 0]
    y1 = y2 = x1 * (a0 + a1) / (1 - b1 - b2)
    for i in range(n):
        up[:, i] = a0 * image[:, i] + a1 * x1 + b1 * y1 + b2 * y2
        x1, y2, y1 = image[:, i], y1, up[:, i]
    x1 = x2 = image[:, -1]
    y1 = y2 = x1 * (a2 + a3) / (1 - b1 - b2)
    for i in range(n - 1, -1, -1):
        down[:, i] = a2 * x1 + a3 * x2 + b1 * y1 + b2 * y2
        x2, x1, y2, y1 = x1, image[:, i], y1, down[:, i]
    return up + down


def decay(tau: float, h: float) -> float:
    return math.exp(-h / tau) if tau > 0 else 0.0


def opl(frames: np.ndarray, p: dict, h: float, ppd: float, luminance_range: float, initial: float,
        stage_delays: bool) -> dict[str, np.ndarray]:
    """Outer plexiform layer: C, R, S and O = R - S of every frame."""
    amp = p["amplification"] / luminance_range
    stages = 1 if p["leaky_heat"] else p["center_n"] + 1
    tau = p["center_tau"] if p["leaky_heat"] or p["center_n"] == 0 else p["center_tau"] / p["center_n"]
    c, cs = decay(tau, h), decay(p["surround_tau"], h)
    shape = frames.shape[1:]
    cascade = [np.full(shape, amp * initial) for _ in range(stages)]
    center = cascade[-1]
    under_w, under_tau = p["undershoot"] or (0.0, 0.0)
    cu = decay(under_tau, h)
    slow = center.copy()
    receptor = (1 - under_w) * center
    surround = p["weight"] * receptor
    out: dict[str, list] = {"center": [], "receptor": [], "surround": [], "opl": []}
    for frame in frames:
        before, receptor_before = center, receptor
        if p["leaky_heat"]:
            s = p["center_sigma"] * ppd * math.sqrt(h / p["center_tau"])
            cascade[0] = blur(c * cascade[0] + amp * (1 - c) * frame, s)
        else:
            x = amp * blur(frame, p["center_sigma"] * ppd)
            for i in range(stages):
                x = cascade[i] = c * cascade[i] + (1 - c) * x
        center = cascade[-1]
        if p["undershoot"]:
            x = before if stage_delays else center
            slow = cu * slow + (1 - cu) * x
            receptor = x - under_w * slow
        else:
            receptor = center
        if p["weight"] != 0 and p["leaky_heat"]:
            s = p["surround_sigma"] * ppd * math.sqrt(h / p["surround_tau"])
            surround = blur(cs * surround + p["weight"] * (1 - cs) * receptor_before, s)
        elif p["weight"] != 0:
            x = p["weight"] * blur(receptor_before, p["surround_sigma"] * ppd)
            surround = cs * surround + (1 - cs) * x
        for name, value in zip(out, (center, receptor, surround, receptor - surround), strict=True):
            out[name].append(value)
    return {name: np.stack(values) for name, values in out.items()}


def bipolar(drive: np.ndarray, p: dict, h: float, ppd: float) -> dict[str, np.ndarray]:
    """Contrast gain control: V and g_A for the current O that each frame is driven by."""
    c, ct = decay(p["tau"], h), decay(p["transient_tau"], h)
    v, g, x = (np.zeros(drive.shape[1:]) for _ in range(3))
    out: dict[str, list] = {"bipolar": [], "adaptation": [], "attenuation": []}

    def synapse(v: np.ndarray) -> np.ndarray:
        z = p["feedback"] * np.maximum(v - p["threshold"], 0) ** p["exponent"]
        return z / (1 + z / SATURATION)

    for o in drive:
        total = p["leak"] + g
        e = (p["amplification"] * o + p["e_inh"] * g + p["transient_weight"] * x) / total
        shrink = np.exp(-h * total)
        q = synapse(v) + (synapse(-v) if p["symmetric"] else 0)
        new_v = e + (v - e) * shrink
        g = c * g + (1 - c) * blur(q, p["sigma"] * ppd)
        x = ct * x + (1 - ct) * v
        v = new_v
        for name, value in zip(out, (v, g, shrink), strict=True):
            out[name].append(value)
    return {name: np.stack(values) for name, values in out.items()}


def transient(v: np.ndarray, p: dict, h: float) -> np.ndarray:
    c = decay(p["transient_tau"], h)
    slow, out = np.zeros(v.shape[1:]), []
    for frame in v:
        slow = c * slow + (1 - c) * frame
        out.append(frame - p["transient_weight"] * slow)
    return np.stack(out)


def current(t: np.ndarray, p: dict, ppd: float) -> np.ndarray:
    x = (1.0 if p["sign"] > 0 else -1.0) * t - p["v0"]
    i0, gx = p["i0"], p["gain"] * x
    with np.errstate(divide="ignore", invalid="ignore"):
        above = i0 + gx / (1 + gx / (SATURATION - i0))
        below = i0 ** 2 / (i0 - gx) if i0 > 0 else np.zeros_like(gx)
    n = np.where(x > 0, above, below)
    return np.stack([blur(frame, p["sigma_pool"] * ppd) for frame in n])


def sample(maps: np.ndarray, units: list[tuple[float, float]], ppd: float) -> np.ndarray:
    """(time, y, x) read at the cells' offsets in degrees, bilinear with float32 positions and weights."""
    height, width = maps.shape[1:]
    f = np.float32
    out = []
    for ox, oy in units:
        px = min(max(f(width / 2 + ppd * ox), f(0)), f(width - 1))
        py = min(max(f(height / 2 + ppd * oy), f(0)), f(height - 1))
        x, y = int(px), int(py)
        dx, dy = f(px - f(x)), f(py - f(y))
        x1, y1 = (x + 1 if dx > 0 else x), (y + 1 if dy > 0 else y)
        a, b, c, d = maps[:, y, x], maps[:, y, x1], maps[:, y1, x], maps[:, y1, x1]
        out.append(a + float(dx) * (b - a + float(dy) * (a + d - b - c)) + float(dy) * (c - a))
    return np.stack(out, axis=1)


def spikes(currents: np.ndarray, p: dict, h: float, v0: float = 0.0) -> list[list[float]]:
    """Exact spike times of each cell for currents (time, cell) held over frames; no noise, no jitter."""
    g, times = p["g_leak"], []
    for cell in range(currents.shape[1]):
        v, refractory, train = v0, 0.0, []
        for k, j in enumerate(currents[:, cell]):
            now, end, e = k * h, (k + 1) * h, j / g
            while True:
                wait = min(refractory, end - now)
                now, refractory = now + wait, refractory - wait
                left = end - now
                if left <= 0:
                    break
                reach = math.log((e - v) / (e - 1)) / g if e > 1 else math.inf
                if reach > left:
                    v = e + (v - e) * math.exp(-g * left)
                    break
                now += reach
                train.append(now)
                v, refractory = 0.0, p["refr_mean"]
        times.append(train)
    return times


def delayed(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def retina(frames: np.ndarray, config: dict, *, initial: float | None = None, stage_delays: bool = True) -> dict:
    """Every map of the pipeline, and `spikes`: one list of times per cell in the order of the layers."""
    h, ppd = config["h"], config["ppd"]
    late = delayed if stage_delays else (lambda x: x)
    start = config["luminance_range"] / 2 if initial is None else initial
    out: dict[str, Any] = opl(np.asarray(frames, float), config["opl"], h, ppd, config["luminance_range"], start,
                              stage_delays)
    last = out["opl"]
    if config["gain"] is not None:
        out.update(bipolar(late(last), config["gain"], h, ppd))
        last = out["bipolar"]
    out["spikes"] = []
    for i, layer in enumerate(config["ganglion"]):
        t = last
        if layer["transient_weight"] != 0:
            t = out[f"transient_{i}"] = transient(late(last), layer, h)
        currents = current(late(t), layer, ppd)
        out[f"ganglion_{i}"] = currents
        if layer["spiking"] is not None:
            out["spikes"] += spikes(sample(late(currents), layer["spiking"]["units"], ppd), layer["spiking"], h)
    return out
