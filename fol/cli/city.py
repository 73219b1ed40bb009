"""``fol city``: write one split of a difficulty level of the synthetic city."""

from __future__ import annotations

from omegaconf import DictConfig

from fol.cli.console import progress_bar, say
from fol.data.synthetic import make_city_level


def run(config: DictConfig) -> None:
    """Render what is missing and say what can be done with it."""
    with progress_bar(f"city {config.level} {config.split}") as progress:
        folder = make_city_level(
            config.out,
            config.level,
            config.split,
            config.places,
            config.seed,
            config.size,
            views=config.views,
            headings=config.headings,
            progress=progress,
        )
    use = f"fol train places.folders=[{folder}]" if config.split == "train" else f"fol evaluate data={folder}"
    say(f"wrote {folder}      {use}")
