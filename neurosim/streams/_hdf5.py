"""What reading and writing HDF5 share: finding datasets without following links, and text of fixed length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._errors import StreamError

EVENT = np.dtype([("unit", "<i8"), ("time", "<f8")])


def set_text(attributes: Any, name: str, text: str) -> None:
    """Stores text with a fixed length; a damaged heap of variable-length text can hang a reader for ever."""
    import h5py

    data = text.encode()
    attributes.create(name, data, dtype=h5py.string_dtype("utf-8", max(len(data), 1)))


def get_text(attributes: Any, name: str) -> str | None:
    """The text stored under this name, or None; also of variable length, as other programs write it."""
    value = attributes.get(name)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


def find(h5: Any, name: str, where: str, path: Path) -> Any:
    """The dataset of this name, or None when there is none.

    Raises: StreamError when it is not in this file: soft and external links, virtual datasets and external storage
        name other places, which the data could be made to come from unseen.
    """
    import h5py

    item = h5
    for part in [part for part in name.split("/") if part]:
        if not isinstance(item, h5py.Group) or part not in item.keys():
            return None
        if not isinstance(item.get(part, getlink=True), h5py.HardLink):
            raise StreamError(f"{where}: {name!r} in {path} is a link to another place, which is not followed")
        item = item[part]
    if not isinstance(item, h5py.Dataset):
        return None
    if item.is_virtual or item.external:
        raise StreamError(f"{where}: {name!r} in {path} keeps its data in other files, which are not read")
    return item


def names(h5: Any, accept: Any) -> list[str]:
    """Names of the datasets of which `accept` is true, each object once, no links followed."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and accept(item):
            found.append(name)

    h5.visititems(visit)
    return found


def holds_frames(item: Any) -> bool:
    """Whether a dataset is frames of real numbers along a first axis."""
    return bool(item.shape) and 0 not in item.shape[1:] and item.dtype.kind in "biuf"
