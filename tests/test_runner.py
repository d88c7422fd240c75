"""Runner: threads that end, errors that arrive, memory that stays."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import neurosim
from neurosim import Layer, Param, ParameterError, Runner, RunnerError, StreamError, UnknownName
from neurosim.streams import CallableStream, RandomStream, SequenceStream, Sink, Source

from .test_layer import Two, noise


class Numbered(Source):
    """Frames that hold their own number; slow, failing or blocking on request."""

    def __init__(self, length: int | None = None, *, fail_at: int | None = None, wait: float = 0.0) -> None:
        super().__init__((2, 2), length=length)
        self.fail_at, self.wait = fail_at, wait

    def _read(self, start: int, n: int) -> np.ndarray:
        time.sleep(self.wait)
        stop = start + n if self.length is None else min(start + n, self.length)
        if self.fail_at is not None and stop > self.fail_at:
            raise OSError("the disk is gone")
        return np.broadcast_to(np.arange(start, stop, dtype=np.float32)[:, None, None], (stop - start, 2, 2))


class SlowSink(Sink):
    """Keeps the first pixel of every frame; slow or failing on request."""

    def __init__(self, wait: float = 0.0, fail_at: int | None = None) -> None:
        super().__init__((2, 2))
        self.kept: list[float] = []
        self.wait, self.fail_at = wait, fail_at

    def _write(self, chunk: np.ndarray) -> None:
        time.sleep(self.wait)
        if self.fail_at is not None and self.position + len(chunk) > self.fail_at:
            raise OSError("no space left")
        self.kept += chunk[:, 0, 0].tolist()


class Pass(Layer):
    """Passes its input on, times one; fails at a value, remembers grad mode."""

    gain = Param(1.0, doc="gain")

    def __init__(self, fail_at: float | None = None) -> None:
        super().__init__()
        self.fail_at, self.seen = fail_at, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()))
        if self.fail_at is not None and bool((x >= self.fail_at).any()):
            raise ValueError("the model has failed")
        return self.gain * x


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("neurosim ")}


def test_every_frame_arrives_once_and_in_order():
    sink = SlowSink()
    stats = Runner(Pass(), Numbered(1234), sink, dt=50).start().wait(30)
    assert sink.kept == list(range(1234)) and stats.frames == 1234 and stats.dropped == 0
    assert stats.frames_per_second > 0 and 0 < stats.latency_p50 <= stats.latency_p99
    assert threads() == set()


def test_the_result_is_that_of_run():
    sink = SequenceStream(size=(3, 3))
    Runner(Two(), SequenceStream(noise(100, 3, 3)), sink, dt=9).start().wait(30)
    np.testing.assert_array_equal(sink.sequence, Two().run(noise(100, 3, 3))[0][0, 0].numpy())


def test_a_slow_sink_slows_the_source():
    source, sink = Numbered(), SlowSink(wait=0.02)
    runner = Runner(Pass(), source, sink, dt=10, queue=2).start()
    time.sleep(0.5)
    stats = runner.stop(10)
    assert stats.read_ahead <= 3 and stats.to_write <= 2
    assert source.position - len(sink.kept) <= 10 * (2 + 2 + 3)  # two queues, and one chunk in each pair of hands


def test_stop_loses_nothing_and_start_goes_on():
    source, sink = Numbered(), SlowSink(wait=0.001)
    runner = Runner(Pass(), source, sink, dt=7)
    for _ in range(3):
        runner.start()
        assert runner.running
        with pytest.raises(RunnerError, match="is running already"):
            runner.start()
        time.sleep(0.05)
        runner.stop(10)
        assert not runner.running
    assert len(sink.kept) > 7 and sink.kept == list(range(len(sink.kept)))


def test_a_live_source_may_drop_the_oldest():
    source, sink = Numbered(), SlowSink(wait=0.05)
    runner = Runner(Pass(), source, sink, dt=10, queue=2, on_overrun="drop_oldest").start()
    time.sleep(0.6)
    stats = runner.stop(10)
    assert stats.dropped > 0 and stats.dropped % 10 == 0
    assert sink.kept == sorted(sink.kept) and len(sink.kept) < sink.kept[-1]


FAILURES = [("source", OSError, "the disk is gone", "reader"), ("model", ValueError, "the model has failed", "compute"),
            ("sink", OSError, "no space left", "writer")]


@pytest.mark.parametrize("where, kind, text, thread", FAILURES, ids=[f[0] for f in FAILURES])
@pytest.mark.parametrize("ask", ["wait", "stop", "stats"])
def test_an_error_in_a_thread_reaches_the_caller(where: str, kind: type[Exception], text: str, thread: str, ask: str):
    at = {"source": None, "model": None, "sink": None, where: 500}
    source, sink = Numbered(fail_at=at["source"]), SlowSink(fail_at=at["sink"])
    runner = Runner(Pass(fail_at=at["model"]), source, sink, dt=20).start()
    deadline = time.monotonic() + 10
    while runner.running and time.monotonic() < deadline:
        time.sleep(0.005)
    with pytest.raises(kind, match=text) as caught:
        _ = runner.stats if ask == "stats" else getattr(runner, ask)()
    assert any(f"in the {thread} thread of a Runner" in note for note in caught.value.__notes__)
    assert source.closed and sink.closed and threads() == set()
    assert sink.kept == list(range(len(sink.kept)))
    with pytest.raises(StreamError, match="closed"):
        source.read(1)


def test_many_starts_and_stops_leave_nothing():
    for i in range(60):
        runner = Runner(Pass(fail_at=30.0 if i % 3 == 0 else None), Numbered(None if i % 2 else 100), SlowSink(), dt=3)
        runner.start()
        try:
            runner.stop(10) if i % 4 else runner.wait(10) if not i % 2 else runner.stop(10)
        except ValueError as error:
            assert str(error) == "the model has failed" and i % 3 == 0
    assert threads() == set()


def test_stop_names_the_thread_that_does_not_end():
    blocked = threading.Event()

    class Blocking(Numbered):
        def _read(self, start: int, n: int) -> np.ndarray:
            blocked.wait(20)
            return super()._read(start, n)

    runner = Runner(Pass(), Blocking(), SlowSink()).start()
    time.sleep(0.05)
    try:
        with pytest.raises(RunnerError, match=r"did not end within 0.3 s; still at work: \['reader'\]"):
            runner.stop(0.3)
    finally:
        blocked.set()
    runner.wait(10)


@pytest.mark.parametrize("mode", ["grad", "no_grad", "inference"])
def test_grad_mode_and_threads_of_the_caller(mode: str):
    model, read = Pass(), set()

    def frame(number: int) -> np.ndarray | None:
        read.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()))
        return np.full((2, 2), number) if number < 20 else None

    n = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with {"grad": torch.enable_grad(), "no_grad": torch.no_grad(), "inference": torch.inference_mode()}[mode]:
            Runner(model, CallableStream(frame, (2, 2)), SlowSink(), dt=5).start().wait(10)
    finally:
        torch.set_num_threads(n)
    assert read == {(mode == "grad", mode == "inference", 3)}
    assert set(model.seen) == {(False, mode == "inference", 3)}  # as in `run`: nobody could use the graph


def test_memory_does_not_grow_with_gradients_on():
    model = Two()
    Runner(model, Numbered(2000), None, dt=10).start().wait(30)
    assert not model.second.state.v.requires_grad


def test_dtype_of_the_model():
    sink = SequenceStream(size=(3, 3))
    Runner(Two().double(), SequenceStream(noise(20, 3, 3)), sink, dt=9).start().wait(30)
    assert sink.sequence.dtype == np.float64


def test_named_outputs_and_recorded_paths(tmp_path: Path):
    first, out = SequenceStream(size=(2, 2)), tmp_path / "out.npy"
    with Runner(Two(), Numbered(50), {"first.drive": first, "output": out}, dt=8) as runner:
        runner.start().wait(10)
    np.testing.assert_allclose(first.sequence[:, 0, 0], 2 * np.arange(50))
    assert np.load(out).shape == (50, 2, 2)
    with pytest.raises(UnknownName, match="did you mean 'output'"):
        Runner(Two(), Numbered(50), {"outptu": SequenceStream(size=(2, 2))}).start().wait(10)


def test_a_video_that_becomes_a_signal_is_written_as_one():
    model = neurosim.models.Sequential(neurosim.filters.TemporalLowPass(), lambda video: video.mean(3)[:, 0])
    x, signal, video = noise(20, 3, 4), SequenceStream(), SequenceStream(size=(3, 4))
    with Runner(model, x, {0: signal, "layer_0": video}, dt=7) as runner:
        runner.start().wait(10)
    model.clear_state()
    np.testing.assert_array_equal(signal.sequence, model.run(x)[0][0].detach())
    np.testing.assert_allclose(video.sequence.mean(1), signal.sequence, rtol=1e-5)
    model.clear_state()
    out = model.run(x, 7, record=["layer_0"])
    assert (out.axes_of(0), out.axes_of("layer_0")) == (neurosim.SIGNAL, neurosim.VIDEO)
    np.testing.assert_array_equal(out["layer_0"][0, 0], video.sequence)  # chunks are joined along its own time axis
    assert len(out.plot().axes) == 2
    plt.close("all")


def test_fitting_in_the_background():
    model, goal = Two(), Two()
    goal.p.first.gain = 1.5
    model.second.requires_grad_(False)  # Adam moves as far for the least gradient, a rounding
    model.set_optimizer.Adam(lr=0.02)
    x = noise(3000, 2, 2)
    stats = Runner(model, SequenceStream(x), goal=SequenceStream(goal.run(x)[0][0, 0]), dt=30).start().wait(60)
    assert len(stats.losses) == 100 and stats.losses[-1] < stats.losses[0] * 0.05
    assert abs(model.first.gain.item() - 1.5) < 0.1
    with pytest.raises(ParameterError, match="has no optimizer"):
        Runner(Two(), Numbered(5), goal=Numbered(5))
    with pytest.raises(neurosim.InputError, match="the goal ended with frame 40"):
        Runner(model, Numbered(50), goal=Numbered(40), dt=20).start().wait(10)


def test_parameters_are_looked_at_between_steps():
    """Two gains that every step moves together, by SGD of the same gradient, are never seen apart."""
    class Pair(Layer):
        a = Param(0.0, doc="gain")
        b = Param(0.0, doc="gain")

        def forward(self, x):
            return (self.a + self.b) * x

    model, x = Pair(), noise(5000, 1, 1)
    model.set_optimizer.SGD(lr=1e-3)
    runner = Runner(model, SequenceStream(x), goal=SequenceStream(2 * x), loss_fn="mse", dt=5).start()
    seen = []
    while runner.running:
        values = runner.parameters()
        seen.append(float(values["a"][0]))
        assert values["a"] == values["b"]
    runner.wait(60)
    assert len(set(seen)) > 10 and seen == sorted(seen)
    for options in ({"output": SequenceStream()}, {"events": "spikes.txt"}, {"on_nan": "pass"}):
        with pytest.raises(ParameterError, match="has no effect with a goal: the model is fitted, and nothing is written"):
            Runner(model, Numbered(5), goal=Numbered(5), **options)
    with pytest.raises(ParameterError, match="give goal= too"):
        Runner(model, Numbered(5), loss_fn="mse")
    with pytest.raises(UnknownName, match="poison"):
        Runner(model, Numbered(5), goal=Numbered(5), loss_fn="poison")


def test_a_goal_may_have_other_axes_than_the_input():
    model = neurosim.models.Sequential(neurosim.filters.TemporalLowPass(), lambda video: video.mean((1, 3, 4))[..., None])
    x = noise(60, 3, 4)
    goal = model.run(x)[0][0].detach().numpy()
    model.clear_state()
    model.set_optimizer.SGD(lr=0.0)
    assert list(Runner(model, SequenceStream(x), goal=SequenceStream(goal), dt=20).start().wait(30).losses) == [0.0] * 3


def test_max_t_is_exact():
    sink = SlowSink()
    Runner(Pass(), RandomStream(size=(2, 2)), sink, dt=30, max_t=100).start().wait(10)
    assert len(sink.kept) == 100


@pytest.mark.parametrize("options, text", [
    (dict(dt=0), "Runner.dt: must be a whole number of at least 1"),
    (dict(on_overrun="drop"), r"Runner.on_overrun: choose from \['block', 'drop_oldest'\]"),
    (dict(queue=0), "Runner.queue"),
    (dict(max_t=-1), "Runner.max_t"),
])
def test_bad_arguments(options: dict[str, Any], text: str):
    with pytest.raises(ParameterError, match=text):
        Runner(Pass(), Numbered(5), **options)


def test_a_nan_stops_it_or_passes():
    bad = noise(40, 2, 2)
    bad[33] = torch.nan
    with pytest.raises(neurosim.InputError, match="the first in frame 33"):
        Runner(Two(), SequenceStream(bad), dt=10).start().wait(10)
    assert Runner(Two(), SequenceStream(bad), dt=10, on_nan="pass").start().wait(10).frames == 40


def test_what_it_shows():
    runner = Runner(Pass(), Numbered(20), SlowSink(), dt=5)
    assert "not running, 0 frames" in repr(runner)
    runner.start().wait(10)
    assert "20 frames" in repr(runner) and "<table" in runner._repr_html_()


SCRIPTS: Sequence[tuple[str, str, int]] = [
    ("ends", "pass", 0),
    ("fails", "raise SystemExit(3)", 3),
]


@pytest.mark.parametrize("name, last, code", SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_a_program_ends_while_a_runner_runs(name: str, last: str, code: int):
    program = f"""
import neurosim, torch
class Double(neurosim.Layer):
    def forward(self, x):
        return 2 * x
neurosim.Runner(Double(), neurosim.streams.RandomStream(size=(4, 4)), dt=10).start()
{last}
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert time.monotonic() - started < 45
    assert "Traceback" not in done.stderr


def test_waiting_for_what_was_never_started_is_refused() -> None:
    with neurosim.Runner(neurosim.filters.Diff(), torch.zeros(5, 2, 2)) as runner:
        with pytest.raises(neurosim.RunnerError, match=r"Runner.wait: nothing is at work; start\(\) it first"):
            runner.wait()
        assert runner.start().wait().frames == runner.wait().frames == 5
