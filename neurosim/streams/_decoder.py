"""Video frames by their index, through PyAV: counted, checked against their time stamps, found again exactly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import MissingExtra, StreamError
from . import _ffv1
from ._scan import scan

# Containers of pictures alone: a playlist, or an address, would have FFmpeg read other files than the one named.
DEMUXERS = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,ivf,yuv4mpegpipe,nut,mxf,m4v,h264,hevc,dv"
SAFE = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}

log = logging.getLogger("neurosim")


def import_av() -> Any:
    """PyAV, or `MissingExtra`."""
    try:
        import av
    except ImportError as error:
        raise MissingExtra("reading and writing video", "video") from error
    return av


class Decoder:
    """Frames of the first video stream of a file, by index.

    A frame is what its time stamp says, where the stamps of the file can be trusted: a frame that the decoder leaves
        out or
    marks as damaged is an error, and `frame` finds any index again exactly. Else the frames are counted by decoding
    them, and going back means decoding from the start.

    Args:
        path: the file, checked to exist.
        size: (y, x) that frames are scaled to by area averaging, or None.
        colour: red, green and blue instead of luminance.
    Raises: MissingExtra; StreamError.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None, colour: bool) -> None:
        self._av = import_av()
        self.path, self._size, self._colour = path, size, colour
        self._graph: Any = None
        self._checked = False  # whether packets have checksums that we can verify
        self._last: tuple[int, np.ndarray] | None = None
        self._open()
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Opens the file and places the decoder at its start."""
        try:
            self._container = self._av.open(f"file:{self.path}", options=SAFE, metadata_errors="replace")
        except self._av.FFmpegError as error:
            raise StreamError(f"VideoReader: {self.path} is no video that can be read; or its header is damaged, or "
                              f"missing because the file was cut off ({error})") from error
        if not self._container.streams.video:
            self._container.close()
            raise StreamError(f"VideoReader: {self.path} holds no video stream")
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise StreamError(f"VideoReader: {self.path} is in a codec that FFmpeg does not know")
        self._frames: Iterator[Any] | None = self._decode()
        self._next = 0  # index of the frame that _frames gives next

    def _decode(self) -> Iterator[Any]:
        """The frames of the packets from where the container is."""
        for packet in self._container.demux(self._stream):
            if self._checked and packet.size and not _ffv1.intact(bytes(packet)):
                raise StreamError(f"VideoReader: frame {self._next} of {self.path} is damaged, its checksum is wrong")
            yield from packet.decode()

    def _look(self) -> None:
        """Counts the frames, and decodes the first one."""
        self._scan = scan(self._container, self._stream, self._av.FFmpegError)
        self._stamps = self._scan.stamps
        self._checked = self._scan.checked
        self._reopen()
        first = self._first()
        if self._stamps is not None and first.pts in self._stamps.tolist():
            lead = int(np.searchsorted(self._stamps, first.pts))
            if lead:
                log.warning("%s: the first %d frames need others that the file lacks; left out", self.path, lead)
            self._stamps = self._stamps[lead:]
            self.count = len(self._stamps)
        else:
            log.warning("%s: its time stamps are of no use, the frames are counted by decoding them", self.path)
            self._stamps, self.count = None, self._count()
        declared = self._stream.frames
        if declared and abs(declared - self.count) > max(1, 0.01 * declared):
            log.warning("%s: the header declares %d frames, the file holds %d", self.path, declared, self.count)
        picture = self._picture(first)
        self.shape, self.dtype = picture.shape, picture.dtype
        self.rate = self._mean_rate()
        missing = self._scan.declared - self._scan.end
        # Headers may leave out, or round, the last frame; those of long files are not exact to the frame.
        tolerance = (1.5 / self.rate if self.rate else 0.0) + min(0.005 * self._scan.declared, 1.0) + 0.001
        promised = round(self._scan.declared * self.rate)
        cut = bool(self._scan.failed) or missing > tolerance
        self.length = max(promised, self.count + 1) if cut else self.count

    def _first(self) -> Any:
        """The first frame that decodes; the decoder stays before it."""
        assert self._frames is not None
        try:
            first = next(self._frames)
        except (StopIteration, self._av.FFmpegError) as error:
            raise StreamError(f"VideoReader: frame 0 of {self.path} cannot be decoded ({error})") from error
        self._frames = chain([first], self._frames)
        return first

    def _count(self) -> int:
        """Frames that can be decoded one after the other, and one more if an error ends them, for reading to report."""
        count = 0
        try:
            for _ in self._frames or ():
                count += 1
        except (self._av.FFmpegError, StreamError):
            count += 1
        self._reopen()
        return count

    def _mean_rate(self) -> float:
        """Frames per second: from the time stamps, else as declared; 0 when unknown."""
        if self._stamps is not None and len(self._stamps) > 1:
            return (len(self._stamps) - 1) / (int(self._stamps[-1] - self._stamps[0]) * float(self._stream.time_base))
        return float(self._stream.average_rate or 0)

    def times(self) -> np.ndarray:
        """Seconds from the first frame to each: by time stamps, by the rate where they are of no use or missing."""
        times = np.arange(self.length) / self.rate
        if self._stamps is not None:
            times[:self.count] = (self._stamps - self._stamps[0]) * float(self._stream.time_base)
            times[self.count:] += times[self.count - 1] - (self.count - 1) / self.rate
        return times

    def frame(self, index: int) -> np.ndarray:
        """Frame `index` as unsigned integers (y, x) or (3, y, x); cheap when it is the next one, or the same again.

        Raises: StreamError naming the file and the frame.
        """
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        if index >= self.count:
            raise StreamError(self.cut_off())
        if self._frames is None or index < self._next or (self._stamps is not None and index > self._next + 64):
            self._find(index)
        while True:
            at, frame = self._next, self._step()
            if at == index:
                self._last = index, self._picture(frame)
                return self._last[1]

    def cut_off(self) -> str:
        """What is said where a file ends before its header says."""
        why = f": {self._scan.failed}" if self._scan.failed else ""
        return (f"VideoReader: frame {self.count} of {self.path} is missing, the file is cut off at "
                f"{self._scan.end:.3f} s of {self._scan.declared:.3f} s{why}; "
                f"the {self.count} frames before can be read")

    def _step(self) -> Any:
        """The next frame; after an error the decoder is gone, and `_find` starts another."""
        assert self._frames is not None
        frames, self._frames = self._frames, None
        where = f"VideoReader: frame {self._next} of {self.path}"
        try:
            frame = next(frames)
        except StopIteration:
            raise StreamError(f"{where} cannot be decoded, the file is cut off or damaged") from None
        except self._av.FFmpegError as error:
            raise StreamError(f"{where} cannot be decoded, the file is cut off or damaged ({error})") from error
        if frame.is_corrupt or frame.pts in self._scan.damaged:
            raise StreamError(f"{where} is damaged")
        if self._stamps is not None and frame.pts != self._stamps[self._next]:
            raise StreamError(f"{where} cannot be decoded, the file is damaged before it")
        self._frames = frames
        self._next += 1
        return frame

    def _find(self, index: int) -> None:
        """Places the decoder at a frame not after `index`: at a key frame if the stamps allow it, else at the start."""
        if self._stamps is not None:
            try:
                self._container.seek(int(self._stamps[index]), stream=self._stream, backward=True)
                frames = self._decode()
                frame = next(frames, None)
            except (self._av.FFmpegError, StreamError):  # damage before it, or an index that is wrong: the long way
                frame = None
            if frame is not None and frame.key_frame and frame.pts is not None and frame.pts <= self._stamps[index]:
                at = int(np.searchsorted(self._stamps, frame.pts))
                if self._stamps[at] == frame.pts:
                    self._frames, self._next = chain([frame], frames), at
                    return
        self._reopen()

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    def _picture(self, frame: Any) -> np.ndarray:
        """A decoded frame scaled and converted by FFmpeg, which is cheaper than making colours first."""
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None:
            self._graph, self._kind = self._build(frame), kind
        if kind != self._kind:
            raise StreamError(f"VideoReader: frame {self._next - 1} of {self.path} is {kind}, "
                              f"those before it {self._kind}")
        self._graph.push(frame)
        picture = self._graph.pull().to_ndarray()
        return np.ascontiguousarray(picture.transpose(2, 0, 1)) if self._colour else picture

    def _build(self, frame: Any) -> Any:
        """The filter graph for frames like this one."""
        deep = len(frame.format.components) == 1 and frame.format.components[0].bits > 8
        graph = self._av.filter.Graph()
        nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                                  time_base=self._stream.time_base)]
        if self._size is not None:
            nodes.append(graph.add("scale", f"{self._size[1]}:{self._size[0]}:flags=area"))
        nodes.append(graph.add("format", "rgb24" if self._colour else "gray16le" if deep else "gray"))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph

    def close(self) -> None:
        """Closes the file."""
        self._frames = self._last = self._graph = None
        self._container.close()
