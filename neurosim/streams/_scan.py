"""What the packets of a video file say about its frames, without decoding them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from . import _ffv1


class Scan(NamedTuple):
    """What the packets of a file say, without decoding them."""

    stamps: np.ndarray | None  # times of presentation in order, in the stream's unit; None when not to be trusted
    packets: int
    damaged: frozenset[int]  # time stamps of packets that the file itself marks as damaged
    end: float  # seconds, where the last packet ends; files that start late count from 0 or from their start
    declared: float  # seconds, where the file says that it ends; 0 when it does not say
    failed: str  # what the demuxer said when it gave up early
    checked: bool  # whether a packet has a checksum that we can verify, and then all have


def scan(container: Any, stream: Any, errors: type[Exception]) -> Scan:
    """Reads all packets of the stream once."""
    packets, failed, checked = [], "", False
    ffv1 = stream.codec_context.name == "ffv1"
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                checked = checked or (ffv1 and _ffv1.intact(bytes(packet)))
                packets.append((packet.pts, packet.dts, packet.duration or 0, packet.is_corrupt))
    except errors as error:
        failed = str(error)
    unit = float(stream.time_base)
    known = [p for p in packets if p[0] is not None]
    end = max((p[0] + p[2] for p in known), default=0) if len(known) == len(packets) else math.inf
    first = min((p[0] for p in known), default=0)
    stamps = None
    decoding = [p[1] for p in packets if p[1] is not None]
    ordered = all(a < b for a, b in pairwise(decoding))
    reorders = stream.codec_context.has_b_frames and all(p[0] == p[1] for p in packets)  # pts are then copied dts
    if len({p[0] for p in known}) == len(packets) and ordered and not reorders:
        stamps = np.array(sorted(p[0] for p in known), dtype=np.int64)
    return Scan(stamps, len(packets), frozenset(p[0] for p in known if p[3]), max(end, end - first) * unit,
                declared_seconds(container, stream), failed, checked)


def declared_seconds(container: Any, stream: Any) -> float:
    """Where the video ends according to the file's header; 0 when it does not say."""
    unit = float(stream.time_base)
    if container.format.name == "avi":  # FFmpeg shortens the duration of a truncated file, not the count
        return max(stream.duration or 0, stream.frames) * unit
    if stream.duration:
        return float(stream.duration) * unit
    text = stream.metadata.get("DURATION", "")
    if text.count(":") == 2:
        hours, minutes, seconds = text.split(":")
        try:
            return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
        except ValueError:
            return 0.0
    return float(container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
