"""Recalls that the authors of FoL published, to hold measured ones against; nothing here was measured by this library.

Their rule is R@N of all queries, those without positives counted as misses, positives within 25 m (AmsterTime, SPED and
Nordland: of the same name or frame). Their own README warns that re-ranking changes with the versions of torch, FAISS
and numpy: a difference of a few queries is no failure, and one query is 1.3 points of SF-XL occlusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fol.evaluation.result import Stage

README = "README of chenshunpeng/FoL (AAAI 2025, arXiv 2504.09881)"
SAGE = "SAGE (arXiv 2509.25723), which quotes FoL"

#: (model card, image side, source) -> data set or protocol -> R@1 R@5 R@10 in percent, retrieved | re-ranked.
_TABLES: Mapping[tuple[str, int, str], str] = {
    ("fol_vitl14", 504, README): """
        pitts30k_test       93.9 97.2 98.1 | 94.5 97.4 98.2
        pitts250k_test      96.5 99.1 99.5 | 97.0 99.2 99.5
        msls_val@official   93.1 96.9 97.4 | 93.5 96.9 97.6
        msls_test@city      78.7 90.8 93.0 | 80.0 90.9 93.0
        tokyo247            96.2 98.7 98.7 | 98.4 99.1 99.4
        sped                92.1 96.5 98.0 | 91.8 96.5 97.4
        amstertime          64.6 84.3 88.2 | 70.1 89.0 91.8
        eynsham             91.7 95.3 96.2 | 92.4 95.8 96.6
        nordland@vprbench   78.3 90.8 94.0 | 85.8 94.9 96.8
        nordland@10f        87.8 94.5 96.4 | 92.6 96.9 98.0
        sf_xl_v1            91.5 94.8 95.6 | 95.0 96.5 96.8
        sf_xl_v2            95.0 98.0 98.3 | 95.0 97.8 98.5
        sf_xl_night         53.4 65.9 71.7 | 60.5 72.8 75.8
        sf_xl_occlusion     51.3 65.8 73.7 | 61.8 77.6 77.6
        svox                98.4 99.4 99.6 | 98.9 99.6 99.7
        svox_night          98.3 99.6 99.6 | 98.8 99.8 99.9
        svox_overcast       97.9 99.2 99.3 | 98.3 99.3 99.7
        svox_rain           96.5 99.6 99.7 | 98.2 99.9 99.9
        svox_snow           99.1 99.7 99.8 | 99.3 99.8 99.9
        svox_sun            98.1 99.4 99.5 | 98.8 99.8 99.9
    """,
    ("fol_vitl14", 322, README): """
        pitts30k_test       93.6 96.9 97.9 | 93.9 96.9 98.1
        msls_val@official   92.8 96.9 97.2 | 90.1 95.7 96.9
        tokyo247            96.5 98.1 98.4 | 97.1 97.8 98.7
        eynsham             91.5 95.1 96.1 | 91.7 95.4 96.4
        nordland@vprbench   74.1 88.8 92.2 | 80.8 92.0 94.7
        nordland@10f        83.8 92.6 95.1 | 87.9 94.8 96.6
        sf_xl_v1            90.4 93.8 94.7 | 93.4 95.6 96.1
        sf_xl_v2            94.1 98.2 98.5 | 93.5 97.7 98.5
        sf_xl_night         53.4 67.0 70.2 | 56.0 70.0 75.8
        sf_xl_occlusion     44.7 67.1 71.1 | 51.3 72.4 78.9
        svox                98.3 99.4 99.6 | 98.7 99.5 99.7
        svox_night          98.4 99.5 99.8 | 98.2 99.6 99.9
        svox_overcast       97.7 99.2 99.4 | 98.2 99.4 99.7
        svox_rain           97.4 99.6 99.6 | 98.6 99.7 99.8
        svox_snow           98.3 99.7 99.8 | 98.7 99.5 99.8
        svox_sun            97.8 99.4 99.6 | 97.9 99.4 99.5
    """,
    ("fol_vitb14", 322, README): """
        pitts30k_test       92.1 96.4 97.6 | 93.1 96.9 97.7
        msls_val@official   91.1 95.7 96.4 | 91.5 96.2 96.8
        tokyo247            94.6 96.5 96.8 | 97.5 98.1 98.4
        eynsham             91.3 95.2 96.0 | 91.3 95.1 96.1
        nordland@vprbench   62.5 80.3 85.0 | 78.2 90.2 92.9
        nordland@10f        72.7 85.5 89.6 | 85.4 92.7 94.8
        sf_xl_v1            86.1 91.4 92.7 | 90.0 93.4 94.4
        sf_xl_v2            94.1 97.7 98.5 | 94.8 97.2 98.0
        sf_xl_night         44.8 56.7 61.8 | 52.8 64.8 67.6
        sf_xl_occlusion     48.7 56.6 60.5 | 46.1 61.8 67.1
        svox                98.3 99.4 99.5 | 98.4 99.3 99.5
        svox_night          93.1 98.2 99.0 | 96.5 98.4 99.3
        svox_overcast       97.7 99.2 99.4 | 97.7 99.3 99.4
        svox_rain           96.2 99.1 99.6 | 97.9 99.7 99.8
        svox_snow           98.7 99.5 99.5 | 97.7 99.7 99.7
        svox_sun            96.7 98.9 99.3 | 96.6 98.9 99.5
    """,
    ("fol_vitl14", 322, SAGE): """
        pitts250k_test      96.2 99.0 99.4 | 96.8 99.0 99.4
        sped                91.8 96.2 97.9 | 92.4 96.9 97.5
    """,
    ("fol_vitb14", 322, SAGE): """
        pitts250k_test      94.8 98.6 99.2 | 96.1 99.1 99.5
        sped                89.5 95.2 96.4 | 90.6 94.4 95.6
    """,
}

_NOTES: Mapping[tuple[str, int, str, Stage], str] = {
    ("fol_vitl14", 504, "sped", "reranked"): "sources disagree: SAGE quotes R@1 92.6",
    ("fol_vitl14", 504, "nordland@10f", "reranked"): "sources disagree: SAGE quotes 92.6 96.7 97.8",
}


@dataclass(frozen=True)
class PublishedRecall:
    """R@1, R@5 and R@10 of one stage in ``percent``, as printed, with the ``source`` and a ``note`` (often empty).

    ``dataset`` is a data set of the catalogue, with ``@rules`` where it has several protocols and these are meant.
    """

    model: str
    image_size: int
    dataset: str
    stage: Stage
    percent: Mapping[int, float]
    source: str
    note: str = ""


def published(model: str, image_size: int | tuple[int, int], protocol: str) -> dict[Stage, PublishedRecall]:
    """What was published for a model card at an input size (side, or height and width) on a data set, per stage.

    ``protocol`` is the name of a protocol (``nordland@10f``) or of a data set. Empty where nothing was published,
    which includes other protocols of the same data set (``msls_val@all``) and names that leave open which is meant
    (``nordland``).
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if height != width:
        return {}
    return {
        row.stage: row
        for row in ALL_PUBLISHED
        if (row.model, row.image_size, row.dataset) == (model, height, _published_name(protocol))
    }


def _published_name(protocol: str) -> str:
    """The table's name for a protocol."""
    if protocol in _NAMES:
        return protocol
    dataset, _, rules = protocol.partition("@")
    if rules:  # a data set whose protocol is not told apart in the table has one that the field agrees on
        return dataset
    of_dataset = [name for name in _NAMES if name.partition("@")[0] == dataset]
    return of_dataset[0] if len(of_dataset) == 1 else protocol


def _rows() -> tuple[PublishedRecall, ...]:
    rows = []
    for (model, size, source), table in _TABLES.items():
        for line in table.strip().splitlines():
            dataset, _, values = line.strip().partition(" ")
            stages: tuple[Stage, ...] = ("global", "reranked")
            for stage, numbers in zip(stages, values.split("|"), strict=True):
                percent = dict(zip((1, 5, 10), map(float, numbers.split()), strict=True))
                note = _NOTES.get((model, size, dataset, stage), "")
                rows.append(PublishedRecall(model, size, dataset, stage, percent, source, note))
    return tuple(rows)


#: Every published recall.
ALL_PUBLISHED = _rows()
_NAMES = {row.dataset for row in ALL_PUBLISHED}
