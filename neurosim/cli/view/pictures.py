"""The pictures of a page, as PNG in the address of an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurosim.plot._canvas import BLUE, CYCLE, SIGNED, colours, span

from .contents import Frames, Spikes

SPIKES = "spikes per frame"
WIDE = 11.2  # inches, as wide as the page


def url(figure: Any) -> str:
    """A figure as the address of an image."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def new_figure(width: float, height: float) -> Any:
    """A figure that pyplot does not know of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def scaled(frames: Frames) -> tuple[float, str]:
    """By what numbers are multiplied, and their unit: spikes are shown as rates where the frame rate is known."""
    return (frames.rate, "Hz") if frames.units == SPIKES and frames.rate else (1.0, frames.units)


def maps(frames: Frames, degrees: float | None) -> str:
    """Some frames and the mean over time, in one range of colours each."""
    assert frames.some is not None and frames.average is not None
    factor, unit = scaled(frames)
    shown = [*frames.some * factor, frames.average * factor]
    signed = bool(np.nanmin(frames.low, initial=0.0) < 0)
    ratio = min(2.0, max(0.4, frames.some.shape[1] / frames.some.shape[2]))
    figure = new_figure(WIDE * (len(shown) + 1.2) / 8.2, 1.28 * ratio + 0.72)
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    height, width = (n / (degrees or 1.0) for n in frames.some.shape[1:])
    limits = span(np.stack(shown[:-1]), signed), span(shown[-1], signed)
    for number, (panel, image) in enumerate(zip(axes, shown, strict=True)):
        low, high = limits[number == len(shown) - 1]
        drawn = panel.imshow(image, cmap=colours(SIGNED if signed else "gray"), vmin=low, vmax=high,
                             extent=(0.0, width, height, 0.0), interpolation="nearest")
        at = frames.moments[number] if number < len(frames.moments) else None
        when = "mean over time" if at is None else f"{frames.start + at / frames.rate:.4g} s" if frames.rate else f"frame {at}"
        panel.set_title(when, fontsize=9)
        panel.tick_params(labelsize=7, labelleft=number == 0)
        panel.locator_params(nbins=4)
        panel.set_xlabel("x (deg)" if degrees else "x (pixel)", fontsize=8)
        if number >= len(shown) - 2:
            group = [panel] if at is None else list(axes[:-1])
            bar = figure.colorbar(drawn, ax=group, shrink=0.96, aspect=18, pad=0.01 if at is not None else 0.05)
            bar.ax.tick_params(labelsize=7)
            bar.set_label(unit, fontsize=8)
    axes[0].set_ylabel("y (deg)" if degrees else "y (pixel)", fontsize=8)
    return url(figure)


def course(frames: Frames) -> str:
    """The mean over pixels against time, and their range (for spikes the mean only)."""
    factor, unit = scaled(frames)
    figure = new_figure(WIDE, 2.3)
    panel = figure.subplots()
    if factor == 1.0 and frames.shape and np.prod(frames.shape) > 1:
        panel.fill_between(frames.time, frames.low, frames.high, color=BLUE, alpha=0.25, linewidth=0, label="range")
    panel.plot(frames.time, frames.mean * factor, color=BLUE, linewidth=1.1, label="mean")
    panel.set_xlabel("time (s)" if frames.rate else "frame")
    if not frames.rate:
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    panel.set_ylabel(f"mean rate ({unit})" if factor != 1.0 else f"value ({unit})" if unit else "value")
    panel.legend(fontsize=8, loc="upper right")
    panel.grid(alpha=0.3)
    panel.margins(x=0)
    return url(figure)


def raster(spikes: Spikes, ranges: Mapping[str, Sequence[int]]) -> str:
    """Spikes by unit and time, layers in colours of their own, and the mean rate of all units."""
    units = max([spikes.units, 1, *(stop for _, stop in ranges.values())])
    figure = new_figure(WIDE, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    layers = ranges or {"": (0, units)}
    size = float(np.clip(220 / units, 0.9, 8.0))
    for colour, (layer, (first, stop)) in zip([*CYCLE] * (1 + len(layers) // len(CYCLE)), layers.items(), strict=False):
        mine = (spikes.unit >= first) & (spikes.unit < stop)
        above.plot(spikes.time[mine], spikes.unit[mine], linestyle="none", marker="|", markersize=size,
                   markeredgewidth=0.6, color=colour if ranges else "black", label=layer)
    begin, end = float(spikes.edges[0]), float(spikes.edges[-1])
    above.set(ylabel="unit", xlim=(begin, end + 0.005 * (end - begin)), ylim=(units - 0.5, -0.5))
    above.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if ranges:
        legend: Any = above.legend(fontsize=8, loc="upper right", markerscale=6.0, framealpha=0.95)
        for mark in legend.legend_handles:
            mark.set(markersize=9.0, markeredgewidth=2.0)
    rate = spikes.counts / np.diff(spikes.edges) / units
    below.stairs(rate, spikes.edges, fill=True, color=BLUE, alpha=0.8)
    below.set(xlabel="time (s)", ylabel="rate (Hz)", ylim=(0.0, None if rate.any() else 1.0))
    below.grid(alpha=0.3)
    return url(figure)


def preview(stored: Mapping[str, Any]) -> str:
    """The frames of the input that a run stored. Raises ValueError, KeyError, TypeError for what is no preview."""
    count, height, width = (int(n) for n in stored["shape"])
    pixels = np.frombuffer(base64.b64decode(stored["pixels"]), np.uint8).reshape(count, height, width)
    low, high = (float(x) for x in stored["limits"])
    figure = new_figure(WIDE * (count + 0.7) / 6.7, 1.62 * min(2.0, max(0.4, height / width)) + 0.35)
    axes = figure.subplots(1, count, squeeze=False)[0]
    for panel, frame, second in zip(axes, pixels, stored["seconds"], strict=True):
        drawn = panel.imshow(low + frame / 255.0 * (high - low), cmap="gray", vmin=low, vmax=high if high > low else low + 1)
        panel.set_title(f"{float(second):.4g} s", fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    bar = figure.colorbar(drawn, ax=list(axes), shrink=0.96, aspect=18, pad=0.01)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("input, as it came", fontsize=8)
    return url(figure)
