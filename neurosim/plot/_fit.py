"""How a fit goes: losses by epoch, as a picture, live, and as a line of text; predicted against recorded rates."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

import numpy as np

from .._errors import ParameterError
from .._units import Resolution
from ._canvas import BLACK, BLUE, ORANGE, array, resolved, subplots

BARS = "▁▂▃▄▅▆▇█"


class Progress(Protocol):
    """What is drawn of a fit; `neurosim.optim.History` is one.

    Attributes: `epochs`, their numbers; `loss` of each; `validation` of each, or empty; `best`, the number of the best epoch
        or None.
    """

    @property
    def epochs(self) -> Sequence[int]:
        """Their numbers."""

    @property
    def loss(self) -> Sequence[float]:
        """Of each epoch."""

    @property
    def validation(self) -> Sequence[float]:
        """Of each epoch, or empty."""

    @property
    def best(self) -> int | None:
        """Number of the best epoch."""


def fit(history: Progress) -> Any:
    """The losses of a fit by epoch, with the best epoch marked; on a logarithmic scale where they are positive.

    Args:
        history: what `fit` of a layer returns, or anything with its attributes.
    Returns: the matplotlib figure.
    Raises: ParameterError when no epoch is over.

    >>> import matplotlib.pyplot as plt
    >>> from types import SimpleNamespace
    >>> figure = fit(SimpleNamespace(epochs=[0, 1, 2], loss=[4.0, 2.0, 1.0], validation=[5.0, 3.0, 3.5], best=1))
    >>> figure.axes[0].get_yscale(), [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ('log', ['training', 'validation', 'best: epoch 1, 3'])
    >>> plt.close(figure)
    """
    if not len(history.epochs):
        raise ParameterError("plot.fit", "history", "no epoch is over yet")
    figure, ((panel,),) = subplots(figsize=(6, 3.6))
    _draw(panel, history)
    return figure


def _draw(panel: Any, history: Progress) -> None:
    from matplotlib.ticker import LogFormatter, MaxNLocator

    epochs, marker = list(history.epochs), "." if len(history.epochs) <= 50 else None
    curves = {"training": (history.loss, BLUE, "-"), "validation": (history.validation, ORANGE, "--")}
    for label, (values, colour, style) in curves.items():
        if len(values):
            panel.plot(epochs[:len(values)], values, style, color=colour, marker=marker, label=label)
    scored = history.validation if len(history.validation) else history.loss
    if history.best is not None and history.best in epochs[:len(scored)]:
        value = scored[epochs.index(history.best)]
        panel.plot([history.best], [value], marker="o", markersize=9, markerfacecolor="none", markeredgewidth=1.6,
                   color=BLACK, linestyle="none", label=f"best: epoch {history.best}, {value:.4g}")
    finite = [x for values in (history.loss, history.validation) for x in values if math.isfinite(x)]
    if finite and min(finite) > 0:
        panel.set_yscale("log")
        if max(finite) < 50 * min(finite):  # few decades: ticks between the powers of ten are labelled too
            panel.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 1)))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.set(xlabel="epoch", ylabel="loss")
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3, which="both")


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """`values` as a line of bars, the last `width` of them; positive ones on a logarithmic scale, NaN as `?`.

    >>> sparkline([8, 4, 2, 1])
    '█▆▃▁'
    """
    shown = np.asarray(values, float)[-width:]
    finite = shown[np.isfinite(shown)]
    if not finite.size:
        return "?" * len(shown)
    if finite.min() > 0:
        shown, finite = np.log(shown), np.log(finite)
    low, size = finite.min(), float(np.ptp(finite)) or 1.0
    return "".join(BARS[round((x - low) / size * (len(BARS) - 1))] if math.isfinite(x) else "?" for x in shown)


class LiveFit:
    """Shows a fit while it goes on: a callback for `fit` of a layer.

    In a notebook it keeps one picture up to date, elsewhere one line of text with epoch, loss and a line of bars. Errors of
    drawing are not kept back: a fit that must not stop for them has no `LiveFit`.

    Args:
        every: epochs between two updates.
        stream: where the line goes; the standard error stream when not given.

    >>> import io
    >>> from types import SimpleNamespace
    >>> stream = io.StringIO()
    >>> live, history = LiveFit(stream=stream), SimpleNamespace(epochs=[], loss=[], validation=[], best=None)
    >>> live.begin(None, history)
    >>> history.epochs, history.loss, history.best = [0, 1], [2.0, 1.0], 1
    >>> live.epoch(None, history)
    >>> stream.getvalue().strip()
    'epoch 1  loss 1  best 1 (epoch 1)  █▁'
    """

    def __init__(self, every: int = 1, *, stream: TextIO | None = None) -> None:
        if every < 1 or int(every) != every:
            raise ParameterError("plot.LiveFit", "every", "must be a whole number, at least 1", every)
        self._every, self._stream = every, stream
        self._display: Any = None
        self._width = 0

    def begin(self, layer: Any, history: Progress) -> None:
        """Before the first epoch of fitting `layer`: what an earlier part of a resumed fit left in `history` is shown."""
        self._display, self._width = None, 0
        if len(history.epochs):
            self._update(history)

    def epoch(self, layer: Any, history: Progress) -> None:
        """After each epoch of fitting `layer`, whose losses are in `history`."""
        if (len(history.epochs) - 1) % self._every == 0:
            self._update(history)

    def end(self, layer: Any, history: Progress) -> None:
        """After the last epoch of fitting `layer`: the whole fit, as `history` has it, is shown, and the line ended."""
        if len(history.epochs):
            self._update(history)
        if self._width:
            (self._stream or sys.stderr).write("\n")

    def _update(self, history: Progress) -> None:
        if self._stream is None and _in_notebook():
            self._show(history)
        else:
            self._say(history)

    def _show(self, history: Progress) -> None:
        from IPython.display import display
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), history)
        if self._display is None:
            self._display = display(_Picture(figure), display_id=True)
        else:
            self._display.update(_Picture(figure))

    def _say(self, history: Progress) -> None:
        stream = self._stream or sys.stderr
        scored = history.validation if len(history.validation) else history.loss
        parts = [f"epoch {history.epochs[-1]}", f"loss {history.loss[-1]:.4g}"]
        if len(history.validation):
            parts.append(f"validation {history.validation[-1]:.4g}")
        if history.best is not None and history.best in history.epochs:
            parts.append(f"best {scored[list(history.epochs).index(history.best)]:.4g} (epoch {history.best})")
        line = "  ".join([*parts, sparkline(scored)])
        stream.write(f"\r{line.ljust(self._width)}")
        stream.flush()
        self._width = len(line)


class _Picture:
    """A figure as PNG, for a notebook that has no formatter for figures."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def _repr_png_(self) -> bytes:
        import io

        data = io.BytesIO()
        self._figure.savefig(data, format="png", dpi=100)
        return data.getvalue()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; IPython is asked only when it is there already."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def prediction(recorded: Any, predicted: Any, *, resolution: Resolution | None = None, units: str = "Hz",
               labels: tuple[str, str] = ("recorded", "predicted")) -> Any:
    """Predicted against recorded rate: both over time, and one over the other, with their correlation.

    Args:
        recorded, predicted: rates with one number per frame, (time,) or with other axes of length 1.
        resolution: seconds per frame; the default one when not given.
        units: of the rates.
        labels: what the two are called.
    Returns: the matplotlib figure. Frames where one of them is NaN are left out of the correlation.
    Raises: ParameterError when they have different lengths or more than one value per frame.

    >>> import matplotlib.pyplot as plt
    >>> figure = prediction([1.0, 2.0, 3.0, 5.0], [1.5, 2.0, 3.5, 4.5])
    >>> figure.axes[1].get_title()
    'correlation 0.975'
    >>> plt.close(figure)
    """
    pair = [array("plot.prediction", what, x).squeeze() for what, x in (("recorded", recorded), ("predicted", predicted))]
    if any(x.ndim > 1 for x in pair) or pair[0].shape != pair[1].shape:
        raise ParameterError("plot.prediction", "predicted", "needs one value per frame, as many as recorded",
                             f"{pair[0].shape} and {pair[1].shape}")
    one, other = (np.atleast_1d(x) for x in pair)
    t = np.arange(len(one)) * resolved(resolution).frame
    figure, panels = subplots(1, 2, figsize=(10, 3.4), width_ratios=(2.6, 1.0))
    course, scatter = panels[0]
    course.plot(t, one, color=BLACK, linewidth=1.0, label=labels[0])
    course.plot(t, other, color=ORANGE, linewidth=1.2, alpha=0.8, label=labels[1])
    course.set(xlabel="time (s)", ylabel=f"rate ({units})" if units else "rate")
    course.legend(fontsize="small", loc="upper right")
    course.grid(alpha=0.3)
    both = np.isfinite(one) & np.isfinite(other)
    scatter.plot(one[both], other[both], linestyle="none", marker=".", markersize=3, color=BLUE, alpha=0.4, rasterized=True)
    if both.any():
        ends = [min(one[both].min(), other[both].min()), max(one[both].max(), other[both].max())]
        scatter.plot(ends, ends, color="0.4", linewidth=0.8, linestyle="--")
    suffix = f" ({units})" if units else ""
    scatter.set(xlabel=f"{labels[0]}{suffix}", ylabel=f"{labels[1]}{suffix}", title=_correlation(one[both], other[both]))
    scatter.grid(alpha=0.3)
    return figure


def _correlation(one: np.ndarray, other: np.ndarray) -> str:
    if len(one) < 2 or not np.ptp(one) or not np.ptp(other):
        return "correlation undefined: constant"
    return f"correlation {np.corrcoef(one, other)[0, 1]:.3f}"
