"""Candidates of a query and their re-ranking: the one piece of code behind answers, evaluation and calibration."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fol.matching.quantisation import QuantisedLocalFeatures
from fol.reranking import Method, RerankOptions, rerank
from fol.types import Candidates, Features, LocalFeatures, LocalFeaturesBatch, Ranking

if TYPE_CHECKING:
    from fol.retrieval.place_map import PlaceMap

RETRIEVAL = "retrieval"  # how the ranking of a map without local features is called


@dataclass(frozen=True, eq=False)
class StageRanking:
    """Both stages' answers for one query: ``candidates`` by descriptor, then ``ranking`` by local features.

    ``ranking`` is None where there is no second stage. ``seconds`` per stage: retrieve, read, rerank.
    """

    candidates: Candidates
    ranking: Ranking | None
    seconds: Mapping[str, float]

    @property
    def best_score(self) -> float:
        """Final score of the first place; minus infinity when there are no candidates."""
        scores = self.candidates.similarities if self.ranking is None else self.ranking.scores
        return float(scores[0]) if len(scores) else float("-inf")


def rank_features(
    place_map: PlaceMap,
    features: Features,
    candidates: int,
    method: Method,
    options: RerankOptions | None = None,
    device: torch.device | str = "cpu",
    exclude: NDArray[np.int64] | None = None,
    *,
    return_matches: bool = False,
) -> StageRanking:
    """Retrieve ``candidates`` places for one query and re-rank them on ``device``.

    ``exclude`` holds ids of places that must not be found. ``return_matches`` keeps the index pairs of the matches, for
    pictures. Without local features in the map, or for models that have none, the second stage is left out.
    """
    start = time.perf_counter()
    found = place_map.search(features.descriptor, candidates, exclude=exclude)
    seconds = {"retrieve": time.perf_counter() - start}
    if not place_map.has_local_features:
        return StageRanking(found, None, seconds)
    ranking, more = rerank_found(
        place_map.local_features, features.local, found, method, options, device, return_matches=return_matches
    )
    return StageRanking(found, ranking, {**seconds, **more})


def rerank_found(
    read: Callable[[NDArray[np.int64]], LocalFeaturesBatch | QuantisedLocalFeatures],
    query: LocalFeatures,
    found: Candidates,
    method: Method,
    options: RerankOptions | None = None,
    device: torch.device | str = "cpu",
    *,
    return_matches: bool = False,
) -> tuple[Ranking | None, dict[str, float]]:
    """The second stage: what ``read`` gives for the candidates' ids, re-ranked; and the seconds of read and rerank.

    None instead of a ranking when there are no candidates.
    """
    if not len(found):
        return None, {}
    start = time.perf_counter()
    local = read(found.ids).to(device)
    middle = time.perf_counter()
    ranking = rerank(
        query.to(device),
        local,
        found.similarities,
        method,
        ids=found.ids,
        return_matches=return_matches,
        options=options,
    )
    ranking.scores.cpu()  # waits for the device, so that the time is true
    return ranking, {"read": middle - start, "rerank": time.perf_counter() - middle}


def ranking_key(place_map: PlaceMap, method: Method, options: RerankOptions | None) -> tuple[str, str]:
    """Name of a way of ranking, (method, options): scores compare only between equal ones."""
    if not place_map.has_local_features:
        return RETRIEVAL, ""
    details, usual = asdict(options or RerankOptions()), asdict(RerankOptions())
    details["backend"] = usual["backend"]  # gives the same scores faster
    return method, "" if details == usual else json.dumps(details, sort_keys=True)
