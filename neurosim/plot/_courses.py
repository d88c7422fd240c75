"""Time courses of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from .._axes import VIDEO, Axes
from .._errors import ParameterError
from ._canvas import BLUE, subplots


def time_courses(values: Mapping[str, Tensor], axes: Axes = VIDEO, frame: float = 0.001, start: float = 0.0,
                 units: Mapping[str, str] | None = None) -> Any:
    """One panel per output: its mean over pixels (or features) against time, with the range as a band.

    Args:
        values: tensors by name, all axes kept. Frames with a NaN leave a gap.
        axes: kind of the data.
        frame: seconds per frame.
        start: number of the first frame.
        units: of the values, by name.
    Returns: the matplotlib figure.
    Raises: ParameterError when there is nothing to plot.

    >>> import matplotlib.pyplot as plt, torch
    >>> figure = time_courses({"bipolar": torch.rand(1, 1, 50, 4, 4)}, frame=0.005, units={"bipolar": "mV"})
    >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
    ('bipolar (mV)', 'time (s)')
    >>> plt.close(figure)
    """
    shown = {name: x.detach().cpu().double().movedim(axes.time, 0).flatten(1) for name, x in values.items()
             if x.shape[axes.time] and x.numel()}
    if not shown:
        raise ParameterError("plot.time_courses", "values", "there is no frame to plot")
    figure, panels = subplots(len(shown), 1, sharex=True, figsize=(8, 1.0 + 1.8 * len(shown)))
    for panel, (name, x) in zip(panels[:, 0], shown.items(), strict=True):
        t = (start + np.arange(len(x))) * frame
        if x.shape[1] > 1:
            panel.fill_between(t, x.min(1).values.numpy(), x.max(1).values.numpy(), color=BLUE, alpha=0.25, linewidth=0,
                               label="range")
        panel.plot(t, x.mean(1).numpy(), color=BLUE, label="mean" if x.shape[1] > 1 else None)
        panel.set_ylabel(f"{name} ({units[name]})" if units and name in units else name)
        panel.grid(alpha=0.3)
    if any(x.shape[1] > 1 for x in shown.values()):
        panels[0, 0].legend(loc="upper right", fontsize="small")
    panels[-1, 0].set_xlabel("time (s)")
    return figure
