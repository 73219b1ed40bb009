"""Local features of database images that an evaluation has already extracted, for what is drawn afterwards."""

from __future__ import annotations

from collections.abc import Callable

from fol.data import PlaceDataset
from fol.evaluation.cached_answers import CachedModel
from fol.evaluation.database import match_database
from fol.localizer import Localizer
from fol.retrieval.feature_cache import FeatureCache, photo_keys
from fol.types import LocalFeatures

#: Of a number in the database its local features; None where none are kept.
DatabaseFeatures = Callable[[int], LocalFeatures | None]


def database_features(subject: Localizer | CachedModel, dataset: PlaceDataset) -> DatabaseFeatures:
    """Read from the map, or from the cache, that ``subject`` was evaluated with on ``dataset``."""
    if isinstance(subject, CachedModel):
        cache, keys = FeatureCache(subject.cache, subject.model), photo_keys(dataset.database)

        def of_cache(number: int) -> LocalFeatures | None:
            own = keys[[number]]
            return next(iter(cache.local_features(own))) if cache.has_local(own).all() else None

        return of_cache

    place_map = subject.place_map
    place_ids = {index: place_id for place_id, index in match_database(place_map, dataset).index.items()}

    def of_map(number: int) -> LocalFeatures | None:
        if not place_map.has_local_features or number not in place_ids:
            return None
        return next(iter(place_map.local_features([place_ids[number]])))

    return of_map
