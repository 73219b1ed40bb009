"""Re-ranking: order candidates by how well their local features match the query's.

    ranking = fol.rerank(query_local, candidate_locals, global_similarity)

Works on plain tensors as well, without any other part of ``fol``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import ConfigError, MatchingError
from fol.matching import (
    VERIFICATION_MODELS,
    BatchMatches,
    TokenSet,
    VerificationModel,
    backend_names,
    check_positions,
    check_sets,
    count_matches,
    fuse,
    get_backend,
    keep_inliers,
    weighted_score,
)
from fol.types import LocalFeatures, LocalFeaturesBatch, Ranking

Method = Literal["fol", "official"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class RerankOptions:
    """Switches of ``rerank``, one idea each. The defaults are not tuned on any data set yet.

    ``threshold``: cosine a match must exceed; None keeps every mutual pair, for features squeezed near 1 where no
    fixed threshold filters. The published value is 0.7.
    ``weighted``: method "fol" weighs matches by region confidence, so that sky and cars count less; False counts them.
    ``normalise``: method "fol" divides by the geometric mean of both images' weights, so that images with more tokens
    have no advantage and the score lies in [0, 1], where the fusion can weigh it.
    ``fusion_weight``: gamma in ``gamma S_g + S_l`` (method "fol"), because the global view settles what local matches
    leave open; 0 ignores it.
    ``verify``: keep only matches that agree with one ``"fundamental"`` matrix (general scenes) or one ``"homography"``
    (planes), because repeated structure matches without being the same place; needs ``LocalFeatures``.
    ``verify_threshold``: inlier distance in pixels of the original images; None takes twice the token spacing, as
    positions are no more precise than that and photos differ in size.
    ``verify_top``: how many of the best candidates are verified, as each takes up to a second; None verifies all.
    ``backend``: see ``fol.matching.backend_names()``; "auto" takes the fastest exact one for the device.

    Raises ``ConfigError`` for values out of range.
    """

    threshold: float | None = 0.7
    weighted: bool = True
    normalise: bool = True
    fusion_weight: float = 1.0
    verify: VerificationModel | None = None
    verify_threshold: float | None = None
    verify_top: int | None = 20
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.threshold is not None and not _is_number(self.threshold):
            raise ConfigError(f"threshold must be a finite cosine or None (no threshold), not {self.threshold!r}")
        if not _is_number(self.fusion_weight) or self.fusion_weight < 0:
            raise ConfigError(f"fusion_weight must be a number of at least 0, not {self.fusion_weight!r}")
        if self.verify is not None and self.verify not in VERIFICATION_MODELS:
            raise ConfigError(f"unknown verify {self.verify!r}; choose one of: None, {', '.join(VERIFICATION_MODELS)}")
        if self.verify_threshold is not None and not (_is_number(self.verify_threshold) and self.verify_threshold > 0):
            raise ConfigError(f"verify_threshold must be pixels above 0 or None, not {self.verify_threshold!r}")
        if self.verify_top is not None and not _is_count(self.verify_top):
            raise ConfigError(f"verify_top must be an integer of at least 1 or None (all), not {self.verify_top!r}")
        if self.backend not in backend_names():
            raise ConfigError(f"unknown backend {self.backend!r}; choose one of: {', '.join(backend_names())}")


def rerank(
    query_local: LocalFeatures | Tensor,
    candidate_locals: LocalFeaturesBatch | Sequence[LocalFeatures] | Sequence[Tensor] | Tensor,
    global_similarity: Tensor | NDArray[Any] | Sequence[float] | None = None,
    method: Method = "fol",
    top: int | None = None,
    return_matches: bool = False,
    *,
    ids: Tensor | NDArray[Any] | Sequence[int] | None = None,
    options: RerankOptions | None = None,
) -> Ranking:
    """Order N candidates by mutual nearest neighbours of their local features with the query's.

    ``query_local``: ``LocalFeatures`` or ``[Lq, D]`` unit rows. ``candidate_locals``: a ``LocalFeaturesBatch``, a
    sequence of ``LocalFeatures`` or of ``[Lc, D]`` (lengths may differ), or one ``[N, Lc, D]``. Zero rows are padding;
    plain tensors have weights of 1. Any floating-point type; products are float32. No tokens: score 0. All on one
    device, where the ranking is made too. ``global_similarity [N]`` and ``ids [N]`` go along with the candidates.

    ``method="official"``: the score is the number of matches with cosine > ``options.threshold`` (0.7 as published);
    the global similarity is reported and plays no part (official: test_FoL.py:53-122). ``method="fol"``:
    ``gamma S_g + S_l`` with weighted, normalised matches (``fol.matching.scoring``; eqs 11-17 of FoL++).

    ``top``: give the best ``top`` candidates only (all are scored). ``return_matches``: index pairs of those given.

    Order: score descending, then the incoming rank. Deterministic; the score of a candidate does not depend on the
    others. With ``options.verify`` the best ``verify_top`` are scored again by their inliers and ordered by that; an
    unverified candidate stays behind them, in its order, and its score is at most the lowest verified one.

    Raises ``MatchingError`` naming the candidate (shapes, devices, types, values) and ``ConfigError`` (options).
    """
    options = options or RerankOptions()
    if method not in METHODS:
        raise ConfigError(f"unknown re-ranking method {method!r}; choose one of: {', '.join(METHODS)}")
    if top is not None and not _is_count(top):
        raise ConfigError(f"top must be an integer of at least 1 or None (all), not {top!r}")
    with torch.no_grad():
        query, candidates = check_sets(query_local, candidate_locals)
        if options.verify is not None:
            check_positions(query, candidates)
        count, device = len(candidates), query.descriptors.device
        similarity = _global(global_similarity, count, device)
        labels = _ids(ids, count, device)
        if count == 0:
            none = torch.zeros(0, device=device)
            return Ranking(labels, none, none, none.long(), similarity, () if return_matches else None)
        matches = get_backend(options.backend, device).match(query, candidates, options.threshold)
        local = _local_scores(matches, query, candidates, method, options)
        scores = _final_scores(local, similarity, method, options)
        order = torch.argsort(scores, descending=True, stable=True)
        if options.verify is not None:
            checked = order[: options.verify_top].sort().values
            matches = keep_inliers(
                matches, query, candidates, checked.tolist(), options.verify, options.verify_threshold
            )
            local = _local_scores(matches, query, candidates, method, options)
            verified = _final_scores(local, similarity, method, options)[checked]
            rest = order[len(checked) :]
            order = torch.cat([checked[torch.argsort(verified, descending=True, stable=True)], rest])
            scores[checked] = verified
            scores[rest] = scores[rest].clamp(max=verified.amin())
        order = order[:top]
        return Ranking(
            ids=labels[order],
            scores=scores[order],
            local_scores=local[order],
            num_matches=count_matches(matches)[order],
            global_similarity=None if similarity is None else similarity[order],
            matches=tuple(matches[k].pairs for k in order.tolist()) if return_matches else None,
        )


def _local_scores(
    matches: BatchMatches, query: TokenSet, candidates: Sequence[TokenSet], method: Method, options: RerankOptions
) -> Tensor:
    if method == "official":
        return count_matches(matches).float()
    query_weights, candidate_weights = query.weights, [c.weights for c in candidates]
    if not options.weighted:
        query_weights, candidate_weights = query.valid.float(), [c.valid.float() for c in candidates]
    return weighted_score(matches, query_weights, candidate_weights, options.normalise)


def _final_scores(local: Tensor, similarity: Tensor | None, method: Method, options: RerankOptions) -> Tensor:
    return fuse(local, similarity, 0.0 if method == "official" else options.fusion_weight)


def _global(given: Tensor | NDArray[Any] | Sequence[float] | None, count: int, device: torch.device) -> Tensor | None:
    """Float32 ``[N]``, checked."""
    if given is None:
        return None
    try:
        values = given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.array(given, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise MatchingError(f"the global similarities are not numbers ({error}); give one per candidate") from None
    if tuple(values.shape) != (count,):
        raise MatchingError(f"there are {count} candidates, but global similarities of shape {tuple(values.shape)}")
    if not bool(values.isfinite().all()):
        wrong = int((~values.isfinite()).nonzero()[0, 0])
        raise MatchingError(f"candidate {wrong} has the global similarity {float(values[wrong])}; it must be finite")
    return values.to(device, torch.float32, non_blocking=True)


def _ids(given: Tensor | NDArray[Any] | Sequence[int] | None, count: int, device: torch.device) -> Tensor:
    """Int64 ``[N]``: as given, else the incoming positions."""
    if given is None:
        return torch.arange(count, device=device)
    values = given if isinstance(given, Tensor) else np.asarray(given)
    whole = not values.is_floating_point() if isinstance(values, Tensor) else values.dtype.kind in "iu"
    if tuple(values.shape) != (count,):
        raise MatchingError(f"there are {count} candidates, but ids of shape {tuple(values.shape)}")
    if count and not whole:
        raise MatchingError(f"ids are {values.dtype}; they must be integers")
    if isinstance(values, Tensor):
        return values.to(device, torch.int64)
    return torch.from_numpy(values.astype(np.int64)).to(device, non_blocking=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and type(value) is not bool and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and type(value) is not bool and bool(value >= 1)
