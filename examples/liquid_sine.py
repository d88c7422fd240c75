"""The first tutorial of ncps: an LTC network on a neural circuit policy learns a sine of twice the frequency.

python examples/liquid_sine.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from neurosim.compat import ncps  # the only line that differs from the tutorial: import ncps

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(picture: Path = Path("liquid_sine.png"), steps: int = 400, seed: int = 0) -> float:
    """Fits, draws what was learned, returns the last loss."""
    torch.manual_seed(seed)
    phase = np.linspace(0, 3 * np.pi, 48)
    x = torch.tensor(np.stack([np.sin(phase), np.cos(phase)], 1), dtype=torch.float32)[None]
    y = torch.tensor(np.sin(2 * phase), dtype=torch.float32)[None, :, None]
    wiring = ncps.wirings.AutoNCP(16, 1)  # 16 neurons, one of them the output
    model = ncps.torch.LTC(2, wiring, batch_first=True)
    before = model(x)[0].detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x)[0], y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    figure, (network, left, right) = plt.subplots(1, 3, figsize=(13, 3.5), layout="constrained")
    plt.sca(network)
    handles = wiring.draw_graph(layout="shell", draw_labels=True, neuron_colors={"command": "tab:cyan"})
    network.legend(handles=handles, loc="center right", bbox_to_anchor=(0, 0.5), fontsize="small")
    left.plot(y[0, :, 0], label="target")
    left.plot(before[0, :, 0], label="before")
    left.plot(model(x)[0][0, :, 0].detach(), label="after")
    left.set(xlabel="step")
    left.legend(loc="lower left", fontsize="small")
    right.semilogy(losses)
    right.set(xlabel="step of Adam", ylabel="mean squared error")
    figure.savefig(picture)
    plt.close(figure)
    print(f"loss {losses[-1]:.2e} after {steps} steps; see {picture}")
    return losses[-1]


if __name__ == "__main__":
    main()
