"""Two sigmoid units and a third learn the exclusive or, by SGD and by Adam; the fits can be looked at in TensorBoard.

    python examples/fit_xor.py xor.png runs
    tensorboard --logdir runs
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn

import neurosim

matplotlib.use("Agg")
X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # four frames of two features
Y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
OPTIMIZERS = {"SGD": {"lr": 1.0, "momentum": 0.9}, "Adam": {"lr": 0.05}}


class XOR(neurosim.Layer):
    """Two inputs, two hidden units, one output, all sigmoid; made of torch's own linear maps."""

    axes = neurosim.SIGNAL

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.hidden, self.out = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, 2) to (batch, time, 1)."""
        return torch.sigmoid(self.out(torch.sigmoid(self.hidden(x))))

    def _flow(self):
        return [("", "hidden"), ("hidden", "out"), ("out", "")]


def main(picture: Path, logs: Path, epochs: int = 1000, seed: int = 1) -> dict[str, float]:
    """Fits one network with each optimizer, from the same start; what each predicts for (0, 1)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # model and data have to be on the same one
    predicted, fits = {}, {}
    for name, options in OPTIMIZERS.items():
        torch.manual_seed(seed)  # torch's linear maps draw their weights from the global generator
        model = XOR().to(device)
        model.train()
        model.set_optimizer(name, **options)
        history = model.fit(X, Y, epochs=epochs, loss_fn="bernoulli",
                            callbacks=[neurosim.optim.TensorBoard(logs / name, every=100)])
        model.eval()
        with torch.no_grad():
            predicted[name] = model(torch.tensor([[0.0, 1.0]])).item()
        fits[name] = (model, history)
        print(f"{name}: loss {history.loss[0]:.3g} to {history.loss[-1]:.3g}, prediction for (0, 1) {predicted[name]:.3f}")
    draw(fits, picture)
    return predicted


def draw(fits: dict[str, tuple[XOR, neurosim.optim.History]], picture: Path) -> None:
    """The losses, and what each network says between the four points."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 1 + len(fits), figsize=(11, 3.4), layout="constrained")
    grid = np.linspace(-0.5, 1.5, 81, dtype="float32")
    points = torch.from_numpy(np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2))
    for panel, (name, (model, history)) in zip(panels[1:], fits.items(), strict=True):
        panels[0].semilogy(history.epochs, history.loss, label=name)
        value = model.run(points)[0].numpy().reshape(len(grid), -1)
        image = panel.contourf(grid, grid, value, levels=np.linspace(0, 1, 21), cmap="cividis")
        panel.scatter(*X.numpy().T, c=Y.numpy().ravel(), cmap="cividis", edgecolors="white", s=90)
        panel.set(title=name, xlabel="first input", ylabel="second input", aspect="equal")
    figure.colorbar(image, ax=panels[-1], label="output", ticks=[0, 0.5, 1])
    panels[0].set(xlabel="epoch", ylabel="cross-entropy (nats)")
    panels[0].legend()
    panels[0].grid(alpha=0.3)
    figure.savefig(picture, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "xor.png"), Path(sys.argv[2] if len(sys.argv) > 2 else "runs"))
