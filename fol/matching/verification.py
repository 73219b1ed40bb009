"""Geometric check: do matched positions agree with one camera motion or one plane?

An option, and no part of the published evaluation (official: visualize_pairs/FoL_visualize_match.py draws inliers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from fol.errors import MatchingError
from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches

VerificationModel = Literal["fundamental", "homography"]
VERIFICATION_MODELS: tuple[VerificationModel, ...] = ("fundamental", "homography")

MIN_MATCHES = 8  # one more than a fundamental matrix needs: with fewer, agreement says nothing
# 4096 samples find a fundamental matrix with 35 % of inliers in 9 of 10 cases, a homography with 20 % almost always;
# candidates with less would not climb, and kornia's default of five times as many takes five times as long on them.
_MAX_BATCHES = 2
_SPACINGS = 2.0  # inlier threshold in token spacings; the official picture of inliers uses the same (8 px at 4 px)
_FLATNESS = 1e-3
_SAMPLED_TOKENS = 256
_SEED = 0


def verify_matches(
    query_positions: Tensor, candidate_positions: Tensor, model: VerificationModel, threshold: float
) -> Tensor:
    """Inliers ``[M]`` bool (on the device of the positions) of the best model through matched positions ``[M, 2]``.

    ``model``: ``"fundamental"`` for scenes with depth, ``"homography"`` for one plane or pure rotation. ``threshold``
    in pixels: Sampson distance for the first, transfer error in the candidate for the second.

    Deterministic: the samples are drawn from a private, seeded generator, on the CPU in float32 whatever the device, so
    neither the global random state nor the device plays a part. Fewer than ``MIN_MATCHES`` matches, positions that are
    not finite, and sets that define no model (all on one line, say) have no inliers; nothing is raised for them.
    """
    inliers = torch.zeros(len(query_positions), dtype=torch.bool)
    first = query_positions.detach().to("cpu", torch.float32)
    second = candidate_positions.detach().to("cpu", torch.float32)
    usable = (first.isfinite().all(dim=1) & second.isfinite().all(dim=1)).nonzero().squeeze(1)
    if len(usable) >= MIN_MATCHES and _spread(first[usable]) and _spread(second[usable]):
        from kornia.geometry.ransac import RANSAC  # kornia takes a second to import, and few callers verify

        try:
            estimate = RANSAC(model, inl_th=threshold, max_iter=_MAX_BATCHES, seed=_SEED)
            _, found = estimate(first[usable], second[usable])
        except (RuntimeError, ValueError, IndexError):
            # Solvers fail in several ways on degenerate input (singular systems, no sample left): no model, no inliers.
            found = None
        if found is not None:
            inliers[usable] = found.bool()
    return inliers.to(query_positions.device)


def token_spacing(positions: Tensor) -> float:
    """Typical distance in pixels from a token to its nearest neighbour; 0 for fewer than two tokens.

    Positions are known no better than this, which makes it the natural unit of an inlier threshold: it grows with the
    resolution of the photo. Median over at most 256 evenly chosen tokens of ``positions [L, 2]``.
    """
    points = positions.detach().to("cpu", torch.float32)
    points = points[points.isfinite().all(dim=1)].unique(dim=0)
    if len(points) < 2:
        return 0.0
    chosen = torch.linspace(0, len(points) - 1, min(_SAMPLED_TOKENS, len(points))).round().long()
    distances = torch.cdist(points[chosen], points, compute_mode="donot_use_mm_for_euclid_dist")
    distances[torch.arange(len(chosen)), chosen] = torch.inf
    return float(distances.amin(dim=1).median())


def check_positions(query: TokenSet, candidates: Sequence[TokenSet]) -> None:
    """Raise ``MatchingError`` naming the first set without positions."""
    _positions(query, "the query")
    for k, candidate in enumerate(candidates):
        _positions(candidate, f"candidate {k}")


def keep_inliers(
    matches: BatchMatches,
    query: TokenSet,
    candidates: Sequence[TokenSet],
    model: VerificationModel,
    threshold: float | None,
) -> BatchMatches:
    """``matches`` of the query with each candidate, without the outliers.

    ``threshold`` in pixels as in ``verify_matches``; None takes twice the larger token spacing of the pair. All sets
    must have positions, else ``MatchingError``.
    """
    partner = matches.partner.clone()
    query_positions = _positions(query, "the query")
    query_spacing = token_spacing(query_positions)
    for k, candidate in enumerate(candidates):
        found = matches[k]
        positions = _positions(candidate, f"candidate {k}")
        distance = _SPACINGS * max(query_spacing, token_spacing(positions)) if threshold is None else threshold
        inliers = verify_matches(query_positions[found.query_index], positions[found.candidate_index], model, distance)
        partner[k, found.query_index[~inliers]] = -1
    return BatchMatches(partner, matches.similarity.masked_fill(partner < 0, 0.0))


def _positions(tokens: TokenSet, name: str) -> Tensor:
    if tokens.positions is None:
        raise MatchingError(f"{name} has no positions to verify; give LocalFeatures, or leave verify at None")
    return tokens.positions


def _spread(points: Tensor) -> bool:
    """Whether enough different points are there, not all on one line, to define a model at all."""
    distinct = points.double().unique(dim=0)
    if len(distinct) < MIN_MATCHES:
        return False
    longest, across = torch.linalg.svdvals(distinct - distinct.mean(dim=0)).tolist()
    return bool(across > _FLATNESS * longest)
