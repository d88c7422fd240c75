"""Movies of videos: drawn picture by picture, shown in notebooks, saved as files."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._axes import VIDEO
from .._errors import InputError, MissingExtra, ParameterError, StreamError
from .._units import Resolution, positive
from ..streams.base import whole
from ._canvas import SIGNED, array, colours, extent, frame_of, named, resolved, span

MAX_PICTURES = 250  # by default
MAX_EMBEDDED = 8_000_000  # bytes of a movie that a notebook is given


class Movie:
    """Videos side by side as one movie with scales and time. Made by `movie`.

    It draws when it is iterated over, saved or shown, one picture at a time. A notebook shows it as an HTML5 video, or
    without PyAV (extra `video`) as an animated GIF; neither needs a script.

    Args:
        videos: (time, y, x) each, by name, of one length.
        resolution: seconds per frame and pixels per degree.
        limits: (low, high) of the colours, or None for the range of each video.
        every: frames per picture.
        fps: pictures per second when it is played.

    >>> import neurosim
    >>> film = neurosim.plot.movie(np.random.default_rng(0).random((100, 8, 8)))
    >>> isinstance(film, Movie), len(film), film.slower, next(iter(film)).dtype
    (True, 100, 40.0, dtype('uint8'))
    """

    def __init__(self, videos: dict[str, np.ndarray], resolution: Resolution, limits: tuple[float, float] | None,
                 every: int, fps: float) -> None:
        self._videos, self._resolution, self._limits = videos, resolution, limits
        self.every, self.fps = every, fps
        self._html: str | None = None

    def __len__(self) -> int:
        """How many pictures it has."""
        return -(-len(next(iter(self._videos.values()))) // self.every)

    @property
    def slower(self) -> float:
        """How many times slower than life it is played."""
        return 1.0 / (self.every * self._resolution.frame * self.fps)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The pictures, (y, x, 3) of bytes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        shapes = [x.shape[1:] for x in self._videos.values()]
        ratio = max(0.25, min(2.5, max(y / x for y, x in shapes)))
        figure = Figure(figsize=(3.9 * len(shapes), 3.0 * ratio + 0.95), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        title = figure.suptitle(" ", fontsize=10, fontfamily="monospace")
        images = [self._panel(figure, figure.add_subplot(1, len(shapes), i + 1), name, x)
                  for i, (name, x) in enumerate(self._videos.items())]
        canvas.draw()
        figure.set_layout_engine("none")  # what has its place keeps it
        for moving in (title, *images):
            moving.set_animated(True)
        canvas.draw()
        empty = canvas.copy_from_bbox(figure.bbox)
        for number in range(len(self)):
            index = number * self.every
            canvas.restore_region(empty)
            for image, x in zip(images, self._videos.values(), strict=True):
                image.set_data(x[index])
                image.axes.draw_artist(image)
            title.set_text(f"t = {index * self._resolution.frame * 1e3:8.1f} ms")
            figure.draw_artist(title)
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _panel(self, figure: Any, panel: Any, name: str, x: np.ndarray) -> Any:
        signed = bool(np.nanmin(x, initial=0.0) < 0)
        low, high = self._limits or span(x, symmetric=signed)
        image = panel.imshow(np.zeros(x.shape[1:]), cmap=colours(SIGNED if signed else "gray"), vmin=low, vmax=high,
                             extent=extent(x.shape[1:], self._resolution), interpolation="nearest")
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("x (deg)", fontsize=8)
        panel.set_ylabel("y (deg)", fontsize=8)
        panel.tick_params(labelsize=7)
        figure.colorbar(image, ax=panel, shrink=0.85).ax.tick_params(labelsize=7)
        return image

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes it to `path`, as .mp4 or .mkv (extra `video`), or as .gif; a file that is there only with `overwrite`.

        Raises: ParameterError for another suffix, StreamError for a file that exists or cannot be written, MissingExtra.
        """
        from ..streams import VideoWriter

        path = Path(path)
        if path.suffix.lower() not in (".mp4", ".mkv", ".gif"):
            raise ParameterError("Movie.save", "path", "the suffix must be .mp4, .mkv or .gif", str(path))
        if path.exists() and not overwrite:
            raise StreamError(f"Movie.save: the file {path} exists; overwrite=True replaces it")
        if path.suffix.lower() == ".gif":
            try:
                path.write_bytes(self._gif())
            except OSError as error:
                raise StreamError(f"Movie.save: {path} cannot be written ({error})") from error
            return
        with VideoWriter(path, self.fps, mode="w") as sink:
            for picture in self:
                sink.write(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])

    def _gif(self) -> bytes:
        from PIL import Image

        pictures = [Image.fromarray(picture).quantize(64) for picture in self]
        data = io.BytesIO()
        pictures[0].save(data, "gif", save_all=True, append_images=pictures[1:], duration=1000 / self.fps, loop=0)
        return data.getvalue()

    def _mp4(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "movie.mp4")
            return (Path(folder) / "movie.mp4").read_bytes()

    def __repr__(self) -> str:
        names = ", ".join(name for name in self._videos if name)
        return f"<Movie{' of ' + names if names else ''}: {len(self)} pictures, {self.slower:.3g} times slower than life>"

    def _repr_html_(self) -> str:
        if self._html is None:
            try:
                kind, data = "video/mp4", self._mp4()
            except MissingExtra:
                kind, data = "image/gif", self._gif()
            if len(data) > MAX_EMBEDDED:
                self._html = (f"<p>{html.escape(repr(self))}: {len(data) / 1e6:.0f} MB, too much for a notebook; "
                              "save it with .save(path), or give every=</p>")
            else:
                url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
                player = f'<video controls loop autoplay muted src="{url}"></video>' if kind == "video/mp4" else \
                    f'<img alt="movie" src="{url}">'
                self._html = f"<div>{player}<br><small>{html.escape(repr(self))}</small></div>"
        return self._html


def movie(*videos: Any, names: tuple[str, ...] = (), resolution: Resolution | None = None,
          limits: tuple[float, float] | None = None, every: int | None = None, fps: float = 25.0, channel: int = 0,
          batch: int = 0) -> Movie:
    """A movie of one video, or of several side by side.

    Args:
        videos: tensors or arrays (batch, channel, time, y, x) or (time, y, x) of one length; or one `Output` or mapping of
            such by name.
        names: what stands above each.
        resolution: seconds per frame and pixels per degree; an `Output`'s own frame, else the default resolution.
        limits: (low, high) of the colours; when not given, the range of each video, around zero where it is signed.
        every: frames per picture; when not given, so many that there are at most 250 pictures.
        fps: pictures per second when it is played.
        channel, batch: which of several to show.
    Returns: `Movie`, which a notebook plays and `.save("movie.mp4")` writes. NaN is yellow.
    Raises: ParameterError, InputError for what is no video.

    >>> import torch
    >>> x = torch.rand(1, 1, 40, 6, 8, generator=torch.Generator().manual_seed(0))
    >>> movie(x, x - 0.5, names=("input", "response"))
    <Movie of input, response: 40 pictures, 40 times slower than life>
    """
    where = "plot.movie"
    source = videos[0] if len(videos) == 1 else None
    given = named(source) if source is not None else dict(zip(map(str, range(len(videos))), videos, strict=True))
    if not given:
        raise ParameterError(where, "videos", "there is nothing to show")
    if names and len(names) != len(given):
        raise ParameterError(where, "names", f"needs one for each of {len(given)} videos", names)
    labels = list(names) or ([""] * len(given) if len(videos) > 1 else list(given))
    if len(set(labels)) < len(labels):
        labels = [f"{label} {i}".strip() for i, label in enumerate(labels)]
    shown = {label: _frames(x, channel, batch) for label, x in zip(labels, given.values(), strict=True)}
    lengths = {len(x) for x in shown.values()}
    if len(lengths) > 1:
        raise ParameterError(where, "videos", "must have the same number of frames", sorted(lengths))
    if limits is not None and not (len(limits) == 2 and np.isfinite(limits).all() and limits[0] < limits[1]):
        raise ParameterError(where, "limits", "must be two finite numbers, low below high", limits)
    own = resolved(resolution)
    own = Resolution(frame_of(source, resolution), own.pixels_per_degree)
    step = -(-lengths.pop() // MAX_PICTURES) if every is None else whole(where, "every", every, 1)
    return Movie(shown, own, limits, step, positive(where, "fps", fps, "Hz"))


def _frames(x: Any, channel: int, batch: int) -> np.ndarray:
    """(time, y, x) of what came."""
    if getattr(x, "ndim", None) not in (3, 5):
        raise InputError(f"plot.movie: a video must be (batch, channel, time, y, x) or (time, y, x) (got "
                         f"{getattr(x, 'shape', type(x).__name__)})")
    video = array("plot.movie", "videos", VIDEO.promote(x, "plot.movie"))
    for what, index, size in (("batch", batch, video.shape[0]), ("channel", channel, video.shape[1])):
        if not 0 <= index < size:
            raise ParameterError("plot.movie", what, f"must lie in 0..{size - 1}", index)
    return video[batch, channel]
