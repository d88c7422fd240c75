"""A signal without end through a liquid network, live: the Runner keeps up in the background, in constant memory.

python examples/liquid_live.py
"""

import time
from pathlib import Path

import matplotlib
import numpy as np

import neurosim
from neurosim.liquid import LTC, AutoNCP
from neurosim.streams import RandomStream, SequenceStream

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(picture: Path = Path("liquid_live.png"), seconds: float = 2.0) -> int:
    """Lets it run for a while, draws the newest outputs, returns the steps done."""
    network = LTC(3, AutoNCP(24, 2))
    noise = RandomStream(size=(3,), mean=0.0, level=2.0, seed=1)
    newest = SequenceStream(max_frames=500)
    with neurosim.Runner(network, noise, newest, dt=50) as runner:
        runner.start()
        time.sleep(seconds)
        stats = runner.stats
    outputs = np.asarray(newest.sequence)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(outputs)
    axes.set(xlabel="step", title=f"the newest of {stats.frames} steps")
    figure.savefig(picture)
    plt.close(figure)
    print(f"{stats.frames} steps, {stats.frames_per_second:.0f} per second; see {picture}")
    return stats.frames


if __name__ == "__main__":
    main()
