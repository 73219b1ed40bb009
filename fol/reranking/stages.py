"""Scoring in stages: each looks again, and more closely, at the best of what the one before it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.matching import (
    BatchMatches,
    Precision,
    TokenSet,
    VerificationModel,
    centre,
    count_matches,
    fuse,
    get_backend,
    keep_inliers,
    weighted_score,
)
from fol.reranking.options import Method, RerankOptions


@dataclass(frozen=True)
class Stage:
    """``count`` of the best so far are looked at, None for all.

    They are matched in ``precision``; with ``verify`` what was matched so is checked for its geometry instead.
    """

    count: int | None
    precision: Precision
    verify: VerificationModel | None = None


def plan(method: Method, options: RerankOptions) -> tuple[Stage, ...]:
    """The stages of a method."""
    if method == "cascade":
        stages = [Stage(None, "binary"), Stage(options.cascade_int8, "int8")]
        if options.cascade_exact:
            stages.append(Stage(options.cascade_exact, "exact"))
    else:
        stages = [Stage(None, options.precision)]
    if options.verify is not None:
        stages.append(Stage(options.verify_top, stages[-1].precision, options.verify))
    return tuple(stages)


@dataclass(frozen=True, eq=False)
class Scored:
    """What the stages found of N candidates, in their incoming order; ``order [N]`` int64 lists the best first."""

    order: Tensor
    scores: Tensor
    local_scores: Tensor
    matches: BatchMatches


def run_stages(
    query: TokenSet,
    candidates: Sequence[TokenSet],
    similarity: Tensor | None,
    method: Method,
    options: RerankOptions,
) -> Scored:
    """Score at least one candidate. What no stage looked at has no matches and a local score of 0."""
    device = query.device
    matches = BatchMatches.none(0, len(query), device)
    local = torch.zeros(len(candidates), device=device)
    scores = _fused(local, similarity, method, options)
    order, limit = _selected(similarity, options, len(candidates), device)
    for stage in plan(method, options):
        count = min(limit, len(candidates) if stage.count is None else stage.count)
        everything = count == len(candidates)
        chosen = torch.arange(count, device=device) if everything else order[:count].sort().values
        members = range(count) if everything else chosen.tolist()
        sets = [candidates[k] for k in members]
        if not everything and not len(matches):
            matches = BatchMatches.none(len(candidates), len(query), device)
        if stage.verify is not None and len(matches):
            now = BatchMatches(matches.partner[chosen], matches.similarity[chosen])
            now = keep_inliers(now, query, sets, stage.verify, options.verify_threshold)
        else:
            now = _match(query, sets, stage.precision, options)
        if everything:
            matches = now
        else:
            matches.partner[chosen], matches.similarity[chosen] = now.partner, now.similarity
        local[chosen] = _local_scores(now, query, sets, method, stage.precision, options)
        again = _fused(local, similarity, method, options)[chosen]
        rest = order[count:]
        order = torch.cat([chosen[torch.argsort(again, descending=True, stable=True)], rest])
        scores[chosen] = again
        scores[rest] = scores[rest].clamp(max=again.amin())
        limit = min(limit, count)
    return Scored(order, scores, local, matches)


def _selected(
    similarity: Tensor | None, options: RerankOptions, count: int, device: torch.device
) -> tuple[Tensor, int]:
    """Candidates in the order in which they may be left out, and how many are looked at."""
    incoming = torch.arange(count, device=device)
    if similarity is None or options.candidate_margin is None:
        return incoming, count
    close = int((similarity >= similarity.amax() - options.candidate_margin).sum())
    selected = min(count, max(close, options.min_candidates))
    best = torch.argsort(similarity, descending=True, stable=True)
    return best, selected


def _match(
    query: TokenSet, candidates: Sequence[TokenSet], precision: Precision, options: RerankOptions
) -> BatchMatches:
    if options.centred and precision != "binary":
        query, candidates = centre(query, candidates)
    backend = get_backend(options.backend, query.device, precision)
    return backend.match(query, candidates, options.threshold_of(precision))


def _local_scores(
    matches: BatchMatches,
    query: TokenSet,
    candidates: Sequence[TokenSet],
    method: Method,
    precision: Precision,
    options: RerankOptions,
) -> Tensor:
    if method == "official":
        return count_matches(matches).float()
    query_weights, candidate_weights = query.weights, [c.weights for c in candidates]
    if not options.weighted:
        query_weights, candidate_weights = query.valid.float(), [c.valid.float() for c in candidates]
    return weighted_score(
        matches,
        query_weights,
        candidate_weights,
        options.normalise,
        options.similarity_weight,
        options.threshold_of(precision),
    )


def _fused(local: Tensor, similarity: Tensor | None, method: Method, options: RerankOptions) -> Tensor:
    return fuse(local, similarity, 0.0 if method == "official" else options.fusion_weight).clone()
