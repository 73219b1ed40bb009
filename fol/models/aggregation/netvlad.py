"""NetVLAD: residuals of local features to K centres, summed by soft assignment (Arandjelovic et al., CVPR 2016).

Sources: Relja/netvlad (``layerVLAD``, ``addLayers.m``), OpenIBL ``ibl/models/netvlad.py``. The descriptor is k-major as
in PyTorch's implementations: value d of cluster k is at ``k * D + d``; MATLAB's is d-major.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import ConfigError
from fol.models.aggregation.quarters import add_quarters, quarters

#: ``v1``: cosines to the centres' directions, what NetVLAD's experiments use. ``v2``: squared distances (with a bias),
#: what the paper's text says.
Assignment = Literal["v1", "v2"]
KMEANS_ITERATIONS = 100
#: The nearest centre is to weigh this many times the second one, in the geometric mean.
SHARPNESS = 100.0


@dataclass(frozen=True)
class NetVladConfig:
    """``channels`` of the feature map; with ``projection`` a 1x1 convolution to so many comes first (for transformers).

    ``descriptor_dim`` is clusters x (projection or channels).
    """

    channels: int
    clusters: int = 64
    projection: int | None = None
    assignment: Assignment = "v1"

    def __post_init__(self) -> None:
        if self.assignment not in ("v1", "v2"):
            raise ConfigError(f"assignment={self.assignment!r} is unknown; choose v1 or v2")

    @property
    def cluster_dim(self) -> int:
        """Length of one residual."""
        return self.projection or self.channels

    @property
    def descriptor_dim(self) -> int:
        """Length of the global descriptor."""
        return self.clusters * self.cluster_dim


class NetVlad(nn.Module):
    """Feature maps ``[B, C, h, w]`` to residual sums ``[B, K, D]`` and unit descriptors ``[B, K * D]``.

    Centres and assignment are separate parameters, as published. Fresh ones are noise: ``initialise`` or
    ``set_centres`` sets them, and without that training is known not to work.
    """

    def __init__(self, config: NetVladConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.cluster_dim
        self.projection = nn.Conv2d(config.channels, dim, 1) if config.projection else None
        self.conv = nn.Conv2d(dim, config.clusters, 1, bias=config.assignment == "v2")
        self.centroids = nn.Parameter(torch.randn(config.clusters, dim) / dim**0.5)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Unit descriptors."""
        return finalise(self.raw(feature_map))

    def raw(self, feature_map: Tensor) -> Tensor:
        """Residual sums ``[B, K, D]`` over all locations, before any normalisation: additive over locations."""
        with torch.autocast(feature_map.device.type, enabled=False):
            features, assignment = self._assign(feature_map)
            return self._residuals(features.flatten(2), assignment.flatten(2))

    def raw_regions(self, feature_map: Tensor) -> Tensor:
        """Residual sums ``[B, 9, K, D]`` over the nine regions of ``quarters``, by addition."""
        with torch.autocast(feature_map.device.type, enabled=False):
            parts = zip(*map(quarters, self._assign(feature_map)), strict=True)
            return add_quarters(torch.stack([self._residuals(*part) for part in parts], dim=1))

    def _assign(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Unit features ``[B, D, h, w]`` and their shares ``[B, K, h, w]``, in float32: the softmax is sharp."""
        features = self._features(feature_map)
        assignment: Tensor = self.conv(features).softmax(1)
        return features, assignment

    def _features(self, feature_map: Tensor) -> Tensor:
        feature_map = feature_map.float()
        return functional.normalize(feature_map if self.projection is None else self.projection(feature_map), dim=1)

    def _residuals(self, features: Tensor, assignment: Tensor) -> Tensor:
        # sum_i a_ik (x_i - c_k) without the K x D x N differences
        return assignment @ features.transpose(1, 2) - assignment.sum(2, keepdim=True) * self.centroids

    @torch.no_grad()
    def initialise(self, descriptors: Tensor, seed: int = 43) -> None:
        """Set all parameters from local ``descriptors [N, C]`` (of any length) of training photos.

        The projection becomes the descriptors' first principal components, and k-means of the unit descriptors (100
        iterations of FAISS) gives the centres of ``set_centres``. Published: 50,000 descriptors, 100 of each of 500
        photos.
        """
        clusters = self.config.clusters
        if len(descriptors) < clusters or descriptors.shape[1] != self.config.channels:
            raise ConfigError(
                f"NetVLAD of {clusters} clusters is initialised from at least {clusters} descriptors of "
                f"{self.config.channels} values, not from {len(descriptors)} of {descriptors.shape[1]}"
            )
        features = self._fitted_features(descriptors.to(self.centroids))
        if not (features - features.mean(0)).abs().max() > 1e-6:  # nor where they are not finite
            raise ConfigError("NetVLAD cannot be initialised: the local descriptors do not differ")
        self.set_centres(kmeans(features, clusters, seed), features)

    @torch.no_grad()
    def set_centres(self, centres: Tensor, features: Tensor) -> None:
        """Set the centres ``[K, D]``, and the assignment as sharp as published for unit ``features [N, D]``.

        That is, 100 times more for the nearest centre than for the second. ``ConfigError`` for other shapes, and where
        no sharpness does that.
        """
        wanted = tuple(self.centroids.shape)
        if tuple(centres.shape) != wanted or features.ndim != 2 or features.shape[1] != wanted[1] or not len(features):
            raise ConfigError(
                f"NetVLAD has {wanted[0]} centres of {wanted[1]} values: centres {[*centres.shape]} and features "
                f"{[*features.shape]} do not fit"
            )
        centres, features = centres.to(self.centroids), features.to(self.centroids)
        weight, bias = assignment_weights(features, centres, self.config.assignment)
        if not weight.isfinite().all():
            raise ConfigError("NetVLAD cannot be initialised: no local feature is nearer to one centre than to another")
        self.centroids.copy_(centres)
        self.conv.weight.copy_(weight[:, :, None, None])
        if self.conv.bias is not None and bias is not None:
            self.conv.bias.copy_(bias)

    def _fitted_features(self, descriptors: Tensor) -> Tensor:
        """Unit features ``[N, D]`` of descriptors ``[N, C]``, after fitting the projection to them."""
        if self.projection is not None:
            components, offset = principal_components(descriptors, self.config.cluster_dim)
            self.projection.weight.copy_(components[:, :, None, None])
            self.projection.bias.copy_(offset)  # type: ignore[union-attr]
        return self._features(descriptors[:, :, None, None])[:, :, 0, 0]


def finalise(raw: Tensor) -> Tensor:
    """Residual sums ``[..., K, D]`` to unit descriptors ``[..., K * D]``: each residual to unit length, then all."""
    return functional.normalize(functional.normalize(raw, dim=-1).flatten(-2), dim=-1)


def kmeans(features: Tensor, clusters: int, seed: int) -> Tensor:
    """Centres ``[clusters, D]`` of unit ``features [N, D]``, not normalised themselves; the same for the same seed."""
    import faiss  # loading it takes longer than a network that is not initialised should wait

    rows = np.ascontiguousarray(features.detach().cpu().numpy(), np.float32)
    # All rows count (FAISS would draw 256 for each centre), and few of them are no reason for a warning.
    algorithm = faiss.Kmeans(
        rows.shape[1],
        clusters,
        niter=KMEANS_ITERATIONS,
        seed=seed,
        max_points_per_centroid=len(rows),
        min_points_per_centroid=1,
    )
    algorithm.train(rows)
    return torch.from_numpy(algorithm.centroids.copy()).to(features)


def assignment_weights(features: Tensor, centres: Tensor, rule: Assignment) -> tuple[Tensor, Tensor | None]:
    """Weight ``[K, D]`` and bias ``[K]`` (v2 alone) of the assignment, for unit ``features [N, D]``.

    The sharpness alpha is such that the log of (share of the nearest centre / share of the second) is log 100 in the
    mean over the features (Relja/netvlad ``addLayers.m``).
    """
    if rule == "v1":
        directions = functional.normalize(centres, dim=1)
        nearest = (features @ directions.T).topk(2, dim=1).values
        alpha = math.log(SHARPNESS) / (nearest[:, 0] - nearest[:, 1]).mean()
        return alpha * directions, None
    squared = torch.cdist(features, centres).square()
    nearest = squared.topk(2, dim=1, largest=False).values
    alpha = math.log(SHARPNESS) / (nearest[:, 1] - nearest[:, 0]).mean()
    return 2 * alpha * centres, -alpha * centres.square().sum(1)


def principal_components(descriptors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``weight [count, C]`` and ``offset [count]``: the projection on the first principal components, centred."""
    wide = descriptors.double()
    mean = wide.mean(0)
    covariance = (wide - mean).T @ (wide - mean)
    weight = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :count].T
    return weight.to(descriptors), -(weight @ mean).to(descriptors)
