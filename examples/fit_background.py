"""A model of an auditory receptor is fitted in the background, while the recording streams in, and looked at meanwhile.

    python examples/fit_background.py background.png
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import matplotlib
import numpy as np

import neurosim

matplotlib.use("Agg")
DT = 2000  # frames of 1 ms per step of the optimizer


def main(picture: Path, rounds: int = 60) -> float:
    """Streams the first grasshopper recording so many times past a linear-nonlinear model; bits per spike at the end."""
    resolution = neurosim.Resolution(frame=0.001, pixels_per_degree=10.0)
    recording = neurosim.datasets.grasshopper(1)
    stimulus, spikes = recording.streams(frame_rate=1000)
    sound, counts = stimulus.read(stimulus.length), spikes.read(spikes.length)
    level = np.log(sound)  # receptors of grasshoppers follow the level, in decibels
    sound = ((level - level.mean()) / level.std()).reshape(-1, 1, 1)  # a video of one pixel
    counts = counts.reshape(-1, 1, 1)

    model = neurosim.models.LN(resolution=resolution, bias=True)
    model.conv.set_weight(np.zeros((20, 1, 1)))
    model.conv.bias.set(np.log(counts.mean()))
    model.nonlinearity = neurosim.filters.Exp(resolution=resolution)
    model.nonlinearity.requires_grad_(False)
    model.set_optimizer.Adam(lr=0.03)

    seen = []
    endless = (neurosim.streams.RepeatingStream(x, frame_rate=1000.0) for x in (sound, counts))
    with neurosim.Runner(model, next(endless), goal=next(endless), loss_fn="poisson", dt=DT,
                         max_t=rounds * len(sound)) as runner:
        runner.start()
        while runner.running:
            seen.append((runner.stats.frames / 1000, runner.parameters()["conv_weight"].ravel()))
            time.sleep(0.02)
        losses = np.array(runner.stats.losses)

    model.clear_state()
    expected = model.run(sound, dt=1000)[0].numpy().ravel()
    bits = neurosim.analysis.bits_per_spike(expected, counts.ravel())
    draw(seen, losses, picture)
    print(f"{len(losses)} steps, looked at {len(seen)} times meanwhile; {bits:.2f} bits per spike")
    return float(bits)


def draw(seen: list[tuple[float, np.ndarray]], losses: np.ndarray, picture: Path) -> None:
    """The kernel at some moments of the fit, and the loss of each chunk."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    chosen = [seen[i] for i in np.unique(np.linspace(0, len(seen) - 1, 6).astype(int))]
    for number, (at, kernel) in enumerate(chosen):
        left.plot(kernel, color=plt.cm.viridis(number / len(chosen)), label=f"{at:.0f} s")
    left.set(xlabel="lag (ms)", ylabel="kernel (log rate per sd of the level)")
    left.legend(title="recording seen", fontsize="small")
    right.plot((1 + np.arange(len(losses))) * DT / 1000, losses, ".", markersize=3)
    right.set(xlabel="recording seen (s)", ylabel="negative log-likelihood (nats per ms)")
    for panel in (left, right):
        panel.grid(alpha=0.3)
    figure.savefig(picture, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "background.png"))
