"""Data sets: their layouts, where the ground truth comes from, and the audit line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from fol.data import PlaceDataset, read_dataset
from fol.errors import ConfigError, DataError, FolError


def photos(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (20, 20)).save(folder / name)


def at(east: float, north: float, tail: str = "") -> str:
    return f"@{east}@{north}@{tail}.jpg"


@pytest.fixture
def by_names(tmp_path: Path) -> Path:
    """Sorted by name: database at 0, 20, 26 and 500 m, queries at 1 and 900 m."""
    photos(tmp_path / "set" / "database", [at(0, 0), at(20, 0), at(26, 0), at(500, 0)])
    photos(tmp_path / "set" / "queries", [at(1, 0), at(900, 0)])
    return tmp_path / "set"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    photos(tmp_path / "set" / "database", ["d0.jpg", "d1.jpg", "d2.jpg"])
    photos(tmp_path / "set" / "queries", ["q0.jpg", "q1.jpg"])
    return tmp_path / "set"


def positives(dataset: PlaceDataset) -> list[list[int]]:
    assert dataset.positives is not None and len(dataset.positives) == len(dataset.queries)
    assert all(found.dtype == "int64" for found in (*dataset.positives, *dataset.ignored))
    return [found.tolist() for found in dataset.positives]


def test_by_coordinates(by_names: Path) -> None:
    dataset = read_dataset(by_names)
    assert [place.name for place in dataset.database] == [at(0, 0), at(20, 0), at(26, 0), at(500, 0)]
    assert positives(dataset) == [[0, 1, 2], []]  # 25 m from 1 to 26: inclusive
    assert [found.tolist() for found in dataset.ignored] == [[], []]
    assert (dataset.name, dataset.root, dataset.protocol) == ("set", by_names, "utm<=25m")
    expected = "set: 4 database, 2 queries, 1 queries without positives, median positives 1.5 (utm<=25m)"
    assert dataset.summary == expected


def test_radius(by_names: Path) -> None:
    dataset = read_dataset(str(by_names), radius=0.5)
    assert positives(dataset) == [[], []] and dataset.protocol == "utm<=0.5m"
    for radius in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="radius="):
            read_dataset(by_names, radius=radius)


def test_ground_truth_csv_goes_before_coordinates(by_names: Path) -> None:
    (by_names / "ground_truth.csv").write_text(
        f"query,positives,ignore\n{at(1, 0)},{at(500, 0)},{at(20, 0)}\n{at(900, 0)},,\n"
    )
    dataset = read_dataset(by_names)
    assert positives(dataset) == [[3], []] and dataset.ignored[0].tolist() == [1]
    assert dataset.protocol == "ground_truth.csv"
    assert dataset.database[0].position is not None


def test_positives_in_queries_csv(plain: Path) -> None:
    (plain / "queries.csv").write_text("image,positives\nq1.jpg,d2.jpg d0.jpg\nq0.jpg,\n")
    dataset = read_dataset(plain)
    assert positives(dataset) == [[], [0, 2]] and dataset.protocol == "queries.csv"


def test_sidecars_beside_the_folders(plain: Path) -> None:
    (plain / "database.csv").write_text("image,lat,lon\nd0.jpg,48.0,2.0\nd1.jpg,48.0,2.0002\nd2.jpg,48.0,2.1\n")
    (plain / "queries.csv").write_text("image,lat,lon\nq0.jpg,48.0,2.0001\nq1.jpg,48.0,2.5\n")
    assert positives(read_dataset(plain)) == [[0, 1], []]  # 0.0001 degrees are 7.5 m there


def test_pseudo_utm(plain: Path) -> None:
    rows = ["split,file,utm_east,utm_north", "queries,q0.jpg,0,0", "queries,q1.jpg,0,100"]
    rows += [f"database,d{i}.jpg,0,{90 * i}" for i in range(3)]
    (plain / "pseudo_utm.csv").write_text("\n".join(rows))
    dataset = read_dataset(plain)
    assert positives(dataset) == [[0], [1]] and dataset.protocol == "pseudo_utm.csv<=25m"
    (plain / "ground_truth.csv").write_text("query,positives\nq0.jpg,\nq1.jpg,d2.jpg\n")
    dataset = read_dataset(plain)
    assert positives(dataset) == [[], [2]]
    assert all(place.position is None for place in dataset.database)  # made up, so not shown as if true


def test_no_ground_truth(plain: Path) -> None:
    dataset = read_dataset(plain)
    assert dataset.positives is None and len(dataset.ignored) == 2 and dataset.protocol == "none"
    assert dataset.summary == "set: 3 database, 2 queries, no ground truth"


def test_only_the_database_has_coordinates(by_names: Path) -> None:
    for path in (by_names / "queries").iterdir():
        path.unlink()
    Image.new("RGB", (20, 20)).save(by_names / "queries" / "unknown.jpg")
    assert read_dataset(by_names).positives is None


@pytest.mark.parametrize("side", ["database", "queries"])
def test_coordinates_in_part(by_names: Path, side: str) -> None:
    Image.new("RGB", (20, 20)).save(by_names / side / "unknown.jpg")
    with pytest.raises(DataError, match=rf"1 of \d images of the {side} have no coordinates, the first is unknown.jpg"):
        read_dataset(by_names)


def test_local_and_utm_coordinates_mixed(by_names: Path) -> None:
    Image.new("RGB", (20, 20)).save(by_names / "database" / at(500000, 4000000, "31@S@"))
    with pytest.raises(DataError) as caught:
        read_dataset(by_names)
    assert str(caught.value).startswith(f"{by_names}: 6 of 7 positions have no UTM zone")


@pytest.mark.parametrize("layout", [".", "test", "images/test"])
@pytest.mark.parametrize("database", ["database", "gallery"])
def test_layouts(tmp_path: Path, layout: str, database: str) -> None:
    photos(tmp_path / layout / database, [at(0, 0)])
    photos(tmp_path / layout / "queries", ["q0.jpg"])
    (tmp_path / layout / "ground_truth.csv").write_text(f"query,positives\nq0.jpg,{database}/{at(0, 0)}\n")
    dataset = read_dataset(tmp_path)
    assert positives(dataset) == [[0]] and dataset.root == tmp_path and dataset.name == tmp_path.name


def test_name_of_a_relative_path(by_names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(by_names)
    assert read_dataset(".").name == "set"


class TestRefused:
    def refusal(self, folder: Path) -> str:
        with pytest.raises(FolError) as caught:
            read_dataset(folder)
        assert isinstance(caught.value, DataError) and "\n" not in str(caught.value)
        return str(caught.value)

    def test_no_data_set(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "no such folder" in self.refusal(tmp_path / "gone")
        assert "is a file, but a folder is needed" in self.refusal(tmp_path / "file")
        assert "is no data set: it needs the folders database/ and queries/" in self.refusal(tmp_path)

    def test_no_queries(self, tmp_path: Path) -> None:
        photos(tmp_path / "database", ["a.jpg"])
        assert "has database/, but no queries/ beside it" in self.refusal(tmp_path)
        (tmp_path / "queries").mkdir()
        assert self.refusal(tmp_path) == f"{tmp_path}/queries: holds no images"

    def test_ground_truth_of_other_images(self, plain: Path) -> None:
        (plain / "ground_truth.csv").write_text("query,positives\nq0.jpg,d7.jpg\n")
        assert "ground_truth.csv line 2, column positives: 'd7.jpg' is not an image" in self.refusal(plain)
