"""What all pictures share: figures, colours that the colour-blind can tell apart, numbers out of whatever came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from .._defaults import resolution as default_resolution
from .._errors import ParameterError
from .._units import Resolution

# Okabe and Ito's colours, for black and white print too: they differ in lightness.
BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#222222"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK)
SIGNED = "RdBu_r"  # around zero, blue below and red above
LEVELS = "cividis"  # one-sided; made for the colour-blind
MISSING = "#F0E442"  # NaN: no other picture has this yellow


def subplots(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of pyplot and its panels (rows, columns).

    A notebook shows the figure that a cell returns, and besides all that pyplot has open; there it is closed in pyplot, so
    that it is shown once.
    """
    import matplotlib
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(rows, columns, squeeze=False, layout="constrained", **options)
    if "inline" in matplotlib.get_backend():
        plt.close(figure)
    return figure, panels


def array(where: str, what: str, x: Any) -> np.ndarray:
    """`x` (tensor, array, parameter, view of one) as float64 numbers. Raises ParameterError when it holds none."""
    x = getattr(x, "value", x)  # a constrained parameter, as `.p` shows it
    if isinstance(x, Tensor):
        if x.is_meta:
            raise ParameterError(where, what, "is on the device 'meta', which holds no numbers; use .to_empty() and set them")
        x = x.detach().cpu()
        x = x.double().numpy() if not x.is_complex() else x.numpy()
    numbers = np.asarray(x)
    if numbers.dtype.kind not in "biuf":
        raise ParameterError(where, what, "must be real numbers", str(numbers.dtype))
    if not numbers.size:
        raise ParameterError(where, what, "there is nothing to show", f"shape {numbers.shape}")
    return numbers.astype(np.float64)


def named(values: Any) -> dict[str, Any]:
    """A mapping, or an `Output`, as a dict; anything else as one value without a name."""
    if isinstance(values, Mapping):
        return dict(values)
    if not isinstance(values, Tensor | np.ndarray) and callable(getattr(values, "items", None)):
        return dict(values.items())
    return {"": values}


def frame_of(values: Any, resolution: Resolution | None) -> float:
    """Seconds per frame: those of an `Output` unless a resolution is given, else those of the default resolution."""
    if resolution is None and isinstance(own := getattr(values, "frame", None), float):
        return own
    return resolved(resolution).frame


def resolved(resolution: Resolution | None) -> Resolution:
    """The resolution given, or the default one as it is now."""
    return default_resolution.current if resolution is None else resolution


def span(x: np.ndarray, symmetric: bool = False) -> tuple[float, float]:
    """The range of the finite numbers, never empty; around zero when `symmetric`."""
    finite = x[np.isfinite(x)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if symmetric:
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def colours(name: str) -> Any:
    """The colour map of this name, with NaN in a colour of its own."""
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=MISSING)


def extent(shape: tuple[int, ...], resolution: Resolution, centred: bool = False) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of an image of `shape` (y, x) in degrees; zero is its corner, or its centre."""
    height, width = (n / resolution.pixels_per_degree for n in shape)
    return (-width / 2, width / 2, height / 2, -height / 2) if centred else (0.0, width, height, 0.0)
