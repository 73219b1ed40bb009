"""What an evaluation takes on disk, before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fol.errors import ConfigError
from fol.retrieval.feature_cache.cache import FeatureCache
from fol.retrieval.feature_cache.part import BITS
from fol.retrieval.local_records import HEAD_BYTES, TABLE_ROW, token_bytes

_KEY_BYTES = 8


@dataclass(frozen=True)
class Demand:
    """Bytes that a cache will grow by: ``descriptors`` of all photos without them, ``all_local`` with local features
    of all photos, ``candidates_local`` with those of queries and of the photos that are re-ranked, at most."""

    descriptors: int
    all_local: int
    candidates_local: int

    @staticmethod
    def of(
        cache: FeatureCache, *, descriptors: int, local: int, database: int, queries: int, candidates: int
    ) -> Demand:
        """For so many photos without ``descriptors`` and without ``local`` features, of ``database`` and ``queries``.

        The number of local features is the most that the model gives, so it takes no more than this.
        """
        row = 4 * cache.descriptor_dim + _KEY_BYTES
        image = cache.max_tokens * token_bytes(cache.local_dim, BITS) + HEAD_BYTES + TABLE_ROW.itemsize + _KEY_BYTES
        most = min(database, queries * candidates) + queries
        return Demand(descriptors * row, local * image, min(most, local) * image)

    def __str__(self) -> str:
        return (
            f"descriptors {gigabytes(self.descriptors)}, local features at most {gigabytes(self.all_local)} of all "
            f"photos or {gigabytes(self.candidates_local)} of the candidates alone"
        )


def check_room(cache: FeatureCache, demand: Demand, max_disk: int | None) -> bool:
    """Whether local features of all photos fit, so that every photo is extracted once; else candidates' alone.

    ``max_disk``: bytes that the whole cache of this model may take; None: nine tenths of what is free. Raises
    ``ConfigError`` naming what it takes and the ways out when not even the candidates' fit.
    """
    free = free_bytes(cache.folder)
    used = cache.size()
    room = int(0.9 * free) if max_disk is None else min(max_disk - used, free)
    if demand.descriptors + demand.all_local <= (room // 2 if max_disk is None else room):
        return True
    needed = demand.descriptors + demand.candidates_local
    if needed > room:
        limit = "free" if max_disk is None else f"left of max_disk={gigabytes(max_disk)}, {gigabytes(free)} are free"
        raise ConfigError(
            f"{cache.folder}: the features take at most {gigabytes(needed)} ({demand}), {gigabytes(max(room, 0))} are "
            f"{limit}: give cache= on a larger disk, a larger max_disk=, fewer candidates= or a smaller image_size"
        )
    return False


def free_bytes(folder: Path) -> int:
    """Room on the disk that holds ``folder``."""
    return shutil.disk_usage(folder).free


def gigabytes(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:.3g} GB"
