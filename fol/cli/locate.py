"""``fol locate``: where photos were taken."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig
from PIL import Image
from rich.box import SIMPLE
from rich.table import Table

from fol.cli.console import note, out, say
from fol.cli.loading import load_configured_extractor, rerank_settings
from fol.data import load_image
from fol.errors import CheckpointError, ConfigError, FolError, ImageError
from fol.localizer import Localizer
from fol.retrieval import PlaceMap
from fol.types import Extractor, Position, Prediction
from fol.visualization import draw_prediction


def run(config: DictConfig) -> None:
    """Answer for each photo; one that cannot be read is reported, the others are still answered."""
    photos = (
        [Path(photo) for photo in config.photos] if isinstance(config.photos, ListConfig) else [Path(config.photos)]
    )
    place_map = PlaceMap.open(config.map)
    model = _model_of(config, place_map)
    method, options = rerank_settings(config.matching)
    localizer = Localizer(model, place_map, method=method, options=options)
    failed = 0
    answers = []
    for photo in photos:
        try:
            if config.picture is None:
                prediction = localizer.locate(photo, config.top_k, config.candidates)
            else:
                picture = Path(config.picture)
                if len(photos) > 1:
                    picture = picture.with_name(f"{picture.stem}-{photo.stem}{picture.suffix}")
                prediction = draw(localizer, photo, picture, config.candidates, config.top_k)
                note(f"wrote {picture}")
        except ImageError as error:
            failed += 1
            note(f"error: {error}")
            continue
        if config.json:
            answers.append(as_json(photo, prediction))
        else:
            print_prediction(photo, prediction)
    if config.json:
        say(json.dumps(answers, indent=1, ensure_ascii=False))
    if failed:
        raise FolError(f"{failed} of {len(photos)} photos could not be used")


def _model_of(config: DictConfig, place_map: PlaceMap) -> Extractor:
    """The model that the map says, unless the configuration names one."""
    try:
        return load_configured_extractor(config.model, place_map.manifest.model.recipe)
    except (CheckpointError, ConfigError) as error:
        if config.model.name is not None:
            raise
        name = place_map.manifest.model.name
        raise ConfigError(f"{error}; {config.map} was built with {name}: say where it is with model=PATH") from error


def print_prediction(photo: Path, prediction: Prediction) -> None:
    """The answer in words, then the table of places."""
    say(f"{photo}: {verdict(prediction)}")
    table = Table("rank", "place", "score", "global", "matches", "coordinates", box=SIMPLE)
    for place in prediction.ranking:
        table.add_row(
            str(place.rank),
            place.place.name,
            f"{place.score:.4f}",
            f"{place.global_similarity:.4f}",
            "-" if place.num_matches is None else str(place.num_matches),
            coordinates(place.place.position),
        )
    out.print(table)


def verdict(prediction: Prediction) -> str:
    """One phrase: the place and how sure it is, or that the photo seems to be from elsewhere."""
    where = prediction.place.name
    if prediction.position is not None:
        where += f" at {coordinates(prediction.position)}"
    if prediction.confidence is None:
        return f"{where} (the map is not calibrated: no confidence)"
    sure = f"confidence {prediction.confidence:.2f}"
    return f"probably not in the map ({sure}); nearest is {where}" if prediction.not_in_map else f"{where} ({sure})"


def coordinates(position: Position | None) -> str:
    """Degrees where they are known, else metres, else a dash."""
    if position is None:
        return "-"
    if position.latitude is not None and position.longitude is not None:
        return f"{position.latitude:.6f}, {position.longitude:.6f}"
    return f"{position.easting:.1f} E, {position.northing:.1f} N"


def as_json(photo: Path, prediction: Prediction) -> dict[str, Any]:
    """The answer as plain values."""

    def where(position: Position | None) -> dict[str, Any] | None:
        return None if position is None else {k: v for k, v in vars(position).items() if v is not None}

    return {
        "photo": str(photo),
        "place": prediction.place.name,
        "position": where(prediction.position),
        "score": prediction.score,
        "confidence": prediction.confidence,
        "not_in_map": prediction.not_in_map,
        "seconds": {stage: round(value, 4) for stage, value in prediction.seconds.items()},
        "ranking": [
            {
                "rank": place.rank,
                "id": place.place_id,
                "place": place.place.name,
                "score": place.score,
                "global_similarity": place.global_similarity,
                "num_matches": place.num_matches,
                "position": where(place.place.position),
            }
            for place in prediction.ranking
        ],
    }


def draw(localizer: Localizer, photo: Path, picture: Path, candidates: int, top_k: int) -> Prediction:
    """Answer for one photo and write the picture of it: query, regions, top places and match lines."""
    start = time.perf_counter()
    features = localizer.extract(photo)
    seconds = time.perf_counter() - start
    ranked = localizer.rank(features, candidates, return_matches=True)
    prediction = localizer.answer(ranked, top_k, seconds)
    places = prediction.ranking
    locals_ = []
    matches = []
    if ranked.ranking is not None:
        locals_ = list(localizer.place_map.local_features([place.place_id for place in places]))
        matches = [pairs.cpu() for pairs in (ranked.ranking.matches or ())[: len(places)]]
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_prediction(
        picture,
        load_image(photo),
        prediction,
        query_features=features,
        candidate_images=[_photo(place.place.image) for place in places],
        candidate_locals=locals_,
        matches=matches,
    )
    return prediction


def _photo(path: Path) -> Image.Image | None:
    """The place's photo, or None where it has been moved or damaged since the map was built."""
    try:
        return load_image(path)
    except ImageError:
        return None
