"""The published numbers: cells looked up by hand, and whether each is a possible share of its queries."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest

from fol.data.catalogue import PROTOCOLS
from fol.evaluation.published import ALL_PUBLISHED, README, SAGE, published
from fol.models import CARDS

#: Queries of each data set, from their own papers and lists (not from the table).
QUERIES = {
    "msls_test@city": 10**6,  # how many the server counted was never said
    "pitts30k_test@25m": 6816,
    "pitts250k_test@25m": 8280,
    "msls_val@official": 740,
    "tokyo247@25m": 315,
    "tokyo247@nms": 315,
    "sped@pairs": 607,
    "amstertime@pairs": 1231,
    "nordland@vprbench": 2760,
    "nordland@10f": 27592,
    "eynsham@25m": 23935,
    "sf_xl_v1@25m": 1000,
    "sf_xl_v2@25m": 598,
    "sf_xl_night@25m": 466,
    "sf_xl_occlusion@25m": 76,
    "svox@25m": 14278,
    "svox_night@25m": 823,
    "svox_overcast@25m": 872,
    "svox_rain@25m": 937,
    "svox_snow@25m": 870,
    "svox_sun@25m": 854,
}


@pytest.mark.parametrize(
    ("model", "size", "name", "before", "after"),
    [
        ("fol_vitl14", 504, "msls_val@official", (93.1, 96.9, 97.4), (93.5, 96.9, 97.6)),
        ("fol_vitl14", 504, "nordland@vprbench", (78.3, 90.8, 94.0), (85.8, 94.9, 96.8)),
        ("fol_vitl14", 504, "sf_xl_occlusion", (51.3, 65.8, 73.7), (61.8, 77.6, 77.6)),
        ("fol_vitl14", 322, "msls_val@official", (92.8, 96.9, 97.2), (90.1, 95.7, 96.9)),
        ("fol_vitb14", 322, "svox_sun", (96.7, 98.9, 99.3), (96.6, 98.9, 99.5)),
        ("fol_vitb14", 322, "pitts250k_test", (94.8, 98.6, 99.2), (96.1, 99.1, 99.5)),
    ],
)
def test_cells(model: str, size: int, name: str, before: tuple[float, ...], after: tuple[float, ...]) -> None:
    found = published(model, size, name)
    assert tuple(found["global"].percent.values()) == before
    assert tuple(found["reranked"].percent.values()) == after
    assert list(found["global"].percent) == [1, 5, 10]


def test_a_model_of_one_stage_whose_photos_are_not_square() -> None:
    found = published("netvlad_vgg16", (480, 640), "tokyo247@nms")
    assert list(found) == ["global"] and "84.1" in found["global"].note
    assert found["global"].percent == {1: 85.4, 5: 91.1, 10: 93.3}
    assert published("netvlad_vgg16", (480, 640), "pitts250k_test@25m")["global"].percent[1] == 90.7
    for size, protocol in (((480, 640), "tokyo247@short480"), ((640, 480), "tokyo247@nms"), (480, "tokyo247@nms")):
        assert published("netvlad_vgg16", size, protocol) == {}


def test_every_row_is_possible() -> None:
    for row in ALL_PUBLISHED:
        assert row.model in CARDS
        first, fifth, tenth = row.percent.values()
        assert 0 < first <= fifth <= tenth <= 100, row
        number = QUERIES[row.protocol]
        for value in row.percent.values():
            hits = round(value * number / 100)
            printed = {text for n in (hits - 1, hits, hits + 1) for text in _printed(n, number)}
            assert f"{value:.1f}" in printed, f"{row}: {value} % is no share of {number} queries"


def _printed(hits: int, number: int) -> tuple[str, str]:
    """The share in percent with one decimal, and so again from two decimals: 312 of 315 is printed as 99.1."""
    share = Decimal(100 * hits) / number
    twice = share.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return tuple(str(found.quantize(Decimal("0.1"), ROUND_HALF_UP)) for found in (share, twice))  # type: ignore[return-value]


def test_each_row_once_with_both_stages() -> None:
    keys = [(row.model, row.image_size, row.protocol, row.stage) for row in ALL_PUBLISHED]
    assert len(set(keys)) == len(keys)
    sizes = {(m, s): len([k for k in keys if k[:2] == (m, s)]) for m, s, *_ in keys}
    assert sizes == {
        ("fol_vitl14", (504, 504)): 40,
        ("fol_vitl14", (322, 322)): 36,
        ("fol_vitb14", (322, 322)): 36,
        ("netvlad_vgg16", (480, 640)): 2,
    }


def test_sources_and_the_disagreement() -> None:
    sped = published("fol_vitl14", 504, "sped")
    assert sped["global"].source == README and sped["global"].note == ""
    assert "92.6" in sped["reranked"].note
    assert published("fol_vitl14", 322, "sped")["global"].source == SAGE


def test_names_of_protocols() -> None:
    assert {row.protocol for row in ALL_PUBLISHED} <= set(PROTOCOLS)
    # One published protocol: under its name and that of its data set. Several: only under the right one.
    assert published("fol_vitl14", 504, "pitts30k_test@25m") == published("fol_vitl14", 504, "pitts30k_test") != {}
    assert published("fol_vitl14", 504, "msls_val") == published("fol_vitl14", 504, "msls_val@official") != {}
    assert published("fol_vitl14", 504, "msls_val@all") == {}
    assert published("fol_vitl14", 504, "tokyo247@nms") == {}
    assert published("fol_vitl14", 504, "tokyo247") == published("fol_vitl14", 504, "tokyo247@25m") != {}
    assert published("fol_vitl14", 504, "nordland") == {}
    assert published("fol_vitl14", 504, "nordland@unizar") == {}
    assert published("fol_vitl14", 504, "utm<=25m") == {}


def test_nothing_published() -> None:
    assert published("fol_nano", 322, "sped") == {}
    assert published("fol_vitl14", 224, "sped") == {}
    assert published("fol_vitl14", (504, 336), "sped") == {}
    assert published("fol_vitl14", (504, 504), "sped") == published("fol_vitl14", 504, "sped")
