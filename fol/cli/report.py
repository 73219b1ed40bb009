"""``fol report``: evaluations side by side on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fol.cli.console import note, say
from fol.cli.evaluate import configured_datasets
from fol.data import PlaceDataset, printable
from fol.errors import ConfigError, FolError
from fol.evaluation.report import CONFIG
from fol.reporting import Evaluated, read_evaluations, write_comparison


def run(config: DictConfig) -> None:
    """Read the results and write the page with its tables."""
    path = Path(config.out)
    if path.suffix != ".html":
        raise ConfigError(f"out={config.out}: give the page a name that ends in .html")
    if config.pictures < 0:
        raise ConfigError(f"pictures={config.pictures}: it must be 0 or more")
    found = read_evaluations(Path(str(folder)) for folder in config.folders)
    page = write_comparison(list(_with_datasets(found)), path, pictures=config.pictures)
    say(f"comparison: {printable(page)}")
    say(f"tables: {', '.join(printable(page.with_suffix(kind)) for kind in ('.csv', '.md'))}")


def _with_datasets(found: list[Evaluated]) -> Iterator[Evaluated]:
    """With the data sets that the configurations name, as far as they are still there: they have the photos."""
    read: dict[tuple[str, str, str], PlaceDataset | None] = {}
    for each in found:
        subject = each.result.subject
        text = (each.folder / CONFIG).read_text(errors="replace") if (each.folder / CONFIG).is_file() else ""
        key = (text, subject.dataset, subject.protocol)
        if key not in read:
            read[key] = _dataset(*key)
            if read[key] is None:
                note(f"{printable(each.folder)}: its data set is not where it was, so no photos of it are shown")
        yield replace(each, dataset=read[key])


def _dataset(config: str, name: str, protocol: str) -> PlaceDataset | None:
    """The data set of this name and protocol among those of a configuration; None where it cannot be had."""
    try:
        datasets = configured_datasets(OmegaConf.create(yaml.safe_load(config) or {}))
    except (FolError, OSError, yaml.YAMLError, OmegaConfBaseException, AttributeError, TypeError, ValueError):
        return None
    return next((each for each in datasets if (each.name, each.protocol) == (name, protocol)), None)
