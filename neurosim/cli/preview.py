"""A few small frames of an input, to be kept with a result."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from neurosim.streams import Source

PREVIEW = 48  # pixels along the longer side of a frame


def preview(source: Source) -> dict[str, Any] | None:
    """Six frames of a video in bytes, spread over it and not larger than they are shown; the source is left where it was.

    None when the source has no end, cannot seek, or is no video.
    """
    length, shape, before = source.length, source.frame_shape, source.position
    if not length or not source.seekable or len(shape) not in (2, 3) or min(shape[-2:]) < 2:
        return None
    moments = np.unique(np.linspace(0, length - 1, 6).astype(int)).tolist()
    frames = []
    for moment in moments:
        source.seek(moment)
        frame = np.asarray(source.read(1), dtype=np.float64)[0]
        frame = frame.mean(0) if frame.ndim == 3 else frame
        step = -(-max(frame.shape) // PREVIEW)
        frames.append(frame[:frame.shape[0] // step * step, :frame.shape[1] // step * step]
                      .reshape(frame.shape[0] // step, step, -1, step).mean((1, 3)))
    source.seek(before)
    pixels = np.stack(frames)
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    grey = np.nan_to_num((pixels - low) / ((high - low) or 1.0)) * 255
    return {"shape": list(pixels.shape), "limits": [low, high],
            "seconds": [moment / (source.frame_rate or 1.0) for moment in moments],
            "pixels": base64.b64encode(np.rint(np.clip(grey, 0, 255)).astype(np.uint8).tobytes()).decode()}
