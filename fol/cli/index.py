"""``fol index``: a map from a folder of photos."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from fol.cli.console import note, progress_bar, say
from fol.cli.loading import load_configured_extractor
from fol.data import read_places
from fol.retrieval import BuildReport, ModelIdentity, PlaceMap, bytes_per_place, calibration_is_possible


def run(config: DictConfig) -> None:
    """Build a map, or add photos to one; photos that cannot be read are skipped and listed."""
    places = read_places(Path(config.photos))
    located = sum(place.position is not None for place in places)
    note(f"{len(places)} photos, {located} with coordinates")
    model = load_configured_extractor(config.model)
    target = Path(config.out)
    size = bytes_per_place(ModelIdentity.of(model))
    note(f"{size / 1e6:.2f} MB a photo: the map takes about {size * len(places) / 1e6:.0f} MB")
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
                calibrate=False,
                progress=progress,
            )
    print_build_report(report)
    if config.calibrate:
        calibrate(report.place_map, model.device)
    say(f"next: fol locate PHOTO --map {target}")


def calibrate(place_map: PlaceMap, device: torch.device) -> None:
    """Measure the map's confidence, or say why there will be none; a map that is interrupted here is complete."""
    if not calibration_is_possible(place_map):
        note(
            "not calibrated: it takes 20 places with coordinates more than 50 m apart; answers will have no confidence"
        )
        return
    with progress_bar("calibrating") as progress:
        place_map.calibrate(device=device, progress=progress)


def print_build_report(report: BuildReport) -> None:
    """What was indexed, what was skipped and why."""
    for skipped in report.skipped:
        note(f"skipped {skipped.name}: {skipped.reason}")
    place_map = report.place_map
    size = sum(file.stat().st_size for file in place_map.path.iterdir() if file.is_file())
    say(f"{place_map.path}: {len(place_map)} places, {len(report.skipped)} photos skipped, {size / 1e6:.1f} MB")
