"""Optimal-transport aggregation of SALAD, with a learned dustbin (SALAD) or an image-dependent one (FoL).

Sources: SALAD ``models/aggregators/salad.py``; FoL ``aggregators/FoL.py:71-159``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fol.errors import ConfigError
from fol.models.aggregation.quarters import REGIONS, add_quarters, quarters
from fol.models.precision import at_least_float32


@dataclass(frozen=True)
class AggregationConfig:
    """Sizes of the aggregation; the descriptor has ``token_dim + clusters * cluster_dim`` values."""

    channels: int
    clusters: int = 64
    cluster_dim: int = 128
    token_dim: int = 256
    hidden: int = 512
    dropout: float = 0.3
    iterations: int = 3
    learned_dustbin: bool = False

    @property
    def descriptor_dim(self) -> int:
        """Length of the global descriptor."""
        return self.token_dim + self.clusters * self.cluster_dim


@dataclass(frozen=True, eq=False)
class Aggregate:
    """``descriptor [B, D]`` unit rows; ``assignment [B, clusters, n]``, the transport plan without its dustbin row.

    A patch's column sums to 1 minus what went to the dustbin.
    """

    descriptor: Tensor
    assignment: Tensor


def log_optimal_transport(scores: Tensor, dustbin: Tensor, iterations: int = 3) -> Tensor:
    """Log of the transport plan ``[B, m+1, n]`` (last row the dustbin) for ``scores [B, m, n]``, ``dustbin [B, n]``.

    Sinkhorn in the log domain without temperature: each cluster receives 1/(m+n) of the mass, the dustbin
    (n-m)/(m+n), each patch gives 1/(m+n); the plan is scaled by m+n so that every column sums to 1.
    ``ConfigError`` when n <= m: the dustbin would have no mass to take.
    """
    _, clusters, patches = scores.shape
    if patches <= clusters:
        raise ConfigError(
            f"{patches} patches cannot be shared among {clusters} clusters and a dustbin; "
            f"use a larger image (more than {clusters} patches of 14 px)"
        )
    plan = at_least_float32(torch.cat([scores, dustbin.unsqueeze(1)], dim=1))
    log_column = -math.log(clusters + patches)
    log_row = plan.new_full((clusters + 1,), log_column)
    log_row[-1] += math.log(patches - clusters)
    potential_column = plan.new_zeros(len(plan), 1, patches)
    for _ in range(iterations):
        potential_row = (log_row - (plan + potential_column).logsumexp(2)).unsqueeze(2)
        potential_column = (log_column - (plan + potential_row).logsumexp(1)).unsqueeze(1)
    return plan + potential_row + potential_column - log_column


class OptimalTransportAggregation(nn.Module):
    """Class token and softly assigned patch features to one unit descriptor.

    With ``learned_dustbin`` the dustbin's score is one parameter; without it the caller gives it per patch.
    """

    def __init__(self, config: AggregationConfig) -> None:
        super().__init__()
        self.config = config
        channels, hidden = config.channels, config.hidden
        dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.token_features = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, config.token_dim))
        self.cluster_features = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), dropout, nn.ReLU(), nn.Conv2d(hidden, config.cluster_dim, 1)
        )
        self.score = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), dropout, nn.ReLU(), nn.Conv2d(hidden, config.clusters, 1)
        )
        self.dust_bin = nn.Parameter(torch.ones(())) if config.learned_dustbin else None

    def forward(self, class_token: Tensor, patch_map: Tensor, dustbin: Tensor | None = None) -> Aggregate:
        """``class_token [B, C]``, ``patch_map [B, C, h, w]``, ``dustbin [B, h*w]`` scores (image-dependent form)."""
        features, assignment = self._assign(patch_map, dustbin)
        clusters = _cluster_sums(features.flatten(2), assignment.flatten(2))
        return Aggregate(self._descriptor(class_token, clusters), assignment.flatten(2))

    def regions(self, class_token: Tensor, patch_map: Tensor, dustbin: Tensor | None = None) -> Tensor:
        """Unit descriptors ``[B, 9, D]`` of the regions of ``quarters``; the first is that of ``forward``.

        An extension: the plan couples all patches, so it is made once for the whole image; a region has the sums over
        its own patches and the scene token of the whole.
        """
        parts = zip(*map(quarters, self._assign(patch_map, dustbin)), strict=True)
        clusters = add_quarters(torch.stack([_cluster_sums(*part) for part in parts], dim=1))
        return self._descriptor(class_token[:, None].expand(-1, REGIONS, -1), clusters)

    def _assign(self, patch_map: Tensor, dustbin: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features ``[B, cluster_dim, h, w]`` and the transport plan ``[B, clusters, h, w]`` without its dustbin."""
        scores = self.score(patch_map).flatten(2)
        if self.dust_bin is not None:
            dustbin = self.dust_bin.expand(len(scores), scores.shape[2])
        if dustbin is None:
            raise ValueError("this aggregation has no learned dustbin: give the dustbin scores")
        assignment = log_optimal_transport(scores, dustbin, self.config.iterations).exp()[:, :-1]
        return self.cluster_features(patch_map), assignment.unflatten(2, patch_map.shape[-2:])

    def _descriptor(self, class_token: Tensor, clusters: Tensor) -> Tensor:
        """Unit rows from ``class_token [..., C]`` and sums ``[..., cluster_dim, clusters]``."""
        parts = [
            functional.normalize(at_least_float32(self.token_features(class_token)), dim=-1),
            functional.normalize(at_least_float32(clusters), dim=-2).flatten(-2),
        ]
        return functional.normalize(torch.cat(parts, dim=-1), dim=-1)


def _cluster_sums(features: Tensor, assignment: Tensor) -> Tensor:
    """``[B, cluster_dim, clusters]``: the cluster index is the fastest in the flattened descriptor."""
    return features @ assignment.to(features.dtype).transpose(1, 2)
