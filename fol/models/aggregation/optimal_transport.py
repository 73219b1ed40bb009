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
        scores = self.score(patch_map).flatten(2)
        if self.dust_bin is not None:
            dustbin = self.dust_bin.expand(len(scores), scores.shape[2])
        if dustbin is None:
            raise ValueError("this aggregation has no learned dustbin: give the dustbin scores")
        assignment = log_optimal_transport(scores, dustbin, self.config.iterations).exp()[:, :-1]
        features = self.cluster_features(patch_map).flatten(2)
        # [B, cluster_dim, clusters]: the cluster index is the fastest in the flattened descriptor.
        clusters = features @ assignment.to(features.dtype).transpose(1, 2)
        parts = [
            functional.normalize(at_least_float32(self.token_features(class_token)), dim=-1),
            functional.normalize(at_least_float32(clusters), dim=1).flatten(1),
        ]
        return Aggregate(functional.normalize(torch.cat(parts, dim=-1), dim=-1), assignment)
