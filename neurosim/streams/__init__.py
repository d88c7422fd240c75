"""Sources that models read from and sinks that they write to: in memory, computed, and in files."""

from .base import Sink, Source
from .generators import RandomStream
from .hdf5 import HDF5Reader, read_events
from .hdf5_writer import HDF5File, HDF5Writer
from .memory import RepeatingStream, SequenceStream
from .numpy_files import NumpyReader, NumpyWriter
from .open import as_source, open_sink, open_stream
from .video import VideoReader
from .video_writer import VideoWriter

__all__ = [
    "HDF5File", "HDF5Reader", "HDF5Writer", "NumpyReader", "NumpyWriter", "RandomStream", "RepeatingStream",
    "SequenceStream", "Sink", "Source", "VideoReader", "VideoWriter", "as_source", "open_sink", "open_stream",
    "read_events",
]
