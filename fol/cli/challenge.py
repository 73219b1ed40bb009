"""``fol challenge``: prediction files of the Mapillary Street-Level Sequences challenge, and their score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig

from fol.cli.console import note, say
from fol.data import PlaceDataset, printable, read_dataset
from fol.data.catalogue import PROTOCOLS, read_protocol
from fol.data.readers.msls import TEST_CITIES, VAL_CITIES, read_msls
from fol.errors import ConfigError, DataError
from fol.evaluation.challenge import challenge_truth, score_predictions
from fol.evaluation.challenge_files import prediction_rows, read_predictions, write_predictions
from fol.evaluation.journal import read_rankings, writing
from fol.evaluation.report import CONFIG, RANKINGS, read_result
from fol.files import write_atomically

#: Split -> (folder of MSLS, its cities).
_SPLITS: dict[str, tuple[Literal["train_val", "test"], tuple[str, ...]]] = {
    "test": ("test", TEST_CITIES),
    "val": ("train_val", VAL_CITIES),
}


def run(config: DictConfig) -> None:
    """Write or score predictions."""
    if config.action == "write":
        _write(config)
    elif config.action == "score":
        _score(config)
    else:
        raise ConfigError(f"fol challenge {config.action}: choose write or score")


def _write(config: DictConfig) -> None:
    if config.out is None:
        raise ConfigError("fol challenge write needs out: give --out predictions.txt, or .zip")
    if config.stage not in ("global", "reranked"):
        raise ConfigError(f"stage={config.stage}: choose global or reranked")
    folder, path = Path(config.source), Path(config.out)
    result = read_result(folder)
    dataset = _evaluated(folder, result.subject.protocol, config.root)
    if len(dataset.database) != result.subject.num_database:
        raise DataError(
            f"{printable(dataset.root)} has {len(dataset.database)} database images, {printable(folder)} was measured "
            f"on {result.subject.num_database}: give the data set that was evaluated with root=..."
        )
    try:
        rankings = read_rankings(folder / RANKINGS)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{printable(folder / RANKINGS)} cannot be read: run the evaluation again") from error
    rows = prediction_rows(dataset, rankings, top=config.top, stage=config.stage)
    if len(rows[0][1]) < config.top:
        note(f"the rankings hold {len(rows[0][1])} answers per query, fewer than top={config.top}")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(path, rows)
    say(f"{path}: {len(rows)} queries, {len(rows[0][1])} answers each ({config.stage})")


def _evaluated(folder: Path, protocol: str, moved: str | None) -> PlaceDataset:
    """The data set of a result, in the order that its rankings refer to."""
    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_bytes())
        roots, radius = config.get("datasets") or [config["data"]["root"]], float(config["data"]["radius"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{printable(path)} does not say which data set was evaluated") from error
    if moved is None and len(roots) != 1:
        raise DataError(f"{printable(path)} names {len(roots)} data sets: give root=, the one of this result")
    root = Path(moved or str(roots[0]))
    return read_protocol(protocol, root) if protocol in PROTOCOLS else read_dataset(root, radius=radius)


def _score(config: DictConfig) -> None:
    if config.root is None:
        raise ConfigError("fol challenge score needs root: the folder of MSLS that holds train_val/ and test/")
    if config.split not in _SPLITS:
        raise ConfigError(f"split={config.split}: choose one of {', '.join(_SPLITS)}")
    inside, cities = _SPLITS[config.split]
    chosen = cities if config.cities is None else [str(city) for city in config.cities]
    predictions = read_predictions(Path(config.source))
    truth = challenge_truth(
        read_msls(Path(config.root), chosen, inside),
        task=config.task,
        subtask=config.subtask,
        seq_length=config.seq_length,
        radius=config.radius,
    )
    score = score_predictions(predictions, truth)
    for message in score.messages:
        note(message)
    say(
        f"{config.task}, {', '.join(chosen)}: {score.num_queries} queries "
        f"({score.num_without_positives} without positives dropped) against {len(truth.database_keys)} of the database"
    )
    for name, value in score.metrics.items():
        say(f"{name}: {value:.3f}")
    if config.out is not None:
        document = {
            "metrics": dict(score.metrics),
            "task": config.task,
            "split": config.split,
            "cities": list(chosen),
            "seq_length": None if config.task == "im2im" else config.seq_length,
            "radius": config.radius,
            "queries": score.num_queries,
            "queries_without_positives": score.num_without_positives,
            "messages": list(score.messages),
        }
        path = Path(config.out)
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(document, indent=2).encode() + b"\n")
        say(f"metrics: {path}")
