"""The re-ranking call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import ConfigError, MatchingError
from fol.matching import QuantisedLocalFeatures, check_positions, check_sets, count_matches, thin
from fol.reranking.options import METHODS, Method, RerankOptions, is_count
from fol.reranking.stages import run_stages
from fol.types import LocalFeatures, LocalFeaturesBatch, Ranking


def rerank(
    query_local: LocalFeatures | Tensor,
    candidate_locals: (
        LocalFeaturesBatch | QuantisedLocalFeatures | Sequence[LocalFeatures] | Sequence[Tensor] | Tensor
    ),
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
    ``QuantisedLocalFeatures``, a sequence of ``LocalFeatures`` or of ``[Lc, D]`` (lengths may differ), or one
    ``[N, Lc, D]``. Zero rows are padding; plain tensors have weights of 1. Any floating-point type. No tokens: score
    0. All on one device, where the ranking is made too. ``global_similarity [N]`` and ``ids [N]`` go along with the
    candidates.

    ``method="official"``: the score is the number of matches with cosine > ``options.threshold`` (0.7 as published);
    the global similarity is reported and plays no part (official: test_FoL.py:53-122). ``method="fol"``:
    ``gamma S_g + S_l`` with weighted, normalised matches (``fol.matching.scoring``; eqs 11-17 of FoL++).
    ``method="cascade"``: the same score, of binary codes for all candidates, then of int8 codes for the best
    ``cascade_int8``, then in float32 for the best ``cascade_exact`` of those.

    ``top``: give the best ``top`` candidates only (all are scored). ``return_matches``: index pairs of those given.

    Order: score descending, then the incoming rank. Deterministic; the score of a candidate does not depend on the
    others, but for this: where only some are looked at again (cascade, ``candidate_margin``, ``verify_top``), these
    are ordered by their new scores, the rest stays behind them in its order, and its scores are at most the lowest new
    one.

    Raises ``MatchingError`` naming the candidate (shapes, devices, types, values) and ``ConfigError`` (options).
    """
    options = options or RerankOptions()
    if method not in METHODS:
        raise ConfigError(f"unknown re-ranking method {method!r}; choose one of: {', '.join(METHODS)}")
    if top is not None and not is_count(top):
        raise ConfigError(f"top must be an integer of at least 1 or None (all), not {top!r}")
    with torch.no_grad():
        query, candidates = check_sets(query_local, candidate_locals)
        if options.verify is not None:
            check_positions(query, candidates)
        count, device = len(candidates), query.device
        similarity = _global(global_similarity, count, device)
        labels = _ids(ids, count, device)
        if count == 0:
            none = torch.zeros(0, device=device)
            return Ranking(labels, none, none, none.long(), similarity, () if return_matches else None)
        query_rows: Tensor | None = None
        candidate_rows: list[Tensor | None] = [None] * count
        if options.max_tokens is not None:
            query, query_rows = thin(query, options.max_tokens, options.token_selection)
            thinned = [thin(candidate, options.max_tokens, options.token_selection) for candidate in candidates]
            candidates, candidate_rows = [tokens for tokens, _ in thinned], [rows for _, rows in thinned]
        found = run_stages(query, candidates, similarity, method, options)
        order = found.order[:top]
        return Ranking(
            ids=labels[order],
            scores=found.scores[order],
            local_scores=found.local_scores[order],
            num_matches=count_matches(found.matches)[order],
            global_similarity=None if similarity is None else similarity[order],
            matches=(
                tuple(_pairs(found.matches[k].pairs, query_rows, candidate_rows[k]) for k in order.tolist())
                if return_matches
                else None
            ),
        )


def _pairs(pairs: Tensor, query_rows: Tensor | None, candidate_rows: Tensor | None) -> Tensor:
    """Token numbers ``[M, 2]`` as the caller counts them, of tokens that were thinned."""
    first, second = pairs.unbind(dim=1)
    return torch.stack(
        [
            first if query_rows is None else query_rows[first],
            second if candidate_rows is None else candidate_rows[second],
        ],
        dim=1,
    )


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
