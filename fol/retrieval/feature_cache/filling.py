"""Extracting what a cache lacks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fol.errors import DataError
from fol.extraction import ExtractedBatch, extract_places, unusable
from fol.retrieval.feature_cache.cache import FeatureCache
from fol.retrieval.feature_cache.identity import MISSING
from fol.retrieval.feature_cache.part import PartWriter
from fol.types import Extractor, Place, ProgressCallback


def fill(
    cache: FeatureCache,
    model: Extractor,
    places: Sequence[Place],
    keys: NDArray[np.uint64],
    *,
    local: bool,
    batch_size: int = 8,
    workers: int = 0,
    short_side: int | None = None,
    progress: ProgressCallback | None = None,
) -> Mapping[str, str]:
    """Extract the photos whose descriptors, or with ``local`` whose local features, are not in ``cache`` yet.

    ``keys`` are those of ``photo_keys`` for ``places``. Finished batches are on the disk: a run that was killed goes on
    after them. Returns name -> reason of the photos that cannot be used. Raises ``DataError`` when the cache cannot be
    written.
    """
    lacking = ~cache.has_descriptors(keys)
    if local:
        lacking |= ~cache.has_local(keys)
    # Of a photo that comes twice (a hard link, one query in two sets) the first is extracted.
    _, first = np.unique(keys, return_index=True)
    once = np.zeros(len(keys), bool)
    once[first] = True
    todo = np.flatnonzero(lacking & (once | (keys == MISSING)))
    skipped: dict[str, str] = {}
    if not len(todo):
        return skipped
    done = len(places) - len(todo)
    if progress:
        progress(done, len(places))
    wanted = [places[i] for i in todo.tolist()]
    try:
        with cache.writer() as writer:
            started = time.perf_counter()
            for batch in extract_places(model, wanted, batch_size=batch_size, workers=workers, short_side=short_side):
                skipped |= _append(cache, writer, keys[todo], batch, wanted, local)
                if progress:
                    progress(done + batch.stop, len(places))
            writer.note_time(len(todo), time.perf_counter() - started)
    except OSError as error:
        raise DataError(
            f"{cache.folder} cannot be written ({error.strerror}): finished photos are kept, "
            "make room and run the same command again"
        ) from error
    cache.reload()
    return skipped


def _append(
    cache: FeatureCache,
    writer: PartWriter,
    keys: NDArray[np.uint64],
    batch: ExtractedBatch,
    places: Sequence[Place],
    local: bool,
) -> dict[str, str]:
    skipped = {item.name: item.reason for item in batch.skipped}
    good = []
    for index, features in batch.features:
        if problem := unusable(features):
            skipped[places[index].name] = problem
        else:
            good.append((index, features))
    own = keys[[index for index, _ in good]]
    if local:
        new = ~cache.has_local(own)
        writer.append_local(own[new], [f.local for (_, f), wanted in zip(good, new.tolist(), strict=True) if wanted])
    new = ~cache.has_descriptors(own)
    writer.append_descriptors(
        own[new], [f.descriptor for (_, f), wanted in zip(good, new.tolist(), strict=True) if wanted]
    )
    return skipped
