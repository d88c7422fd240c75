"""Liquid networks from the ground up: an LTC network of 8 neurons on a random dense wiring follows a noisy spiral.

python examples/liquid_spiral.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from neurosim.liquid import LTC, Wiring

matplotlib.use("Agg")
import matplotlib.pyplot as plt

POINTS, TURNS, WINDOW, NEURONS, BATCH = 500, 3, 3, 8, 32


def spiral(rng: np.random.Generator) -> torch.Tensor:
    """(points, 2), from the centre outwards, with noise of 2 / points."""
    angle, radius = np.linspace(0, 2 * np.pi * TURNS, POINTS), np.linspace(0, 1, POINTS)
    path = np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1)
    return torch.tensor(path + rng.normal(scale=2 / POINTS, size=path.shape), dtype=torch.float32)


def network(rng: np.random.Generator) -> LTC:
    """Every neuron on every one and every input on every neuron, each synapse weaker by a random factor in [0, 1)."""
    wiring = Wiring(rng.choice([-1, 1], size=(2, NEURONS)), rng.choice([-1, 1], size=(NEURONS, NEURONS)), outputs=2)
    model = LTC(2, wiring)
    with torch.no_grad():
        for w, acts in ((model.w, model.acting().w), (model.sensory_w, model.acting().sensory_w)):
            weaker = acts * torch.as_tensor(rng.random(len(w)), dtype=torch.float32)
            w.copy_(torch.log(torch.expm1(weaker)))  # of which softplus makes the weaker conductance
    return model


def main(picture: Path = Path("liquid_spiral.png"), epochs: int = 150) -> float:
    """Fits one step ahead on short windows, runs along the whole path, draws both, returns the mean squared error."""
    rng = np.random.default_rng(0)
    path = spiral(rng)
    inputs, goals = path[:-1], path[1:]
    windows, wanted = (points.unfold(0, WINDOW, 1).transpose(1, 2) for points in (inputs, goals))  # (windows, time, 2)
    model = network(rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in torch.as_tensor(rng.permutation(len(windows))).split(BATCH):
            loss = torch.nn.functional.mse_loss(model.advance(windows[batch])[0], wanted[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch) / len(windows)
        losses.append(total)
    predicted = model.run(inputs, dt=50)[0][0]  # as it would come live, chunk by chunk
    error = torch.nn.functional.mse_loss(predicted, goals).item()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.semilogy(losses)
    left.set(xlabel="epoch", ylabel="mean squared error of a window")
    right.plot(*goals.T, "g-", label="true path")
    right.plot(*predicted.T, "r-", label="predicted path")
    right.set_aspect("equal")
    right.legend(loc="lower left", fontsize="small")
    figure.savefig(picture)
    plt.close(figure)
    print(f"mean squared error along the path {error:.2e} after {epochs} epochs; see {picture}")
    return error


if __name__ == "__main__":
    main()
