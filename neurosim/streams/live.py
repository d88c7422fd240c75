"""Video as it comes, through PyAV: `CameraStream`, `PipeStream`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import ParameterError, StreamError
from ._decoder import import_av
from ._paths import PathLike
from .base import Source, rate_of, shape_of

CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


class PipeStream(Source):
    """Video from a pipe, a file object, the standard input or an address, frame by frame. Needs the extra `video`.

    It can only be read forward, its length is not known, and opening it waits for the first frame.

    Args:
        file: object with `read`, "-" for the standard input, path of a named pipe or device, or address such as "rtsp://...".
        format: of the container, as FFmpeg calls it; None: FFmpeg looks at the data. "rawvideo" needs the options
            `video_size`, `pixel_format` and `framerate`.
        options: for FFmpeg, text by name.
        size: (y, x) to scale to, averaging over areas; None: as it comes.
        colour: frames are (3, y, x), red, green and blue, instead of luminance (y, x).
        scaled: values are [0, 1] instead of 0 to 255.
        frame_rate: frames per second, when the stream does not say, or says it wrongly.
        start_time: time of the first frame in seconds.
        dtype: floating type of the frames.
    Raises: StreamError when it cannot be opened or decoded; ParameterError, MissingExtra.

    >>> import io
    >>> raw = {"video_size": "6x4", "pixel_format": "gray", "framerate": "25"}
    >>> with PipeStream(io.BytesIO(bytes(10 * 24)), format="rawvideo", options=raw) as source:
    ...     source.read(100).shape
    (10, 4, 6)
    """

    def __init__(self, file: Any, *, format: str | None = None, options: Mapping[str, str] | None = None,
                 size: Sequence[int] | None = None, colour: bool = False, scaled: bool = False,
                 frame_rate: float | None = None, start_time: float = 0.0, dtype: Any = np.float32) -> None:
        name = type(self).__name__
        shape = None if size is None else shape_of(name, "size", size)
        if shape is not None and len(shape) != 2:
            raise ParameterError(name, "size", "must be (y, x)", size)
        rate = rate_of(name, frame_rate)
        self._dtype = np.dtype(dtype)
        if self._dtype.kind != "f":
            raise ParameterError(name, "dtype", "must be a floating type", dtype)
        self._av = import_av()
        self._size, self._pixels, self._scale = shape, "rgb24" if colour else "gray", 1 / 255 if scaled else 1.0
        source = sys.stdin.buffer if file == "-" else file
        source = source if hasattr(source, "read") else str(source)
        try:
            self._container = self._av.open(source, format=format, options=dict(options or {}))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise StreamError(f"{name}: {file!r} cannot be opened as video ({error})") from error
        if not self._container.streams.video:
            self._container.close()
            raise StreamError(f"{name}: {file!r} holds no video stream")
        stream = self._container.streams.video[0]
        self._frames: Iterator[Any] = self._container.decode(stream)
        self._ahead: np.ndarray | None = None
        try:
            self._ahead = self._next(0)
        except StreamError:
            self._container.close()
            raise
        if self._ahead is None:
            self._container.close()
            raise StreamError(f"{name}: {file!r} ended before its first frame")
        told = stream.average_rate or stream.guessed_rate
        super().__init__(self._ahead.shape, frame_rate=rate or (float(told) if told else None), start_time=start_time)

    def _next(self, number: int) -> np.ndarray | None:
        """The next frame, None at the end; raises `StreamError`."""
        try:
            frame = next(self._frames, None)
            if frame is None:
                return None
            height, width = self._size or (frame.height, frame.width)
            picture = frame.reformat(width, height, self._pixels, interpolation="AREA").to_ndarray()
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise StreamError(f"{type(self).__name__}: frame {number} cannot be decoded ({error})") from error
        picture = np.moveaxis(picture, -1, 0) if self._pixels == "rgb24" else picture
        return picture.astype(self._dtype) * self._dtype.type(self._scale)

    def _read(self, start: int, n: int) -> np.ndarray:
        frames: list[np.ndarray] = []
        while len(frames) < n and self._ahead is not None:
            frames.append(self._ahead)
            if self._ahead.shape != self.frame_shape:
                raise StreamError(f"{type(self).__name__}: frame {start + len(frames) - 1} has the shape {self._ahead.shape}, "
                                  f"those before it {self.frame_shape}; size=(y, x) scales all of them")
            self._ahead = self._next(start + len(frames))
        return np.stack(frames) if frames else np.empty((0, *self.frame_shape), self._dtype)

    def _close(self) -> None:
        self._container.close()


class CameraStream(PipeStream):
    """A camera, frame by frame. Needs the extra `video`.

    Args:
        device: as FFmpeg calls it: "/dev/video0" on Linux, "0" on macOS, "video=<name>" on Windows.
        format: of the device; None: "v4l2", "avfoundation" or "dshow", as the system has it. "lavfi" takes a test picture,
            `CameraStream("testsrc=size=64x48:rate=25", format="lavfi")`.
        settings: as for `PipeStream`; `options` are those of the device, such as {"video_size": "640x480", "framerate": "30"}.
    Raises: as `PipeStream`.

    >>> with CameraStream("testsrc=size=32x24:rate=25", format="lavfi") as camera:  # a test picture; or "/dev/video0"
    ...     camera.read(5).shape, camera.frame_rate
    ((5, 24, 32), 25.0)
    """

    def __init__(self, device: PathLike = "/dev/video0", *, format: str | None = None, **settings: Any) -> None:
        format = format or CAMERAS.get(sys.platform)
        if format is None:
            raise ParameterError("CameraStream", "format", f"is needed on {sys.platform}, see `ffmpeg -devices`")
        super().__init__(device, format=format, **settings)
