"""Runner: a model at work in the background, between a source and a sink."""

from __future__ import annotations

import html
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ._axes import OnNaN, check_on_nan, chunk_to_frames, frames_to_chunk
from ._drive import check_rate, clock
from ._errors import InputError, ParameterError, RunnerError, UnknownName
from ._output import Output
from ._record import Recorder
from ._tree import html_table
from .layer import Layer
from .optim.goals import loss_function
from .streams import RingBuffer, SequenceStream, Sink, Source, align, as_source, open_events, open_sink
from .streams.base import whole

SLICE = 0.2  # seconds between looks at whether the main thread is still there
KEPT = 10_000  # chunks whose latency is remembered


@dataclass(frozen=True)
class Stats:
    """How a `Runner` is doing.

    Fields: `frames` done and written, `frames_per_second` of wall time, `latency_p50` and `latency_p99` in seconds from
    a chunk's reading to its writing, `dropped` frames, `read_ahead` and `to_write` chunks waiting, `seconds` since the start,
    `losses` of the last chunks when there is a goal.

    >>> import neurosim, torch
    >>> runner = neurosim.Runner(neurosim.filters.Diff(), torch.rand(50, 2, 2), neurosim.streams.Statistics(), dt=20)
    >>> with runner:
    ...     stats = runner.start().wait()
    >>> isinstance(stats, Stats), stats.frames
    (True, 50)
    """

    frames: int = 0
    frames_per_second: float = 0.0
    latency_p50: float = float("nan")
    latency_p99: float = float("nan")
    dropped: int = 0
    read_ahead: int = 0
    to_write: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


_END = object()


class _Closed(Exception):
    """A channel was closed while someone waited at it."""


class _Channel:
    """A bounded queue between two threads that can be closed from outside."""

    def __init__(self, size: int, drop_oldest: bool = False) -> None:
        self._items: deque[Any] = deque()
        self._size, self._drop_oldest = size, drop_oldest
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, item: Any, frames: int = 0) -> None:
        """Appends when there is room. When it is closed the item is kept for the next start, and _Closed raised."""
        with self._changed:
            if self._drop_oldest and frames:
                while len(self._items) >= self._size:
                    self.dropped += self._items.popleft()[1]
            try:
                self._wait(lambda: len(self._items) < self._size)
            finally:
                self._items.append((item, frames))
                self._changed.notify_all()

    def get(self) -> Any:
        with self._changed:
            self._wait(lambda: bool(self._items))
            item, _ = self._items.popleft()
            self._changed.notify_all()
            return item

    def _wait(self, ready: Callable[[], bool]) -> None:
        while not self._closed and not ready():
            self._changed.wait(SLICE)
            if not threading.main_thread().is_alive():
                raise _Closed  # the program is ending
        if self._closed:
            raise _Closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def end(self) -> None:
        """Marks the end, even when there is no room."""
        with self._changed:
            self._items.append((_END, 0))
            self._changed.notify_all()

    def reopen(self) -> None:
        """Open again, with what was left in it except marks of the end."""
        self._items = deque(item for item in self._items if item[0] is not _END)
        self._closed, self.dropped = False, 0

    def __len__(self) -> int:
        return len(self._items)


class Runner:
    """Runs a model from a source to a sink in three background threads: one reads ahead, one computes, one writes.

    The queues between them are bounded, so a slow sink slows the source and memory does not grow. Default device,
    number of threads, grad and inference mode of torch are those of the caller of `start`; the model builds a graph only where
    there is a goal, since nobody else could use it.

    Args:
        model: any layer; while it runs, leave its state alone (parameters may be set).
        input: source stream, array, or path of a file.
        output: sink for the first output, path of a file to write, or a dict of such by the name of an output or of a
            recorded path; None keeps nothing but statistics. A file given by its path is complete when the input has ended,
            or after `close`.
        events: sink for the spikes, `Output.spikes`, with `write(unit, time)` such as `HDF5File.events` and
            `EventTextWriter`; or path of a text or HDF5 file to write. Times are on the clock of the input, sorted.
        goal: source of what the output should be; the model is then fitted, one step of its optimizer per chunk, and
            nothing is written. One of another rate or start is aligned by time. `parameters()` looks at it meanwhile.
        loss_fn: with a goal, `loss_fn(output, goal)` or a name in `neurosim.analysis.LOSSES`; None: mean squared error.
        dt: frames per chunk.
        max_t: stop after so many frames; a `stop` in between does not count anew.
        queue: chunks that may wait before the compute thread and before the writer.
        on_overrun: "block" lets a source wait; "drop_oldest" drops the oldest chunk read ahead, and counts its frames.
        on_nan: "raise" or "pass", instead of the model's own `on_nan`.
    Raises: ParameterError, StreamError. An error in a thread stops all three, closes the streams, and is raised by the next
        `wait`, `stop` or `stats`.

    >>> import neurosim
    >>> source = neurosim.streams.RandomStream(size=(8, 8), mean=0.0, level=1.0)
    >>> sink = neurosim.streams.SequenceStream(max_frames=200)
    >>> with neurosim.Runner(neurosim.filters.TemporalLowPass(), source, sink, dt=50, max_t=400) as runner:
    ...     runner.start().wait().frames
    400
    >>> sink.sequence.shape
    (200, 8, 8)
    """

    def __init__(self, model: Layer, input: Any, output: Any = None, *, events: Any = None, goal: Any = None,
                 loss_fn: Any = None, dt: int = 100, max_t: int | None = None, queue: int = 4,
                 on_overrun: Literal["block", "drop_oldest"] = "block", on_nan: OnNaN | None = None) -> None:
        if not isinstance(model, Layer):
            raise ParameterError("Runner", "model", "must be a Layer", type(model).__name__)
        if on_overrun not in ("block", "drop_oldest"):
            raise ParameterError("Runner", "on_overrun", "choose from ['block', 'drop_oldest']", on_overrun)
        if goal is not None and on_overrun != "block":
            raise ParameterError("Runner", "on_overrun", "must be 'block' with a goal: dropped frames would set input "
                                 "and goal apart", on_overrun)
        if goal is not None and model.optimizer is None:
            raise ParameterError("Runner", "goal", "the model has no optimizer; choose one first, such as "
                                 "model.set_optimizer.Adam(lr=0.01)")
        if goal is None and loss_fn is not None:
            raise ParameterError("Runner", "loss_fn", "says how to compare with a goal; give goal= too", loss_fn)
        for name, value in (("output", output), ("events", events), ("on_nan", on_nan)):
            if goal is not None and value is not None:
                raise ParameterError("Runner", name, "has no effect with a goal: the model is fitted, and nothing is written; "
                                     "run it again without the goal" + (" (model.on_nan counts)" if name == "on_nan" else ""))
        if events is not None and not (model.counts_spikes or Recorder(model, ()).spiking):
            raise ParameterError("Runner", "events", f"{type(model).__name__} has no layer that tells single spikes, and its "
                                 "output does not count them", events)
        check_on_nan(on_nan or model.on_nan, "Runner")
        self._loss_fn, self._fitting = None if goal is None else loss_function("Runner", loss_fn), threading.Lock()
        self.model = model
        self.dt = whole("Runner", "dt", dt, 1)
        self.max_t = None if max_t is None else whole("Runner", "max_t", max_t)
        self._queue = whole("Runner", "queue", queue, 1)
        self._drop_oldest, self._on_nan = on_overrun == "drop_oldest", on_nan
        self._own = ExitStack()  # streams opened here, closed at the end of the input or with the runner
        self._owns = self._at_end = False
        self.input: Source = self._source(input)
        check_rate(self.input, model.resolution.frame, "Runner.input")
        self.goal: Source | None = None if goal is None else self._source(goal)
        if self.goal is not None and self.goal.frame_rate and self.input.frame_rate and (
                self.goal.frame_rate, self.goal.time) != (self.input.frame_rate, self.input.time):
            self.input, self.goal = align(self.input, self.goal)
        self._origin, self._first = clock(self.input, model.resolution.frame), self.input.position
        self._counted = 0  # frames that were read of max_t
        self.outputs: dict[str | int, Sink] = {name: self._sink(sink) for name, sink in (
            output.items() if isinstance(output, Mapping) else [(0, output)]) if sink is not None}
        self.events = events
        if isinstance(events, str | Path):
            self._owns = True
            self.events = self._own.enter_context(open_events(events))
        self._recorder = Recorder(model, self._paths())
        self._threads: list[threading.Thread] = []
        self._alive: set[str] = set()
        self._done = threading.Event()
        self._done.set()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._channels = (_Channel(self._queue, self._drop_oldest), _Channel(self._queue))
        self._reset()

    def _source(self, given: Any) -> Source:
        source = as_source(given)
        if source is given:
            return source
        self._owns = True
        return self._own.enter_context(source)

    def _sink(self, given: Any) -> Sink:
        if isinstance(given, str | Path):
            self._owns = True
            return self._own.enter_context(open_sink(
                given, frame_rate=self.model.resolution.steps_per_second, start_time=self._origin))
        return given

    def _paths(self) -> list[str]:
        """The names of outputs that have to be recorded: those that are paths within the model."""
        modules = dict(self.model.named_modules())
        return [name for name in self.outputs if isinstance(name, str)
                and (name in modules or name in self.model.signals or ("." in name and name.rpartition(".")[0] in modules))]

    def _reset(self) -> None:
        self._frames = 0
        self._started = time.perf_counter()
        self._ended: float | None = None
        self._latency: deque[float] = deque(maxlen=KEPT)
        self._losses: deque[float] = deque(maxlen=KEPT)

    # ---- at the prompt --------------------------------------------------------------------------------------------
    def start(self) -> Runner:
        """Starts, or goes on where `stop` left off. Returns self. Raises RunnerError when it is running."""
        if self.running:
            raise RunnerError("Runner.start: is running already; stop() it first")
        self._raise_error()
        if self._at_end and self._owns:
            raise RunnerError("Runner.start: the input has ended, and the files that it opened are closed; make a new Runner")
        self._counted = 0 if self._at_end else self._counted
        self._at_end = False
        self._reset()
        self._done.clear()
        for channel in self._channels:
            channel.reopen()
        carried = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_device(),
                   torch.get_num_threads())
        work = {"reader": self._read, "compute": self._compute, "writer": self._write}
        self._alive = set(work)
        self._threads = [threading.Thread(target=self._thread, args=(name, function, carried), name=f"neurosim {name}")
                         for name, function in work.items()]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, timeout: float | None = 30.0) -> Stats:
        """Stops after the chunk that is being computed, and writes it; what was read ahead waits for the next `start`.

        Args:
            timeout: seconds to wait for the threads.
        Returns: the statistics.
        Raises: RunnerError naming the thread that did not end in time; the error of a thread that failed.
        """
        self._channels[0].close()
        return self._awaited(timeout)

    def wait(self, timeout: float | None = None) -> Stats:
        """Waits for the end of the input, at most `timeout` seconds; results as for `stop`. Raises RunnerError, and what
        went wrong in the background."""
        if not self._threads:
            raise RunnerError("Runner.wait: nothing is at work; start() it first")
        return self._awaited(timeout)

    def _awaited(self, timeout: float | None) -> Stats:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._done.wait(SLICE if end is None else min(SLICE, max(end - time.monotonic(), 0.0))):
            if end is not None and time.monotonic() >= end:
                raise RunnerError(f"Runner: did not end within {timeout:g} s; still at work: {sorted(self._alive)}")
        return self.stats

    def parameters(self) -> dict[str, np.ndarray]:
        """A copy of the model's parameters by flat name, all from between the same two steps of a fit."""
        with self._fitting:
            return self.model.get_parameters()

    @property
    def running(self) -> bool:
        """Whether a thread of it is at work."""
        return not self._done.is_set()

    @property
    def stats(self) -> Stats:
        """How it is doing. Raises the error of a thread that failed."""
        self._raise_error()
        return self._stats()

    def _stats(self) -> Stats:
        seconds = (self._ended or time.perf_counter()) - self._started
        latency = sorted(self._latency)
        cuts = statistics.quantiles(latency, n=100, method="inclusive") if len(latency) > 1 else latency * 99
        read, write = self._channels
        return Stats(self._frames, self._frames / max(seconds, 1e-9), cuts[49] if cuts else float("nan"),
                     cuts[98] if cuts else float("nan"), read.dropped, len(read), len(write), seconds,
                     list(self._losses))

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Stops, and closes the files that it opened, which are then complete. Errors as for `stop`."""
        try:
            self.stop()
        finally:
            self._at_end = True
            self._own.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self.close()
            else:  # the caller's error goes first
                self._quietly_stop()
        finally:
            self._own.close()

    def _quietly_stop(self) -> None:
        self._channels[0].close()
        self._done.wait(30.0)

    def __repr__(self) -> str:
        stats = self._stats()
        return (f"Runner({type(self.model).__name__}, {'running' if self.running else 'not running'}, "
                f"{stats.frames} frames, {stats.frames_per_second:.4g} frames/s, {stats.dropped} dropped)")

    def _repr_html_(self) -> str:
        rows = [(name, f"{value:.4g}" if isinstance(value, float) else str(value))
                for name, value in asdict(self._stats()).items() if name != "losses"]
        return (f"<details open><summary><b>{html.escape(repr(self))}</b></summary>"
                f"{html_table(('', 'value'), rows)}</details>")

    # ---- the threads ----------------------------------------------------------------------------------------------
    def _thread(self, name: str, work: Callable[[], None], carried: tuple[Any, ...]) -> None:
        grad, inference, device, threads = carried
        try:
            torch.set_num_threads(threads)  # these four are per thread in torch
            with torch.inference_mode(inference), torch.set_grad_enabled(grad), \
                    torch.device(device) if device.type != "cpu" else nullcontext():
                work()
        except _Closed:
            pass
        except BaseException as error:
            error.add_note(f"(in the {name} thread of a Runner, after {self._frames} frames)")
            with self._lock:
                self._error = self._error or error
            for channel in self._channels:
                channel.close()
        finally:
            if name == "compute":
                self._channels[1].end()
            self._leave(name)

    def _leave(self, name: str) -> None:
        with self._lock:
            self._alive.discard(name)
            last = not self._alive
        if last:
            try:
                for sink in [*self.outputs.values(), *([] if self.events is None else [self.events])]:
                    if isinstance(sink, RingBuffer) and (self._error is not None or self._at_end):
                        sink.end(self._error)  # who reads it learns of the error when the frames before it are read
                    elif self._error is not None:
                        sink.close()
                    else:
                        sink.flush()
                if self._at_end:
                    self._own.close()
                if self._error is not None:
                    self.input.close()
                    if self.goal is not None:
                        self.goal.close()
            except Exception as error:
                self._error = self._error or error
            self._ended = time.perf_counter()
            self._done.set()

    def _read(self) -> None:
        out = self._channels[0]
        while self.max_t is None or self._counted < self.max_t:
            n = self.dt if self.max_t is None else min(self.dt, self.max_t - self._counted)
            number = self.input.position - self._first
            frames = self.input.read(n)
            goal = None if self.goal is None else self.goal.read(n)
            if goal is not None and len(goal) != len(frames):
                raise InputError(f"Runner: the goal ended with frame {number + len(goal)}, the input has more")
            if not len(frames):
                break
            self._counted += len(frames)
            out.put((frames, goal, number, time.perf_counter()), len(frames))
        out.put(_END)

    def _compute(self) -> None:
        source, out = self._channels
        where = f"Runner({type(self.model).__name__})"
        while (item := source.get()) is not _END:
            frames, goal, number, read_at = item
            chunk = frames_to_chunk(frames, self.model.axes, where)
            if goal is not None:
                with self._fitting:
                    self._losses.extend(self.model.optimize(chunk, SequenceStream(goal), loss_fn=self._loss_fn))
                out.put((None, len(frames), read_at))
            else:
                y = self.model._chunk_output(chunk, self._recorder, number, True, self._on_nan, self._origin)
                out.put((y, len(frames), read_at))
        self._at_end = True

    def _write(self) -> None:
        source = self._channels[1]
        while (item := source.get()) is not _END:
            y, frames, read_at = item
            for name, sink in self.outputs.items() if y is not None else ():
                sink.write(chunk_to_frames(self._named(y, name), y.axes_of(name), "Runner.output"))
            if y is not None and self.events is not None:
                self.events.write(*y.spikes_in_order())
            self._frames += frames
            self._latency.append(time.perf_counter() - read_at)

    def _named(self, y: Output, name: str | int) -> torch.Tensor:
        if isinstance(name, str) and name not in y:
            raise UnknownName("Runner.output", name, y.keys())
        return y[name]
