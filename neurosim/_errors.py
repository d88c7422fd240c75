"""Every error that neurosim raises on purpose.

Each derives from `NeurosimError` and from the builtin that a caller would expect, and reads
`Where.what: what is needed (what came)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 300  # letters of a value in a message: an array would hide what is said


class NeurosimError(Exception):
    """Base of all errors of this library."""


class ParameterError(NeurosimError, ValueError):
    """A parameter or an argument has a value that does not fit."""

    def __init__(self, where: str, what: str, need: str, came: object = None):
        text = repr(came)
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        super().__init__(f"{where}.{what}: {need}" + (f" (got {short})" if came is not None else ""))


class UnknownName(NeurosimError, AttributeError, KeyError):
    """A name that is looked up does not exist; the message lists the nearest ones."""

    def __init__(self, where: str, name: str, choices: Iterable[str]):
        known = list(choices)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"choose from {known}"
        super().__init__(f"{where}.{name}: unknown; {hint}")

    __str__ = Exception.__str__  # KeyError would show the repr


class InputError(NeurosimError, ValueError):
    """The data that a layer or a stream was given does not fit (rank, shape, dtype, NaN)."""


class StateError(NeurosimError, RuntimeError):
    """A state does not fit the layer or the chunk that it is used with."""


class StreamError(NeurosimError, OSError):
    """A stream or a file cannot be opened, read or written as asked."""


class ConfigError(NeurosimError, ValueError):
    """A model configuration is malformed, has an unknown key, or asks for what is not built."""


class RunnerError(NeurosimError, RuntimeError):
    """A `Runner` is used out of turn or did not stop in time."""


class MissingExtra(NeurosimError, ImportError):
    """An optional dependency is needed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str):
        super().__init__(f"{what} needs an optional dependency: pip install 'neurosim-engine[{extra}]' "
                         f"(from a checkout: pip install '.[{extra}]')")
