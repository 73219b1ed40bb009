"""``fol compact``: a map without the records of places that were removed from it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from fol.cli.console import progress_bar, say
from fol.retrieval import PlaceMap


def run(config: DictConfig) -> None:
    """Rewrite the files of a map; photos keep their ids."""
    place_map = PlaceMap.open(Path(config.map))
    with progress_bar("compacting") as progress:
        freed = place_map.compact(progress)
    say(f"{place_map.path}: {len(place_map)} places, {freed / 1e6:.1f} MB freed")
