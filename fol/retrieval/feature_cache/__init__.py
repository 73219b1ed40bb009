"""Features that were extracted once, for as many evaluations as wanted.

For the rest of the library: ``FeatureCache`` holds the features of photos by model and file; ``fill`` extracts what it
lacks; ``photo_keys`` tells photos apart; ``Demand`` says what an evaluation takes before it starts.
"""

from fol.retrieval.feature_cache.cache import CachedRows, FeatureCache
from fol.retrieval.feature_cache.demand import Demand, check_room, free_bytes, gigabytes
from fol.retrieval.feature_cache.filling import fill
from fol.retrieval.feature_cache.identity import photo_keys

__all__ = ["CachedRows", "Demand", "FeatureCache", "check_room", "fill", "free_bytes", "gigabytes", "photo_keys"]
