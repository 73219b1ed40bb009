"""``fol index``: a map from a folder of photos."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from fol.cli.console import note, progress_bar, say
from fol.cli.loading import load_configured_model
from fol.data import read_places
from fol.retrieval import BuildReport, PlaceMap


def run(config: DictConfig) -> None:
    """Build a map, or add photos to one; photos that cannot be read are skipped and listed."""
    places = read_places(Path(config.photos))
    located = sum(place.position is not None for place in places)
    note(f"{len(places)} photos, {located} with coordinates")
    model = load_configured_model(config.model)
    target = Path(config.out)
    with progress_bar("indexing") as progress:
        if config.add:
            place_map = PlaceMap.open(target, model)
            report = place_map.add(
                model, places, batch_size=config.batch_size, workers=config.workers, progress=progress
            )
        else:
            report = PlaceMap.build(
                target,
                model,
                places,
                batch_size=config.batch_size,
                workers=config.workers,
                overwrite=config.overwrite,
                calibrate=config.calibrate,
                progress=progress,
            )
    print_build_report(report)
    say(f"next: fol locate PHOTO --map {target}")


def print_build_report(report: BuildReport) -> None:
    """What was indexed, what was skipped and why."""
    for skipped in report.skipped:
        note(f"skipped {skipped.name}: {skipped.reason}")
    place_map = report.place_map
    size = sum(file.stat().st_size for file in place_map.path.iterdir() if file.is_file())
    say(f"{place_map.path}: {len(place_map)} places, {len(report.skipped)} photos skipped, {size / 1e6:.1f} MB")
