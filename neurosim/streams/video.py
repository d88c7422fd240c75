"""Video files as a source of frames: `VideoReader`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._errors import ParameterError, StreamError
from ._decoder import Decoder
from ._paths import PathLike, readable
from .base import Source, rate_of, shape_of

INTERPOLATIONS = ("hold", "linear")


class VideoReader(Source):
    """Frames of a video file. Needs the extra `video`.

    Frames are counted when the reader is opened, by going through the file once without decoding it; what its header
    says is not believed. Values are luminance as it is stored, 0 to 255 (0 to 65535 if the file has more than 8 bits
    of grey), or [0, 1]. Reading a frame that is damaged raises, and so does reading on where a file was cut off: its
    `length` counts the frames that its header promises, so that this does not pass unnoticed.

    Args:
        path: the file. Playlists and addresses are refused.
        size: (y, x) to scale to, averaging over areas; None: as stored.
        colour: frames are (3, y, x), red, green and blue, instead of (y, x).
        frame_rate: resample to this rate, in Hz, by the time stamps of the frames; None: the frames as they are, at
            their mean rate.
        interpolation: "hold": the last frame that was there at each instant; "linear": between it and the next one.
        scaled: values are [0, 1] instead of those stored.
        dtype: floating type of the frames.
        start_time: time of the first frame in seconds, on the clock of the recording.
    Raises: StreamError, ParameterError, MissingExtra.
    """

    def __init__(self, path: PathLike, size: Sequence[int] | None = None, *, colour: bool = False,
                 frame_rate: float | None = None, interpolation: str = "hold", scaled: bool = False,
                 dtype: Any = np.float32, start_time: float = 0.0) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ParameterError("VideoReader", "interpolation", f"choose from {list(INTERPOLATIONS)}", interpolation)
        shape = None if size is None else shape_of("VideoReader", "size", size)
        if shape is not None and len(shape) != 2:
            raise ParameterError("VideoReader", "size", "must be (y, x)", size)
        rate = rate_of("VideoReader", frame_rate)
        self._dtype = np.dtype(dtype)
        if self._dtype.kind != "f":
            raise ParameterError("VideoReader", "dtype", "must be a floating type", dtype)
        self.path = readable("VideoReader", path)
        self._decoder = Decoder(self.path, (shape[0], shape[1]) if shape else None, colour)
        self._scale = 1.0 / np.iinfo(self._decoder.dtype).max if scaled else 1.0
        frames, native = self._decoder.length, self._decoder.rate
        self._linear = interpolation == "linear"
        self._kept: dict[int, np.ndarray] = {}
        self._times: np.ndarray | None = None
        if rate is not None:
            if not native:
                self._decoder.close()
                raise StreamError(f"VideoReader: {self.path} has neither time stamps nor a frame rate to resample by")
            self._times = self._decoder.times()
            # The last frame lasts as long as the others on average; the millionth of a frame absorbs rounding.
            frames = math.ceil((self._times[-1] + 1 / native) * rate - 1e-6)
        super().__init__(self._decoder.shape, frame_rate=rate or native or None, start_time=start_time, length=frames,
                         seekable=True)

    def _read(self, start: int, n: int) -> np.ndarray:
        wanted = np.arange(start, max(start, min(start + n, self.length or 0)))
        first, weight = self._places(wanted)
        chunk = np.empty((len(wanted), *self.frame_shape), self._dtype)
        for index in np.unique(first):  # in ascending order, so that each frame is decoded once
            here = first == index
            frame = self._frame(int(index))
            share = weight[here].reshape(-1, *(1,) * frame.ndim)
            chunk[here] = frame + share * (self._frame(int(index) + 1) - frame) if share.any() else frame
        return chunk

    def _places(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each output frame: the index of the stored frame that is there, and the share of the next one."""
        if self._times is None or self._frame_rate is None:
            return wanted, np.zeros(len(wanted), self._dtype)
        seconds = wanted / self._frame_rate
        first = np.searchsorted(self._times, seconds + 1e-9, side="right") - 1  # a frame is there at its own instant
        weight = np.zeros(len(wanted))
        if self._linear:
            inside = first < len(self._times) - 1  # the last frame is held to its end
            before, after = self._times[first[inside]], self._times[first[inside] + 1]
            weight[inside] = np.clip((seconds[inside] - before) / (after - before), 0.0, 1.0)
        return first, weight.astype(self._dtype)

    def _frame(self, index: int) -> np.ndarray:
        """A stored frame as floating numbers; the last two are kept."""
        if index not in self._kept:
            frame = self._decoder.frame(index).astype(self._dtype)
            newest = dict(list(self._kept.items())[-1:])
            self._kept = {**newest, index: frame * self._scale if self._scale != 1.0 else frame}
        return self._kept[index]

    def _close(self) -> None:
        self._kept = {}
        self._decoder.close()
