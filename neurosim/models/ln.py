"""Linear-nonlinear models: a convolution or receptive field, a nonlinearity, and cascades of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .._errors import ParameterError
from ..filters import RF as ReceptiveField
from ..filters import Conv1d, Conv3d, NLRectify, VariableDelay
from ..layer import Layer
from ..plot._graph import chain
from ..streams.base import whole
from .containers import Part, as_part

KernelDim = tuple[int, ...]


def linear(where: str, kernel_dim: KernelDim, bias: bool, population: bool, in_channels: int | None = None,
           **options: Any) -> Any:
    """The linear stage of a model.

    Args:
        where: the model, for messages.
        kernel_dim: (time, y, x), or (out, in, time, y, x).
        population: a convolution when True, a receptive field with one value per channel when False.
        in_channels: what the stage before gives, instead of `in`.
    Raises: ParameterError.
    """
    if len(kernel_dim) not in (3, 5):
        raise ParameterError(where, "kernel_dim", "must be (time, y, x) or (out, in, time, y, x)", kernel_dim)
    channels, size = (kernel_dim[:2], kernel_dim[2:]) if len(kernel_dim) == 5 else ((1, 1), kernel_dim)
    kind = Conv3d if population else ReceptiveField
    return kind(channels[1] if in_channels is None else in_channels, channels[0], size, bias=bias, **options)


class _Model(Layer):
    """What the models share: a nonlinearity may be replaced by any layer, torch module or function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_modules", {}) and not isinstance(value, nn.Module):
            value = as_part(value, type(self).__name__)
        super().__setattr__(name, value)


    def _flow(self) -> list[tuple[str, str]]:
        return chain(list(self._modules))


class L(_Model):
    """Linear model: a causal convolution over time and space, `conv`.

    Args:
        kernel_dim: (time, y, x), or (out, in, time, y, x) for several channels; the kernel starts at zero and is set by
            `conv.set_weight`, which takes kernels of any size.
        bias: whether a bias is added to each output channel.
        population: True gives a value at every pixel, False one per channel, by a receptive field as large as the frame.
    Shape: video (batch, in, time, y, x) to (batch, out, time, y, x), or (batch, out, time, 1, 1).
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> model = neurosim.models.L()
    >>> model.conv.set_weight(np.ones((5, 3, 3)), normalize=True)
    >>> model.run(np.random.default_rng(0).normal(size=(20, 8, 8)), dt=6)[0].shape
    torch.Size([1, 1, 20, 8, 8])
    """

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, population: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.conv = linear(type(self).__name__, kernel_dim, bias, population, **{**options, "resolution": self.resolution})

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return self.conv(x)


class RF(_Model):
    """Receptive field: `L` with `population=False`; its `conv` is a `filters.RF`.

    Args:
        kernel_dim, bias: as for `L`.
    Shape: video (batch, in, time, y, x) to (batch, out, time, 1, 1).
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> model = neurosim.models.RF()
    >>> model.conv.set_weight(np.ones((5, 8, 8)), normalize=True)
    >>> model.run(np.ones((20, 8, 8)))[0].shape
    torch.Size([1, 1, 20, 1, 1])
    """

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.conv = linear("RF", kernel_dim, bias, False, **{**options, "resolution": self.resolution})

    def forward(self, x: Tensor) -> Tensor:
        """The receptive field's output."""
        return self.conv(x)


class LN(_Model):
    """Linear-nonlinear model: y = nonlinearity(conv(x)), the nonlinearity a rectification unless replaced.

    Args:
        kernel_dim, bias, population: as for `L`.
    Shape: as for `L`.
    Raises: ParameterError, InputError, StateError.
    Reference: Chichilnisky, Network: Comput Neural Syst 12:199 (2001).

    >>> import neurosim, numpy as np, torch
    >>> model = neurosim.models.LN()
    >>> model.conv.set_weight(np.ones((5, 3, 3)), normalize=True)
    >>> model.conv.weight.shape
    torch.Size([1, 1, 5, 3, 3])
    >>> model.nonlinearity = torch.tanh
    """

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, population: bool = True, **options: Any) -> None:
        super().__init__(**options)
        options["resolution"] = self.resolution
        self.conv = linear(type(self).__name__, kernel_dim, bias, population, **options)
        self.nonlinearity = NLRectify(**options)

    def forward(self, x: Tensor) -> Tensor:
        """The nonlinearity of the convolution."""
        return self.nonlinearity(self.conv(x))


class RFN(LN):
    """Receptive field and nonlinearity: `LN` with `population=False`.

    Args:
        kernel_dim, bias: as for `L`.
    Shape: video (batch, in, time, y, x) to (batch, out, time, 1, 1).
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> neurosim.models.RFN((5, 8, 8)).run(np.ones((20, 8, 8)))[0].shape
    torch.Size([1, 1, 20, 1, 1])
    """

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, **options: Any) -> None:
        super().__init__(kernel_dim, bias, False, **options)


class _Stages(_Model):
    """A fixed number of linear-nonlinear stages, `conv1`, `nonlinearity1`, `conv2`, ..."""

    stages = 2

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, population: bool = True, **options: Any) -> None:
        super().__init__(**options)
        options["resolution"] = self.resolution
        out = kernel_dim[0] if len(kernel_dim) == 5 else 1
        for i in range(1, self.stages + 1):
            last = i == self.stages
            setattr(self, f"conv{i}", linear(type(self).__name__, kernel_dim, bias, population or not last,
                                             None if i == 1 else out, **options))
            setattr(self, f"nonlinearity{i}", NLRectify(**options))

    def forward(self, x: Tensor) -> Tensor:
        """Stage after stage."""
        for i in range(1, self.stages + 1):
            x = getattr(self, f"nonlinearity{i}")(getattr(self, f"conv{i}")(x))
        return x


class LNLN(_Stages):
    """Two linear-nonlinear stages: `conv1`, `nonlinearity1`, `conv2`, `nonlinearity2`.

    Args:
        kernel_dim: of every stage, as for `L`; with several channels, those after the first take as many as they give.
        bias: as for `L`.
        population: False makes the last stage a receptive field.
    Shape: as for `L`.
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim
    >>> neurosim.models.LNLN((4, 2, 6, 3, 3)).conv2.weight.shape
    torch.Size([4, 4, 6, 3, 3])
    """


class LNLNLN(_Stages):
    """Three linear-nonlinear stages, `conv1` to `conv3`; arguments, shape and errors as for `LNLN`.

    >>> import neurosim
    >>> neurosim.models.LNLNLN().m.keys()
    ['conv1', 'nonlinearity1', 'conv2', 'nonlinearity2', 'conv3', 'nonlinearity3']
    """

    stages = 3


class LNLNLNLN(_Stages):
    """Four linear-nonlinear stages, `conv1` to `conv4`; arguments, shape and errors as for `LNLN`.

    >>> import neurosim
    >>> len(neurosim.models.LNLNLNLN().m.keys())
    8
    """

    stages = 4


class LNCascade(_Model):
    """As many linear-nonlinear stages as are added: `linearities[i]`, then `nonlinearities[i]`.

    Args:
        n: stages to start with; without any, the model passes its input on.
        kernel_dim, bias: of these stages and, unless told otherwise, of those added later; as for `LNLN`.
        autopad: whether borders are replicated so that frames keep their size.
        nonlinearity: makes the nonlinearity of each stage, `NLRectify` when not given: a class or a function without
            arguments.
    Shape: video (batch, in, time, y, x) to (batch, out, time, y, x).
    Raises: ParameterError, InputError, StateError.

    >>> import neurosim, numpy as np
    >>> model = neurosim.models.LNCascade()
    >>> model.add_layer(neurosim.filters.Conv3d(kernel_size=(3, 3, 3)))
    >>> model.add_layer(nonlinear=neurosim.filters.NLRectifySquare())
    >>> model.linearities[1].set_weight(np.ones(4))
    >>> len(model.nonlinearities)
    2
    """

    def __init__(self, n: int = 0, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, autopad: bool = True,
                 nonlinearity: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self._options = {**options, "resolution": self.resolution}
        self.kernel_dim, self.bias, self.autopad = kernel_dim, bias, autopad
        if nonlinearity is not None and not callable(nonlinearity):
            raise ParameterError("LNCascade", "nonlinearity", "must be a class or a function that makes one", nonlinearity)
        self.nonlinearity = nonlinearity
        self.linearities, self.nonlinearities = nn.ModuleList(), nn.ModuleList()
        for _ in range(whole("LNCascade", "n", n)):
            self.add_layer()

    def add_layer(self, linear: Part | None = None, nonlinear: Part | None = None) -> None:
        """Adds a stage at the end: `linear`, then `nonlinear`; layers, torch modules or functions, or the model's own kind.

        Raises: ParameterError; the model is then what it was.
        """
        given = as_part(self._linear() if linear is None else linear, "LNCascade")
        bent = as_part((self.nonlinearity or (lambda: NLRectify(**self._options)))() if nonlinear is None else nonlinear,
                       "LNCascade")
        self.linearities.append(given)
        self.nonlinearities.append(bent)

    def _linear(self) -> Layer:
        channels = None
        if len(self.linearities):
            last = self.linearities[-1]
            channels = getattr(last, "out_channels", None)
        return linear("LNCascade", self.kernel_dim, self.bias, True, channels, autopad=self.autopad, **self._options)

    def forward(self, x: Tensor) -> Tensor:
        """Stage after stage."""
        for one, other in zip(self.linearities, self.nonlinearities, strict=True):
            x = other(one(x))
        return x

    def _flow(self) -> list[tuple[str, str]]:
        names = [f"{stage}.{i}" for i in range(len(self.linearities)) for stage in ("linearities", "nonlinearities")]
        return chain(names)


class LNFDLNF(_Model):
    """Two linear-nonlinear stages, each less a temporal average of itself, with a delay between them.

    r1 = rectify(conv1 x), u = r1 - feedback1 r1, r2 = rectify(conv2 delay u), y = r2 - feedback2 r2.

    Args:
        kernel_dim, bias, population: as for `LNLN`.
        feedback_length: frames of the two temporal kernels `feedback1` and `feedback2`, the present one included; they
            start at zero and are used for every channel by itself.
    Shape: as for `L`. `delay` starts with one frame for all pixels.
    Raises: ParameterError, InputError, StateError.
    Reference: convis, `LNFDLNF`.

    >>> import neurosim, numpy as np
    >>> model = neurosim.models.LNFDLNF(feedback_length=10)
    >>> model.feedback1.exponential(0.01)
    >>> model.delay.set_delays(np.arange(64).reshape(8, 8) // 16)
    """

    def __init__(self, kernel_dim: KernelDim = (1, 1, 1), bias: bool = False, feedback_length: int = 50,
                 population: bool = True, **options: Any) -> None:
        super().__init__(**options)
        whole("LNFDLNF", "feedback_length", feedback_length, 1)
        options["resolution"] = self.resolution
        out = kernel_dim[0] if len(kernel_dim) == 5 else 1
        self.conv1 = linear("LNFDLNF", kernel_dim, bias, True, **options)
        self.nonlinearity1 = NLRectify(**options)
        self.feedback1 = Conv1d(1, 1, feedback_length, bias=False, **options)
        self.delay = VariableDelay(**options)
        self.conv2 = linear("LNFDLNF", kernel_dim, bias, population, out, **options)
        self.nonlinearity2 = NLRectify(**options)
        self.feedback2 = Conv1d(1, 1, feedback_length, bias=False, **options)

    def forward(self, x: Tensor) -> Tensor:
        """Both stages."""
        r = self.nonlinearity1(self.conv1(x))
        r = self.nonlinearity2(self.conv2(self.delay(r - _by_channel(self.feedback1, r))))
        return r - _by_channel(self.feedback2, r)

    def _flow(self) -> list[tuple[str, str]]:
        return [("", "conv1"), ("conv1", "nonlinearity1"), ("nonlinearity1", "feedback1"), ("nonlinearity1", "delay"),
                ("feedback1", "delay"), ("delay", "conv2"), ("conv2", "nonlinearity2"), ("nonlinearity2", "feedback2"),
                ("nonlinearity2", ""), ("feedback2", "")]


def _by_channel(filter: Conv1d, x: Tensor) -> Tensor:
    """One filter for every channel by itself."""
    return filter(x.flatten(0, 1)[:, None])[:, 0].unflatten(0, x.shape[:2])
