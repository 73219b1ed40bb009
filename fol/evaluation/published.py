"""Recalls that authors published, to hold measured ones against; nothing here was measured by this library.

Their rule is R@N of all queries, those without positives counted as misses, positives within 25 m (AmsterTime, SPED and
Nordland: of the same name or frame). FoL's own README warns that re-ranking changes with the versions of torch, FAISS
and numpy: a difference of a few queries is no failure, and one query is 1.3 points of SF-XL occlusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fol.evaluation.result import Stage

README = "README of chenshunpeng/FoL (AAAI 2025, arXiv 2504.09881)"
SAGE = "SAGE (arXiv 2509.25723), which quotes FoL"
OPENIBL = "MODEL_ZOO of yxgeee/OpenIBL (SFRS, ECCV 2020)"

#: (model card, image side or height and width, source) -> protocol of the catalogue -> R@1 R@5 R@10 in percent,
#: retrieved | re-ranked (of two-stage models).
_TABLES: Mapping[tuple[str, int | tuple[int, int], str], str] = {
    ("fol_vitl14", 504, README): """
        pitts30k_test@25m   93.9 97.2 98.1 | 94.5 97.4 98.2
        pitts250k_test@25m  96.5 99.1 99.5 | 97.0 99.2 99.5
        msls_val@official   93.1 96.9 97.4 | 93.5 96.9 97.6
        msls_test@city      78.7 90.8 93.0 | 80.0 90.9 93.0
        tokyo247@25m        96.2 98.7 98.7 | 98.4 99.1 99.4
        sped@pairs          92.1 96.5 98.0 | 91.8 96.5 97.4
        amstertime@pairs    64.6 84.3 88.2 | 70.1 89.0 91.8
        eynsham@25m         91.7 95.3 96.2 | 92.4 95.8 96.6
        nordland@vprbench   78.3 90.8 94.0 | 85.8 94.9 96.8
        nordland@10f        87.8 94.5 96.4 | 92.6 96.9 98.0
        sf_xl_v1@25m        91.5 94.8 95.6 | 95.0 96.5 96.8
        sf_xl_v2@25m        95.0 98.0 98.3 | 95.0 97.8 98.5
        sf_xl_night@25m     53.4 65.9 71.7 | 60.5 72.8 75.8
        sf_xl_occlusion@25m 51.3 65.8 73.7 | 61.8 77.6 77.6
        svox@25m            98.4 99.4 99.6 | 98.9 99.6 99.7
        svox_night@25m      98.3 99.6 99.6 | 98.8 99.8 99.9
        svox_overcast@25m   97.9 99.2 99.3 | 98.3 99.3 99.7
        svox_rain@25m       96.5 99.6 99.7 | 98.2 99.9 99.9
        svox_snow@25m       99.1 99.7 99.8 | 99.3 99.8 99.9
        svox_sun@25m        98.1 99.4 99.5 | 98.8 99.8 99.9
    """,
    ("fol_vitl14", 322, README): """
        pitts30k_test@25m   93.6 96.9 97.9 | 93.9 96.9 98.1
        msls_val@official   92.8 96.9 97.2 | 90.1 95.7 96.9
        tokyo247@25m        96.5 98.1 98.4 | 97.1 97.8 98.7
        eynsham@25m         91.5 95.1 96.1 | 91.7 95.4 96.4
        nordland@vprbench   74.1 88.8 92.2 | 80.8 92.0 94.7
        nordland@10f        83.8 92.6 95.1 | 87.9 94.8 96.6
        sf_xl_v1@25m        90.4 93.8 94.7 | 93.4 95.6 96.1
        sf_xl_v2@25m        94.1 98.2 98.5 | 93.5 97.7 98.5
        sf_xl_night@25m     53.4 67.0 70.2 | 56.0 70.0 75.8
        sf_xl_occlusion@25m 44.7 67.1 71.1 | 51.3 72.4 78.9
        svox@25m            98.3 99.4 99.6 | 98.7 99.5 99.7
        svox_night@25m      98.4 99.5 99.8 | 98.2 99.6 99.9
        svox_overcast@25m   97.7 99.2 99.4 | 98.2 99.4 99.7
        svox_rain@25m       97.4 99.6 99.6 | 98.6 99.7 99.8
        svox_snow@25m       98.3 99.7 99.8 | 98.7 99.5 99.8
        svox_sun@25m        97.8 99.4 99.6 | 97.9 99.4 99.5
    """,
    ("fol_vitb14", 322, README): """
        pitts30k_test@25m   92.1 96.4 97.6 | 93.1 96.9 97.7
        msls_val@official   91.1 95.7 96.4 | 91.5 96.2 96.8
        tokyo247@25m        94.6 96.5 96.8 | 97.5 98.1 98.4
        eynsham@25m         91.3 95.2 96.0 | 91.3 95.1 96.1
        nordland@vprbench   62.5 80.3 85.0 | 78.2 90.2 92.9
        nordland@10f        72.7 85.5 89.6 | 85.4 92.7 94.8
        sf_xl_v1@25m        86.1 91.4 92.7 | 90.0 93.4 94.4
        sf_xl_v2@25m        94.1 97.7 98.5 | 94.8 97.2 98.0
        sf_xl_night@25m     44.8 56.7 61.8 | 52.8 64.8 67.6
        sf_xl_occlusion@25m 48.7 56.6 60.5 | 46.1 61.8 67.1
        svox@25m            98.3 99.4 99.5 | 98.4 99.3 99.5
        svox_night@25m      93.1 98.2 99.0 | 96.5 98.4 99.3
        svox_overcast@25m   97.7 99.2 99.4 | 97.7 99.3 99.4
        svox_rain@25m       96.2 99.1 99.6 | 97.9 99.7 99.8
        svox_snow@25m       98.7 99.5 99.5 | 97.7 99.7 99.7
        svox_sun@25m        96.7 98.9 99.3 | 96.6 98.9 99.5
    """,
    ("fol_vitl14", 322, SAGE): """
        pitts250k_test@25m  96.2 99.0 99.4 | 96.8 99.0 99.4
        sped@pairs          91.8 96.2 97.9 | 92.4 96.9 97.5
    """,
    ("fol_vitb14", 322, SAGE): """
        pitts250k_test@25m  94.8 98.6 99.2 | 96.1 99.1 99.5
        sped@pairs          89.5 95.2 96.4 | 90.6 94.4 95.6
    """,
    ("netvlad_vgg16", (480, 640), OPENIBL): """
        pitts250k_test@25m  90.7 96.4 97.6
        tokyo247@nms        85.4 91.1 93.3
    """,
}

_SERVER = "from the challenge's server, since closed"

_NOTES: Mapping[tuple[str, int | tuple[int, int], str, Stage], str] = {
    ("fol_vitl14", 504, "msls_test@city", "global"): _SERVER,
    ("fol_vitl14", 504, "msls_test@city", "reranked"): _SERVER,
    ("fol_vitl14", 504, "sped@pairs", "reranked"): "sources disagree: SAGE quotes R@1 92.6",
    ("netvlad_vgg16", (480, 640), "tokyo247@nms", "global"): "a user found 84.1 91.1 92.4 (OpenIBL issue 34)",
    ("fol_vitl14", 504, "nordland@10f", "reranked"): "sources disagree: SAGE quotes 92.6 96.7 97.8",
}


@dataclass(frozen=True)
class PublishedRecall:
    """R@1, R@5 and R@10 of one stage in ``percent``, as printed, with the ``source`` and a ``note`` (often empty).

    ``image_size``: height and width of the network's input. ``protocol`` is the name in the catalogue of the rules that
    they were measured under.
    """

    model: str
    image_size: tuple[int, int]
    protocol: str
    stage: Stage
    percent: Mapping[int, float]
    source: str
    note: str = ""


def published(model: str, image_size: int | tuple[int, int], protocol: str) -> dict[Stage, PublishedRecall]:
    """What was published for a model card at an input size (side, or height and width) under a protocol, per stage.

    ``protocol`` may be the name of a data set alone where the model's numbers are of one of its protocols only.
    Empty where nothing was published, which includes other protocols of the same data set (``msls_val@all``) and names
    that leave open which is meant (``nordland``).
    """
    rows = [row for row in ALL_PUBLISHED if row.model == model]
    under = {row.protocol for row in rows if protocol in (row.protocol, row.protocol.partition("@")[0])}
    if len(under) != 1:
        return {}
    return {row.stage: row for row in rows if row.image_size == _size(image_size) and row.protocol in under}


def _size(given: int | tuple[int, int]) -> tuple[int, int]:
    return (given, given) if isinstance(given, int) else given


def _rows() -> tuple[PublishedRecall, ...]:
    rows = []
    for (model, size, source), table in _TABLES.items():
        for line in table.strip().splitlines():
            protocol, _, values = line.strip().partition(" ")
            stages: tuple[Stage, ...] = ("global", "reranked")
            for stage, numbers in zip(stages, values.split("|"), strict=False):  # models of one stage have one column
                percent = dict(zip((1, 5, 10), map(float, numbers.split()), strict=True))
                note = _NOTES.get((model, size, protocol, stage), "")
                rows.append(PublishedRecall(model, _size(size), protocol, stage, percent, source, note))
    return tuple(rows)


#: Every published recall.
ALL_PUBLISHED = _rows()
