"""Every stimulus in one picture: a frame in space, and a line of pixels over time.

python examples/stimuli_gallery.py
"""

import dataclasses
from pathlib import Path

from matplotlib.figure import Figure

import neurosim
from neurosim import stimuli as st

SIZE = (48, 64)  # y, x in pixels, ten to the degree
RATE = 200.0  # frames per second


def gallery() -> dict[str, st.Stimulus]:
    """The stimuli by title."""
    common = {"resolution": neurosim.Resolution(1 / RATE, pixels_per_degree=10.0)}
    grating = st.DriftingGrating(SIZE, spatial_frequency=0.5, direction=30, **common)
    flash = st.Flash(SIZE, delay=0.1, duration=0.2, period=0.4, **common)
    bar = st.MovingBar(SIZE, speed=15, direction=-30, bar_length=3, **common)
    grey_bar = dataclasses.replace(bar, background=110.0, level=200.0)
    return {
        "DriftingGrating": grating,
        "square wave": st.DriftingGrating(SIZE, wave="square", direction=90, **common),
        "CounterphaseGrating": st.CounterphaseGrating(SIZE, **common),
        "Gabor patch: grating * GaussianMask": grating * st.GaussianMask(1.0),
        "MovingBar": bar,
        "MovingDots": st.MovingDots(SIZE, coherence=0.8, **common),
        "Checkerboard": st.Checkerboard(SIZE, temporal_frequency=2, **common),
        "spot: Flash * CircularMask": flash * st.CircularMask(1.5),
        "annulus: Flash * AnnulusMask": flash * st.AnnulusMask(1.0, 2.0),
        "letters: Flash * text_kernel": flash * st.text_kernel("retina", SIZE),
        "BinaryNoise": st.BinaryNoise(SIZE, check=0.4, interval=0.05, contrast=1.0, **common),
        "GaussianNoise": st.GaussianNoise(SIZE, check=0.4, interval=0.05, **common),
        "SparseNoise": st.SparseNoise(SIZE, check=0.4, interval=0.05, **common),
        "PinkNoise": st.PinkNoise(SIZE, **common),
        "NaturalMotion": st.NaturalMotion(SIZE, rate=5, **common),
        "bar + PinkNoise": grey_bar + st.PinkNoise(SIZE, contrast=0.15, **common),
        "Chirp": st.Chirp(SIZE, **common),
        "Concatenated": st.Concatenated((flash, 0.4), (grating, 0.4), repeat=True),
    }


def main(picture: Path = Path("stimuli_gallery.png"), seconds: float = 1.0) -> int:
    """Draws them, returns how many they are."""
    shown = gallery()
    figure = Figure(figsize=(13, 11), layout="constrained")
    panels = figure.subplots(6, 6)
    for (title, stimulus), (frame, time) in zip(shown.items(), panels.reshape(-1, 2)):
        length = 32.0 if title == "Chirp" else seconds
        video = stimulus.array(round(length * RATE))
        y, x = (n / stimulus.resolution.pixels_per_degree for n in SIZE)
        look = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
        frame.imshow(video[round(0.15 * RATE)], extent=(-x / 2, x / 2, y / 2, -y / 2), **look)
        frame.set_title(title, fontsize=9, loc="left")
        if title == "Chirp":  # the same in every pixel
            time.plot([n / RATE for n in range(len(video))], video[:, 0, 0], "k", linewidth=0.6)
        else:
            time.imshow(video[:, SIZE[0] // 2].T, extent=(0, length, x / 2, -x / 2), aspect="auto", **look)
        frame.tick_params(labelsize=6)
        time.tick_params(labelsize=6)
    panels[-1, 0].set(xlabel="x (deg)", ylabel="y (deg)")
    panels[-1, 1].set(xlabel="time (s)", ylabel="x (deg)")
    figure.savefig(picture, dpi=70)
    print(f"{len(shown)} stimuli in {picture}")
    return len(shown)


if __name__ == "__main__":
    main()
