"""``fol evaluate``: recall of both stages on data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from fol.cli.configuration import plain
from fol.cli.console import note, out, progress_bar, say, speaking
from fol.cli.loading import configured_extractors, rerank_settings
from fol.data import PlaceDataset, printable, read_dataset
from fol.data.catalogue import read_protocol
from fol.errors import ConfigError
from fol.evaluation import CachedModel, EvaluationResult, evaluate, result_table
from fol.evaluation.database_features import database_features
from fol.evaluation.journal import read_rankings
from fol.evaluation.processes import Processes
from fol.evaluation.report import RANKINGS, RESULTS
from fol.localizer import Localizer
from fol.reporting import Evaluated, write_comparison, write_run_page
from fol.retrieval import PlaceMap, parse_bytes
from fol.types import Extractor

COMPARISON = "comparison.html"


def run(config: DictConfig) -> None:
    """Answer every query of every data set with every model; write and print the results.

    Of several processes (torchrun) the first one does the talking and writes the pages.
    """
    first = Processes.join().rank == 0
    with speaking(first):
        _run(config, pages=config.report and first)


def _run(config: DictConfig, *, pages: bool) -> None:
    if config.pictures < 0:
        raise ConfigError(f"pictures={config.pictures}: it must be 0 or more")
    datasets = configured_datasets(config)
    for dataset in datasets:
        note(dataset.summary)
        if dataset.positives is None:
            raise ConfigError(f"{dataset.root} has no ground truth: give it coordinates or a ground_truth.csv")
    several = len(datasets) > 1 or bool(config.models)
    evaluated: list[Evaluated] = []
    for name, model in configured_extractors(config):
        for dataset in datasets:
            folder = Path(config.out) / folder_name(dataset) / name if several else Path(config.out)
            subject = _subject(config, model)
            result = _evaluate(config, subject, dataset, folder)
            evaluated.append(Evaluated(result, folder, dataset))
            out.print(result_table(result))
            say(f"results: {folder / RESULTS}")
            if pages:
                say(f"report: {printable(_run_page(evaluated[-1], dataset, subject, config.pictures))}")
    if several and pages:
        page = write_comparison(evaluated, Path(config.out) / COMPARISON, pictures=config.pictures)
        say(f"comparison: {printable(page)}")


def _run_page(evaluated: Evaluated, dataset: PlaceDataset, subject: Localizer | CachedModel, pictures: int) -> Path:
    rankings = read_rankings(evaluated.folder / RANKINGS)
    with progress_bar("drawing queries") as progress:
        return write_run_page(
            evaluated.folder,
            dataset,
            evaluated.result,
            rankings,
            subject.model,
            features=database_features(subject, dataset) if pictures else None,
            pictures=pictures,
            progress=progress,
        )


def configured_datasets(config: DictConfig) -> list[PlaceDataset]:
    """The data sets of ``data`` or ``datasets``, under every protocol that is named."""
    roots = [Path(root) for root in config.datasets or ()] or ([Path(config.data.root)] if config.data.root else [])
    if not roots:
        raise ConfigError("fol evaluate needs a data set: data=FOLDER, or several folders")
    radii = tuple(config.radii or ())
    protocols = [config.protocol] if isinstance(config.protocol, str) else list(config.protocol or ())
    if not protocols:
        found = [read_dataset(root, radius=config.data.radius, radii=radii) for root in roots]
    else:
        found = [read_protocol(name, root, radii=radii) for root in roots for name in protocols]
    names = [folder_name(dataset) for dataset in found]
    # Folders of one name, such as two cities called `test`: the folder above tells them apart.
    longer = [f"{dataset.root.absolute().parent.name}-{dataset.name}" for dataset in found]
    return [
        replace(dataset, name=more) if names.count(name) > 1 else dataset
        for dataset, name, more in zip(found, names, longer, strict=True)
    ]


def folder_name(dataset: PlaceDataset) -> str:
    """Name of the folder for the results on a data set: the protocol's where it has one."""
    return dataset.protocol if "@" in dataset.protocol else dataset.name


def _subject(config: DictConfig, model: Extractor) -> Localizer | CachedModel:
    """The model with the map that is given, or with features from the cache."""
    method, options = rerank_settings(config.matching)
    if config.map:
        return Localizer(model, PlaceMap.open(Path(config.map), model), method=method, options=options)
    return CachedModel(
        model,
        Path(config.cache or Path(config.out) / "features"),
        method=method,
        options=options,
        max_ram=None if config.max_ram is None else parse_bytes(config.max_ram),
        max_disk=None if config.max_disk is None else parse_bytes(config.max_disk),
    )


def _evaluate(
    config: DictConfig, subject: Localizer | CachedModel, dataset: PlaceDataset, folder: Path
) -> EvaluationResult:
    result = evaluate(
        subject,
        dataset,
        out=folder,
        recall_values=tuple(config.recall_values),
        candidates=config.candidates,
        match_radius=config.match_radius,
        batch_size=config.batch_size,
        workers=config.workers,
        config=plain(config),
        progress_of=progress_bar,
        say=note,
    )
    for query in result.skipped:
        note(f"skipped query {printable(query.name)}: {query.skipped}")
    return result
