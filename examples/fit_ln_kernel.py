"""A linear-nonlinear model finds the kernel behind a response: LBFGS, white noise, a picture of both kernels.

    python examples/fit_ln_kernel.py ln_kernel.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

import neurosim

matplotlib.use("Agg")


def main(picture: Path, calls: int = 50, seed: int = 0) -> float:
    """Fits a random 5x5x5 kernel to 200 frames of 10x10 white noise; the relative error of the kernel that is found."""
    rng = np.random.default_rng(seed)
    movie = rng.normal(size=(200, 10, 10)).astype("float32")
    goal = neurosim.models.LN()
    goal.conv.set_weight(rng.normal(size=(5, 5, 5)))
    response = goal.run(movie)[0]

    model = neurosim.models.LN()
    model.conv.set_weight(0.01 * rng.normal(size=(5, 5, 5)))
    model.set_optimizer.LBFGS(max_iter=4, line_search_fn="strong_wolfe")
    losses = []
    for _ in range(calls):
        model.clear_state()
        losses += model.optimize(movie, response)
        if losses[-1] < 1e-9 * losses[0]:
            break

    wanted, found = (m.conv.weight.detach().numpy()[0, 0] for m in (goal, model))
    error = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    draw(wanted, found, losses, picture)
    print(f"{len(losses)} calls of optimize, loss {losses[0]:.3g} to {losses[-1]:.3g}, relative error {error:.2g}")
    return error


def draw(wanted: np.ndarray, found: np.ndarray, losses: list[float], picture: Path) -> None:
    """Both kernels lag by lag, and the loss from call to call."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 6, figsize=(11, 4), layout="constrained")
    limit = np.abs(wanted).max()
    for row, kernel, name in zip(panels, (wanted, found), ("behind the response", "found"), strict=True):
        for lag, panel in enumerate(row[:5]):
            image = panel.imshow(kernel[lag], cmap="RdBu_r", vmin=-limit, vmax=limit)
            panel.set(xticks=[], yticks=[], title=f"{lag} ms")
        row[0].set_ylabel(name)
    figure.colorbar(image, ax=panels[:, 4], label="weight")
    grid = panels[0, 5].get_gridspec()
    panels[0, 5].remove()
    panels[1, 5].remove()
    course = figure.add_subplot(grid[:, 5])
    course.semilogy(range(1, len(losses) + 1), losses, "o-", markersize=3)
    course.set(xlabel="call of optimize", ylabel="mean squared error")
    figure.savefig(picture, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ln_kernel.png"))
