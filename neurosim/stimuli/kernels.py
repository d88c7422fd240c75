"""Arrays in the shape of a Gabor function or of letters: kernels for filters, masks for stimuli."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import _defaults
from .._errors import ParameterError
from .._units import Resolution, positive
from ..streams.base import shape_of


def gabor_kernel(size: Sequence[int], *, direction: float = 0.0, spatial_frequency: float = 1.0, sigma: float = 0.5,
                 phase: float = 0.0, resolution: Resolution | None = None) -> np.ndarray:
    """A Gabor function: exp(-r² / (2 sigma²)) cos(2 pi fs u + phase), u along `direction`.

    Args:
        size: (y, x) in pixels.
        direction: across the bars in degrees, 0 along x, 90 upwards.
        spatial_frequency: cycles per degree.
        sigma: standard deviation of the window in degrees.
        phase: in degrees; 0 even, 90 odd.
        resolution: pixels per degree; None: the default one as it is now.
    Returns: (y, x) float64, at most 1.
    Raises: ParameterError.
    Reference: J. G. Daugman, J. Opt. Soc. Am. A 2 (1985).

    >>> kernel = gabor_kernel((11, 11), spatial_frequency=2.0)
    >>> float(kernel[5, 5])
    1.0
    """
    rows, columns = shape_of("gabor_kernel", "size", size)
    ppd = (_defaults.resolution.current if resolution is None else resolution).pixels_per_degree
    for what, value in [("direction", direction), ("spatial_frequency", spatial_frequency), ("phase", phase)]:
        if not math.isfinite(value):
            raise ParameterError("gabor_kernel", what, "must be finite", value)
    sigma = positive("gabor_kernel", "sigma", sigma, "deg")
    y, x = (np.arange(rows)[:, None] - (rows - 1) / 2) / ppd, (np.arange(columns) - (columns - 1) / 2) / ppd
    u = x * math.cos(math.radians(direction)) - y * math.sin(math.radians(direction))
    return np.exp(-(y**2 + x**2) / (2 * sigma**2)) * np.cos(2 * math.pi * spatial_frequency * u + math.radians(phase))


def text_kernel(text: str, size: Sequence[int] = (16, 16)) -> np.ndarray:
    """Letters as an image: 1 inside them, 0 outside, as large as the image allows.

    Args:
        text: one line of any characters that matplotlib's font has.
        size: (y, x) in pixels.
    Returns: (y, x) float64; 0 or 1 except at the edges of letters.
    Raises: ParameterError when there is nothing to draw.

    >>> (text_kernel("T", (7, 6)) > 0.4).astype(int)
    array([[1, 1, 1, 1, 1, 1],
           [0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0]])
    """
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    rows, columns = shape_of("text_kernel", "size", size)
    path = TextPath((0, 0), text, size=100) if isinstance(text, str) and text.strip() else None
    if path is None:
        raise ParameterError("text_kernel", "text", "must hold something to draw", text)
    box = path.get_extents()
    fine = 4  # samples along each side of a pixel
    pixel = max(box.width / columns, box.height / rows)
    x = (box.x0 + box.x1) / 2 + (np.arange(columns * fine) + 0.5 - columns * fine / 2) * pixel / fine
    y = (box.y0 + box.y1) / 2 - (np.arange(rows * fine) + 0.5 - rows * fine / 2) * pixel / fine
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    # A point inside an even number of outlines is in a hole, such as that of an o.
    outlines = [Path(outline).contains_points(points) for outline in path.to_polygons()]
    return np.logical_xor.reduce(outlines).reshape(rows, fine, columns, fine).mean(axis=(1, 3))
