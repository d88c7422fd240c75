"""Models made of layers: one after another, or side by side with their outputs joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._axes import Axes, kind_of_rank
from .._errors import InputError, ParameterError, StateError
from .._output import Output
from ..layer import Layer
from ..plot._graph import chain

Part = nn.Module | Callable[[Any], Any]
Join = Literal["cat", "sum"] | Callable[[list[Tensor]], Tensor]
MODES = ("sequential", "parallel")


class _Function(Layer):
    """A function that stands among layers; it gets what came before as it is, an `Output` too."""

    def __init__(self, function: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def forward(self, x: Any) -> Any:
        """What the function makes of it."""
        return self.function(x)

    def __repr__(self) -> str:
        return f"Function({getattr(self.function, '__name__', self.function)!s})"


def as_part(part: Part, where: str) -> nn.Module:
    """A layer, a torch module without memory, or a function, as a module. Raises ParameterError."""
    if isinstance(part, nn.RNNBase | nn.RNNCellBase):
        raise ParameterError(where, "layers", f"an {type(part).__name__} keeps a state between chunks only inside "
                             f"Recurrent({type(part).__name__}(...))")
    if isinstance(part, nn.Module):
        return part
    if callable(part):
        return _Function(part)
    raise ParameterError(where, "layers", "must be layers, torch modules or functions", part)


def kind_of(part: nn.Module) -> Axes | None:
    """What a layer takes; None for modules of torch and functions, which take anything."""
    return part.axes if isinstance(part, Layer) and not isinstance(part, _Function) else None


def first(y: Any) -> Tensor:
    """The first output, as a layer would take it."""
    return y[0] if isinstance(y, Output) else y


class _Container(Layer):
    """Named layers, added one by one; axes and resolution are those of the first layer that has them."""

    def __init__(self, layers: Iterable[tuple[str, Part]], **options: Any) -> None:
        named = [(name, as_part(part, type(self).__name__)) for name, part in layers]
        if not named:
            raise ParameterError(type(self).__name__, "layers", "needs at least one layer")
        head = next((part for _, part in named if isinstance(part, Layer) and kind_of(part)), None)
        if head is not None:
            options = {"resolution": head.resolution, **{k: v for k, v in options.items() if v is not None}}
        super().__init__(**options)
        if head is not None:
            self.axes = head.axes
        for name, part in named:
            self._put(name, part)

    def _put(self, name: str, part: Part) -> None:
        if not isinstance(name, str) or not name.isidentifier() or name in self._modules or hasattr(type(self), name):
            raise ParameterError(type(self).__name__, "layers", "names must be new, Python names, and not those of the "
                                 "container's own attributes", name)
        module = as_part(part, type(self).__name__)
        self._check_layout(name, module)
        try:
            self.add_module(name, module)
        except KeyError:
            raise ParameterError(type(self).__name__, "layers", "an attribute of this name exists", name) from None

    def _check_layout(self, name: str, part: nn.Module) -> None:
        """Raises ParameterError for a layer that takes data of as many axes as another one here, in another order."""
        mine = kind_of(part)
        for other, there in self.named_children():
            theirs = kind_of(there)
            if mine and theirs and mine != theirs and len(mine.names) == len(theirs.names):
                raise ParameterError(
                    type(self).__name__, "layers", f"must take data of one layout, but {other} ({type(there).__name__}) takes "
                    f"({', '.join(theirs.names)}) and {name} ({type(part).__name__}) takes ({', '.join(mine.names)}); build "
                    "all of them with the same batch_first, and filters and neurons with axes=neurosim.SIGNAL or "
                    "neurosim.TIME_FIRST_SIGNAL to match", part)

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        """What its layers take besides the chunk; each gets what it takes."""
        return frozenset().union(*(part.takes for part in self.children() if isinstance(part, Layer)))

    @property
    def takes_unbatched(self) -> bool:  # type: ignore[override]
        """Whether all its layers do; modules of torch and functions do as those beside them."""
        layers = [part for part in self.children() if kind_of(part)]
        return bool(layers) and all(part.takes_unbatched for part in layers)

    @property
    def counts_spikes(self) -> bool:  # type: ignore[override]
        """Whether the layers whose outputs are those of the model count spikes."""
        last = [self._modules[name] for name, to in self._flow() or [] if to == ""]
        return bool(last) and all(isinstance(part, Layer) and part.counts_spikes for part in last)

    def _chain(self, x: Tensor, given: Mapping[str, Any]) -> Any:
        """Each layer on what the one before gave; an `Output` when the last one's axes are not those of the input."""
        y: Any = x
        kinds: list[Axes] = []
        for name, part in self.named_children():
            y = self._part(name, part, y, given)
            if kind := y.axes if isinstance(y, Output) else kind_of(part):
                kinds.insert(0, kind)
        if isinstance(y, Output) or y.ndim == x.ndim:
            return y
        axes = kind_of_rank(y.ndim, *kinds)
        if axes is None:
            raise InputError(f"{type(self).__name__}: the last layer must give a video or a signal (got {y.ndim}-D of shape "
                             f"{tuple(y.shape)})")
        return Output({"output": y}, axes=axes, frame=self.resolution.frame)

    def _part(self, name: str, part: nn.Module, y: Any, given: Mapping[str, Any]) -> Any:
        """One layer's output for what another gave. Raises InputError."""
        if given and not given.keys() <= self.takes:
            raise InputError(f"{type(self).__name__}: with a call may come {sorted(self.takes)} besides the chunk "
                             f"(got {sorted(given)})")
        if isinstance(part, _Function):
            return part(y)
        if not isinstance(part, Layer):
            return part(first(y))
        if first(y).ndim != len(part.axes.names):
            raise InputError(f"{type(self).__name__}.{name}: takes a {part.axes.name} ({', '.join(part.axes.names)}); put a "
                             f"function that makes one before it (got shape {tuple(first(y).shape)})")
        came = y.axes if isinstance(y, Output) else self.axes
        part.axes.check(came, f"{type(self).__name__}.{name}", "build it and what comes before it with the same batch_first")
        return part(first(y), **{name: value for name, value in given.items() if name in part.takes})

    def _fan(self, x: Tensor, join: Join, given: Mapping[str, Any]) -> Tensor:
        """Each layer on the same chunk, and their outputs joined."""
        return self._joined([first(self._part(name, part, x, given)) for name, part in self.named_children()], join)

    def _joined(self, ys: list[Tensor], join: Join) -> Tensor:
        """Outputs of layers side by side as one. Raises InputError."""
        if callable(join):
            return join(ys)
        axis = self.axes.names.index("channel") if "channel" in self.axes.names else len(self.axes.names) - 1
        ignored = axis if join == "cat" else None
        shapes = [tuple(y.shape) for y in ys]
        rest = [[n for i, n in enumerate(shape) if i != ignored] for shape in shapes]
        if any(other != rest[0] for other in rest):
            raise InputError(f"{type(self).__name__}: outputs must have one shape"
                             f"{f' but for their {self.axes.names[axis]}s' if join == 'cat' else ''} to be joined by "
                             f"{join!r} (got {', '.join(map(str, shapes))})")
        return torch.cat(ys, axis) if join == "cat" else torch.stack(ys).sum(0)

    def _chain_flow(self) -> list[tuple[str, str]]:
        return chain(list(self._modules))

    def _fan_flow(self) -> list[tuple[str, str]]:
        return [edge for name in self._modules for edge in (("", name), (name, ""))]

    def _check_join(self, join: Any) -> Join:
        if not callable(join) and join not in ("cat", "sum"):
            raise ParameterError(type(self).__name__, "join", "choose from ['cat', 'sum'] or pass a function of the list of "
                                 "outputs", join)
        return join

    def __getitem__(self, key: int | str) -> nn.Module:
        parts = dict(self.named_children())
        if isinstance(key, str) and key in parts:
            return parts[key]
        if isinstance(key, int) and -len(parts) <= key < len(parts):
            return list(parts.values())[key]
        raise ParameterError(type(self).__name__, "layers", f"choose from {list(parts)} or a number below {len(parts)}", key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(list(self.children()))


class _Numbered(_Container):
    """A container whose layers are called layer_0, layer_1, ..."""

    def __init__(self, layers: Iterable[Part], **options: Any) -> None:
        super().__init__([(f"layer_{i}", part) for i, part in enumerate(layers)], **options)

    def append(self, part: Part) -> None:
        """Adds a layer at the end; it is at rest. Raises ParameterError."""
        self._put(f"layer_{len(self)}", part)

    def extend(self, parts: Iterable[Part]) -> None:
        """Adds layers at the end, all of them or none. Raises ParameterError."""
        for part in [as_part(part, type(self).__name__) for part in parts]:
            self.append(part)

    def __iadd__(self, parts: Iterable[Part]) -> _Numbered:
        self.extend(parts)
        return self


class Sequential(_Numbered):
    """Layers one after another: each takes the first output of the one before it.

    What comes with a call besides the chunk, such as `timespans`, goes to every layer that takes it. Layers of signals must all
    have the batch first or all the time.

    Args:
        layer, layers: layers, torch modules without memory, or functions (which get an `Output` whole). They are called
            layer_0, layer_1, ...; axes and resolution are those of the first layer.
        resolution: instead of that of the first layer; only the container's, for outputs and pictures.
    Returns: what the last layer gives; where its axes are not those of the input, an `Output` that says so.
    Shape: that of the first layer's input to that of the last one's output.
    Raises: ParameterError.

    >>> import neurosim, torch
    >>> from neurosim.filters import NLRectify, TemporalLowPass
    >>> model = neurosim.models.Sequential(TemporalLowPass(tau=0.02), NLRectify(), torch.square)
    >>> model.p.layer_0.tau = 0.01
    >>> model.run(torch.rand(20, 4, 4), dt=7)[0].shape
    torch.Size([1, 1, 20, 4, 4])
    """

    def __init__(self, layer: Part, *layers: Part, resolution: Any = None) -> None:
        super().__init__([layer, *layers], resolution=resolution)

    def forward(self, x: Tensor, **given: Any) -> Any:
        """The output of the last layer."""
        return self._chain(x, given)

    def _flow(self) -> list[tuple[str, str]]:
        return self._chain_flow()


class Parallel(_Numbered):
    """Layers side by side: each takes the same chunk, and their (first) outputs are joined.

    Args:
        layer, layers: as for `Sequential`.
        join: "cat" puts the channels of videos or the features of signals after one another, "sum" adds, a function
            takes the list of outputs and gives one.
        resolution: as for `Sequential`.
    Returns: the joined output.
    Shape: what all layers take, to their outputs joined: channels of videos, features of signals, side by side with "cat".
    Raises: ParameterError, InputError for outputs that cannot be joined.

    >>> import neurosim, torch
    >>> from neurosim.filters import TemporalLowPass
    >>> model = neurosim.models.Parallel(TemporalLowPass(tau=0.01), TemporalLowPass(tau=0.1))
    >>> model.run(torch.rand(20, 4, 4), dt=7)[0].shape
    torch.Size([1, 2, 20, 4, 4])
    """

    def __init__(self, layer: Part, *layers: Part, join: Join = "cat", resolution: Any = None) -> None:
        super().__init__([layer, *layers], resolution=resolution)
        self.join = self._check_join(join)

    def forward(self, x: Tensor, **given: Any) -> Tensor:
        """The joined outputs."""
        return self._fan(x, self.join, given)

    def _flow(self) -> list[tuple[str, str]]:
        return self._fan_flow()


class Bidirectional(_Container):
    """Two layers on the same recording, one from its beginning and one from its end, and their outputs joined.

    What it gives for a frame depends on all later ones: it needs the whole recording in one call. A second chunk is
    refused, unless `clear_state()` says that it is a new recording. `advance` without a state always starts anew.

    Args:
        ahead, back: the two layers; for networks of one kind give them different seeds.
        join: as for `Parallel`; it gets both outputs in the order of the recording.
        resolution: as for `Sequential`.
    Shape: as the input; with "cat" as many channels or features as both layers give. `timespans` and `lengths` go to both
        layers, each sequence being turned at its own end.
    Raises: ParameterError, InputError, StateError for a second chunk.

    >>> import neurosim, torch
    >>> from neurosim.liquid import LTC, AutoNCP
    >>> model = neurosim.models.Bidirectional(LTC(2, AutoNCP(16, 3)), LTC(2, AutoNCP(16, 3), seed=1))
    >>> model.run(torch.rand(20, 2))[0].shape
    torch.Size([1, 20, 6])
    """

    def __init__(self, ahead: Layer, back: Layer, join: Join = "cat", resolution: Any = None) -> None:
        super().__init__([("ahead", ahead), ("back", back)], resolution=resolution)
        self.join = self._check_join(join)

    def forward(self, x: Tensor, **given: Any) -> Tensor:
        """The joined outputs."""
        if x.shape[self.axes.time] and self.get_state():
            raise StateError("Bidirectional: needs the whole recording in one call, without dt, and its layers at rest; call "
                             "clear_state() before a new recording")
        ahead, back = self.children()
        onward = first(self._part("ahead", ahead, x, given))
        turned = {name: self._turned(value, x, given) if name == "timespans" else value for name, value in given.items()}
        homeward = first(self._part("back", back, self._turned(x, x, given), turned))
        return self._joined([onward, self._turned(homeward, homeward, given)], self.join)

    def _turned(self, value: Any, x: Tensor, given: Mapping[str, Any]) -> Any:
        """Data, or the time spans that come with x, from the end of each sequence to its beginning."""
        if value is None:
            return None
        if not isinstance(value, Tensor):
            value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        if value.ndim == 0:
            return value
        batch, time = self.axes.batch, self.axes.time if value.ndim > 2 else 1 - self.axes.batch
        if value.ndim == 1:
            value = value.expand(x.shape[batch], -1).movedim(0, batch)
        if (lengths := given.get("lengths")) is None:
            return value.flip(time)
        steps = torch.arange(value.shape[time], device=x.device)
        ends = torch.as_tensor(lengths, device=x.device)[:, None]
        order = torch.where(steps < ends, ends - 1 - steps, steps)
        rows = torch.arange(value.shape[batch], device=x.device)[:, None]
        return value[rows, order] if batch == 0 else value[order.T, rows.T]

    def _flow(self) -> list[tuple[str, str]]:
        return self._fan_flow()


class List(_Numbered):
    """Layers by number, one after another or side by side.

    Args:
        layer, layers: as for `Sequential`.
        mode: "sequential" or "parallel".
        join: as for `Parallel`, in parallel mode.
        resolution: as for `Sequential`.
    Shape: as for `Sequential` or `Parallel`.
    Raises: ParameterError, InputError for outputs that cannot be joined.

    >>> import neurosim
    >>> from neurosim.filters import Delay
    >>> model = neurosim.models.List(Delay(1), Delay(2), mode="parallel", join="sum")
    >>> model += [Delay(3)]
    >>> len(model), model[2].delay
    (3, 3)
    """

    def __init__(self, layer: Part, *layers: Part, mode: str = "sequential", join: Join = "cat",
                 resolution: Any = None) -> None:
        super().__init__([layer, *layers], resolution=resolution)
        self.mode, self.join = _check_mode("List", mode), self._check_join(join)

    def forward(self, x: Tensor, **given: Any) -> Any:
        """As `Sequential` or `Parallel`."""
        return self._chain(x, given) if self.mode == "sequential" else self._fan(x, self.join, given)

    def _flow(self) -> list[tuple[str, str]]:
        return self._chain_flow() if self.mode == "sequential" else self._fan_flow()


class Dict(_Container):
    """Layers by name, one after another or side by side.

    Args:
        layers: mapping of names to layers, or pairs.
        mode: "sequential" or "parallel".
        join: as for `Parallel`, in parallel mode.
        resolution: as for `Sequential`.
    Shape: as for `Sequential` or `Parallel`.
    Raises: ParameterError, InputError for outputs that cannot be joined.

    >>> import neurosim
    >>> from neurosim.filters import NLRectify, TemporalLowPass
    >>> model = neurosim.models.Dict({"membrane": TemporalLowPass(tau=0.02), "rate": NLRectify()})
    >>> model.membrane.tau.item() == model["membrane"].tau.item()
    True
    """

    def __init__(self, layers: Mapping[str, Part] | Iterable[tuple[str, Part]], mode: str = "sequential",
                 join: Join = "cat", resolution: Any = None) -> None:
        super().__init__(layers.items() if isinstance(layers, Mapping) else layers, resolution=resolution)
        self.mode, self.join = _check_mode("Dict", mode), self._check_join(join)

    def __setitem__(self, name: str, part: Part) -> None:
        """Adds a layer under a new name. Raises ParameterError."""
        self._put(name, part)

    def forward(self, x: Tensor, **given: Any) -> Any:
        """As `Sequential` or `Parallel`."""
        return self._chain(x, given) if self.mode == "sequential" else self._fan(x, self.join, given)

    def _flow(self) -> list[tuple[str, str]]:
        return self._chain_flow() if self.mode == "sequential" else self._fan_flow()


def _check_mode(where: str, mode: str) -> str:
    if mode not in MODES:
        raise ParameterError(where, "mode", f"choose from {list(MODES)}", mode)
    return mode
