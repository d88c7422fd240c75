"""Frames in one image file each: `ImageSequenceReader`, `ImageSequenceWriter`."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import InputError, ParameterError, StreamError
from ._paths import PathLike
from .base import Sink, Source, shape_of

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".jpg", ".jpeg")


def numbered(name: str) -> list[Any]:
    """A key that puts frame_2 before frame_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def found(images: PathLike | Sequence[PathLike]) -> list[Path]:
    """The files that are meant, in order; raises `StreamError` when there is none."""
    if isinstance(images, str | os.PathLike):
        path = Path(images)
        if path.is_dir():
            files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES]
        else:
            files = [Path(name) for name in glob.glob(str(path))]
        files.sort(key=lambda file: numbered(str(file)))
    else:
        files = [Path(one) for one in images]
    if not files:
        raise StreamError(f"ImageSequenceReader: no images ({images})")
    return files


class ImageSequenceReader(Source):
    """Images as frames, in the order of the numbers in their names. Each is read when it is needed.

    Args:
        images: folder, pattern such as `"frames/*.png"`, or list of files, which stays in its order.
        size: (y, x) to scale to, averaging over areas; None: as stored, and then all have to be as large as the first.
        colour: frames are (3, y, x), red, green and blue, instead of luminance (y, x).
        scaled: values are [0, 1] instead of those stored, 0 to 255 or 65535; floating ones stay.
        dtype: floating type of the frames.
        frame_rate: frames per second, or None.
        start_time: time of frame 0 in seconds.
    Raises: StreamError naming the file that is missing, damaged or of another size; ParameterError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ImageSequenceWriter(f"{folder}/%03d.png") as sink:
    ...         sink.write(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    ...     ImageSequenceReader(folder).read(2)[1, 0]
    array([20., 21., 22., 23., 24.], dtype=float32)
    """

    def __init__(self, images: PathLike | Sequence[PathLike], size: Sequence[int] | None = None, *, colour: bool = False,
                 scaled: bool = False, dtype: Any = np.float32, frame_rate: float | None = None,
                 start_time: float = 0.0) -> None:
        self._files = found(images)
        self._size = None if size is None else shape_of("ImageSequenceReader", "size", size)
        if self._size is not None and len(self._size) != 2:
            raise ParameterError("ImageSequenceReader", "size", "must be (y, x)", size)
        self._colour, self._scaled, self._dtype = colour, scaled, np.dtype(dtype)
        if self._dtype.kind != "f":
            raise ParameterError("ImageSequenceReader", "dtype", "must be a floating type", dtype)
        super().__init__(self._image(0).shape, frame_rate=frame_rate, start_time=start_time, length=len(self._files),
                         seekable=True)

    def _image(self, index: int) -> np.ndarray:
        from PIL import Image

        path = self._files[index]
        try:
            with Image.open(path) as image:
                deep = image.mode.startswith("I;16") or image.mode in ("I", "F")
                if deep and self._colour:
                    raise StreamError(f"ImageSequenceReader: {path} is grey ({image.mode}); colour=True needs 8 bits a channel")
                plain = image if deep else image.convert("RGB" if self._colour else "L")
                if self._size is not None:
                    plain = (plain.convert("F") if deep else plain).resize((self._size[1], self._size[0]), Image.Resampling.BOX)
                frame = np.asarray(plain).astype(self._dtype)
                top = 1.0 if image.mode == "F" else 65535.0 if deep else 255.0
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow makes of damage
            if isinstance(error, StreamError):
                raise
            raise StreamError(f"ImageSequenceReader: {path} cannot be read as an image ({error})") from error
        frame = frame / self._dtype.type(top) if self._scaled else frame
        return np.moveaxis(frame, -1, 0) if self._colour else frame

    def _read(self, start: int, n: int) -> np.ndarray:
        stop = max(start, min(start + n, self.length or 0))
        chunk = np.empty((stop - start, *self.frame_shape), self._dtype)
        for k, index in enumerate(range(start, stop)):
            frame = self._image(index)
            if frame.shape != self.frame_shape:
                raise StreamError(f"ImageSequenceReader: {self._files[index]} is of shape {frame.shape}, the first image "
                                  f"{self.frame_shape}; size=(y, x) scales all of them")
            chunk[k] = frame
        return chunk


class ImageSequenceWriter(Sink):
    """Frames into one image file each.

    Args:
        pattern: path with the number as in "frames/%06d.png"; .png, .bmp and .pgm hold uint8, .png and .tif uint16, .tif
            float32 too.
        limits: (black, white): frames may then be of any real type and are mapped linearly to 0..255, clipped and rounded.
        mode: "x" refuses to touch an existing file, "w" replaces it.
        frame_rate, start_time: as for any sink; images cannot hold them.
    Raises: ParameterError, StreamError; InputError for frames that are not (y, x) or, of uint8, (3, y, x).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ImageSequenceWriter(f"{folder}/%03d.png", limits=(0.0, 1.0)) as sink:
    ...         sink.write(np.full((2, 4, 5), 0.2))
    ...     float(ImageSequenceReader(f"{folder}/*.png").read(1)[0, 0, 0])
    51.0
    """

    def __init__(self, pattern: PathLike, *, limits: tuple[float, float] | None = None, mode: str = "x",
                 frame_rate: float | None = None, start_time: float = 0.0) -> None:
        super().__init__(frame_rate=frame_rate, start_time=start_time)
        where = "ImageSequenceWriter"
        self._pattern = os.fspath(pattern)
        name = Path(self._pattern)
        if len(re.findall(r"%0?\d*d", self._pattern)) != 1 or name.suffix.lower() not in SUFFIXES[:-2]:
            raise ParameterError(where, "pattern", f"needs one %d for the number, as in 'frame%06d.png', and a suffix of "
                                 f"{list(SUFFIXES[:-2])}", self._pattern)
        if not name.absolute().parent.is_dir():
            raise StreamError(f"{where}: there is no folder {name.absolute().parent}")
        if mode not in ("x", "w"):
            raise ParameterError(where, "mode", "choose from ['x', 'w']", mode)
        if limits is not None and not (len(limits) == 2 and 0 < limits[1] - limits[0] < math.inf):
            raise ParameterError(where, "limits", "must be two finite numbers, black below white", limits)
        self._limits, self._mode = limits, mode + "b"

    def _write(self, chunk: np.ndarray) -> None:
        from PIL import Image

        where = "ImageSequenceWriter.write"
        if self._limits is not None:
            black, white = self._limits
            if not np.isfinite(chunk).all():
                raise InputError(f"{where}: frames must be finite (got NaN or infinity)")
            chunk = np.clip(np.rint((chunk.astype(np.float64) - black) * (255.0 / (white - black))), 0, 255).astype(np.uint8)
        tiff = Path(self._pattern).suffix.lower() in (".tif", ".tiff")
        png = Path(self._pattern).suffix.lower() == ".png"
        grey = chunk.ndim == 3 and (chunk.dtype == np.uint8 or (chunk.dtype == np.uint16 and (png or tiff))
                                    or (chunk.dtype == np.float32 and tiff))
        if not grey and not (chunk.ndim == 4 and chunk.shape[1] == 3 and chunk.dtype == np.uint8):
            raise InputError(f"{where}: this kind of image does not hold frames of shape {chunk.shape[1:]} and {chunk.dtype}; "
                             f"uint8 (y, x) or (3, y, x), or limits=(black, white), always do")
        for number, frame in enumerate(chunk, self._written):
            path = Path(self._pattern % number)
            try:
                with path.open(self._mode) as file:
                    Image.fromarray(np.ascontiguousarray(np.moveaxis(frame, 0, -1) if frame.ndim == 3 else frame)).save(
                        file, Image.registered_extensions()[path.suffix.lower()])
            except FileExistsError:
                raise StreamError(f"{where}: the file {path} exists; mode=\"w\" replaces it") from None
            except OSError as error:
                raise StreamError(f"{where}: {path} cannot be written ({error})") from error
