"""A low-pass filter learned from irregularly sampled recordings, with and without knowing when the samples were taken.

python examples/liquid_irregular.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from neurosim.liquid import CfC, Irregular

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TAU, SEQUENCES, STEPS = 2.0, 16, 48


def recordings() -> tuple[torch.Tensor, torch.Tensor]:
    """Signals (sequences, time, 2), feature 1 the elapsed seconds, and the exact low-pass of feature 0."""
    rng = np.random.default_rng(0)
    x, timespans = rng.normal(size=(SEQUENCES, STEPS)), rng.exponential(size=(SEQUENCES, STEPS))
    y, filtered = np.zeros(SEQUENCES), []
    for k in range(STEPS):
        y = x[:, k] + (y - x[:, k]) * np.exp(-timespans[:, k] / TAU)
        filtered.append(y)
    return (torch.tensor(np.stack([x, timespans], 2), dtype=torch.float32),
            torch.tensor(np.stack(filtered, 1)[:, :, None], dtype=torch.float32))


def main(picture: Path = Path("liquid_irregular.png"), steps: int = 200) -> tuple[float, float]:
    """Trains on half of the recordings; returns the error on the others, with elapsed time and without."""
    x, y = recordings()
    errors, predictions = [], []
    for informed in (True, False):
        model = Irregular(CfC(1, 16, proj_size=1, backbone_units=32))
        given = x if informed else torch.stack([x[:, :, 0], torch.ones(SEQUENCES, STEPS)], 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(steps):
            loss = torch.nn.functional.mse_loss(model.advance(given[:8])[0], y[:8])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        predictions.append(model.run(given[8:], dt=10)[0])  # in chunks, as a stream would come
        errors.append(torch.nn.functional.mse_loss(predictions[-1], y[8:]).item())
    time = x[8, :, 1].cumsum(0)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(time, y[8, :, 0], "k.-", label="low-pass")
    axes.plot(time, predictions[0][0, :, 0], label="told the time")
    axes.plot(time, predictions[1][0, :, 0], label="not told")
    axes.set(xlabel="time (s)")
    axes.legend()
    figure.savefig(picture)
    plt.close(figure)
    print(f"error with elapsed time {errors[0]:.3g}, without {errors[1]:.3g}; see {picture}")
    return errors[0], errors[1]


if __name__ == "__main__":
    main()
