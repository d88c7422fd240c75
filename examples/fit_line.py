"""A line y = a x + b is fitted to noisy points: by updates written by hand, by SGD and by Adam, on the landscape of the loss.

    python examples/fit_line.py line.png

A line of text follows each fit at a terminal; in a notebook, `main(Path("line.png"))` shows a picture that is kept up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import neurosim
from neurosim import plot
from neurosim.optim import History

SLOPE, OFFSET = -0.5, 1.8


class Line(neurosim.Layer):
    """y = a x + b."""

    axes = neurosim.SIGNAL
    a = neurosim.Param(0.0, doc="slope")
    b = neurosim.Param(0.0, doc="offset")

    def forward(self, x: Tensor) -> Tensor:
        """Of every number."""
        return self.a * x + self.b


class Trail(neurosim.optim.Callback):
    """Keeps where the two parameters have been."""

    def begin(self, layer: Line, history: History) -> None:
        self.steps = [(float(layer.a), float(layer.b))]

    def epoch(self, layer: Line, history: History) -> None:
        self.steps.append((float(layer.a), float(layer.b)))


def by_hand(line: Line, x: Tensor, y: Tensor, epochs: int, looks_on: list[neurosim.optim.Callback], rate: float = 0.05) -> None:
    """Every step written out: output, loss, gradients, parameters less a part of their gradients."""
    history = History()
    for one in looks_on:
        one.begin(line, history)
    for _ in range(epochs):
        loss = ((line(x) - y) ** 2).mean()
        line.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in line.parameters():
                parameter -= rate * parameter.grad
        history.add(loss.item(), None, rate)
        for one in looks_on:
            one.epoch(line, history)
    for one in looks_on:
        one.end(line, history)


def with_optimizer(name: str, **options: float) -> Callable[..., None]:
    """The same by `fit`."""
    def fit(line: Line, x: Tensor, y: Tensor, epochs: int, looks_on: list[neurosim.optim.Callback]) -> None:
        line.set_optimizer(name, **options)
        line.fit(x, y, epochs=epochs, callbacks=looks_on)

    return fit


WAYS = {"by hand": by_hand, "SGD, momentum 0.8": with_optimizer("SGD", lr=0.05, momentum=0.8),
        "Adam": with_optimizer("Adam", lr=0.1)}


def main(picture: Path, epochs: int = 60, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Fits the same points in three ways; the slope and offset that each finds."""
    rng = np.random.default_rng(seed)
    x = torch.linspace(-np.pi, np.pi, 500)[:, None]
    y = SLOPE * x + OFFSET + torch.from_numpy(rng.normal(size=x.shape).astype("float32"))
    found, paths = {}, {}
    for name, fit in WAYS.items():
        line, path = Line(), Trail()
        print(name, file=sys.stderr)
        fit(line, x, y[None], epochs, [path, plot.LiveFit(every=5)])
        found[name], paths[name] = path.steps[-1], np.array(path.steps)
        print(f"{name}: a = {found[name][0]:.3f}, b = {found[name][1]:.3f}; behind the points are {SLOPE} and {OFFSET}")
    figure = plot.loss_landscape(Line(), x, y, ("a", "b"), ranges=((-1.5, 0.5), (-0.5, 3.0)), path=paths)
    figure.axes[0].set(xlabel="slope a", ylabel="offset b")
    figure.savefig(picture, dpi=80)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "line.png"))
