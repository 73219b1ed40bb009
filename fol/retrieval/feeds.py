"""Where the features of a map come from: photos and a model, or whoever computed them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from fol.extraction import extract_places
from fol.types import Extractor, Features, Place

#: Consecutive places of the list and what became of each: features, or the reason why there are none.
Batch = tuple[Sequence[Place], Sequence[Features | str]]


class Feed(Protocol):
    """Where places and features come from."""

    total: int | None

    def skip(self, count: int) -> list[Place]:
        """The first ``count`` places, which are finished already; called once, before ``batches``."""

    def batches(self) -> Iterator[Batch]:
        """The others, in order."""


class PhotoFeed:
    """Features extracted by a model from the places' photos."""

    def __init__(self, model: Extractor, places: Sequence[Place], batch_size: int, workers: int) -> None:
        self._model, self._places, self._batch_size, self._workers = model, places, batch_size, workers
        self._start = 0
        self.total: int | None = len(places)

    def skip(self, count: int) -> list[Place]:
        """See ``Feed.skip``."""
        self._start = count
        return list(self._places[:count])

    def batches(self) -> Iterator[Batch]:
        """See ``Feed.batches``."""
        places = self._places[self._start :]
        for batch in extract_places(self._model, places, batch_size=self._batch_size, workers=self._workers):
            reasons = iter(batch.skipped)
            found = dict(batch.features)
            outcomes = [found[i] if i in found else next(reasons).reason for i in range(batch.start, batch.stop)]
            yield places[batch.start : batch.stop], outcomes


class FeatureFeed:
    """Features that were computed elsewhere. A resumed build draws the finished items again and drops them."""

    def __init__(self, items: Iterable[tuple[Place, Features]], batch_size: int, total: int | None) -> None:
        self._items, self._batch_size, self.total = iter(items), batch_size, total

    def skip(self, count: int) -> list[Place]:
        """See ``Feed.skip``."""
        return [place for place, _ in islice(self._items, count)]

    def batches(self) -> Iterator[Batch]:
        """See ``Feed.batches``."""
        while batch := list(islice(self._items, self._batch_size)):
            yield [place for place, _ in batch], [features for _, features in batch]
