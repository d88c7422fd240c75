"""Receptive fields: where, when, and how large."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import InputError, ParameterError
from .._units import Resolution
from ..analysis.fields import Ellipse, ellipse
from ._canvas import BLUE, GREEN, SIGNED, array, colours, extent, resolved, span, subplots


def receptive_field(field: Any, *, resolution: Resolution | None = None, units: str = "") -> Any:
    """A spike-triggered average or kernel: space at its strongest lag, time at its strongest pixel, and an ellipse.

    The ellipse is one standard deviation of the Gaussian that `neurosim.analysis.ellipse` finds at that lag; there is none
    where that finds none, or one that lies or reaches beyond the frame.

    Args:
        field: (lag, y, x), lag 0 first, or with leading axes of length 1.
        resolution: seconds per lag and pixels per degree; the default one when not given.
        units: of the numbers.
    Returns: the matplotlib figure.
    Raises: ParameterError unless the field is finite and has this shape.

    >>> import matplotlib.pyplot as plt, numpy as np
    >>> field = np.zeros((10, 8, 8)); field[3, 4, 5] = 1.0
    >>> figure = receptive_field(field)
    >>> figure.axes[0].get_title()
    '3 ms before'
    >>> plt.close(figure)
    """
    x = array("plot.receptive_field", "field", field)
    while x.ndim > 3 and x.shape[0] == 1:
        x = x[0]
    if x.ndim != 3 or not np.isfinite(x).all():
        raise ParameterError("plot.receptive_field", "field", "must be (lag, y, x), finite", x.shape)
    own = resolved(resolution)
    lag, row, column = np.unravel_index(int(np.abs(x).argmax()), x.shape)
    ms, ppd = own.frame * 1e3, own.pixels_per_degree
    figure, panels = subplots(1, 2, figsize=(8.4, 3.6), width_ratios=(1.15, 1.0))
    space, time = panels[0]
    low, high = span(x, symmetric=True)
    image = space.imshow(x[lag], cmap=colours(SIGNED), vmin=low, vmax=high, extent=extent(x.shape[1:], own))
    where = ((column + 0.5) / ppd, (row + 0.5) / ppd)
    space.plot(*where, marker="+", color="black", markersize=9)
    space.set(xlabel="x (deg)", ylabel="y (deg)", title=f"{lag * ms:.4g} ms before")
    figure.colorbar(image, label=f"weight ({units})" if units else "weight")
    if (found := _within(x[lag])) is not None:
        _draw(space, found, ppd)
    time.plot(-np.arange(len(x)) * ms, x[:, row, column], color=BLUE, marker="." if len(x) < 60 else None)
    time.axhline(0.0, color="0.6", linewidth=0.7)
    time.axvline(-lag * ms, color="0.6", linewidth=0.7, linestyle=":")
    time.set(xlabel="time before the response (ms)")
    time.set_title(f"at the cross, x = {where[0]:.3g}, y = {where[1]:.3g} deg", fontsize=10)
    time.grid(alpha=0.3)
    return figure


def _within(frame: np.ndarray) -> Ellipse | None:
    """The ellipse of an image, when it has one that can be drawn on it."""
    try:
        found = ellipse(frame)
    except InputError:
        return None
    height, width = frame.shape
    inside = -0.5 <= found.x <= width - 0.5 and -0.5 <= found.y <= height - 0.5
    return found if inside and found.sigma_long < max(frame.shape) and abs(found.amplitude) > 0 else None


def _draw(panel: Any, found: Ellipse, ppd: float) -> None:
    from matplotlib.patches import Ellipse as Patch

    long, short = found.sigma_long / ppd, found.sigma_short / ppd
    panel.add_patch(Patch(((found.x + 0.5) / ppd, (found.y + 0.5) / ppd), 2 * long, 2 * short, angle=np.degrees(found.angle),
                          fill=False, edgecolor=GREEN, linewidth=1.8))
    panel.text(0.02, 0.02, f"one s.d.: {long:.3g} x {short:.3g} deg", color=GREEN, fontsize=8, transform=panel.transAxes,
               bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5})
