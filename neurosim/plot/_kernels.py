"""Mosaics of kernels: space by lag."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from .._errors import ParameterError
from .._units import Resolution
from ._canvas import BLUE, SIGNED, array, colours, extent, resolved, span, subplots

MAX_ROWS, MAX_LAGS = 12, 10  # more would be too small to see


@runtime_checkable
class _Filter(Protocol):
    """A layer that has a kernel."""

    resolution: Resolution

    def impulse_response(self) -> Tensor:
        """(out, in, lag, y, x)."""


def kernels(source: Any, *, resolution: Resolution | None = None) -> Any:
    """Kernels as mosaics: a row for each pair of channels, a column for each lag, one symmetric range of colours.

    A kernel of one pixel is drawn as a curve over its lags. Long kernels show every so many lags, always with the first; of
    many channels the first are shown, and the title says so.

    Args:
        source: a layer, whose convolutions and receptive fields are shown as they are stored, as impulse responses; or an
            array, tensor or parameter of shape (lag,), (y, x), (lag, y, x) or (out, in, lag, y, x), lag 0 first.
        resolution: of an array; the default one when not given. A layer has its own.
    Returns: the matplotlib figure; lags in ms, space in degrees from the centre.
    Raises: ParameterError for a layer without kernels, another shape, or no numbers.

    >>> import matplotlib.pyplot as plt, neurosim, torch
    >>> conv = neurosim.filters.Conv3d(kernel_size=(6, 5, 5))
    >>> conv.set_weight(torch.randn(6, 5, 5, generator=torch.Generator().manual_seed(0)))
    >>> figure = kernels(conv)
    >>> [panel.get_title() for panel in figure.axes[:3]]
    ['0 ms', '1 ms', '2 ms']
    >>> plt.close(figure)
    """
    rows = [row for name, kernel, own in _found(source, resolution) for row in _rows(name, kernel, own)]
    shown = rows[:MAX_ROWS]
    columns = max(min(len(kernel), MAX_LAGS) if kernel.shape[1:] != (1, 1) else 1 for _, kernel, _ in shown)
    width = max(1.05 * columns + 1.8, 5.0)
    figure, panels = subplots(len(shown), columns, figsize=(width, max(1.45 * len(shown) + 0.9, 2.6)))
    limit = span(np.concatenate([kernel.ravel() for _, kernel, _ in shown]), symmetric=True)
    image = None
    for number, (line, (name, kernel, own)) in enumerate(zip(panels, shown, strict=True)):
        if kernel.shape[1:] == (1, 1):
            _curve(figure, line, name, kernel[:, 0, 0], own)
        else:
            image = _mosaic(line, name, kernel, own, limit, last=number == len(shown) - 1)
    if image is not None:
        figure.colorbar(image, ax=[panel for panel in figure.axes if panel.images], label="weight", shrink=0.8, aspect=30)
    if len(shown) < len(rows):
        figure.suptitle(f"the first {len(shown)} of {len(rows)} kernels", fontsize=9)
    return figure


def _found(source: Any, resolution: Resolution | None) -> list[tuple[str, np.ndarray, Resolution]]:
    """Name, (out, in, lag, y, x) and resolution of each kernel."""
    if not isinstance(source, nn.Module):
        x = array("plot.kernels", "source", source)
        if x.ndim not in (1, 2, 3, 5):
            raise ParameterError("plot.kernels", "source", "must be a layer, or (lag,), (y, x), (lag, y, x) or "
                                 "(out, in, lag, y, x)", x.shape)
        shape = {1: (1, 1, -1, 1, 1), 2: (1, 1, 1, *x.shape), 3: (1, 1, *x.shape)}.get(x.ndim, x.shape)
        return [("", x.reshape(shape), resolved(resolution))]
    filters = {name: part for name, part in source.named_modules() if isinstance(part, _Filter)}
    if not filters:
        raise ParameterError("plot.kernels", "source", "needs a layer with convolutions or receptive fields, or an array; "
                             f"{type(source).__name__} has none among its sub-layers")
    return [(name, array("plot.kernels", name or "weight", part.impulse_response()), part.resolution)
            for name, part in filters.items()]


def _rows(name: str, kernel: np.ndarray, own: Resolution) -> list[tuple[str, np.ndarray, Resolution]]:
    """One kernel (lag, y, x) for each pair of channels, with what to call it."""
    several = kernel.shape[0] * kernel.shape[1] > 1
    return [(f"{name}\nch. {i} to {o}".strip() if several else name, kernel[o, i], own)
            for o in range(kernel.shape[0]) for i in range(kernel.shape[1])]


def _mosaic(line: Any, name: str, kernel: np.ndarray, own: Resolution, limit: tuple[float, float], last: bool) -> Any:
    """Images over the panels of one row; panels that are not needed go."""
    lags = np.unique(np.linspace(0, len(kernel) - 1, min(len(kernel), MAX_LAGS)).round().astype(int))
    image = None
    for column, panel in enumerate(line):
        if column >= len(lags):
            panel.remove()
            continue
        image = panel.imshow(kernel[lags[column]], cmap=colours(SIGNED), vmin=limit[0], vmax=limit[1],
                             extent=extent(kernel.shape[1:], own, centred=True))
        panel.set_title(f"{lags[column] * own.frame * 1e3:.4g} ms", fontsize=8)
        panel.tick_params(labelsize=7, labelleft=column == 0, labelbottom=column == 0)
        panel.locator_params(nbins=3)
        panel.locator_params(axis="x", nbins=2)
    line[0].set_ylabel(f"{name}\ny (deg)".strip(), fontsize=7)
    if last:
        line[0].set_xlabel("x (deg)", fontsize=8)
    return image


def _curve(figure: Any, line: Any, name: str, kernel: np.ndarray, own: Resolution) -> None:
    """The kernel of one pixel, over the whole row."""
    grid = line[0].get_gridspec()
    row = line[0].get_subplotspec().rowspan.start
    for panel in line:
        panel.remove()
    panel = figure.add_subplot(grid[row, :])
    panel.plot(np.arange(len(kernel)) * own.frame * 1e3, kernel, color=BLUE, marker="." if len(kernel) < 60 else None)
    panel.axhline(0.0, color="0.6", linewidth=0.7)
    panel.set_xlabel("lag (ms)", fontsize=8)
    panel.set_ylabel(f"{name}\nweight".strip(), fontsize=8)
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.3)
