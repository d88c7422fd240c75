"""Files with bytes changed, zeroed or cut off: each is read, or is a StreamError; no other error comes through."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from neurosim import StreamError
from neurosim.streams import open_sink, open_stream

FRAMES = np.random.default_rng(0).integers(0, 256, (40, 16, 20), np.uint8)


def outcome(path: Path) -> str:
    """What reading the file comes to."""
    try:
        with open_stream(path) as source:
            chunks = [chunk for chunk, _ in zip(source.chunks(7), range(50), strict=False)]
    except StreamError:
        return "refused"
    whole = np.concatenate(chunks) if chunks else np.zeros(0)
    return "same" if np.array_equal(whole, FRAMES) else "different"


def mutants(good: bytes, n: int) -> list[bytes]:
    """Copies of a file with the damage of disks and networks, often near its start, where the structure is."""
    random = np.random.default_rng(1)
    out = []
    for index in range(n):
        bad = bytearray(good)
        if index % 4 == 0:
            out.append(bytes(bad[:random.integers(len(bad))]))
            continue
        for _ in range(1 + index % 4):
            bad[random.integers(len(bad) if random.random() < 0.5 else 600)] = random.integers(256)
        if index % 4 == 3:
            at = random.integers(len(bad))
            bad[at:at + 200] = bytes(len(bad[at:at + 200]))
        out.append(bytes(bad))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name, unnoticed", [("a.npy", 1.0), ("a.npz", 0.0), ("a.h5", 0.0), ("a.mkv", 0.05), ("a.mp4", 0.5)])
def test_only_stream_errors_come_through(tmp_path, name, unnoticed, caplog):
    caplog.set_level(logging.ERROR)  # headers that lie are reported as warnings
    path = tmp_path / name.replace("npz", "npy")
    with open_sink(path, frame_rate=25) as sink:
        sink.write(FRAMES)
    if name.endswith("npz"):
        np.savez_compressed(path := tmp_path / name, FRAMES)
    outcomes = []
    for bad in mutants(path.read_bytes(), 80):
        path.write_bytes(bad)
        outcomes.append(outcome(path))
    # Formats with checksums notice (nearly) everything; .npy has none, and H.264 conceals what is broken.
    assert outcomes.count("different") <= unnoticed * len(outcomes)
    assert "refused" in outcomes
