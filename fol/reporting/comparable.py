"""Evaluations in groups whose numbers may be compared: same data set, protocol, rule and queries."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fol.data import PlaceDataset
from fol.errors import ConfigError
from fol.evaluation import EvaluationResult, read_result
from fol.evaluation.comparison import model_labels, protocol_in_words
from fol.evaluation.report import RESULTS


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A ``result`` with the ``folder`` it lies in; with its ``dataset`` photos can be shown."""

    result: EvaluationResult
    folder: Path
    dataset: PlaceDataset | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """Evaluations on the very same queries under one protocol and rule, the first of which is the baseline.

    ``labels`` name the models, ``title`` tells the group from others, ``terms`` say in words what they share.
    """

    title: str
    terms: str
    evaluated: tuple[Evaluated, ...]
    labels: tuple[str, ...]

    @property
    def baseline(self) -> EvaluationResult:
        """What the others are compared with."""
        return self.evaluated[0].result

    @property
    def recall_values(self) -> list[int]:
        """The values of K that every result has."""
        return sorted(set.intersection(*(set(each.result.recall_values) for each in self.evaluated)))


def read_evaluations(folders: Iterable[Path]) -> list[Evaluated]:
    """The evaluations in these folders; one without a result stands for all below it, in the order of their paths.

    Raises ``DataError`` for folders that hold none, or one that is damaged.
    """
    found: dict[Path, Evaluated] = {}
    for folder in folders:
        below = [folder] if (folder / RESULTS).is_file() else sorted(path.parent for path in folder.rglob(RESULTS))
        for path in below or [folder]:
            found.setdefault(path.resolve(), Evaluated(read_result(path), path))
    return list(found.values())


def groups(evaluated: Sequence[Evaluated]) -> list[Group]:
    """Groups in the order in which they first come; raises ``ConfigError`` when there is nothing.

    The first evaluation of each group is its baseline. Evaluations that differ in what they are to be compared by
    (protocol, rule, number of database images, queries) never share a group.
    """
    if not evaluated:
        raise ConfigError("there is no result to compare: give the folders of fol evaluate")
    labels = _distinct(evaluated)
    found: dict[tuple[object, ...], list[int]] = {}
    for number, each in enumerate(evaluated):
        found.setdefault(_terms(each.result), []).append(number)
    titles = _titles([evaluated[own[0]].result for own in found.values()])
    return [
        Group(
            title,
            protocol_in_words(evaluated[own[0]].result),
            tuple(evaluated[i] for i in own),
            tuple(labels[i] for i in own),
        )
        for title, own in zip(titles, found.values(), strict=True)
    ]


def _titles(firsts: Sequence[EvaluationResult]) -> list[str]:
    """Different titles, one for the first result of each group: namesakes with what they differ in."""
    parts = [
        (
            _title(result),
            result.subject.protocol,
            f"{len(result.queries)} queries",
            f"{result.subject.num_database} images",
            result.without_positives,
        )
        for result in firsts
    ]
    titles: list[str] = []
    for own in parts:
        namesakes = [other for other in parts if other[0] == own[0]]
        more = [own[i] for i in range(1, len(own)) if len({other[i] for other in namesakes}) > 1]
        title = f"{own[0]} ({', '.join(more)})" if more else own[0]
        before = sum(other == own for other in parts[: len(titles)])
        titles.append(f"{title}, variant {before + 1}" if parts.count(own) > 1 else title)
    return titles


def _title(result: EvaluationResult) -> str:
    """A protocol of the catalogue names its data set."""
    return result.subject.protocol if "@" in result.subject.protocol else result.subject.dataset


def _terms(result: EvaluationResult) -> tuple[object, ...]:
    subject = result.subject
    names = hashlib.sha256("\0".join(query.name for query in result.queries).encode(errors="surrogateescape"))
    positives = tuple(query.num_positives for query in result.queries)
    return (
        subject.dataset,
        subject.protocol,
        subject.num_database,
        result.without_positives,
        names.digest(),
        positives,
    )


def _distinct(evaluated: Sequence[Evaluated]) -> list[str]:
    """Names of models; the folder where two of one name were evaluated under the same terms."""
    labels = model_labels([each.result for each in evaluated])
    often = Counter((label, _terms(each.result)) for label, each in zip(labels, evaluated, strict=True))
    return [
        f"{label} in {each.folder.name}" if often[label, _terms(each.result)] > 1 else label
        for label, each in zip(labels, evaluated, strict=True)
    ]
