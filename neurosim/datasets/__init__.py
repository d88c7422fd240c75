"""Recorded data: stimuli and spikes on one clock, those that come with the package, and those in files."""

from .files import open, save, stream
from .nwb import Series, write_nwb
from .recording import Recording, SpikeCounts
from .shipped import grasshopper

__all__ = ["Recording", "Series", "SpikeCounts", "grasshopper", "open", "save", "stream", "write_nwb"]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
