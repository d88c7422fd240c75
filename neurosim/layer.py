"""Layer: the base of every model; a torch module that runs in chunks and carries its state from one to the next."""

from __future__ import annotations

import html
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from . import _defaults
from ._axes import VIDEO, Axes, OnNaN, check_on_nan, refuse_nan, to_tensor
from ._drive import Feed, progress_bar
from ._errors import InputError, ParameterError
from ._output import Events, Output, as_output
from ._param import Constant, Param, Parameter, as_number, declared
from ._record import Recorder
from ._stacks import Remembering
from ._state import StateDict, mapped
from ._tree import Modules, Parameters, Shown, Tree, UserParameters
from ._units import Resolution
from .kernels._op import is_batched
from .optim import Fitting

REMEMBERED = frozenset({"state", "_left_by", "_taps"})  # set in every call: never a parameter, buffer or module


class _Inside(threading.local):
    """Whether this thread is inside a layer's call: only the outermost one is the door."""

    active = False


_inside = _Inside()


class Layer(Fitting, Remembering):
    """Base of all models: what a subclass adds is `forward(x)`.

    A layer with memory derives from `ChunkLayer` or `FrameLayer` instead; one composed of layers just calls them.

    Args:
        resolution: seconds per frame and pixels per degree; the default one, as it is now, when not given.
        dtype, device: of the parameters, as in torch.
        values: initial values of the declared parameters, by name.
    Shape: of the data that `axes` names, VIDEO (batch, channel, time, y, x), SIGNAL (batch, time, feature) or
        TIME_FIRST_SIGNAL (time, batch, feature).
    Raises: ParameterError for an unknown parameter or a value out of range.

    Attributes:
        p, s, m: parameters, state and sub-layers as trees.
        takes: names of what may come with a call besides the chunk, such as the time spans of a liquid network.
        counts_spikes: whether the outputs are numbers of spikes in each frame, so that `Output.spikes` tells them.
        takes_unbatched: whether a call with an array without a batch gives an output without one, as torch's recurrent
            networks do; else it is promoted to a batch of one.
        state: what this layer alone remembers, a NamedTuple of tensors, or None at rest.
        on_nan: "raise" refuses NaN and infinite input at the door, "pass" lets it through.

    >>> import neurosim, torch
    >>> class Contrast(neurosim.Layer):
    ...     mean = neurosim.Param(100.0, above=0.0, doc="luminance of no contrast")
    ...     signals = {"deviation": "luminance less the mean"}
    ...     def forward(self, x):
    ...         if self.wants("deviation"):
    ...             self.emit("deviation", x - self.mean)
    ...         return x / self.mean - 1
    >>> out = Contrast(mean=50.0).run(torch.full((4, 1, 1), 75.0), dt=3, record=["deviation"])
    >>> out[0].unique(), out["deviation"].unique()
    (tensor([0.5000]), tensor([25.]))
    >>> neurosim.filters.Conv1d().user_parameters.keys()  # weight and bias are fitted
    []
    """

    axes: Axes = VIDEO
    signals: ClassVar[Mapping[str, str]] = {}
    on_nan: OnNaN = "raise"
    takes: frozenset[str] = frozenset()
    counts_spikes: bool = False
    takes_unbatched: bool = False

    def __init__(self, *, resolution: Resolution | None = None, dtype: torch.dtype | None = None,
                 device: torch.device | str | None = None, **values: Any) -> None:
        super().__init__()
        where = type(self).__name__
        if resolution is not None and not isinstance(resolution, Resolution):
            raise ParameterError(where, "resolution", "must be a Resolution(frame=<s>, pixels_per_degree=<n>)", resolution)
        if dtype is not None and not dtype.is_floating_point:
            raise ParameterError(where, "dtype", "must be a real floating type", dtype)
        self.resolution = resolution or _defaults.resolution.current
        self.state = None
        self._left_by = None
        self.optimizer = None
        self._taps: dict[str, Any] | None = None
        self._stacks = {}
        self._stored = {}
        known = declared(type(self))
        for name, value in values.items():
            if name not in known:
                raise ParameterError(type(self).__name__, name, f"unknown; choose from {list(known)}", value)
        if not known and (dtype or device) is not None:  # nothing else would say what it computes in
            self.register_buffer("_like", torch.empty(0, dtype=dtype, device=device), persistent=False)
        for name, spec in known.items():
            if (value := values.get(name, spec.default)) is not None:
                self._add(spec, value, dtype, device)

    def _add(self, spec: Param, value: Any, dtype: torch.dtype | None = None,
             device: torch.device | str | None = None) -> None:
        """Registers the value of a declared parameter."""
        made = spec.make(type(self).__name__, value, requires_grad=_defaults.grad_enabled, dtype=dtype, device=device)
        if spec.fit:
            self.register_parameter(spec.name, made)  # type: ignore[arg-type]
        else:
            self.register_buffer(spec.name, made)

    # ---- one chunk ------------------------------------------------------------------------------------------------
    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The output for one chunk; the state is carried on to the next call.

        Args:
            x: numpy array or tensor, with all axes or promotable (a 3-D array is a video (time, y, x)). A layer that
                takes `lengths` gives a torch `PackedSequence` for one, one that is `takes_unbatched` an output without a batch
                for an input without one.
            args, kwargs: what this kind of layer takes besides, see `takes`.
        Returns: tensor, or `Output` when the layer has several outputs.
        Raises: InputError, StateError; the state is then what it was before.
        """
        if isinstance(x, PackedSequence):
            padded, kwargs = self._unpacked(x, kwargs)
            return self._packed_again(self(padded, *args, **kwargs), x, kwargs["lengths"])
        if _inside.active:
            y = super().__call__(x, *args, **kwargs)
            self._tap("output", y)
            return y
        if torch.compiler.is_compiling():  # data cannot be looked at, and nothing can be caught
            y = self._within(self.axes.promote(x, type(self).__name__), *args, **kwargs)
            if torch.is_grad_enabled():
                self.detach_state()
            return self._batched_as(x, y)
        return self._batched_as(x, self._outermost(self._door(x), *args, **kwargs))

    def _outermost(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Calls the module with the state left as it was when anything goes wrong, and cut off the graph after."""
        before = self._snapshot()
        try:
            y = self._within(x, *args, **kwargs)
        except BaseException:
            self._restore(before)
            raise
        if torch.is_grad_enabled():
            self._detach(layer for layer, _, _ in before)  # gradients go through one call; advance() carries them further
        return y

    def _within(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Calls the module; the layers inside know that this is the door."""
        outside, _inside.active = _inside.active, True
        try:
            y = super().__call__(x, *args, **kwargs)
            self._tap("output", y)
            return y
        finally:
            _inside.active = outside

    def _place(self) -> tuple[torch.dtype | None, torch.device | None]:
        for values in (self._parameters.values(), self.parameters(), self.buffers()):  # own ones first: they are at hand
            for x in values:
                if x is not None and x.is_floating_point():
                    return x.dtype, x.device
        return None, None

    def _door(self, x: Any, on_nan: OnNaN | None = None, first_frame: int = 0) -> Tensor:
        """What came as a tensor that fits this layer. Raises InputError."""
        where = type(self).__name__
        if isinstance(x, Output):
            x = x.first_for(self.axes, where)
        dtype, device = self._place()
        if not isinstance(x, Tensor):
            dtype = dtype or torch.get_default_dtype()
        elif dtype is None:
            dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        x = to_tensor(x, dtype, device, where)
        x = self.axes.promote(x, where)
        check_on_nan(on_nan or self.on_nan, where)
        # A look at the numbers would be in a trace; vmap does not give any.
        if (on_nan or self.on_nan) == "raise" and not torch.jit.is_tracing() and not is_batched(x):
            refuse_nan(x, self.axes, where, first_frame)
        return x

    def _flow(self) -> list[tuple[str, str]] | None:
        """How data goes between sub-layers, for pictures: pairs of their names, "" being input and output; None: not told."""
        return None

    @abstractmethod
    def forward(self, x: Tensor) -> Any:
        """The output for a chunk that has passed the door; filled in by each layer."""

    def _unpacked(self, x: PackedSequence, given: Mapping[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The sequences padded, and what came with them, their lengths included. Raises InputError."""
        where = type(self).__name__
        if "lengths" not in self.takes:
            raise InputError(f"{where}: takes no PackedSequence, sequences of different length mean nothing to it")
        if given.get("lengths") is not None:
            raise InputError(f"{where}.lengths: a PackedSequence has its own (got {given['lengths']!r})")
        padded, lengths = pad_packed_sequence(x, batch_first=self.axes.batch == 0)
        return padded, {**given, "lengths": lengths}

    def _packed_again(self, y: Any, like: PackedSequence, lengths: Tensor) -> PackedSequence:
        """Outputs as the PackedSequence that the input was."""
        return pack_padded_sequence(y[0] if isinstance(y, Output) else y, lengths, batch_first=self.axes.batch == 0,
                                    enforce_sorted=like.sorted_indices is None)

    def _batched_as(self, x: Any, y: Any) -> Any:
        """The output `y` for `x`: without a batch when that had none and the layer takes such data."""
        came, rank = x.ndim if isinstance(x, Tensor) else np.ndim(x), len(self.axes.names)
        if came == rank - 1 and isinstance(y, Tensor) and y.ndim == rank and self.takes_unbatched:
            return y.squeeze(self.axes.batch)
        return y

    def advance(self, x: Any, state: Mapping[str, Tensor] | None = None, **given: Any) -> tuple[Any, StateDict]:
        """The output for one chunk and the state after it, without side effects; gradients go through the state.

        Args:
            x: one chunk, as for calling the layer; the state has a batch, of one, also when that has none.
            state: as `advance` or `get_state` gave it; None is at rest.
            given: what this kind of layer takes besides, by name, see `takes`.
        Returns: output, next state as `{"path.field": tensor}`.
        Raises: InputError, StateError.
        """
        if isinstance(x, PackedSequence):
            padded, given = self._unpacked(x, given)
            y, after = self.advance(padded, state, **given)
            return self._packed_again(y, x, given["lengths"]), after
        whole = self.axes.promote(x, type(self).__name__) if torch.compiler.is_compiling() else self._door(x)
        before = self._snapshot()
        try:
            self._install(state)
            return self._batched_as(x, self._within(whole, **given)), self._state_now()
        finally:
            self._restore(before)

    # ---- many chunks ----------------------------------------------------------------------------------------------
    def run(self, input: Any, dt: int | None = None, *, max_t: int | None = None, detach: bool = True,
            progress: bool = False, record: Sequence[str] = (), on_nan: OnNaN | None = None) -> Output:
        """Runs over a finite input, `dt` frames at a time, and gives all outputs.

        Args:
            input: array, tensor, `Output`, source stream, or path of a file that a source reads.
            dt: frames per chunk; None for one chunk.
            max_t: at most so many frames; needed when the source has no end.
            detach: False keeps the graph over all chunks of this run, for gradients.
            progress: shows a bar with frames/s and the factor to real time.
            record: paths of sub-layers or of their documented signals to give as well.
            on_nan: "raise" or "pass", instead of the layer's own `on_nan`.
        Returns: `Output`. Tensors carry no graph unless `detach=False`.
        Raises: InputError, ParameterError, StateError, StreamError, UnknownName; the state is then as before.
        """
        before = self._snapshot()
        try:
            out = Output.joined(list(self._chunks(Feed(input, self.axes, dt, max_t, f"{type(self).__name__}.run",
                                                       frame=self.resolution.frame),
                                                  detach, progress, record, on_nan)))
        except BaseException:
            self._restore(before)
            raise
        if not detach:
            self.detach_state()  # as after a call: the next run has a graph of its own
        return out

    def stream(self, input: Any, dt: int, *, max_t: int | None = None, detach: bool = True, progress: bool = False,
               record: Sequence[str] = (), on_nan: OnNaN | None = None) -> Iterator[Output]:
        """Runs over an input that may have no end: an iterator over the outputs of its chunks.

        Args:
            input, max_t, detach, progress, record, on_nan: as for `run`.
            dt: frames per chunk.
        Raises: as `run`. A chunk that fails leaves the state of the chunk before it.
        """
        feed = Feed(input, self.axes, dt, max_t, f"{type(self).__name__}.stream", endless=True,
                    frame=self.resolution.frame)
        return self._chunks(feed, detach, progress, record, on_nan)

    def _chunks(self, feed: Feed, detach: bool, progress: bool, record: Sequence[str],
                on_nan: OnNaN | None) -> Iterator[Output]:
        check_on_nan(on_nan or self.on_nan, type(self).__name__)
        recorder = Recorder(self, record)
        with progress_bar(feed.total, self.resolution.frame) if progress else nullcontext() as bar:
            try:
                start = 0
                for chunk in feed:
                    y = self._chunk_output(chunk, recorder, start, detach, on_nan, feed.origin)
                    frames = chunk.shape[self.axes.time]
                    start += frames
                    if bar is not None:
                        bar(frames)
                    yield y
            finally:
                feed.close()

    def _chunk_output(self, chunk: Any, recorder: Recorder, start: int, detach: bool, on_nan: OnNaN | None,
                      origin: float = 0.0) -> Output:
        x = self._door(chunk, on_nan, start)
        with torch.no_grad() if detach else nullcontext(), recorder:
            before = self._snapshot()
            try:
                y = self._within(x)
            except BaseException:
                self._restore(before)
                raise
            values, axes, events = recorder.take()
        out = as_output(y, self.axes, self.resolution.frame)
        return out.with_records(values, events, start, origin, self.counts_spikes, axes)

    # ---- inner signals --------------------------------------------------------------------------------------------
    def emit(self, name: str, value: Tensor | Events) -> None:
        """Offers `value`, the inner signal `name` that is declared in `signals`, to whoever records it."""
        assert name in self.signals, f"{type(self).__name__} does not document a signal {name!r}"
        self._tap(name, value)

    def wants(self, name: str) -> bool:
        """Whether the signal `name` is being recorded: one that costs something need only be computed then."""
        return self._taps is not None and name in self._taps

    def _tap(self, name: str, value: Any) -> None:
        if self._taps is not None and name in self._taps:
            self._taps[name] = value

    # ---- parameters -----------------------------------------------------------------------------------------------
    p = Shown(lambda layer: Tree(layer, Parameters()), "The parameters of this layer and those below it, as a tree.")
    m = Shown(lambda layer: Tree(layer, Modules()), "The sub-layers, as a tree.")
    user_parameters = Shown(lambda layer: Tree(layer, UserParameters()),
                            "The parameters that are meant to be set by a person, as a tree.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in REMEMBERED:
            object.__setattr__(self, name, value)
            return
        spec = declared(type(self)).get(name)
        if spec is None or parametrize.is_parametrized(self, name):
            super().__setattr__(name, value)
        elif isinstance(value, nn.Parameter) and spec.fit:
            data = as_number(type(self).__name__, name, value.data, value.dtype, value.device)
            spec.check(type(self).__name__, data)
            self.register_parameter(name, Parameter(data, value.requires_grad, spec, type(self).__name__))
        else:
            spec.__set__(self, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Layer:
        super()._apply(fn, recurse)
        for name, spec in declared(type(self)).items():
            if not spec.fit and name in self._buffers:  # torch has put a plain tensor in its place
                data = self._buffers[name]
                assert data is not None
                self._buffers[name] = Constant(data.detach(), False, spec, type(self).__name__)
        self.state, self._left_by = mapped(self.state, fn), None
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["state"] = mapped(self.state, torch.Tensor.detach)  # a graph can be neither copied nor saved
        state["_taps"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(self.optimizer, torch.optim.LBFGS) and not hasattr(self.optimizer, "_params"):
            self.optimizer._params = self.optimizer.param_groups[0]["params"]  # torch forgets them in a copy
            self.optimizer._numel_cache = None

    # ---- what a person sees ---------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        inner = "".join(f"\n  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children())
        values = [f"{name}={self.p._view.row(self, name)[0]}" for name in self.p._view.names(self)]
        told = ", ".join(filter(None, [self.extra_repr(), *values]))
        return f"{type(self).__name__}({told}{inner}{chr(10) if inner else ''})"

    def _repr_html_(self) -> str:
        doc = html.escape((type(self).__doc__ or "").strip().partition("\n")[0])
        return (f"<details open><summary><b>{html.escape(type(self).__name__)}</b> {doc}</summary>"
                f"{self.p._repr_html_()}{self.s._repr_html_()}</details>")

    def plot_impulse(self, shape: tuple[int, ...] = (500, 10, 10), dt: int | None = None, *, amplitude: float = 1.0,
                     output: int | str = 0) -> Any:
        """Time course of the response to a one-frame impulse in the middle of an empty input, from rest.

        Args:
            shape: of the input, (time, y, x) for videos, (time, feature) for signals.
            dt: frames per chunk.
            amplitude: of the impulse, in the unit of the input.
            output: which one, by number or name.
        Returns: the figure. State and parameters are untouched.
        Raises: as `run`.
        """
        from .plot import impulse
        return impulse(self, shape, dt, amplitude=amplitude, output=output)

    def plot_impulse_space(self, shape: tuple[int, ...] = (50, 20, 20), dt: int | None = None, *, amplitude: float = 1.0,
                           output: int | str = 0) -> Any:
        """The same response in space, at the frame where it is largest; `shape`, `dt`,
        `amplitude` and `output` as for `plot_impulse`."""
        from .plot import impulse_space
        return impulse_space(self, shape, dt, amplitude=amplitude, output=output)
