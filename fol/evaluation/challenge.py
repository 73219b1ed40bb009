"""Scores of the Mapillary Street-Level Sequences challenge, computed here since its server is closed.

The rules are those of mapillary_sls (``evaluate.py``, ``datasets/msls.py``, ``utils/eval.py``), city by city: of both
sides the photos of a subtask take part that are no panoramas; database photos of the query's own city within the radius
(25 m, inclusive) are right; queries without any are dropped. A sequence is an odd number of consecutive frames whose
middle one takes part, and is right when any of its frames is within the radius of any frame of the query.

Answers that are photos of the benchmark but take no part (panoramas) are removed from an answer's list and do not
count against it, as its authors say of their server (mapillary_sls, issue 12); the published script means to, but moves
them only where a list has nothing else. Any other key that is not known is a wrong answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fol.data.coordinates import within_radius
from fol.data.images import printable
from fol.data.photo_set import PhotoSet
from fol.errors import ConfigError, DataError
from fol.evaluation.average_precision import map_at_k
from fol.evaluation.recall import recall_at_k
from fol.types import Place, Position

#: What is asked with and what is answered with: single photos (``im``) or sequences (``seq``).
Task = Literal["im2im", "seq2seq", "im2seq", "seq2im"]
#: All photos, or across a change: summer and winter, old and new, day and night.
Subtask = Literal["all", "s2w", "w2s", "o2n", "n2o", "d2n", "n2d"]

KS = (1, 5, 10, 20)

_NO_PHOTO = -1  # an answer that no photo of the database has for a key


@dataclass(frozen=True, eq=False)
class ChallengeTruth:
    """What the answers to one task are compared with.

    ``query_keys [Q]`` are the evaluated queries with, per query, ``positives`` (ascending indices into
    ``database_keys [N]``). ``without_positives``: queries that take part in the task and were dropped.
    ``left_out``: keys of the database that take no part in it.
    """

    task: Task
    subtask: Subtask
    query_keys: tuple[str, ...]
    database_keys: tuple[str, ...]
    positives: tuple[NDArray[np.int64], ...]
    without_positives: frozenset[str]
    left_out: frozenset[str]


@dataclass(frozen=True)
class ChallengeScore:
    """``metrics``: ``{subtask}_{recall|map}@{1,5,10,20}`` -> value in [0, 1], in the order of the official script.

    ``num_queries`` were evaluated, ``num_without_positives`` dropped; ``messages`` say what was passed over.
    """

    metrics: Mapping[str, float]
    num_queries: int
    num_without_positives: int
    messages: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Side:
    """Photos of one side and the units (photos or sequences) made of them: ``units [U, length]`` rows of photos."""

    places: Sequence[Place]
    units: NDArray[np.int64]
    takes_part: NDArray[np.bool_]

    def keys(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        names = [place.metadata["key"] for place in self.places]
        return tuple(",".join(names[i] for i in unit) for unit in self.units[chosen].tolist())


def challenge_truth(
    photos: PhotoSet,
    *,
    task: Task = "im2im",
    subtask: Subtask = "all",
    seq_length: int = 3,
    radius: float = 25.0,
) -> ChallengeTruth:
    """The truth of one task among the photos of the cities that were read, in the order of their files.

    ``seq_length`` is the number of frames of a sequence, odd; single photos have no use for it. Photos need the
    metadata ``key``, ``city``, ``subtasks`` and, for sequences, ``frame`` and ``Place.sequence``.

    Raises ``ConfigError`` (options) and ``DataError``: photos without what is needed, above all without positions, as
    the test cities were until their ground truth was published in April 2026.
    """
    if task not in get_args(Task) or subtask not in get_args(Subtask):
        tasks, subtasks = ", ".join(get_args(Task)), ", ".join(get_args(Subtask))
        raise ConfigError(f"task={task}, subtask={subtask}: choose a task of {tasks} and a subtask of {subtasks}")
    if task != "im2im" and (seq_length < 3 or seq_length % 2 == 0):
        raise ConfigError(f"seq_length={seq_length}: it must be an odd number of at least 3")
    asked, answered = task.split("2")
    queries = _side(photos, photos.queries, seq_length if asked == "seq" else 1, subtask)
    database = _side(photos, photos.database, seq_length if answered == "seq" else 1, subtask)
    positives = _positives(photos, queries, database, radius)
    keys, database_keys = queries.keys(queries.takes_part), database.keys(database.takes_part)
    for side, found in (("query", keys), ("database", database_keys)):
        for twice, count in Counter(found).most_common(1):
            if count > 1:
                shown = printable(photos.root)
                raise DataError(f"{shown}: {count} photos of the {side} have the key {printable(twice)}")
    evaluated = [i for i, right in enumerate(positives) if len(right)]
    if not evaluated:
        raise DataError(f"{printable(photos.root)}: no query of {task}, {subtask} has a positive within {radius:g} m")
    return ChallengeTruth(
        task=task,
        subtask=subtask,
        query_keys=tuple(keys[i] for i in evaluated),
        database_keys=database_keys,
        positives=tuple(positives[i] for i in evaluated),
        without_positives=frozenset(key for key, right in zip(keys, positives, strict=True) if not len(right)),
        left_out=frozenset(database.keys(~database.takes_part)),
    )


def score_predictions(predictions: Mapping[str, Sequence[str]], truth: ChallengeTruth) -> ChallengeScore:
    """Recall and mAP at 1, 5, 10 and 20 of ``predictions`` (query key -> ranked database keys).

    Predictions for queries that are not evaluated are passed over. Raises ``DataError`` when an evaluated query has
    none.
    """
    missing = [key for key in truth.query_keys if key not in predictions]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(truth.query_keys)} queries of {truth.task} have no predictions, the first is "
            f"{printable(missing[0])}: predict for every query of the cities, and score the task that was predicted"
        )
    numbers = {key: number for number, key in enumerate(truth.database_keys)}
    rankings, left_out, unknown = [], 0, 0
    for query in truth.query_keys:
        answers = [key for key in predictions[query] if key not in truth.left_out]
        left_out += len(predictions[query]) - len(answers)
        ranking = [numbers.get(key, _NO_PHOTO) for key in answers]
        unknown += ranking.count(_NO_PHOTO)
        rankings.append(ranking)
    recall = recall_at_k(rankings, truth.positives, KS, without_positives="drop").values
    precision = map_at_k(rankings, truth.positives, KS, without_positives="drop").values
    values = {"recall": recall, "map": precision}
    return ChallengeScore(
        metrics={f"{truth.subtask}_{name}@{k}": found[k] for name, found in values.items() for k in KS},
        num_queries=len(truth.query_keys),
        num_without_positives=len(truth.without_positives),
        messages=_messages(predictions, truth, left_out, unknown),
    )


def _messages(
    predictions: Mapping[str, Sequence[str]], truth: ChallengeTruth, left_out: int, unknown: int
) -> tuple[str, ...]:
    known = truth.without_positives.union(truth.query_keys)
    others = [key for key in predictions if key not in known]
    fewest = min(len(predictions[key]) for key in truth.query_keys)
    messages = []
    if others:
        messages.append(
            f"ignored predictions for {len(others)} queries, the first is {printable(others[0])}: "
            f"not in these cities, a panorama, or not in {truth.subtask}"
        )
    if left_out:
        messages.append(f"removed {left_out} answers that take no part (panoramas, or not in {truth.subtask})")
    if unknown:
        messages.append(f"{unknown} answers are no photos of these cities and count as wrong")
    if fewest < max(KS):
        messages.append(
            f"there are {fewest} answers per query, so @{', @'.join(str(k) for k in KS if k > fewest)} see no more"
        )
    return tuple(messages)


def _side(photos: PhotoSet, places: Sequence[Place], length: int, subtask: Subtask) -> _Side:
    needed = ("key", "city", "subtasks") if length == 1 else ("key", "city", "subtasks", "frame")
    for place in places:
        lacking = next((key for key in needed if key not in place.metadata), None)
        if lacking or (length > 1 and place.sequence is None):
            raise DataError(
                f"{printable(photos.root)}: {printable(place.name)} has no {lacking or 'sequence'}, which the "
                "challenge needs: give the folder of MSLS as it is published"
            )
    units = np.arange(len(places))[:, None] if length == 1 else _sequences(places, length)
    middle = [places[i] for i in units[:, length // 2].tolist()]
    takes_part = [
        subtask in place.metadata["subtasks"].split() and place.metadata.get("pano") != "True" for place in middle
    ]
    return _Side(places, units, np.array(takes_part, np.bool_))


def _sequences(places: Sequence[Place], length: int) -> NDArray[np.int64]:
    """``[U, length]`` photos that follow each other in the files as consecutive frames of one sequence."""
    labels: dict[tuple[str, str | None], int] = {}
    sequence = np.array([labels.setdefault((p.metadata["city"], p.sequence), len(labels)) for p in places], np.int64)
    frame = np.array([int(place.metadata["frame"]) for place in places], np.int64)
    follows = (np.diff(sequence) == 0) & (np.diff(frame) == 1)
    starts = [i for i in range(len(places) - length + 1) if follows[i : i + length - 1].all()]
    return np.array(starts, np.int64)[:, None] + np.arange(length)


def _positives(photos: PhotoSet, queries: _Side, database: _Side, radius: float) -> list[NDArray[np.int64]]:
    """Per unit of the queries that takes part the units of the database that are right, as numbers among those."""
    asked, answers = queries.units[queries.takes_part], database.units[database.takes_part]
    found: list[set[int]] = [set() for _ in asked]
    cities = {place.metadata["city"] for place in queries.places}
    for city in sorted(cities):
        own = [i for i, unit in enumerate(asked.tolist()) if queries.places[unit[0]].metadata["city"] == city]
        units_of: dict[int, list[int]] = {}
        for number, unit in enumerate(answers.tolist()):
            if database.places[unit[0]].metadata["city"] == city:
                for photo in unit:
                    units_of.setdefault(photo, []).append(number)
        frames, candidates = np.unique(asked[own]).tolist(), list(units_of)
        near = within_radius(
            _positions(photos, queries.places, frames), _positions(photos, database.places, candidates), radius
        )
        units_near = {
            frame: [unit for i in inside.tolist() for unit in units_of[candidates[i]]]
            for frame, inside in zip(frames, near, strict=True)
        }
        for i in own:
            for frame in asked[i].tolist():
                found[i].update(units_near[frame])
    return [np.array(sorted(units), np.int64) for units in found]


def _positions(photos: PhotoSet, places: Sequence[Place], chosen: Sequence[int]) -> list[Position]:
    positions = []
    for i in chosen:
        position = places[i].position
        if position is None:
            raise DataError(
                f"{printable(photos.root)}: {printable(places[i].name)} has no position, so nothing can be scored: put "
                "the published postprocessed.csv into the folders query and database of its city"
            )
        positions.append(position)
    return positions
