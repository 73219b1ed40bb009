"""How many of the matches behind a re-ranking are right, where the true geometry of both images is known.

A match is right when its point in the database image lies within ``MATCH_RADIUS`` pixels (of the image on disk) of
where the query's point truly is. Matches whose query point cannot be seen in the other image (sky, hidden, outside,
things that come and go) can be neither: they are counted apart. The share is taken over those that can be judged.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fol.data import PlaceDataset
from fol.data.correspondences import TrueGeometry
from fol.reranking import Method, RerankOptions, rerank
from fol.types import LocalFeatures

#: Pixels: the side of a patch of the usual backbones, so a match of the right patch is right.
MATCH_RADIUS = 14.0


@dataclass(frozen=True)
class MatchCount:
    """Matches of one pair of images: all, those that the geometry can judge, and the right ones among these."""

    matches: int
    judged: int
    correct: int

    @property
    def share(self) -> float | None:
        """Right ones among the judged, in [0, 1]; None when there is nothing to judge."""
        return self.correct / self.judged if self.judged else None


def mean_share(counts: Sequence[MatchCount | None]) -> float | None:
    """Mean over the images that have something to judge; None when none has."""
    shares = [count.share for count in counts if count is not None and count.share is not None]
    return sum(shares) / len(shares) if shares else None


def count_correct(
    found: ArrayLike, true: ArrayLike, visible: NDArray[np.bool_], radius: float = MATCH_RADIUS
) -> MatchCount:
    """Count matches whose database points ``found [M, 2]`` lie within ``radius`` (inclusive) of ``true [M, 2]``.

    Only those of ``visible [M]`` are judged; ``true`` may be NaN elsewhere.
    """
    distances = np.linalg.norm(np.asarray(found, np.float64) - np.asarray(true, np.float64), axis=1)
    return MatchCount(len(visible), int(visible.sum()), int((visible & (distances <= radius)).sum()))


def judge_matches(
    query_local: LocalFeatures,
    database_local: Sequence[LocalFeatures],
    geometry: TrueGeometry,
    query: int,
    database: int,
    *,
    method: Method = "fol",
    options: RerankOptions | None = None,
    radius: float = MATCH_RADIUS,
) -> MatchCount:
    """Count the matches that re-ranking would count between two images, numbers ``query`` and ``database``.

    ``database_local`` holds the one image, as a map gives it.
    """
    ranking = rerank(query_local, database_local, None, method, return_matches=True, options=options)
    pairs = (ranking.matches or ())[0].cpu()
    if not len(pairs):
        return MatchCount(0, 0, 0)
    points = query_local.positions.cpu()[pairs[:, 0]].numpy()
    found = database_local[0].positions.cpu()[pairs[:, 1]].numpy()
    true, visible = geometry.correspondences(query, database, points)
    return count_correct(found, true, visible, radius)


@dataclass(frozen=True, eq=False)
class MatchJudge:
    """Judges a query's matches with its closest true view."""

    dataset: PlaceDataset
    geometry: TrueGeometry
    radius: float
    method: Method
    options: RerankOptions | None

    def closest_view(self, query: int, known: Container[int]) -> int | None:
        """Of the ``known`` positives of query number ``query`` the one that shows most of it; None without any."""
        positives = [] if self.dataset.positives is None else self.dataset.positives[query].tolist()
        return self.geometry.closest_view(query, [i for i in positives if i in known])

    def __call__(self, query: int, local: LocalFeatures, database: int, other: Sequence[LocalFeatures]) -> MatchCount:
        """Count for query number ``query`` and database image number ``database``, which ``other`` holds alone."""
        return judge_matches(
            local, other, self.geometry, query, database, method=self.method, options=self.options, radius=self.radius
        )
