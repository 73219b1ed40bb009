"""HDF5 files, which are read with h5py where it is installed (the extra ``h5``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fol.errors import CheckpointError, ConfigError


def import_h5py(path: Path) -> Any:
    """h5py, to read ``path`` with; ``ConfigError`` where it is missing."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path}: reading HDF5 files needs h5py: install it with pip install 'fol[h5]'") from error
    return h5py


def read_tables(path: Path, names: Sequence[str], kind: str, dtype: DTypeLike) -> tuple[NDArray[Any], ...]:
    """The tables of these names; ``CheckpointError`` (``path: not KIND``) for a file that does not have them."""
    h5py = import_h5py(path)
    try:
        with h5py.File(path, "r") as file:
            return tuple(np.asarray(file[name], dtype) for name in names)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not {kind} ({' '.join(str(error).split())[:100]})") from error
