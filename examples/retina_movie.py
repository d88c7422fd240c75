"""A video through the retina into an HDF5 file, and a picture of the spikes of its middle row.

python examples/retina_movie.py VIDEO OUTPUT.h5
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import neurosim
from neurosim.streams import HDF5File, open_stream, read_events

SIZE = 48
RATE = 200.0  # time steps per second


def main(video: Path, output: Path) -> None:
    """Runs the retina over the video; the picture goes beside the output."""
    retina = neurosim.retina.Retina(resolution=neurosim.Resolution(1 / RATE, pixels_per_degree=10.0), seed=1)
    with open_stream(video, size=(SIZE, SIZE), frame_rate=RATE) as source, HDF5File(output) as file:
        spikes, bipolar = file.events("spikes"), file.dataset("bipolar", frame_rate=RATE)
        for out in retina.stream(source, dt=100, record=["bipolar"]):
            spikes.write(*out.spikes)
            bipolar.write(out["bipolar"][0, 0])

    units, times = read_events(output)
    row = units // SIZE % SIZE == SIZE // 2
    off = units >= SIZE * SIZE
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    for mine, colour, label in ((row & ~off, "tab:orange", "ON"), (row & off, "tab:blue", "OFF")):
        axes.plot(times[mine], units[mine] % SIZE, "|", color=colour, label=label)
    axes.set(xlabel="time (s)", ylabel="x (pixels)", title=f"{len(units)} spikes, those of the middle row")
    axes.legend(loc="upper right")
    figure.savefig(output.with_suffix(".png"))
    print(f"{len(units)} spikes in {output}, picture in {output.with_suffix('.png')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
