"""Checks on the path of a file before it is opened."""

from __future__ import annotations

import os
from pathlib import Path

from .._errors import ParameterError, StreamError

PathLike = str | os.PathLike[str]


def readable(where: str, path: PathLike) -> Path:
    """`path` of an existing file that is not empty; raises `StreamError` otherwise."""
    file = Path(path)
    if file.is_dir():
        raise StreamError(f"{where}: needs a file ({file} is a directory)")
    if not file.exists():
        raise StreamError(f"{where}: there is no file {file}")
    if not file.is_file():
        raise StreamError(f"{where}: needs a regular file ({file} is a pipe or a device)")
    if not file.stat().st_size:
        raise StreamError(f"{where}: the file {file} is empty")
    return file


def writable(where: str, path: PathLike, mode: str, modes: tuple[str, ...]) -> Path:
    """`path` of a file that may be written in this mode.

    Args:
        mode: "x" makes a new file, "w" replaces an existing one, "a" appends to it.
        modes: those that the caller knows.
    Raises: ParameterError for another mode; StreamError when the file exists and mode is "x", or has no folder.
    """
    if mode not in modes:
        raise ParameterError(where, "mode", f"choose from {list(modes)}", mode)
    file = Path(path)
    if file.is_dir():
        raise StreamError(f"{where}: needs a file ({file} is a directory)")
    if mode == "x" and file.exists():
        raise StreamError(f"{where}: the file {file} exists; mode=\"w\" replaces it")
    if not file.absolute().parent.is_dir():
        raise StreamError(f"{where}: there is no folder {file.absolute().parent} to write {file.name} into")
    return file
