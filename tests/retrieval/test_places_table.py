from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fol.errors import MapError
from fol.retrieval.places_table import PlacesTable, root_of
from fol.types import Place, Position

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=64)
_POSITIONS = st.builds(Position, _NUMBER, _NUMBER, st.none() | _TEXT, st.none() | _NUMBER, st.none() | _NUMBER)
_NAMES = st.from_regex(r"[a-zé ]{1,6}/[a-z日0-9]{1,6}\.jpg", fullmatch=True)
_PLACES = st.builds(
    lambda name, position, heading, sequence, metadata: Place(
        name, Path("/root") / name, position, heading, sequence, metadata
    ),
    _NAMES,
    st.none() | _POSITIONS,
    st.none() | _NUMBER,
    st.none() | _TEXT,
    st.dictionaries(_TEXT, _TEXT, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(places=st.lists(_PLACES, min_size=1, max_size=5))
def test_places_come_back_as_they_were(places: list[Place]) -> None:
    ids = [3 * i + 1 for i in range(len(places))]
    table = PlacesTable.of(ids, range(len(places)), places, Path("/root"))
    data = table.to_bytes()
    read = PlacesTable.read(data, Path("p"))
    assert read.ids.tolist() == ids
    assert read.rows.tolist() == list(range(len(places)))
    assert read.at(np.arange(len(places))[::-1], Path("/root")) == places[::-1]
    assert read.to_bytes() == data
    for place, (easting, northing) in zip(places, read.positions(), strict=True):
        if place.position is None:
            assert np.isnan(easting) and np.isnan(northing)
        else:
            assert (easting, northing) == (place.position.easting, place.position.northing)


def test_extending_and_removing_keep_the_others() -> None:
    places = [Place(f"{i}.jpg", Path(f"/r/{i}.jpg")) for i in range(5)]
    first = PlacesTable.of([0, 2], [0, 1], places[:2], Path("/r"))
    both = PlacesTable.concatenated([first, PlacesTable.of([5, 6, 9], [2, 3, 4], places[2:], Path("/r"))])
    rest = both.without(np.array([2, 9]))
    assert rest.ids.tolist() == [0, 5, 6]
    assert rest.rows.tolist() == [0, 2, 3]
    assert rest.at(np.arange(3), Path("/moved")) == [Place(f"{i}.jpg", Path(f"/moved/{i}.jpg")) for i in (0, 2, 3)]
    assert both.ids.tolist() == [0, 2, 5, 6, 9]


def test_images_outside_the_root_keep_their_whole_path() -> None:
    place = Place("x.jpg", Path("/elsewhere/x.jpg"))
    table = PlacesTable.of([0], [0], [place], Path("/r"))
    assert table.at(np.array([0]), Path("/moved"))[0].image == Path("/elsewhere/x.jpg")


def test_damaged_and_foreign_files_are_refused() -> None:
    data = PlacesTable.of([0], [0], [Place("x", Path("/x"))], Path("/")).to_bytes()
    for bad in (data[:-9], b"", b"PAR1 and nonsense PAR1"):
        with pytest.raises(MapError, match="places.parquet is damaged"):
            PlacesTable.read(bad, Path("places.parquet"))


@pytest.mark.parametrize(
    ("name", "image", "root"),
    [
        ("a/1.jpg", "/r/a/1.jpg", "/r"),
        ("1.jpg", "/r/a/1.jpg", "/r/a"),
        ("1.jpg", "/1.jpg", "/"),
        ("first", "/r/a/1.jpg", "/r/a"),
        ("11.jpg", "/r/111.jpg", "/r"),
    ],
)
def test_the_root_is_what_the_name_is_relative_to(name: str, image: str, root: str) -> None:
    assert root_of(Place(name, Path(image))) == Path(root)
    table = PlacesTable.of([0], [0], [Place(name, Path(image))], Path(root))
    assert table.at(np.array([0]), Path(root))[0].image == Path(image)
