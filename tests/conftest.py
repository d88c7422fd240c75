"""What holds for every test: no window, no network, repeatable examples, nothing left behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib

import pytest
import torch
from hypothesis import settings

# The machine may be busy: no deadline. In CI the same examples every time, so that a failure is the change's own.
settings.register_profile("neurosim", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("neurosim")

torch.set_num_threads(1)  # operations are small here: threads that wait for each other cost more than they gain


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuses every connection that would leave this machine."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"  # a path: a Unix socket
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(f"tests must not use the network (tried {address})")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local_only)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fails the test that changes a setting for those after it, or leaves a thread of ours running."""
    settings_before, threads_before = _global_settings(), set(threading.enumerate())
    yield
    assert _global_settings() == settings_before, "the test changed a global setting; use monkeypatch or a context"
    left = [thread for thread in threading.enumerate() if thread not in threads_before and not thread.daemon
            and not thread.name.startswith("neurosim-kernel")]  # the pool of the kernels stays
    assert not left, f"the test left threads running: {left}"


def _global_settings() -> dict[str, object]:
    from neurosim import _defaults

    return {"dtype": torch.get_default_dtype(), "grad mode": torch.is_grad_enabled(),
            "threads": torch.get_num_threads(), "resolution": _defaults.resolution.current,
            "default_grad_enabled": _defaults.grad_enabled}
