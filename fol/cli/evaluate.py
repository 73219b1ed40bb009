"""``fol evaluate``: recall of both stages on a data set."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from fol.cli.configuration import plain
from fol.cli.console import note, out, progress_bar, say
from fol.cli.loading import load_configured_extractor, rerank_settings
from fol.data import PlaceDataset, read_dataset
from fol.errors import ConfigError
from fol.evaluation import EvaluationResult, evaluate, result_table
from fol.localizer import Localizer
from fol.retrieval import MANIFEST, PlaceMap
from fol.types import Extractor


def run(config: DictConfig) -> None:
    """Index the database (or use a map of it), answer every query, write and print the result."""
    dataset = read_dataset(Path(config.data.root), radius=config.data.radius)
    note(f"{dataset.name}: {dataset.summary}")
    if dataset.positives is None:
        raise ConfigError(f"{dataset.root} has no ground truth: give it coordinates or a ground_truth.csv")
    model = load_configured_extractor(config.model)
    result = evaluate_dataset(config, model, dataset, Path(config.out))
    out.print(result_table(result))
    say(f"results: {Path(config.out) / 'results.json'}")


def evaluate_dataset(config: DictConfig, model: Extractor, dataset: PlaceDataset, folder: Path) -> EvaluationResult:
    """Evaluate into ``folder``; the database's map is kept there and used again by a later run of the same model."""
    place_map = PlaceMap.open(Path(config.map), model) if config.get("map") else _map_of(config, model, dataset, folder)
    method, options = rerank_settings(config.matching)
    localizer = Localizer(model, place_map, method=method, options=options)
    with progress_bar("locating queries") as progress:
        return evaluate(
            localizer,
            dataset,
            out=folder,
            recall_values=tuple(config.recall_values),
            candidates=config.candidates,
            match_radius=config.match_radius,
            batch_size=config.batch_size,
            workers=config.workers,
            config=plain(config),
            progress=progress,
        )


def _map_of(config: DictConfig, model: Extractor, dataset: PlaceDataset, folder: Path) -> PlaceMap:
    # One map per model: another model, size or preset never meets features that are not its own.
    path = folder / f"database-{model.fingerprint[:12]}.fol"
    if path.is_dir() and _is_current(place_map := PlaceMap.open(path, model), dataset):
        return place_map
    with progress_bar("indexing the database") as progress:
        report = PlaceMap.build(
            path,
            model,
            dataset.database,
            batch_size=config.batch_size,
            workers=config.workers,
            overwrite=True,
            calibrate=False,
            progress=progress,
        )
    for skipped_image in report.skipped:
        note(f"skipped {skipped_image.name}: {skipped_image.reason}")
    return report.place_map


def _is_current(place_map: PlaceMap, dataset: PlaceDataset) -> bool:
    """Whether the map is of exactly these photos, none of which was written after it."""
    names = {place.name for place in place_map.places(place_map.ids)} | {item.name for item in place_map.skipped}
    if names != {place.name for place in dataset.database}:
        return False
    built = (place_map.path / MANIFEST).stat().st_mtime
    return all(place.image.stat().st_mtime <= built for place in dataset.database)
