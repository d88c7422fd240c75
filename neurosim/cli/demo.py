"""The demonstration: a real clip through the spiking retina, as numbers, picture and movie."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from neurosim import Resolution
from neurosim.retina import Retina
from neurosim.streams import Source, VideoReader

from .models import about
from .pictures import make_pictures
from .results import Results
from .run import stream_to_file

CLIP = "ucsb-pedestrians.mp4"
PIXELS_PER_DEGREE = 20.0
DT = 50
SETTINGS = {"bipolar.lambda_amp": 100.0, "gang_0_input.lambda_G": 300.0, "gang_1_input.lambda_G": 300.0}


class Square(Source):
    """The square part of a wide video that `share` of the rest lies left of.

    Args:
        source: frames (y, x), x at least y.
        share: 0 for the leftmost square, 1 for the rightmost.
    """

    def __init__(self, source: Source, share: float) -> None:
        side, width = source.frame_shape
        super().__init__((side, side), frame_rate=source.frame_rate, length=source.length, seekable=True)
        self._source, self._left = source, round(share * (width - side))

    def _read(self, start: int, n: int) -> np.ndarray:
        self._source.seek(min(start, self._source.length or start))
        return self._source.read(n)[:, :, self._left:self._left + self.frame_shape[1]]

    def _close(self) -> None:
        self._source.close()


def open_clip(size: int, steps_per_second: float) -> Source:
    """The clip that comes with the package, as a square of `size` pixels at this rate; luminance 0 to 255."""
    with as_file(files("neurosim") / "data" / CLIP) as path:
        video = VideoReader(path, size=(size, round(size * 640 / 346)), frame_rate=steps_per_second,
                            interpolation="linear")
    return Square(video, share=0.83)


def make(folder: Path, *, size: int, steps_per_second: float, frames: int | None, seed: int, progress: bool,
         say: Callable[[str], None]) -> int | None:
    """Runs the demonstration and tells where the result is.

    Args:
        folder: where demo.h5, demo.png and demo.mp4 go; made when it is not there, files of before are replaced.
        size: pixels per side.
        frames: time steps at most.
        seed: of the noise.
    Returns: the signal that ended it early, None when there was none.
    Raises: NeurosimError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = folder / "demo.h5"
    retina = Retina(resolution=Resolution(1.0 / steps_per_second, PIXELS_PER_DEGREE), seed=seed)
    retina.set_parameters(SETTINGS)
    results = Results(numbers, retina, overwrite=True, about=about(retina, CLIP, seed))
    say(f"{CLIP}, {size} x {size} pixels, {steps_per_second} steps per second: through the spiking retina "
        "(the very first run compiles, which takes a while)")
    ended_by = stream_to_file(retina, open_clip(size, steps_per_second), results, dt=DT, frames=frames,
                              record=["opl", "bipolar"], progress=progress)
    say(results.summary())
    if ended_by is None:
        with open_clip(size, steps_per_second) as clip:
            slower = make_pictures(clip, numbers, PIXELS_PER_DEGREE, folder / "demo.png", folder / "demo.mp4", progress)
        say(f"{folder / 'demo.png'}: a picture\n{folder / 'demo.mp4'}: a movie, {slower:g} times slower than life")
    return ended_by
