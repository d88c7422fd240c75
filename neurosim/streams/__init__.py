"""Sources that models read from and sinks that they write to: in memory, computed, and in files."""

from .base import Sink, Source
from .events import EventTextWriter, HDF5EventWriter, open_events, read_events
from .generators import RandomStream
from .hdf5 import HDF5Reader
from .hdf5_writer import HDF5File, HDF5Writer
from .images import ImageSequenceReader, ImageSequenceWriter
from .inr import InrReader, InrWriter
from .joined import JoinedStream
from .link import CallableStream, ProcessingStream, Statistics, tee
from .live import CameraStream, PipeStream
from .memory import RepeatingStream, SequenceStream
from .numpy_files import NumpyReader, NumpyWriter
from .nwb import NWBReader, read_nwb_units
from .open import as_source, open_sink, open_stream
from .resample import TimedResampleStream, align
from .ring import RingBuffer
from .video import VideoReader
from .video_writer import VideoWriter

__all__ = [
    "CallableStream", "CameraStream", "EventTextWriter", "HDF5EventWriter", "HDF5File", "HDF5Reader", "HDF5Writer",
    "ImageSequenceReader", "ImageSequenceWriter", "InrReader", "InrWriter", "JoinedStream", "NWBReader", "NumpyReader",
    "NumpyWriter", "PipeStream", "ProcessingStream", "RandomStream", "RepeatingStream", "RingBuffer", "SequenceStream",
    "Sink", "Source", "Statistics", "TimedResampleStream", "VideoReader", "VideoWriter", "align", "as_source",
    "open_events", "open_sink", "open_stream", "read_events", "read_nwb_units", "tee",
]


def __dir__() -> list[str]:
    return __all__  # what Tab offers: not the files that the names come from
