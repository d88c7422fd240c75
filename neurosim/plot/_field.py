"""Receptive fields: where, when, and how large."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._errors import ParameterError
from .._units import Resolution
from ._canvas import BLUE, GREEN, SIGNED, array, colours, extent, resolved, span, subplots


class Ellipse(NamedTuple):
    """Fitted Gaussian of a receptive field.

    Fields: `x`, `y`, its centre in degrees from the left and upper border; `major`, `minor`, standard deviations in degrees;
    `angle` of the major axis from the x axis towards the y axis (down), in degrees.
    """

    x: float
    y: float
    major: float
    minor: float
    angle: float


def fit_ellipse(frame: Any, resolution: Resolution | None = None) -> Ellipse | None:
    """The two-dimensional Gaussian that fits an image best in the sense of least squares.

    Args:
        frame: (y, x).
        resolution: pixels per degree; the default one when not given.
    Returns: its ellipse, or None when no Gaussian within the frame fits better than a constant.
    Raises: ParameterError.

    >>> import numpy as np
    >>> y, x = np.mgrid[:20, :30] + 0.5
    >>> found = fit_ellipse(np.exp(-((x - 12) / 4) ** 2 / 2 - ((y - 9) / 2) ** 2 / 2), Resolution(pixels_per_degree=1.0))
    >>> [round(value, 3) + 0.0 for value in found]
    [12.0, 9.0, 4.0, 2.0, 0.0]
    """
    from scipy.optimize import least_squares

    image = array("plot.fit_ellipse", "frame", frame)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise ParameterError("plot.fit_ellipse", "frame", "must be (y, x), finite", image.shape)
    centred = image - np.median(image)
    scale = float(np.abs(centred).max())
    if not scale:
        return None
    centred = centred / scale
    ys, xs = np.mgrid[:image.shape[0], :image.shape[1]] + 0.5
    py, px = np.unravel_index(int(np.abs(centred).argmax()), image.shape)

    def miss(p: np.ndarray) -> np.ndarray:
        height, x, y, a, b, c, floor = p  # a, b, c: the inverse covariance's Cholesky factor, so that it stays positive
        u, v = a * (xs - x) + b * (ys - y), c * (ys - y)
        return (height * np.exp(-0.5 * (u * u + v * v)) + floor - centred).ravel()

    tries = [least_squares(miss, [centred[py, px], px + 0.5, py + 0.5, 1 / width, 0.0, 1 / width, 0.0])
             for width in (1.0, 2.5, 6.0)]
    best = min(tries, key=lambda found: found.cost)
    _, x, y, a, b, c, _ = best.x
    factor = np.array([[a, b], [0.0, c]])
    if abs(np.linalg.det(factor)) < 1e-12 or not (0 <= x <= image.shape[1] and 0 <= y <= image.shape[0]):
        return None
    if 2 * best.cost > 0.98 * float(((centred - centred.mean()) ** 2).sum()):
        return None
    variance, direction = np.linalg.eigh(np.linalg.inv(factor.T @ factor))
    if np.sqrt(variance[1]) > max(image.shape):
        return None
    angle = float(np.degrees(np.arctan2(direction[1, 1], direction[0, 1]))) % 180.0
    ppd = resolved(resolution).pixels_per_degree
    return Ellipse(float(x) / ppd, float(y) / ppd, float(np.sqrt(variance[1])) / ppd, float(np.sqrt(variance[0])) / ppd,
                   angle if 180.0 - angle > 1e-9 else 0.0)


def receptive_field(field: Any, *, resolution: Resolution | None = None, units: str = "") -> Any:
    """A spike-triggered average or kernel: space at its strongest lag, time at its strongest pixel, and an ellipse.

    The ellipse is one standard deviation of the Gaussian that `fit_ellipse` finds at that lag.

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
    found = fit_ellipse(x[lag], own)
    if found is not None:
        _draw(space, found)
    time.plot(-np.arange(len(x)) * ms, x[:, row, column], color=BLUE, marker="." if len(x) < 60 else None)
    time.axhline(0.0, color="0.6", linewidth=0.7)
    time.axvline(-lag * ms, color="0.6", linewidth=0.7, linestyle=":")
    time.set(xlabel="time before the response (ms)")
    time.set_title(f"at the cross, x = {where[0]:.3g}, y = {where[1]:.3g} deg", fontsize=10)
    time.grid(alpha=0.3)
    return figure


def _draw(panel: Any, found: Ellipse) -> None:
    from matplotlib.patches import Ellipse as Patch

    panel.add_patch(Patch((found.x, found.y), 2 * found.major, 2 * found.minor, angle=found.angle, fill=False,
                          edgecolor=GREEN, linewidth=1.8))
    panel.text(0.02, 0.02, f"one s.d.: {found.major:.3g} x {found.minor:.3g} deg", color=GREEN, fontsize=8,
               transform=panel.transAxes, bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.5})
