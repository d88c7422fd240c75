"""Time courses of outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._axes import SIGNAL, VIDEO, Axes
from .._errors import ParameterError
from .._units import Resolution
from ._canvas import BLUE, array, frame_of, named, subplots


def time_courses(values: Any, *, axes: Axes | None = None, resolution: Resolution | None = None,
                 start_time: float | None = None, units: dict[str, str] | None = None) -> Any:
    """One panel per output: its mean over pixels (or features) against time, with the range as a band.

    Args:
        values: an `Output`, an array or tensor, or a dict of them by name. Frames with a NaN leave a gap.
        axes: VIDEO or SIGNAL; those of an `Output`, else by the number of axes: (time,) and (time, feature) are signals,
            (time, y, x) and (batch, channel, time, y, x) videos.
        resolution: whose frames tell the time; that of an `Output`, else the default one.
        start_time: of the first frame in s; that of an `Output`, else 0.
        units: of the values, by name.
    Returns: the matplotlib figure.
    Raises: ParameterError when there is nothing to plot, InputError for other axes.

    >>> import matplotlib.pyplot as plt, torch
    >>> figure = time_courses({"bipolar": torch.rand(1, 1, 50, 4, 4)}, units={"bipolar": "mV"})
    >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
    ('bipolar (mV)', 'time (s)')
    >>> plt.close(figure)
    """
    where = "plot.time_courses"
    frame = frame_of(values, resolution)
    start = getattr(values, "start_time", 0.0) if start_time is None else start_time
    own = getattr(values, "axes_of", lambda name: None)
    shown = {name: courses(where, x, axes or own(name)) for name, x in named(values).items()}
    if not shown:
        raise ParameterError(where, "values", "there is nothing to show", values)
    figure, panels = subplots(len(shown), 1, sharex=True, figsize=(8, 1.0 + 1.8 * len(shown)))
    for panel, (name, x) in zip(panels[:, 0], shown.items(), strict=True):
        t = start + np.arange(len(x)) * frame
        marker = "." if len(x) == 1 else None  # a line of one point is not seen
        if x.shape[1] > 1:
            panel.fill_between(t, x.min(1), x.max(1), color=BLUE, alpha=0.25, linewidth=0, label="range")
        panel.plot(t, x.mean(1), color=BLUE, marker=marker, label="mean" if x.shape[1] > 1 else None)
        panel.set_ylabel(f"{name} ({units[name]})" if units and name in units else name or "value")
        panel.grid(alpha=0.3)
    if any(x.shape[1] > 1 for x in shown.values()):
        panels[0, 0].legend(loc="upper right", fontsize="small")
    panels[-1, 0].set_xlabel("time (s)")
    return figure


def courses(where: str, x: Any, axes: Axes | None) -> np.ndarray:
    """(time, pixels or features)."""
    numbers = array(where, "values", x)
    axes = axes or (VIDEO if numbers.ndim in (3, 5) else SIGNAL)
    whole = np.moveaxis(axes.promote(numbers, where), axes.time, 0)
    return whole.reshape(len(whole), -1)
