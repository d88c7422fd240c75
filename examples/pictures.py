"""What neurosim.plot draws of a model cell that answers noise with spikes: a folder of pictures, a movie and a graph.

python examples/pictures.py
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

import neurosim
from neurosim import plot
from neurosim.analysis import STA
from neurosim.models import Sequential

matplotlib.use("Agg")

RESOLUTION = neurosim.Resolution(frame=0.010, pixels_per_degree=8.0)


def cell() -> neurosim.Layer:
    """A linear filter over 12 frames and 12 x 16 pixels, rectified: the rate of a cell in spikes per frame."""
    lag, y, x = np.mgrid[:12, :12, :16]
    space = np.exp(-((x - 9) / 2.2) ** 2 / 2 - ((y - 5) / 1.3) ** 2 / 2) - 0.35 * np.exp(-((x - 9) ** 2 + (y - 5) ** 2) / 18)
    field = neurosim.filters.RF(kernel_size=(12, 12, 16), resolution=RESOLUTION)
    kernel = np.sin(np.pi * lag / 6) * np.exp(-lag / 4.0) * space
    field.set_weight(kernel[::-1], flip=False)  # as it lies over the frame, forward in time
    return Sequential(field, neurosim.filters.NLRectifyScale(scale=0.5, bias=0.2, resolution=RESOLUTION))


def main(folder: Path = Path("pictures"), frames: int = 20_000, seed: int = 0) -> float:
    """Draws everything into a folder; returns the correlation of true kernel and spike-triggered average."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    light = torch.from_numpy(draw.normal(size=(frames, 12, 16)).astype("float32"))
    model = cell()
    rate = model.run(light, dt=500)[0].flatten().double().numpy()
    spikes = draw.poisson(np.minimum(rate, 5.0))

    average = STA(12).update(light, spikes).average()  # lag 0 first

    plot.receptive_field(average, resolution=RESOLUTION).savefig(folder / "pictures.png", dpi=80)
    plot.kernels(model).savefig(folder / "kernel.png")
    trials = draw.poisson(rate[:300, None], (300, 40))
    plot.raster(trials, resolution=RESOLUTION, bin=0.02, title="40 answers to the same noise",
                rows="trial").savefig(folder / "raster.png")
    plot.prediction(trials.mean(1) / RESOLUTION.frame, rate[:300] / RESOLUTION.frame,
                    resolution=RESOLUTION).savefig(folder / "prediction.png")
    model.clear_state()
    goal = model.run(light[:200])[0]
    model.clear_state()
    plot.loss_landscape(model, light[:200], goal, ("layer_1.scale", "layer_1.bias"), points=11,
                        ranges=[(0.2, 0.8), (-0.4, 0.8)]).savefig(folder / "landscape.png")
    plot.movie(light[:40], names=("noise",), resolution=RESOLUTION).save(folder / "noise.gif", overwrite=True)
    plot.graph(model, light[:20]).save(folder / "graph.html")

    true = model.layer_0.impulse_response().detach()[0, 0].flip(1, 2)  # as it lies over the frame
    return float(np.corrcoef(true.flatten(), average.ravel())[0, 1])


if __name__ == "__main__":
    print(f"the spike-triggered average correlates with the kernel by {main():.3f}; pictures are in pictures/")
