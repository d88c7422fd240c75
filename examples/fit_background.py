"""A GLM of an auditory receptor is fitted in the background, while the recording streams in, and looked at meanwhile.

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
    """Streams the first grasshopper recording so many times past a GLM; bits per spike at the end."""
    recording = neurosim.datasets.grasshopper(1).map(np.log)  # receptors of grasshoppers follow the level, in decibels
    sound, counts = recording.arrays(frame_rate=1000)
    both = np.concatenate([sound, counts], 1)  # the model sees the spikes that were before, too

    model = neurosim.models.GLM(20, history=15).start(both, counts)
    model.set_optimizer.Adam(lr=0.03)

    seen = []
    source, goal = (neurosim.streams.RepeatingStream(x, frame_rate=1000.0) for x in (both, counts))
    with neurosim.Runner(model, source, goal=goal, loss_fn="poisson", dt=DT, max_t=rounds * len(both)) as runner:
        runner.start()
        while runner.running:
            parameters = runner.parameters()  # of one moment, between two steps
            seen.append((runner.stats.frames / 1000, parameters["stimulus_weight"].ravel()))
            time.sleep(0.02)
        losses = np.array(runner.stats.losses)

    model.clear_state()
    expected = model.run(both, dt=1000)[0].numpy().ravel()
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
