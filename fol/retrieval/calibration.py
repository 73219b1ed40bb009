"""How sure an answer is: scores compared with those that photos from outside the map reach.

The trials: a photo of the map plays the query while every place within ``radius`` of it is taken out of the
map, which makes it a photo of a place that is not in the map. The best score it still reaches is one sample of
what "not in the map" looks like. With n such scores, of which r lie below a query's score,
``confidence = r / (n + 1)``: if the query is a photo from outside the map, taken like the map's own photos, the
chance of a confidence of c or more is at most 1 - c (split conformal prediction; exact for exchangeable photos).

What it does not say. The samples are the map's own photos: queries in other conditions (night, another camera)
score lower, in the map and outside of it, so more of them are called "not in the map" than should be. In maps of 4
bits and fewer the trials' queries are as coarse as the places, which real queries are not. Photos of
one landmark from farther apart than ``radius`` count as different places, and photos without coordinates are
never taken out; both make it more cautious. It speaks of the first place's score, for rankings by the same method
and options, in a map about as large as in the trials. Re-ranking more candidates than in the trials gives photos
from outside a little more chance: on a synthetic city with an untrained network, 100 candidates instead of 25
raised the trials' scores by 0.4 % (method "fol") and by up to 6 % ("official"). 19 trials are the fewest that can
give 0.95.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fol.data import planar_coordinates
from fol.errors import DataError, MapError
from fol.reranking import Method, RerankOptions
from fol.retrieval.manifest import Calibration
from fol.retrieval.two_stage import rank_features, ranking_key
from fol.types import Features, ProgressCallback

if TYPE_CHECKING:
    from fol.retrieval.place_map import PlaceMap

#: Below this confidence a query is reported as not in the map.
IN_MAP_CONFIDENCE = 0.95
MINIMUM_TRIALS = 20


def confidence(calibration: Calibration, score: float) -> float:
    """Confidence in [0, 1) that a query with this best score shows a place of the map."""
    return bisect_left(calibration.scores, score) / (len(calibration.scores) + 1)


def is_stale(calibration: Calibration, places: int) -> bool:
    """Whether the map has grown or shrunk by more than a quarter since."""
    return abs(places - calibration.places) > calibration.places / 4


def is_possible(place_map: PlaceMap, radius: float = 50.0) -> bool:
    """Whether ``measure`` would find enough places."""
    try:
        return len(_trials(place_map, MINIMUM_TRIALS, radius, 0)[0]) >= MINIMUM_TRIALS
    except DataError:  # coordinates that cannot be compared with each other
        return False


def measure(
    place_map: PlaceMap,
    method: Method,
    options: RerankOptions | None = None,
    *,
    trials: int = 50,
    candidates: int = 25,
    radius: float = 50.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: ProgressCallback | None = None,
) -> Calibration:
    """Run up to ``trials`` trials, their photos all more than ``radius`` metres apart, drawn with ``seed``.

    Takes as long as ``trials`` queries with that many candidates, less the extraction.

    Raises ``MapError`` when there are fewer than 20 such photos: too little coverage to say anything; ``DataError``
    when local and UTM coordinates are mixed.
    """
    chosen, nearby = _trials(place_map, trials, radius, seed)
    if len(chosen) < MINIMUM_TRIALS:
        raise MapError(
            f"{place_map.path} has only {len(chosen)} places with coordinates more than {radius:g} m apart, "
            f"{MINIMUM_TRIALS} are needed to calibrate its confidence"
        )
    scores: list[float] = []
    for place_id, near in zip(chosen, nearby, strict=True):
        query = Features(place_map.descriptors([place_id])[0], place_map.local_features([place_id])[0])
        with warnings.catch_warnings():
            # What 2 bits and 1 bit stand for is longer than 1, so that its products are right on average.
            warnings.filterwarnings("ignore", ".*not of unit length")
            result = rank_features(place_map, query, candidates, method, options, device, exclude=near)
        scores.append(result.best_score)
        if progress:
            progress(len(scores), len(chosen))
    key, details = ranking_key(place_map, method, options)
    return Calibration(
        key, details, tuple(sorted(scores)), min(candidates, len(place_map)), len(place_map), radius, seed
    )


def _trials(place_map: PlaceMap, trials: int, radius: float, seed: int) -> tuple[list[int], list[NDArray[np.int64]]]:
    """Query ids, and for each the ids within ``radius`` of it (itself among them)."""
    ids, positions = [], []
    for place_id, place in zip(place_map.ids.tolist(), place_map.places(place_map.ids), strict=True):
        if place.position is not None:
            ids.append(place_id)
            positions.append(place.position)
    points = planar_coordinates(positions)
    free = np.isfinite(points[:, 0])
    chosen: list[int] = []
    nearby: list[NDArray[np.int64]] = []
    for index in np.random.default_rng(seed).permutation(len(ids)):
        if len(chosen) == trials:
            break
        if not free[index]:
            continue
        near = np.hypot(*(points - points[index]).T) <= radius
        free &= ~near
        if near.sum() < len(place_map):  # something must be left to be found
            chosen.append(ids[index])
            nearby.append(np.array(ids, np.int64)[near])
    return chosen, nearby
