"""What stands behind a query in the list: its photo, the best answers of both stages, match lines and regions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from fol.data import PlaceDataset, image_size, load_image
from fol.errors import ImageError
from fol.evaluation import EvaluationResult
from fol.evaluation.database_features import DatabaseFeatures
from fol.evaluation.journal import QueryRanking
from fol.evaluation.measures import stage_list
from fol.evaluation.result import Stage
from fol.extraction import prepared
from fol.reporting.album import LARGE, Album, png
from fol.reranking import Method, RerankOptions, rerank
from fol.types import Extractor, Features, LocalFeatures, Position
from fol.visualization.matches import COLOURS as LINE_COLOURS
from fol.visualization.matches import MAX_LINES, as_array, matches_caption, strongest
from fol.visualization.regions import COLOURS as REGION_COLOURS
from fol.visualization.regions import region_values

TOP = 5

Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class PictureMaker:
    """Makes the pictures of single queries: ``model`` sees a query again for its regions and its local features, those
    of answers come from ``features``. None leaves out what needs them."""

    dataset: PlaceDataset
    result: EvaluationResult
    album: Album
    model: Extractor | None
    features: DatabaseFeatures | None = None

    def details(self, query: int, ranking: QueryRanking) -> Document:
        """JSON values: ``photo`` (number in the album, or None), ``stages``, ``matches`` and ``regions``."""
        photo = self.album.add(self.dataset.queries[query].image, LARGE)
        best = {stage: self._counted(query, ranking, stage) for stage in self.result.stages}
        drawn: Document = {"matches": [], "regions": None}
        final = best[self.result.stages[-1]]
        if final and self.model is not None and self.model.local_dim and photo is not None:
            right = [entry for entry, _, _ in [*final, *best["global"]] if self._right(query, entry)]
            drawn = self._drawn(self.model, query, photo, list(dict.fromkeys([final[0][0], *right[:1]])))
        stages = [
            {"stage": stage, "top": [self._answer(query, *entry) for entry in found]} for stage, found in best.items()
        ]
        return {"photo": photo, "stages": stages, **drawn}

    def _counted(self, query: int, ranking: QueryRanking, stage: Stage) -> list[tuple[int, float | None, int | None]]:
        """The best answers (database index, score, number of matches) as they count: without what the ground truth
        ignores, and each panorama once where so ruled."""
        scores = ranking.similarities if stage == "global" else ranking.scores
        matches = () if stage == "global" else ranking.num_matches
        passed_over, seen = set(self.dataset.ignored[query].tolist()), set()
        found: list[tuple[int, float | None, int | None]] = []
        for i, entry in enumerate(stage_list(ranking, stage)):
            number = self._number(entry)
            if entry in passed_over or number in seen:
                continue
            seen.add(number)
            found.append((entry, scores[i] if i < len(scores) else None, matches[i] if i < len(matches) else None))
            if len(found) == TOP:
                break
        return found

    def _number(self, entry: int) -> int:
        one_per = self.dataset.rules.one_per
        return entry if one_per is None else int(one_per[entry])

    def _right(self, query: int, entry: int) -> bool:
        positives = (self.dataset.positives or ())[query]
        return self._number(entry) in {self._number(positive) for positive in positives.tolist()}

    def _answer(self, query: int, entry: int, score: float | None, matches: int | None) -> Document:
        place = self.dataset.database[entry]
        return {
            "name": place.name,
            "score": score,
            "matches": matches,
            "right": self._right(query, entry),
            "distance": distance(self.dataset.queries[query].position, place.position),
            "photo": self.album.add(place.image),
        }

    def _drawn(self, model: Extractor, query: int, photo: int, entries: Sequence[int]) -> Document:
        """The region map and match lines to these database images, as far as model and photos give them."""
        try:
            picture = load_image(self.dataset.queries[query].image)
        except ImageError:
            return {"matches": [], "regions": None}
        features = _extract(model, picture, self.dataset.rules.query_short_side)
        regions = None if features.region_map is None else self.album.put(_heat(region_values(features.region_map)))
        matches = []
        for entry in entries:
            place = self.dataset.database[entry]
            other, local = self.album.add(place.image, LARGE), self.features(entry) if self.features else None
            if local is None or other is None:
                continue
            sides = {"photos": [photo, other], "sizes": [picture.size, image_size(place.image)]}
            lines = self._lines(features.local, local)
            matches.append({**sides, **lines, "right": self._right(query, entry), "best": entry == entries[0]})
        return {"matches": matches, "regions": regions}

    def _lines(self, query: LocalFeatures, candidate: LocalFeatures) -> Document:
        """The strongest matches under the result's options: ends (x, y, x, y) in pixels, and their colours."""
        method: Method = "official" if self.result.subject.method == "official" else "fol"
        options = RerankOptions(**dict(self.result.subject.options))  # type: ignore[arg-type]
        ranked = rerank(query, [candidate], method=method, return_matches=True, options=options)
        (pairs,) = ranked.matches or (torch.zeros(0, 2, dtype=torch.int64),)
        rows = pairs.cpu().numpy()
        weights = as_array(query.weights)[rows[:, 0]] * as_array(candidate.weights)[rows[:, 1]]
        chosen = strongest(weights, MAX_LINES)
        ends = [as_array(side.positions)[rows[chosen, i]] for i, side in enumerate((query, candidate))]
        return {
            "lines": np.concatenate(ends, axis=1).round(1).tolist(),
            "colours": _line_colours(np.sqrt(np.clip(weights[chosen], 0, None))),
            "caption": matches_caption(len(chosen), len(rows)),
        }


def _extract(model: Extractor, photo: Image.Image, short_side: int | None = None) -> Features:
    with torch.inference_mode():
        (features,) = model.extract(prepared(model, photo, short_side)[None], [photo.size])
    return features


def distance(a: Position | None, b: Position | None) -> float | None:
    """Metres between two positions; None where they are unknown or in different zones."""
    if a is None or b is None or a.zone != b.zone:
        return None
    return round(math.hypot(a.easting - b.easting, a.northing - b.northing), 2)


def _line_colours(weights: NDArray[np.float64]) -> list[str]:
    """As ``fol.visualization.draw_matches`` colours them: brighter the stronger."""
    if not len(weights):
        return []
    low, high = weights.min(), weights.max()
    part = (weights - low) / (high - low) if high > low else np.ones(len(weights))
    colours: Callable[..., NDArray[np.float64]] = colormaps[LINE_COLOURS]
    return ["#" + bytes(rgb).hex() for rgb in colours(0.35 + 0.65 * part, bytes=True)[:, :3].astype(np.uint8)]


def _heat(values: NDArray[np.float64]) -> str:
    """The region map ``[h, w]`` as a picture of h x w pixels from dark (its lowest value) to bright."""
    low, high = values.min(), values.max()
    part = (values - low) / (high - low) if high > low else np.zeros_like(values)
    colours: Callable[..., NDArray[np.uint8]] = colormaps[REGION_COLOURS]
    return png(Image.fromarray(colours(part, bytes=True)[..., :3].astype(np.uint8)))


def picture_queries(
    maker: PictureMaker, queries: Sequence[int], rankings: Sequence[QueryRanking], done: Callable[[int], object]
) -> dict[int, Document]:
    """Details by number of the query, until the album is full; ``done`` hears how many are finished."""
    found: dict[int, Document] = {}
    for finished, query in enumerate(queries, 1):
        if maker.album.full:
            break
        found[query] = maker.details(query, rankings[query])
        done(finished)
    return found
