"""NetVLAD's centres as published: HDF5 with ``centroids [K, D]`` and the unit ``descriptors [N, D]`` that they are of.

Source: OpenIBL ``examples/cluster.py``, whose files are called ``<arch>_<dataset>_<K>_desc_cen.hdf5``; its authors
recommend NetVLAD's own (``vgg16_pitts_64_desc_cen.hdf5``) over those that one finds anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fol.errors import CheckpointError
from fol.hdf5 import read_tables

#: How far the length of a published descriptor may be from 1: the assignment's sharpness is measured by them.
_LENGTH_TOLERANCE = 1e-3


def read_centres(path: Path) -> tuple[Tensor, Tensor]:
    """Centres ``[K, D]`` and unit features ``[N, D]``, float32, for ``NetVlad.set_centres``.

    Raises ``CheckpointError`` naming the file and what is wrong, ``ConfigError`` where h5py is missing.
    """
    names = ("centroids", "descriptors")
    centres, features = read_tables(path, names, "a file of centres, with centroids and descriptors", np.float32)
    if centres.ndim != 2 or features.ndim != 2 or centres.shape[1] != features.shape[1] or not features.size:
        raise CheckpointError(
            f"{path}: centroids {[*centres.shape]} and descriptors {[*features.shape]} are not [K, D] and [N, D]"
        )
    lengths = np.linalg.norm(features, axis=1)
    # Compared so that values that are no numbers fail too.
    if not (np.isfinite(centres).all() and (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all()):
        raise CheckpointError(f"{path}: centroids are not finite, or descriptors are not of length 1")
    return torch.from_numpy(centres), torch.from_numpy(features)
