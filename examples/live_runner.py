"""A retina at work in the background on input without end, looked at and changed while it runs; its rate as a picture.

python examples/live_runner.py [PICTURE.png]
"""

import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import neurosim
from neurosim.streams import RandomStream, SequenceStream


def main(picture: Path = Path("live_runner.png"), seconds: float = 3.0) -> int:
    """Lets it run for a while, with another gain in the second half; returns the frames done."""
    retina = neurosim.retina.Retina(seed=1)
    source = RandomStream(size=(32, 32), mean=0.0, level=255.0, seed=2)
    spikes = SequenceStream(max_frames=20_000)
    changes = []  # frame from which on, gain
    with neurosim.Runner(retina, source, {"ganglion_on": spikes}, dt=20) as runner:
        runner.start()
        for gain in (50.0, 400.0):
            changes.append((spikes.length, gain))
            retina.p.gang_0_input.lambda_G = gain
            time.sleep(seconds / 2)
            newest = spikes.sequence[-200:]
            rate = newest.mean() * retina.resolution.steps_per_second if len(newest) else float("nan")
            stats = runner.stats
            print(f"lambda_G {gain:5.0f} Hz: {rate:5.1f} spikes/s per ON cell; {stats.frames} frames, "
                  f"{stats.frames_per_second:.0f} frames/s, latency {1e3 * stats.latency_p50:.1f} ms")
    per_second = retina.resolution.steps_per_second
    counts = spikes.sequence.mean((1, 2))
    bins = len(counts) // 20
    rate = counts[:20 * bins].reshape(bins, 20).mean(1) * per_second
    first = spikes.length - len(counts)  # older ones have fallen out
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot((first + 20 * (0.5 + np.arange(bins))) / per_second, rate, linewidth=1)
    for frame, gain in changes:
        axes.axvline(frame / per_second, color="tab:orange")
        axes.text(frame / per_second, rate.max(initial=0.0), f" lambda_G = {gain:g} Hz", va="top", color="tab:orange")
    axes.set(xlabel="time of the recording (s)", ylabel="rate of ON cells (Hz)", title="A gain set while the retina runs")
    figure.savefig(picture)
    return runner.stats.frames


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
