"""A picture and a movie of a retina at work: input, inner signals and spikes side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.streams import HDF5Reader, Source, VideoWriter, read_events

STEP = 0.005  # seconds of stimulus per picture of the movie
PLAYED = 25.0  # pictures of the movie per second
WINDOW = 0.020  # seconds over which spikes fade
SETTLED = 0.25  # share of the recording that is left out when scales are chosen: the start is a transient

ON, OFF = "#d95f02", "#1f5fa8"


class Recording:
    """What the pictures show of a result, read frame by frame.

    Args:
        clip: the input, seekable, at the rate of the result.
        numbers: HDF5 file with opl, bipolar, ganglion_on and ganglion_off, and the spikes.
    """

    def __init__(self, clip: Source, numbers: Path) -> None:
        self._clip = clip
        self._readers = {name: HDF5Reader(numbers, name) for name in ("opl", "bipolar", "ganglion_on", "ganglion_off")}
        first = self._readers["opl"]
        self.frames, self.shape = first.length or 0, first.frame_shape
        self.rate = first.frame_rate or 1.0
        self.step = max(1, round(STEP * self.rate))  # frames per picture
        self.unit, self.time = read_events(numbers)
        self._trace = {name: np.zeros(self.shape) for name in ("ganglion_on", "ganglion_off")}

    def at(self, index: int) -> dict[str, np.ndarray]:
        """The maps of picture `index`, in order: rates of spiking are averages that fade over `WINDOW`."""
        start = index * self.step
        self._clip.seek(start)
        maps = {"input": self._clip.read(1)[0]}
        for name, reader in self._readers.items():
            reader.seek(start)
            chunk = reader.read(self.step)
            if name in self._trace:
                trace = self._trace[name] * math.exp(-STEP / WINDOW) + chunk.sum(0) / WINDOW
                self._trace[name] = maps[name] = trace
            else:
                maps[name] = chunk[0]
        return maps

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return self.frames // self.step

    def course(self, name: str, y: int, x: int) -> np.ndarray:
        """One pixel over time."""
        reader = self._readers[name]
        reader.seek(0)
        return np.concatenate([chunk[:, y, x] for chunk in reader.chunks(200)])

    def close(self) -> None:
        """Closes the file."""
        for reader in self._readers.values():
            reader.close()


def scale(recording: Recording, name: str) -> float:
    """A symmetric limit that all but one pixel in 500 stay within, once the start is over."""
    reader = recording._readers[name]
    some = np.linspace(SETTLED * recording.frames, recording.frames - 1, 12).astype(int)
    values = []
    for start in some:
        reader.seek(int(start))
        values.append(np.abs(reader.read(1)))
    return float(np.quantile(np.concatenate(values), 0.998)) or 1.0


class Figure:
    """The maps of one instant above, time courses of one pixel and spikes of one row of cells below.

    Args:
        recording: what is shown.
        degrees: pixels per degree.
        dots: dots per inch; the figure is 12.8 by 6.4 inches.
    """

    def __init__(self, recording: Recording, degrees: float, dots: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas

        self._recording = recording
        self._seconds = recording.frames / recording.rate
        self._figure = Canvas(figsize=(12.8, 6.4), dpi=dots, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._extent = (0.0, recording.shape[1] / degrees, recording.shape[0] / degrees, 0.0)
        self._degrees = degrees
        self._place = busiest(recording)
        grid = self._figure.add_gridspec(2, 1, height_ratios=(1.45, 1.0), left=0.05, right=0.985, top=0.95,
                                         bottom=0.085, hspace=0.16)
        self._images = self._maps(grid[0])
        self._marks = [mark for image in self._images.values() for mark in self._marked(image.axes)]
        below = grid[1].subgridspec(1, 2, width_ratios=(1.0, 1.3), wspace=0.14)
        self._cursors = [*self._courses(below[0]), self._raster(below[1])]
        self._title = self._figure.text(0.05, 0.96, "", fontsize=12, weight="bold", animated=True)
        self._canvas.draw()
        self._empty = self._canvas.copy_from_bbox(self._figure.bbox)

    def _maps(self, cell: Any) -> dict[str, Any]:
        recording = self._recording
        opl, bipolar = scale(recording, "opl"), scale(recording, "bipolar")
        rate = 100.0
        shown = {"input": ("Input", "luminance (0 to 255)", "gray", 0.0, 255.0),
                 "opl": ("Outer plexiform layer", "signal (no unit)", "RdBu_r", -opl, opl),
                 "bipolar": ("Bipolar cells", "potential (no unit)", "RdBu_r", -bipolar, bipolar),
                 "ganglion_on": ("ON ganglion cells", "spikes per second", "Oranges", 0.0, rate),
                 "ganglion_off": ("OFF ganglion cells", "spikes per second", "Blues", 0.0, rate)}
        images = {}
        for place, (name, (title, label, colours, low, high)) in zip(cell.subgridspec(1, 5, wspace=0.16), shown.items(),
                                                                     strict=True):
            axes = self._figure.add_subplot(place)
            axes.set_title(title, fontsize=10)
            image = axes.imshow(np.zeros(recording.shape), cmap=colours, vmin=low, vmax=high, extent=self._extent,
                                interpolation="nearest", animated=True)
            axes.spines[:].set_visible(False)
            axes.tick_params(labelsize=7)
            axes.set_xlabel("deg", fontsize=7, labelpad=1)
            bar = self._figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.05, pad=0.13, aspect=25)
            bar.set_label(label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
            images[name] = image
        return images

    def _marked(self, axes: Any) -> list[Any]:
        """Where the time courses and the row of cells are, to be drawn over the map."""
        y, x = ((n + 0.5) / self._degrees for n in self._place)
        look = {"color": "crimson", "animated": True}
        return [axes.axhline(y, linewidth=0.7, linestyle=(0, (1, 3)), **look),
                axes.plot([x], [y], marker="s", markersize=7, markerfacecolor="none", linewidth=0, **look)[0]]

    def _courses(self, cell: Any) -> list[Any]:
        y, x = self._place
        cursors = []
        axes = None
        places = cell.subgridspec(2, 1, hspace=0.12)
        for place, (name, label) in zip(places, {"opl": "OPL", "bipolar": "bipolar"}.items(), strict=True):
            axes = self._figure.add_subplot(place, sharex=axes)
            course = self._recording.course(name, y, x)
            axes.plot(np.arange(len(course)) / self._recording.rate, course, color="black", linewidth=0.9)
            axes.set_ylabel(label, fontsize=8)
            axes.tick_params(labelsize=7, labelbottom=name == "bipolar")
            axes.set_xlim(0.0, self._seconds)
            axes.grid(alpha=0.25)
            cursors.append(axes.axvline(0.0, color="crimson", linewidth=1.0, animated=True))
        assert axes is not None
        axes.set_xlabel(f"time (s), pixel at {x / self._degrees:.2f}, {y / self._degrees:.2f} deg (marked)", fontsize=8)
        return cursors

    def _raster(self, cell: Any) -> Any:
        axes = self._figure.add_subplot(cell)
        row, (height, width) = self._place[0], self._recording.shape
        unit, time = self._recording.unit, self._recording.time
        for first, colour, label in ((0, ON, "ON"), (height * width, OFF, "OFF")):
            mine = (unit >= first + row * width) & (unit < first + (row + 1) * width)
            axes.plot(time[mine], (unit[mine] - first) % width / self._degrees, linestyle="none", marker="|",
                      markersize=2.2, markeredgewidth=0.6, color=colour, label=label)
        axes.set(xlim=(0.0, self._seconds), ylim=(width / self._degrees, 0.0))
        axes.set_ylabel("x (deg)", fontsize=8)
        axes.set_xlabel(f"time (s), spikes of the cells at y = {row / self._degrees:.2f} deg (dotted)", fontsize=8)
        axes.tick_params(labelsize=7)
        legend: Any = axes.legend(loc="upper right", fontsize=8, markerscale=4.0, framealpha=1.0)
        for shown in legend.legend_handles:
            shown.set_markeredgewidth(2.0)
        return axes.axvline(0.0, color="crimson", linewidth=1.0, animated=True)

    def draw(self, maps: Mapping[str, np.ndarray], seconds: float) -> np.ndarray:
        """The picture of one instant, (3, y, x) of bytes."""
        self._canvas.restore_region(self._empty)
        for name, image in self._images.items():
            image.set_data(maps[name])
            image.axes.draw_artist(image)
        for mark in self._marks:
            mark.axes.draw_artist(mark)
        for cursor in self._cursors:
            cursor.set_xdata([seconds, seconds])
            cursor.axes.draw_artist(cursor)
        self._title.set_text(f"t = {1e3 * seconds:4.0f} ms")
        self._figure.draw_artist(self._title)
        return np.ascontiguousarray(np.asarray(self._canvas.buffer_rgba())[..., :3].transpose(2, 0, 1))


def busiest(recording: Recording) -> tuple[int, int]:
    """(y, x) of the pixel where the bipolar signal changes most, borders left out."""
    reader = recording._readers["bipolar"]
    some = []
    for start in np.linspace(SETTLED * recording.frames, recording.frames - 1, 24).astype(int):
        reader.seek(int(start))
        some.append(reader.read(1)[0])
    spread = np.std(some, axis=0)
    edge = [n // 8 for n in spread.shape]
    inside = spread[edge[0]:spread.shape[0] - edge[0], edge[1]:spread.shape[1] - edge[1]]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(y) + edge[0], int(x) + edge[1]


def make_pictures(clip: Source, numbers: Path, degrees: float, picture: Path, movie: Path, progress: bool) -> float:
    """Writes a picture of the instant with most spikes, and the movie.

    Args:
        clip: the input, at the rate of the result.
        numbers: the HDF5 file that the demonstration wrote.
        picture, movie: .png and .mp4 files to write.
        degrees: pixels per degree.
        progress: shows a bar.
    Returns: how many times slower than life the movie is.
    Raises: StreamError, OSError.
    """
    from matplotlib.image import imsave
    from tqdm.auto import tqdm

    recording = Recording(clip, numbers)
    figure = Figure(recording, degrees, dots=100)
    settled = SETTLED * recording.frames / recording.rate
    most, best = -1.0, None
    with VideoWriter(movie, PLAYED, mode="w") as sink:
        for index in tqdm(range(recording.pictures), unit=" pictures", mininterval=0.5, disable=not progress):
            maps, seconds = recording.at(index), index * recording.step / recording.rate
            drawn = figure.draw(maps, seconds)
            sink.write(drawn[None])
            spikes = float(maps["ganglion_on"].sum() + maps["ganglion_off"].sum())
            if best is None or (seconds > settled and spikes > most):
                most, best = spikes, drawn
    recording.close()
    if best is not None:
        imsave(picture, best.transpose(1, 2, 0))
    return recording.rate / (recording.step * PLAYED)
