"""Every error that neurosim raises on purpose.

Each derives from `NeurosimError` and from the builtin that a caller would expect, and reads
`Where.what: what is needed (what came)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 300  # letters of a value in a message: an array would hide what is said


class NeurosimError(Exception):
    """Base of all errors of this library; each is also the builtin error that a caller would expect.

    >>> import neurosim
    >>> try:
    ...     neurosim.filters.TemporalLowPass(tau=-1.0)
    ... except neurosim.NeurosimError as error:
    ...     print(type(error).__name__, isinstance(error, ValueError))
    ParameterError True
    """


class ParameterError(NeurosimError, ValueError):
    """A parameter or an argument has a value that does not fit.

    Args:
        where: the class or function.
        what: its parameter or argument.
        need: what is needed.
        came: what came, unless there is nothing to show.

    >>> print(ParameterError("LowPass", "tau", "must lie in (0, inf) s", -1.0))
    LowPass.tau: must lie in (0, inf) s (got -1.0)
    """

    def __init__(self, where: str, what: str, need: str, came: object = None):
        text = repr(came)
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        super().__init__(f"{where}.{what}: {need}" + (f" (got {short})" if came is not None else ""))


class UnknownName(NeurosimError, AttributeError, KeyError):
    """A name that is looked up does not exist; the message lists the nearest ones.

    Args:
        where: in what it was looked up.
        name: that was asked for.
        choices: names that there are.

    >>> print(UnknownName("LowPass", "tua", ["tau", "gain"]))
    LowPass.tua: unknown; did you mean 'tau'?
    """

    def __init__(self, where: str, name: str, choices: Iterable[str]):
        known = list(choices)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"choose from {known}"
        super().__init__(f"{where}.{name}: unknown; {hint}")

    __str__ = Exception.__str__  # KeyError would show the repr


class InputError(NeurosimError, ValueError):
    """The data that a layer or a stream was given does not fit (rank, shape, dtype, NaN).

    >>> import neurosim
    >>> neurosim.filters.Delay(1, neurosim.SIGNAL).run([1.0, float("nan")])
    Traceback (most recent call last):
        ...
    neurosim._errors.InputError: Delay: the input holds 1 values that are NaN or infinite, the first in frame 1; clean ...
    """


class StateError(NeurosimError, RuntimeError):
    """A state does not fit the layer or the chunk that it is used with.

    >>> import neurosim, torch
    >>> layer = neurosim.filters.TemporalLowPass()
    >>> y = layer(torch.ones(5, 4, 4))
    >>> layer(torch.ones(5, 3, 3))
    Traceback (most recent call last):
        ...
    neurosim._errors.StateError: TemporalLowPass: the state was left by frames of shape (1, 1, 4, 4) ...
    """


class StreamError(NeurosimError, OSError):
    """A stream or a file cannot be opened, read or written as asked.

    >>> import neurosim
    >>> neurosim.streams.open_stream("no-such-file.npy")
    Traceback (most recent call last):
        ...
    neurosim._errors.StreamError: ...
    """


class ConfigError(NeurosimError, ValueError):
    """A model configuration is malformed, has an unknown key, or asks for what is not built.

    >>> import neurosim
    >>> neurosim.retina.Retina.from_dict({"outer": {}})
    Traceback (most recent call last):
        ...
    neurosim._errors.ConfigError: ...
    """


class RunnerError(NeurosimError, RuntimeError):
    """A `Runner` is used out of turn or did not stop in time.

    >>> import neurosim
    >>> endless = neurosim.streams.RandomStream((4, 4))
    >>> with neurosim.Runner(neurosim.filters.Diff(), endless, neurosim.streams.Statistics()) as runner:
    ...     runner.start().wait(timeout=0.01)
    Traceback (most recent call last):
        ...
    neurosim._errors.RunnerError: Runner: did not end within 0.01 s; still at work: ...
    """


class MissingExtra(NeurosimError, ImportError):
    """An optional dependency is needed; the message names the extra that brings it.

    Args:
        what: what needs it.
        extra: name of the extra.

    >>> print(MissingExtra("NWBWriter", "nwb"))
    NWBWriter needs an optional dependency: pip install 'neurosim-engine[nwb]' (from a checkout: pip install '.[nwb]')
    """

    def __init__(self, what: str, extra: str):
        super().__init__(f"{what} needs an optional dependency: pip install 'neurosim-engine[{extra}]' "
                         f"(from a checkout: pip install '.[{extra}]')")
