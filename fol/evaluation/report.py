"""The files of a result: ``results.json`` (versioned), ``queries.csv`` and ``config.yaml``; and the way back.

``results.json`` is written last and names the checksum of its table, so a reader never mixes two evaluations.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from fol.data import WithoutPositives
from fol.errors import DataError
from fol.evaluation.bootstrap import recall_intervals
from fol.evaluation.journal import writing
from fol.evaluation.match_accuracy import MatchCount
from fol.evaluation.recall import RULES
from fol.evaluation.result import EvaluationResult, QueryResult, Stage, StageSeconds, Subject
from fol.evaluation.stage_measures import StageMeasures
from fol.files import write_atomically

SCHEMA = "fol.evaluation/3"
RESULTS = "results.json"
QUERIES = "queries.csv"
CONFIG = "config.yaml"
RANKINGS = "rankings.jsonl"

_COUNTS = ("matches", "judged", "correct")  # of the matches with the closest true view
_COLUMNS = (
    "query",
    "num_positives",
    "global_rank",
    "reranked_rank",
    "change",
    "global_top",
    "global_score",
    "reranked_top",
    "reranked_score",
    "num_matches",
    "skipped",
    "conditions",
    *_COUNTS,
)


def write_result(result: EvaluationResult, out: Path, config: Mapping[str, object]) -> None:
    """Write the three files into the folder ``out``, each atomically; ``DataError`` when they cannot be written."""
    table = _table(result)
    settings = _yaml(config)
    document = _document(result) | {"files": {QUERIES: hashlib.sha256(table).hexdigest()}}
    with writing(out):
        write_atomically(out / QUERIES, table)
        write_atomically(out / CONFIG, settings)
        write_atomically(out / RESULTS, _json(document))


def read_result(out: Path) -> EvaluationResult:
    """The result that ``write_result`` wrote into ``out``, equal to the original.

    Raises ``DataError`` when a file is missing, damaged, of another version, or not of the same evaluation.
    """
    path = out / RESULTS
    try:
        document = json.loads(path.read_bytes())
        table = (out / QUERIES).read_bytes()
    except OSError as error:
        raise DataError(
            f"{error.filename} cannot be read ({error.strerror}): is {out} a result of fol evaluate?"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: run the evaluation again") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise DataError(f"{path} has the schema {schema!r}, this fol reads {SCHEMA!r}")
    try:
        if document["files"][QUERIES] != hashlib.sha256(table).hexdigest():
            raise DataError(f"{out / QUERIES} was changed after {path} was written: run the evaluation again")
        return _result(document, table.decode(errors="surrogateescape"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: run the evaluation again") from error


def _document(result: EvaluationResult) -> dict[str, Any]:
    subject = asdict(result.subject)
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {key: subject[key] for key in ("fingerprint", "preset")} | {"name": subject["model"]},
        "method": subject["method"],
        "options": subject["options"],
        "candidates": subject["candidates"],
        "dataset": {"name": subject["dataset"], "summary": subject["dataset_summary"]},
        "protocol": subject["protocol"],
        "rule": {"without_positives": result.without_positives, "meaning": result.rule},
        "counts": {
            "database": subject["num_database"],
            "queries": len(result.queries),
            "queries_without_positives": result.num_without_positives,
            "skipped_queries": len(result.skipped),
            "database_not_in_map": len(result.not_in_map),
        },
        "recall_values": list(result.recall_values),
        "recall": {stage: _recall(result, stage) for stage in result.stages},
        "measures": {stage: measures.document() for stage, measures in result.measures.items()},
        "match_accuracy": _match_accuracy(result),
        "conditions": {condition: _condition(result.under_condition(condition)) for condition in result.conditions},
        "gained": list(result.gained),
        "lost": list(result.lost),
        "skipped": [{"query": query.name, "reason": query.skipped} for query in result.skipped],
        "not_in_map": list(result.not_in_map),
        "seconds": {stage: asdict(seconds) for stage, seconds in result.seconds.items()},
        "bytes_per_image": dict(result.bytes_per_image),
        "peak_memory_bytes": dict(result.peak_memory),
        "environment": dict(result.environment),
        "resumed_from": result.resumed_from,
    }


def _json(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # which is how JSON escapes what is no character


def _recall(result: EvaluationResult, stage: Stage) -> dict[str, dict[str, Any]]:
    """Recalls in [0, 1] under both rules (null when no query counts), the 95 % interval under the rule that holds, and
    the number of queries that were hit."""
    recall = result.recall(stage)
    shares: dict[str, dict[str, Any]] = {
        rule: {str(k): None if math.isnan(value) else value for k, value in recall.under(rule).items()}
        for rule in RULES
    }
    intervals = {
        str(k): None if math.isnan(interval.low) else [interval.low, interval.high]
        for k, interval in recall_intervals(recall).items()
    }
    return shares | {"interval_95": intervals, "hits": {str(k): hits for k, hits in recall.hits.items()}}


def _condition(result: EvaluationResult) -> dict[str, Any]:
    recall = {stage: _recall(result, stage) for stage in result.stages}
    return {"queries": len(result.queries), "recall": recall, "match_accuracy": result.match_accuracy}


def _match_accuracy(result: EvaluationResult) -> dict[str, float | int | None] | None:
    """The mean over queries and what it was computed from; None where the geometry is not known."""
    if result.match_radius is None:
        return None
    counts = [query.true_matches for query in result.queries if query.true_matches is not None]
    return {
        "mean": result.match_accuracy,
        "radius_px": result.match_radius,
        "queries": sum(count.share is not None for count in counts),
        **{key: sum(getattr(count, key) for count in counts) for key in _COUNTS},
    }


def _table(result: EvaluationResult) -> bytes:
    gained, lost = set(result.gained), set(result.lost)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for query in result.queries:
        row = asdict(query)
        row["query"] = row.pop("name")
        row["conditions"] = ";".join(query.conditions)
        row |= row.pop("true_matches") or {}
        row["change"] = "gained" if query.name in gained else "lost" if query.name in lost else ""
        writer.writerow(row)
    return text.getvalue().encode(errors="surrogateescape")  # file names need not be UTF-8


def _result(document: Mapping[str, Any], table: str) -> EvaluationResult:
    model, dataset, rule = document["model"], document["dataset"], document["rule"]["without_positives"]
    if rule not in RULES:
        raise ValueError(rule)
    known: WithoutPositives = rule
    return EvaluationResult(
        subject=Subject(
            model=model["name"],
            fingerprint=model["fingerprint"],
            preset=model["preset"],
            method=document["method"],
            options=document["options"],
            dataset=dataset["name"],
            dataset_summary=dataset["summary"],
            protocol=document["protocol"],
            num_database=document["counts"]["database"],
            candidates=document["candidates"],
        ),
        recall_values=tuple(document["recall_values"]),
        without_positives=known,
        two_stage="reranked" in document["recall"],
        queries=tuple(_query(row) for row in csv.DictReader(io.StringIO(table, newline=""))),
        not_in_map=tuple(document["not_in_map"]),
        seconds={stage: StageSeconds(**seconds) for stage, seconds in document["seconds"].items()},
        measures={stage: StageMeasures.parse(found) for stage, found in document["measures"].items()},
        bytes_per_image=document["bytes_per_image"],
        peak_memory=document["peak_memory_bytes"],
        environment=document["environment"],
        resumed_from=document["resumed_from"],
        match_radius=None if document["match_accuracy"] is None else document["match_accuracy"]["radius_px"],
    )


def _query(row: Mapping[str, str]) -> QueryResult:
    return QueryResult(
        name=row["query"],
        num_positives=int(row["num_positives"]),
        global_rank=int(row["global_rank"]) if row["global_rank"] else None,
        reranked_rank=int(row["reranked_rank"]) if row["reranked_rank"] else None,
        global_top=row["global_top"] or None,
        global_score=float(row["global_score"]) if row["global_score"] else None,
        reranked_top=row["reranked_top"] or None,
        reranked_score=float(row["reranked_score"]) if row["reranked_score"] else None,
        num_matches=int(row["num_matches"]) if row["num_matches"] else None,
        skipped=row["skipped"] or None,
        true_matches=MatchCount(*(int(row[key]) for key in _COUNTS)) if row["matches"] else None,
        conditions=tuple(filter(None, row["conditions"].split(";"))),
    )


def _yaml(config: Mapping[str, object]) -> bytes:
    # Not through omegaconf, which would take a "${" in a file name for an interpolation.
    text: str = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)
    return text.encode()


def _plain(value: Any) -> Any:
    """Containers and values that YAML has; anything else as its text."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
