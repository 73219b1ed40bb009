"""PCA and whitening of global descriptors, as a last step after any aggregation: fewer values, each as important.

Sources: NetVLAD (Relja/netvlad ``addPCA.m``), OpenIBL ``ibl/pca.py``. A linear layer and a norm: published files keep
it as a 1x1 convolution, and MegaLoc's learnt output layer has the same form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import CheckpointError, ConfigError
from fol.hdf5 import read_tables
from fol.types import ProgressCallback

#: Eigenvalues below this count as this: directions without variance are not blown up (OpenIBL).
SMALLEST_EIGENVALUE = 1e-9
_BLOCK_BYTES = 64 * 2**20


class PcaWhitening(nn.Module):
    """Unit descriptors ``[..., D]`` to whitened unit descriptors ``[..., dim]``: ``normalise(weight x + bias)``.

    ``weight [dim, D]`` has the most important direction first. Fitted, not trained: both are buffers.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ConfigError(f"whitening takes weight [dim, D] and bias [dim], not {[*weight.shape]}, {[*bias.shape]}")
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    @property
    def dim(self) -> int:
        """Length of the whitened descriptor."""
        return len(self.weight)

    def forward(self, descriptors: Tensor) -> Tensor:
        """Whitened descriptors, in float32 whatever the network computes in."""
        with torch.autocast(descriptors.device.type, enabled=False):
            return functional.normalize(functional.linear(descriptors.float(), self.weight, self.bias), dim=-1)

    def truncated(self, dim: int) -> PcaWhitening:
        """The first ``dim`` directions: the same as cutting the descriptors and normalising them again."""
        if not 1 <= dim <= self.dim:
            raise ConfigError(f"whitening to {dim} values: this one has {self.dim}")
        return PcaWhitening(self.weight[:dim].clone(), self.bias[:dim].clone())

    @staticmethod
    def blank(descriptor_dim: int, dim: int) -> PcaWhitening:
        """One to be filled from a weight file; as it stands it cuts."""
        return PcaWhitening(torch.eye(dim, descriptor_dim), torch.zeros(dim))


def fit_whitening(
    descriptors: NDArray[np.floating[Any]], dim: int = 4096, progress: ProgressCallback | None = None
) -> PcaWhitening:
    """PCA and whitening of ``descriptors [n, D]`` (an array or a memory map, read in blocks of 64 MB).

    With fewer images than values the n x n products are decomposed, else the D x D covariance, in float64 both: with m
    the lesser of n and D, ``16 m^2 + 16 m dim`` bytes are needed beside the directions (twice ``4 dim D``) and some
    blocks. Published: 10,000 images of the training set for 4096 values. ``ConfigError`` with fewer than ``dim + 1``
    images: they span fewer directions.
    """
    count, length = descriptors.shape
    if not 1 <= dim <= length:
        raise ConfigError(f"whitening to {dim} values: the descriptor has {length}")
    if count <= dim:
        raise ConfigError(
            f"whitening to {dim} values needs at least {dim + 1} images, there are {count}; give a smaller dim"
        )
    mean = np.zeros(length)
    rows = max(1, _BLOCK_BYTES // (8 * length))
    for start in range(0, count, rows):
        mean += descriptors[start : start + rows].astype(np.float64).sum(0)
    mean /= count
    fit = _fit_dual if count < length else _fit_primal
    values, directions = fit(descriptors, mean, dim, progress or (lambda done, total: None))
    return from_components(directions, values, mean)


def from_components(
    directions: NDArray[np.floating[Any]], eigenvalues: NDArray[np.floating[Any]], mean: NDArray[np.floating[Any]]
) -> PcaWhitening:
    """The step for unit ``directions [dim, D]``, their ``eigenvalues [dim]`` and the ``mean [D]``."""
    scale = 1 / np.sqrt(np.maximum(eigenvalues, SMALLEST_EIGENVALUE))
    weight = np.empty(directions.shape, np.float32)
    bias = np.empty(len(directions), np.float32)
    rows = max(1, _BLOCK_BYTES // (8 * directions.shape[1]))
    for start in range(0, len(directions), rows):  # in float64 a gigabyte at the published size
        block = directions[start : start + rows] * scale[start : start + rows, None]
        weight[start : start + rows] = block
        bias[start : start + rows] = -(block @ mean)
    return PcaWhitening(torch.from_numpy(weight), torch.from_numpy(bias))


_Components = tuple[NDArray[np.float64], NDArray[np.floating[Any]]]


def _fit_dual(
    descriptors: NDArray[np.floating[Any]], mean: NDArray[np.float64], dim: int, progress: ProgressCallback
) -> _Components:
    """Largest eigenvalues and unit directions from the products of the centred images with each other."""
    count, length = descriptors.shape
    columns = max(1, _BLOCK_BYTES // (8 * count))
    starts = range(0, length, columns)
    products = np.zeros((count, count))
    for number, start in enumerate(starts):
        block = descriptors[:, start : start + columns] - mean[start : start + columns]
        products += block @ block.T
        progress(number + 1, 2 * len(starts))
    products /= count - 1
    values, vectors = _largest(products, dim)
    # The directions are the images mixed by the eigenvectors; those without variance stay short instead of noise.
    mixing = vectors / np.sqrt(np.maximum(values, SMALLEST_EIGENVALUE) * (count - 1))
    directions = np.empty((dim, length), np.float32)
    for number, start in enumerate(starts):
        block = descriptors[:, start : start + columns] - mean[start : start + columns]
        directions[:, start : start + columns] = mixing.T @ block
        progress(len(starts) + number + 1, 2 * len(starts))
    return values, directions


def _fit_primal(
    descriptors: NDArray[np.floating[Any]], mean: NDArray[np.float64], dim: int, progress: ProgressCallback
) -> _Components:
    """The same from the covariance."""
    count, length = descriptors.shape
    rows = max(1, _BLOCK_BYTES // (8 * length))
    covariance = np.zeros((length, length))
    for start in range(0, count, rows):
        block = descriptors[start : start + rows] - mean
        covariance += block.T @ block
        progress(min(start + rows, count), count)
    covariance /= count - 1
    values, vectors = _largest(covariance, dim)
    return values, vectors.T


def _largest(matrix: NDArray[np.float64], dim: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ``dim`` largest eigenvalues of a symmetric matrix, falling, and their vectors; the matrix is overwritten."""
    size = len(matrix)
    # Transposed it is the same matrix in the order that LAPACK works on in place.
    values, vectors = eigh(matrix.T, subset_by_index=[size - dim, size - 1], overwrite_a=True, check_finite=True)
    return values[::-1], vectors[:, ::-1]


def cluster_major(weight: Tensor, clusters: int) -> Tensor:
    """Weight ``[dim, D * K]`` for MATLAB's order of the descriptor to the same for ours.

    There value d of cluster k is at ``d * K + k``, here at ``k * D + d``.
    """
    return weight.reshape(len(weight), -1, clusters).transpose(1, 2).flatten(1)


def value_major(weight: Tensor, clusters: int) -> Tensor:
    """The inverse of ``cluster_major``."""
    return weight.reshape(len(weight), clusters, -1).transpose(1, 2).flatten(1)


def read_pca_params(path: Path) -> PcaWhitening:
    """OpenIBL's ``pca_params_*.h5``: U ``[D, dim]``, lams ``[dim]``, mu ``[D, 1]``, Utmu ``[dim, 1]`` (computed anew).

    Raises ``CheckpointError`` naming the file and what it lacks, ``ConfigError`` where h5py is missing.
    """
    names = ("U", "lams", "mu")
    directions, values, mean = read_tables(path, names, "a pca_params file with U, lams and mu", np.float64)
    values, mean = values.ravel(), mean.ravel()
    if directions.ndim != 2 or directions.shape != (len(mean), len(values)):
        raise CheckpointError(
            f"{path}: U is {list(directions.shape)}, but mu has {len(mean)} values and lams {len(values)}"
        )
    return from_components(directions.T, values, mean)
