"""`@compiled`: numba functions that are compiled when first called, so that `import neurosim` does not import numba."""

from __future__ import annotations

import hashlib
import logging
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("neurosim")

# nnan and ninf are left out: a NaN or an infinity in the data must come out as NaN, not as garbage.
FAST = frozenset({"contract", "reassoc", "arcp", "nsz", "afn"})

VECTOR = 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32  # bytes of a register

_lock = threading.RLock()
_listening = False


class Compiled:
    """A Python function that numba compiles on its first call, for each combination of argument types.

    It may call other `Compiled` functions among its module's globals. Numba keeps machine code on disk, in the folder of the
    source or, where that is not writable, in the user's cache folder. The name under which it is kept holds a hash of the
    source files that it was made from: numba itself does not notice that a called function has changed.
    """

    def __init__(self, function: Callable[..., Any], fastmath: frozenset[str], allocates: bool = True, inline: bool = False):
        self.function: Any = function
        self.fastmath = fastmath
        self.options = {"_nrt": allocates, "forceinline": inline}
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._native: Any = None

    def __call__(self, *args: Any) -> Any:
        return (self._native or self.native)(*args)

    def callees(self) -> dict[str, Compiled]:
        """The `Compiled` functions that this one refers to, by their names in its module."""
        found = {name: self.function.__globals__.get(name) for name in self.function.__code__.co_names}
        return {name: value for name, value in found.items() if isinstance(value, Compiled)}

    def sources(self) -> set[Path]:
        """The files that the machine code is made from."""
        files = {Path(self.function.__code__.co_filename)}
        return files.union(*(callee.sources() for callee in self.callees().values()))

    @property
    def native(self) -> Any:
        """What numba makes of the function; built when first asked for."""
        with _lock:
            if self._native is None:
                self._native = self.build()
            return self._native

    def build(self) -> Any:
        """A new numba dispatcher of this function."""
        import numba

        listen_to_compiler()
        digest = hashlib.sha256(repr((sorted(self.fastmath), self.options, VECTOR)).encode())
        for path in sorted(self.sources() | {Path(__file__)}):
            digest.update(path.read_bytes())
        options: Any = {**self.options, "nogil": True, "fastmath": set(self.fastmath), "error_model": "numpy"}
        function = self.plain()
        function.__qualname__ = f"{self.function.__qualname__}_{digest.hexdigest()[:12]}"
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:  # no folder that could hold a cache
            log.warning("machine code is not kept on disk: %s", error)
            return numba.njit(**options)(function)

    def plain(self) -> types.FunctionType:
        """A copy of the Python function that refers to numba's dispatchers in place of `Compiled` objects."""
        names = {name: callee.native for name, callee in self.callees().items()}
        copy = types.FunctionType(self.function.__code__, {**self.function.__globals__, **names},
                                  self.function.__name__, self.function.__defaults__, self.function.__closure__)
        copy.__module__ = self.function.__module__
        return copy


class ByType(Compiled):
    """A function of one number with a float32 and a float64 version; compiled code calls the one of its argument's type."""

    def __init__(self, function: Callable[..., Any], single: Compiled, double: Compiled):
        super().__init__(function, frozenset())
        self.versions = {"float32": single, "float64": double}

    def sources(self) -> set[Path]:
        return set().union(*(version.sources() for version in self.versions.values()))

    def build(self) -> Any:
        from numba.extending import overload

        stub = self.plain()
        calls = {name: _call(version.native) for name, version in self.versions.items()}
        overload(stub)(lambda x: calls.get(str(x)))  # a lambda: numba wants the same signature here and there
        return stub

    def __call__(self, *args: Any) -> Any:
        return self.versions[str(args[0].dtype)](*args)


def _call(native: Any) -> Any:
    return lambda x: native(x)


def compiled(function: Callable[..., Any] | None = None, *, fastmath: frozenset[str] = FAST,
             allocates: bool = True, inline: bool = False) -> Any:
    """Decorator: `function` compiled by numba when it is first called, without the interpreter lock.

    Args:
        function: written in the part of Python and numpy that numba knows; gets numpy arrays and numbers.
        fastmath: LLVM's flags; give `frozenset()` or `frozenset({"contract"})` where the order of operations matters.
        allocates: False for what is called in inner loops and makes no array, no slice, nothing that is counted: counting
            the references to its arguments would take longer than a short loop.
        inline: True puts its code where it is called: a call with a dozen arrays takes as long as a short loop.
    Returns: a `Compiled` function.
    """
    if function is None:
        return lambda f: Compiled(f, fastmath, allocates, inline)
    return Compiled(function, fastmath, allocates, inline)


def listen_to_compiler() -> None:
    """Logs each function of neurosim that numba really compiles (one found on disk is not compiled)."""
    global _listening
    if _listening:
        return
    from numba.core import event

    class Announce(event.Listener):
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if str(function.__module__).startswith("neurosim") and function.__name__ != "<lambda>":
                log.info("compiling %s.%s, once for this machine", function.__module__, function.__name__)

        def on_end(self, event: Any) -> None:
            """Nothing to do: only the start is announced."""

    event.register("numba:compile", Announce())
    _listening = True
