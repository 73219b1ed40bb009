"""``fol index``: a map from a folder of photos."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from fol.cli.console import note, progress_bar, say
from fol.cli.loading import load_configured_extractor
from fol.data import read_places
from fol.retrieval import (
    BuildReport,
    IndexOptions,
    LocalStoreOptions,
    ModelIdentity,
    PlaceMap,
    bytes_per_place,
    calibration_is_possible,
    parse_bytes,
)


def run(config: DictConfig) -> None:
    """Build a map, or add photos to one; photos that cannot be read are skipped and listed."""
    index = IndexOptions(config.index, None if config.max_memory is None else parse_bytes(config.max_memory))
    places = read_places(Path(config.photos))
    located = sum(place.position is not None for place in places)
    note(f"{len(places)} photos, {located} with coordinates")
    model = load_configured_extractor(config.model)
    target = Path(config.out)
    grown = PlaceMap.open(target, model) if config.add else None
    local = local_options(config.local, model.preset) if grown is None else grown.manifest.local
    size = bytes_per_place(ModelIdentity.of(model), local)
    note(f"{size / 1e6:.2f} MB a photo: the map takes about {size * len(places) / 1e6:.0f} MB")
    with progress_bar("indexing") as progress:
        if grown is not None:
            report = grown.add(model, places, batch_size=config.batch_size, workers=config.workers, progress=progress)
        else:
            report = PlaceMap.build(
                target,
                model,
                places,
                batch_size=config.batch_size,
                workers=config.workers,
                index=index,
                local=local,
                overwrite=config.overwrite,
                calibrate=False,
                progress=progress,
            )
    print_build_report(report)
    note(f"index {report.place_map.manifest.index}")
    if config.calibrate:
        calibrate(report.place_map, model.device)
    say(f"next: fol locate PHOTO --map {target}")


def local_options(config: DictConfig, preset: str) -> LocalStoreOptions:
    """The group ``local`` of the configuration; what it leaves open follows from the model's preset."""
    bits = LocalStoreOptions.of_preset(preset).bits if config.bits is None else config.bits
    return LocalStoreOptions(bits, config.max_tokens)


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
    parts = {name: share for name, share in place_map.bytes_per_image().items() if share}
    note("a photo takes " + ", ".join(f"{name} {share / 1000:.1f} KB" for name, share in parts.items()))
