"""Predicting a noisy spiral: an LTC network with 8 neurons on a random wiring, from windows of three points.

python examples/liquid_spiral.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from neurosim.liquid import LTC, Wiring

matplotlib.use("Agg")
import matplotlib.pyplot as plt

POINTS, TURNS, WINDOW, NEURONS = 500, 3, 3, 8


def spiral(rng: np.random.Generator) -> np.ndarray:
    """(points, 2), with noise of 2 / points."""
    angle = np.linspace(0, 2 * np.pi * TURNS, POINTS)
    radius = angle / angle[-1]
    path = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return path + rng.normal(scale=2 / POINTS, size=path.shape)


def random_wiring(rng: np.random.Generator) -> Wiring:
    """Every neuron to every one and every input to every neuron, one synapse in three inhibiting."""
    return Wiring(rng.choice([-1, 1, 1], size=(2, NEURONS)), rng.choice([-1, 1, 1], size=(NEURONS, NEURONS)), outputs=2)


def main(picture: Path = Path("liquid_spiral.png"), epochs: int = 60) -> float:
    """Fits one step ahead, draws true and predicted path, returns the last mean squared error."""
    rng = np.random.default_rng(0)
    path = torch.tensor(spiral(rng), dtype=torch.float32)
    windows = path.unfold(0, WINDOW, 1)[:-1].transpose(1, 2)  # (windows, time, 2)
    goals = path[WINDOW:]
    wiring = random_wiring(rng)
    model = LTC(2, wiring)
    with torch.no_grad():  # weights in [0, 1): how strongly each pair of neurons is connected
        model.w.copy_(torch.as_tensor(rng.random(model.w.shape), dtype=torch.float32))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for batch in torch.as_tensor(rng.permutation(len(windows))).split(32):
            predicted, _ = model.advance(windows[batch])
            loss = torch.nn.functional.mse_loss(predicted[:, -1], goals[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        predicted = model.advance(windows)[0][:, -1]
    error = torch.nn.functional.mse_loss(predicted, goals).item()
    figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
    axes.plot(*goals.T, label="true")
    axes.plot(*predicted.T, "--", label="predicted")
    axes.set_aspect("equal")
    axes.legend()
    figure.savefig(picture)
    plt.close(figure)
    print(f"mean squared error {error:.2e}; see {picture}")
    return error


if __name__ == "__main__":
    main()
