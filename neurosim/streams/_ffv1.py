"""The checksums of FFV1, which FFmpeg looks at and then goes on."""

from __future__ import annotations

import zlib

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
FOOTER = 8  # bytes at the end of a slice: size without them (3), state (1), checksum (4)


def intact(packet: bytes) -> bool:
    """Whether the packet is one or more slices with right checksums.

    Reference: RFC 9043 (FFV1 version 3), slice footer: a CRC-32 of polynomial 0x04C11DB7, highest bit first, starting at
    0, which is 0 over a slice with its checksum. That of zlib has its bits reversed and starts and ends otherwise.
    """
    end = len(packet)
    while end >= FOOTER:
        start = end - FOOTER - int.from_bytes(packet[end - FOOTER:end - FOOTER + 3], "big")
        if start < 0 or zlib.crc32(packet[start:end].translate(REVERSED), 0xFFFFFFFF) != 0xFFFFFFFF:
            return False
        end = start
    return end == 0 and len(packet) > 0
