"""Frames into video files: `VideoWriter`."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .._errors import InputError, ParameterError, StreamError
from .._units import positive
from ._decoder import import_av
from ._paths import PathLike, writable
from .base import Sink


class Codec(NamedTuple):
    """How FFmpeg is asked for one kind of video: encoder, its options, and pixel formats."""

    encoder: str
    options: dict[str, str]
    grey: str
    colour: str
    deep: str | None  # for 16-bit grey, None when it has none


CODECS = {
    "ffv1": Codec("ffv1", {"level": "3", "slicecrc": "1"}, "gray", "bgr0", "gray16le"),
    "h264": Codec("libx264", {"crf": "18"}, "yuv420p", "yuv420p", None),
}
SUFFIXES = {".mkv": "ffv1", ".mp4": "h264"}
# A killed writer then leaves a .mkv that can be read up to its last tenths of a second.
CONTAINER = {".mkv": {"flush_packets": "1", "cluster_time_limit": "200"}, ".mp4": {}}


class VideoWriter(Sink):
    """Frames into a video file. Needs the extra `video`.

    FFV1 in .mkv keeps every number of uint8 (grey or colour) and uint16 (grey) frames. H.264 in .mp4 is for looking:
    it changes values by a few grey levels, and a frame of odd height or width gets its last row or column twice. The
    file appears with the first chunk; an .mp4 that was not closed cannot be read.

    Args:
        path: .mkv or .mp4 file.
        frame_rate: frames per second at which it is played. Times in .mkv are whole milliseconds.
        codec: "ffv1" or "h264"; None: by the suffix, FFV1 for .mkv and H.264 for .mp4.
        limits: (black, white): frames may then be of any real type and are mapped linearly to 0..255, clipped and
            rounded; without it frames must be uint8 or uint16.
        mode: "x" makes a new file, "w" replaces an existing one.
    Raises: ParameterError, StreamError, MissingExtra; InputError for frames that are not (y, x) or (3, y, x), or hold
        NaN.
    """

    def __init__(self, path: PathLike, frame_rate: float | None, codec: str | None = None, *,
                 limits: tuple[float, float] | None = None, mode: str = "x") -> None:
        self._av = import_av()
        self.path = writable("VideoWriter", path, mode, ("x", "w"))
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ParameterError("VideoWriter", "path", f"the suffix must be one of {list(SUFFIXES)}", str(self.path))
        codec = SUFFIXES[suffix] if codec is None else codec
        if codec not in CODECS or (suffix, codec) == (".mp4", "ffv1"):
            raise ParameterError("VideoWriter", "codec", "choose 'ffv1' (in .mkv) or 'h264'", codec)
        if limits is not None and not (len(limits) == 2 and 0 < limits[1] - limits[0] < math.inf):
            raise ParameterError("VideoWriter", "limits", "must be two finite numbers, black below white", limits)
        if frame_rate is None:
            raise ParameterError("VideoWriter", "frame_rate", "is needed, in Hz")
        super().__init__(frame_rate=positive("VideoWriter", "frame_rate", frame_rate, "Hz"))
        self._codec, self._limits, self._suffix = CODECS[codec], limits, suffix
        self._container: Any = None

    def _write(self, chunk: np.ndarray) -> None:
        pixels = self._pixels(chunk)
        try:
            if self._container is None:
                self._start(pixels[0])
            for index, picture in enumerate(pixels, self._written):
                self._container.mux(self._stream.encode(self._frame(picture, index)))
        except (self._av.FFmpegError, OSError) as error:
            raise StreamError(f"VideoWriter.write: frames from {self._written} on cannot be written to {self.path} "
                              f"({error})") from error

    def _pixels(self, chunk: np.ndarray) -> np.ndarray:
        """The chunk as unsigned integers that the codec can hold."""
        if not (chunk.ndim == 3 or (chunk.ndim == 4 and chunk.shape[1] == 3)) or 0 in chunk.shape:
            raise InputError(f"VideoWriter.write: a chunk must be (time, y, x), or (time, 3, y, x) for colour (got "
                             f"shape {chunk.shape})")
        if self._limits is not None:
            if not np.isfinite(chunk).all():
                raise InputError("VideoWriter.write: frames must be finite (got NaN or infinity)")
            black, white = self._limits
            grey = (chunk.astype(np.float64) - black) / (white - black)
            return np.rint(np.clip(grey, 0.0, 1.0) * 255).astype(np.uint8)
        deep = chunk.dtype == np.uint16 and chunk.ndim == 3 and self._codec.deep is not None
        if chunk.dtype != np.uint8 and not deep:
            kinds = "uint8, or uint16 grey" if self._codec.deep else "uint8"
            raise InputError(f"VideoWriter.write: frames of {self.path.name} must be {kinds} (got {chunk.dtype}"
                             f"{', colour' if chunk.ndim == 4 else ''}); limits=(black, white) maps other numbers")
        return chunk

    def _start(self, picture: np.ndarray) -> None:
        """Opens the file for pictures like this one."""
        codec = self._codec
        rate = Fraction(self._frame_rate or 1).limit_denominator(100_000)
        self._container = self._av.open(f"file:{self.path}", "w", options=CONTAINER[self._suffix])
        self._stream = self._container.add_stream(codec.encoder, rate=rate, options=codec.options)
        self._format = ("rgb24" if picture.ndim == 3 else "gray16le" if picture.dtype == np.uint16 else "gray")
        target = codec.colour if picture.ndim == 3 else codec.deep if picture.dtype == np.uint16 else codec.grey
        self._stream.pix_fmt = self._target = target
        height, width = picture.shape[-2:]
        self._odd = (height % 2, width % 2) if target == "yuv420p" else (0, 0)
        self._stream.height, self._stream.width = height + self._odd[0], width + self._odd[1]
        self._stream.time_base = self._tick = 1 / rate

    def _frame(self, picture: np.ndarray, index: int) -> Any:
        """One picture as FFmpeg's frame number `index`."""
        if any(self._odd):
            more = ((0, 0),) * (picture.ndim - 2) + tuple((0, odd) for odd in self._odd)
            picture = np.pad(picture, more, mode="edge")
        if picture.ndim == 3:
            picture = picture.transpose(1, 2, 0)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=self._format)
        frame = frame.reformat(format=self._target)
        frame.pts, frame.time_base = index, self._tick
        return frame

    def _close(self) -> None:
        if self._container is None:
            return
        try:
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
        except (self._av.FFmpegError, OSError) as error:
            raise StreamError(f"VideoWriter.close: {self.path} cannot be completed ({error})") from error
