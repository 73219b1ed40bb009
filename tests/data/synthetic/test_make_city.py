"""The folder that a city is written to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fol.data import load_image, parse_at_name, read_dataset
from fol.data.synthetic import (
    City,
    CityParameters,
    city_views,
    make_city,
    read_city,
    render,
)
from fol.errors import ConfigError, DataError


class TestMakeCity:
    def test_reads_as_a_data_set(self, folder: Path) -> None:
        dataset = read_dataset(folder)
        assert len(dataset.database) == 10 and len(dataset.queries) == 10
        assert dataset.positives is not None
        described = json.loads((folder / "city.json").read_text())["views"]
        place_of = {Path(name).name: view["place"] for name, view in described.items()}
        for query, positives in zip(dataset.queries, dataset.positives, strict=True):
            same = [i for i, p in enumerate(dataset.database) if place_of[p.image.name] == place_of[query.image.name]]
            assert positives.tolist() == same and len(same) == 2

    def test_names_and_pictures(self, folder: Path) -> None:
        city, size, views = read_city(folder)
        assert size == 64 and len(city.places) == 5 and len(views) == 20
        lights: dict[int, set[str]] = {}
        for name, view in views.items():
            label = parse_at_name(folder / name)
            assert label.position is not None and label.position.zone == "32T"
            east, north, _ = view.camera.position
            assert label.position.easting == pytest.approx(420_000 + east, abs=0.006)
            assert label.position.northing == pytest.approx(5_250_000 + north, abs=0.006)
            assert label.heading == pytest.approx(view.camera.yaw, abs=0.51)
            assert label.metadata["note"] == view.light
            assert view.light == ("dusk" if "queries1" in name else "day")
            assert load_image(folder / name).size == (64, 64)
            lights.setdefault(view.place, set()).add(view.light)
        assert all(seen == {"day", "dusk"} for seen in lights.values())
        on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert on_disk == {*views, "city.json"}

    def test_the_file_shows_the_described_view(self, folder: Path) -> None:
        city, size, views = read_city(folder)
        name, view = next(iter(views.items()))
        difference = np.asarray(Image.open(folder / name), float) - render(city, view.camera, view.light, size)
        assert np.abs(difference).mean() < 6  # JPEG

    def test_other_viewpoint_same_side_of_the_street(self) -> None:
        city = City.build(6, seed=5)
        views = city_views(city, CityParameters(places=6, seed=5, query_views=2))
        for database, query in zip(views[0::2], views[1::2], strict=True):
            assert database.place == query.place
            a, b = np.array(database.camera.position), np.array(query.camera.position)
            assert 0.5 < np.linalg.norm(a - b) < 12
            turned = (database.camera.yaw - query.camera.yaw + 180) % 360 - 180
            assert abs(turned) <= 20.1

    def test_a_complete_city_is_kept(self, folder: Path) -> None:
        before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
        make_city(folder, places=5, seed=2, size=64, progress=lambda done, total: pytest.fail("rendered again"))
        assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before

    def test_another_city_is_not_overwritten(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"another synthetic city \(places 5 instead of 6\): delete it or choose"):
            make_city(folder, places=6, seed=2, size=64)
        (tmp_path / "holiday.jpg").write_bytes(b"precious")
        with pytest.raises(DataError, match="is not a synthetic city: choose another folder"):
            make_city(tmp_path, places=1, size=32)
        assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]

    def test_continues_after_an_interruption(self, folder: Path, tmp_path: Path) -> None:
        out = tmp_path / "cities" / "new"  # a parent that does not exist yet

        def stop(done: int, total: int) -> None:
            if done == 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_city(out, places=5, seed=2, size=64, progress=stop)
        assert not out.exists()
        left = sorted((out.parent / ".new.partial").rglob("@*.jpg"))
        assert len(left) == 8
        left[0].write_bytes(left[0].read_bytes()[:100])  # as a power cut would
        (left[1].parent / ".4711-half.tmp").write_bytes(b"half")
        kept = left[1].stat().st_mtime_ns
        make_city(out, places=5, seed=2, size=64)
        assert [p.name for p in out.parent.iterdir()] == ["new"]
        assert (out / left[1].relative_to(out.parent / ".new.partial")).stat().st_mtime_ns == kept
        files = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == files

    def test_what_another_city_left_is_thrown_away(self, tmp_path: Path) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_city(tmp_path / "c", places=1, seed=8, size=32, progress=stop)
        make_city(tmp_path / "c", places=1, seed=9, size=32)
        assert len(list((tmp_path / "c").rglob("*.jpg"))) == 4

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match=r"city cannot be written \(Not a directory\): choose another folder"):
            make_city(tmp_path / "file" / "city", places=1, size=32)
        with pytest.raises(DataError, match=r"cannot be written \(File name too long\): choose another folder"):
            make_city(tmp_path / ("x" * 300), places=1, size=32)
        with pytest.raises(DataError, match="file exists and is not a synthetic city"):
            make_city(tmp_path / "file", places=1, size=32)

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert (make_city(tmp_path / "empty", places=1, size=32) / "city.json").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"places": 0}, "places is 0, give a value from 1"),
            ({"size": 20}, "size is 20, give"),
            ({"database_views": 5}, "database_views is 5, give a value from 1 to 4"),
            ({"query_lights": ["day", "noon"]}, "no light 'noon', there are day, dusk"),
            ({"query_lights": []}, "query_lights is empty"),
            ({"seed": -1}, "seed is -1"),
        ],
    )
    def test_bad_options(self, options: dict[str, object], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message):
            make_city(tmp_path / "city", **options)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())

    def test_reading_what_is_no_city(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="does not exist: this is no folder that make_city wrote"):
            read_city(tmp_path)
        described = json.loads((folder / "city.json").read_text())
        for content, message in (
            ("{", "is damaged"),
            (json.dumps({**described, "views": {"a.jpg": {}}}), "is damaged"),
            (json.dumps({**described, "parameters": {"places": "many"}}), "is damaged"),
            (json.dumps({**described, "generator": 0}), "made by generator 0, this fol has"),
        ):
            (tmp_path / "city.json").write_text(content)
            with pytest.raises(DataError, match=message) as caught:
                read_city(tmp_path)
            assert str(tmp_path / "city.json") in str(caught.value) and "\n" not in str(caught.value)
