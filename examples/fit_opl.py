"""The outer plexiform layer of the retina finds its time constants and sizes again, from a start that is half as large again.

    python examples/fit_opl.py opl.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

import neurosim

matplotlib.use("Agg")
NAMES = ("center_tau", "center_sigma", "surround_tau", "surround_sigma")


def main(picture: Path, epochs: int = 300) -> float:
    """Fits the four parameters with Adam to the response of a layer with the default ones; the largest relative error."""
    resolution = neurosim.Resolution(frame=0.005, pixels_per_degree=10.0)
    rng = np.random.default_rng(0)
    movie = (128 + 60 * rng.normal(size=(60, 20, 20))).repeat(2, 0).astype("float64")  # each picture lasts 10 ms
    goal = neurosim.retina.OPL(resolution=resolution).double()
    response = goal.run(movie)[0]

    model = neurosim.retina.OPL(resolution=resolution).double()
    model.requires_grad_(False)
    wanted = {name: float(model.p[name]) for name in NAMES}
    for name in NAMES:
        model.p[name] = 1.5 * wanted[name]
        model.p[name].requires_grad_(True)
    # Each parameter moves at its own scale: its size.
    model.set_optimizer.Adam([{"params": [model.p[name]], "lr": 0.02 * wanted[name]} for name in NAMES])
    course = {name: [float(model.p[name])] for name in NAMES}

    class Watch(neurosim.optim.Callback):
        """Keeps the parameters of each epoch."""

        def epoch(self, layer, history):
            for name in NAMES:
                course[name].append(float(layer.p[name]))

    import torch

    history = model.fit(movie, response, epochs=epochs, callbacks=[Watch()],
                        scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs))
    errors = {name: abs(float(model.p[name]) / wanted[name] - 1) for name in NAMES}
    draw(course, wanted, history, picture)
    off = ", ".join(f"{name} off by {error:.2%}" for name, error in errors.items())
    print(f"loss {history.loss[0]:.3g} to {history.loss[-1]:.3g}; {off}")
    return max(errors.values())


def draw(course: dict[str, list[float]], wanted: dict[str, float], history: neurosim.optim.History, picture: Path) -> None:
    """Each parameter relative to its goal, and the loss, from epoch to epoch."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, values in course.items():
        left.plot(np.array(values) / wanted[name], label=name)
    left.axhline(1.0, color="black", linewidth=0.8)
    left.set(xlabel="epoch", ylabel="parameter / its goal")
    left.legend(fontsize="small")
    right.semilogy(history.epochs, history.loss)
    right.set(xlabel="epoch", ylabel="mean squared error")
    for panel in (left, right):
        panel.grid(alpha=0.3)
    figure.savefig(picture, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "opl.png"))
