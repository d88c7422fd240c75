"""Named arrays in files: `.npz`, `.h5` and `.safetensors`. Never pickle: a file is data, not a program."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ._errors import MissingExtra, StreamError

SUFFIXES = (".npz", ".h5", ".hdf5", ".safetensors")


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise StreamError(f"{path}: the name must end in one of {list(SUFFIXES)} (got {path.suffix!r})")
    return path.suffix


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays; the file appears whole or not at all. Raises StreamError, MissingExtra."""
    path = Path(path)
    suffix = _suffix(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part{suffix}")
    try:
        if suffix == ".npz":
            with part.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        elif suffix == ".safetensors":
            _safetensors().save_file(dict(arrays), part)
        else:
            import h5py
            with h5py.File(part, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        part.replace(path)
    except OSError as error:
        raise StreamError(f"{path}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of such a file. Raises StreamError, MissingExtra."""
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise StreamError(f"{path}: no such file")
    try:
        if suffix == ".npz":
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if suffix == ".safetensors":
            return dict(_safetensors().load_file(path))
        import h5py
        with h5py.File(path, "r") as file:
            return {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}
    except MissingExtra:
        raise
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StreamError(f"{path}: is not a readable {suffix} file ({error})") from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):  # its own error class derives from Exception alone
            raise StreamError(f"{path}: is not a readable {suffix} file ({error})") from error
        raise


def _safetensors():  # type: ignore[no-untyped-def]
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtra(".safetensors files", "safetensors") from error
    return safetensors.numpy
