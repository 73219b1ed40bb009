"""From a photo to an answer: extract, retrieve, re-rank, decide. Serving and evaluation run this same code."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from PIL import Image

from fol.data import load_image, upright_rgb
from fol.errors import ConfigError, MapError
from fol.reranking import METHODS, Method, RerankOptions, default_method
from fol.retrieval import IN_MAP_CONFIDENCE, PlaceMap, StageRanking, confidence, rank_features
from fol.types import Extractor, Features, Prediction, RankedPlace

__all__ = ["Localizer", "StageRanking"]


class Localizer:
    """Locates photos in a map. Holds no state besides its parts; threads may share one.

    ``method`` and ``options`` are those of ``fol.rerank``; the method defaults to the model's preset. Answers whose
    calibrated confidence is below ``in_map_confidence`` are flagged as not in the map. Raises ``MapError`` when the map
    was built with another model.
    """

    def __init__(
        self,
        model: Extractor,
        place_map: PlaceMap,
        *,
        method: Method | None = None,
        options: RerankOptions | None = None,
        in_map_confidence: float = IN_MAP_CONFIDENCE,
    ) -> None:
        place_map.check_model(model)
        if method not in (None, *METHODS):
            raise ConfigError(f"method={method!r}: choose one of {', '.join(METHODS)}")
        self.model = model
        self.place_map = place_map
        self.method: Method = method or default_method(model.preset)
        self.options = options
        self.in_map_confidence = in_map_confidence

    def locate(self, image: str | Path | Image.Image, top_k: int = 5, candidates: int = 100) -> Prediction:
        """Ranked places for one photo, with ``candidates`` retrieved and re-ranked and ``top_k`` reported.

        The position is that of the best place. Raises ``ImageError`` for a photo that cannot be used and
        ``MapError`` for a map without places.
        """
        if top_k < 1:
            raise ConfigError(f"top_k={top_k}: it must be at least 1")
        start = time.perf_counter()
        features = self.extract(image)
        extract_seconds = time.perf_counter() - start
        return self.answer(self.rank(features, candidates), top_k, extract_seconds)

    def extract(self, image: str | Path | Image.Image) -> Features:
        """Features of one photo, on the model's device; an opened image is turned upright and made RGB."""
        photo = upright_rgb(image) if isinstance(image, Image.Image) else load_image(Path(image))
        with torch.inference_mode():
            return self.model.extract(self.model.transform(photo)[None], [photo.size])[0]

    def rank(self, features: Features, candidates: int = 100, *, return_matches: bool = False) -> StageRanking:
        """Both stages for features that are there already; re-ranks on the model's device.

        ``return_matches`` keeps the matches of every candidate (``Ranking.matches``).
        """
        if candidates < 1:
            raise ConfigError(f"candidates={candidates}: it must be at least 1")
        place_map, device = self.place_map, self.model.device
        return rank_features(
            place_map, features, candidates, self.method, self.options, device, return_matches=return_matches
        )

    def answer(self, ranked: StageRanking, top_k: int = 5, extract_seconds: float = 0.0) -> Prediction:
        """What ``locate`` returns, from the two stages' results."""
        places = self._ranked_places(ranked, top_k)
        if not places:
            raise MapError(f"map {self.place_map.path} has no places: add some first")
        calibration = self.place_map.calibration(self.method, self.options)
        sure = None if calibration is None else confidence(calibration, ranked.best_score)
        return Prediction(
            place=places[0].place,
            position=places[0].place.position,
            score=places[0].score,
            confidence=sure,
            not_in_map=None if sure is None else sure < self.in_map_confidence,
            ranking=tuple(places),
            seconds={"extract": extract_seconds, **ranked.seconds},
        )

    def _ranked_places(self, ranked: StageRanking, top_k: int) -> list[RankedPlace]:
        found, ranking = ranked.candidates, ranked.ranking
        similarity = dict(zip(found.ids.tolist(), found.similarities.tolist(), strict=True))
        ids = found.ids.tolist() if ranking is None else ranking.ids.tolist()
        scores = found.similarities.tolist() if ranking is None else ranking.scores.tolist()
        matches = [None] * len(ids) if ranking is None else ranking.num_matches.tolist()
        best = list(zip(ids, scores, matches, strict=True))[:top_k]
        places = self.place_map.places([place_id for place_id, _, _ in best])
        return [
            RankedPlace(rank, place_id, place, float(score), similarity[place_id], count)
            for rank, (place, (place_id, score, count)) in enumerate(zip(places, best, strict=True), 1)
        ]
