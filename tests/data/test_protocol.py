"""Protocols on a handful of photos whose positives can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol, apply_protocol
from fol.errors import ConfigError, DataError
from fol.types import Place, Position


def place(name: str, east: float | None = None, **metadata: str) -> Place:
    return Place(name, Path(name), None if east is None else Position(east, 0.0), metadata=metadata)


def photos(database: list[Place], queries: list[Place], listed: list[list[int]] | None = None) -> PhotoSet:
    truth = None if listed is None else tuple(np.array(own, np.int64) for own in listed)
    return PhotoSet(Path("root"), tuple(database), tuple(queries), truth)


def found(photo_set: PhotoSet, **rules: object) -> list[list[int]]:
    dataset = apply_protocol(photo_set, Protocol("some@rules", "", **rules))  # type: ignore[arg-type]
    assert dataset.positives is not None
    return [own.tolist() for own in dataset.positives]


def test_radius_is_inclusive() -> None:
    line = photos([place("a", 0), place("b", 25), place("c", 25.1), place("d", 60)], [place("q", 0), place("r", 42)])
    assert found(line) == [[0, 1], [1, 2, 3]]
    assert found(line, reach=10) == [[0], []]


def test_further_radii() -> None:
    line = photos([place("a", 0), place("b", 25)], [place("q", 10)])
    dataset = apply_protocol(line, Protocol("some@rules", ""), radii=[5, 10])
    assert {r: [p.tolist() for p in own] for r, own in dataset.positives_within.items()} == {5: [[]], 10: [[0]]}


def test_a_city_of_the_same_coordinates_is_not_searched() -> None:
    two = photos(
        [place("a", 0, city="cph"), place("b", 1, city="sf"), place("c", 2, city="cph")],
        [place("q", 0, city="sf"), place("r", 0, city="cph")],
    )
    assert found(two) == [[0, 1, 2], [0, 1, 2]]
    assert found(two, search_within="city") == [[1], [0, 2]]
    rules = apply_protocol(two, Protocol("some@rules", "", search_within="city")).rules
    assert [(d.tolist(), q.tolist()) for d, q in rules.groups(3, 2)] == [([0, 2], [1]), ([1], [0])]


def test_subtask_and_panoramas_leave_photos_out() -> None:
    some = photos(
        [place("a", 0, pano="True", subtasks="all"), place("b", 1, pano="False", subtasks="all d2n"), place("c", 2)],
        [place("q", 0, subtasks="all"), place("r", 0, subtasks="d2n"), place("s", 0, pano="True", subtasks="all")],
    )
    dataset = apply_protocol(some, Protocol("some@rules", "", subtask="all", panoramas=False))
    assert [p.name for p in dataset.database] == ["b"]
    assert [p.name for p in dataset.queries] == ["q"]
    assert dataset.positives is not None and dataset.positives[0].tolist() == [0]
    with pytest.raises(DataError, match="no database photo takes part in some@rules"):
        apply_protocol(some, Protocol("some@rules", "", panoramas=False, subtask="n2d"))


def test_frames_are_inclusive_and_need_no_order() -> None:
    traverse = photos(
        [place("a", frame="30"), place("b", frame="10"), place("c", frame="21"), place("d", frame="20")],
        [place("q", frame="20"), place("r", frame="0")],
    )
    assert found(traverse, positives="frames", reach=10) == [[0, 1, 2, 3], [1]]
    assert found(traverse, positives="frames", reach=1) == [[2, 3], []]


def test_listed_positives_are_renumbered() -> None:
    truth = photos([place("a", pano="True"), place("b"), place("c")], [place("q"), place("r")], [[0, 2], [0]])
    assert found(truth, positives="listed") == [[0, 2], [0]]
    assert found(truth, positives="listed", panoramas=False) == [[1], []]


def test_photos_of_the_same_value_are_passed_over() -> None:
    months = photos(
        [place("a", 0, month="1"), place("b", 1, month="2"), place("c", 40, month="1"), place("d", 2, month="3")],
        [place("q", 0, month="1"), place("r", 0, month="2"), place("s", 0, month="4")],
    )
    dataset = apply_protocol(months, Protocol("some@rules", "", ignore_same="month"), radii=[1])
    assert [own.tolist() for own in dataset.ignored] == [[0, 2], [1], []]
    assert [own.tolist() for own in dataset.positives or ()] == [[1, 3], [0, 3], [0, 1, 3]]
    assert [own.tolist() for own in dataset.positives_within[1.0]] == [[1], [0], [0, 1]]


def test_one_per_panorama() -> None:
    views = photos(
        [place("a", 0, panorama="x"), place("b", 0, panorama="y"), place("c", 0, panorama="x")], [place("q", 0)]
    )
    rules = apply_protocol(views, Protocol("some@nms", "", one_per="panorama")).rules
    assert rules.one_per is not None and rules.one_per.tolist() == [0, 1, 0]
    assert rules.most_per_one == 2


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "1 of 2 images of the database have no coordinates, the first is b"),
        ({"positives": "frames"}, "q has no frame number"),
        ({"positives": "listed"}, "has no list of positives"),
        ({"search_within": "city"}, "a has no city"),
        ({"ignore_same": "timestamp"}, "a has no timestamp"),
    ],
)
def test_what_the_photos_lack_is_named(rules: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        found(photos([place("a", 0), place("b")], [place("q", 0)]), **rules)


def test_frame_that_is_no_number() -> None:
    with pytest.raises(DataError, match="'ten'"):
        found(photos([place("a", frame="10")], [place("q", frame="ten")]), positives="frames")


def test_rules_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="reach"):
        Protocol("some@rules", "", reach=-1)
    with pytest.raises(ConfigError, match="no known rules"):
        Protocol("some@rules", "", positives="nearest")  # type: ignore[arg-type]
