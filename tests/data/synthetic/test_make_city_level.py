"""The folder that a level's split is written to."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fol.data import read_dataset
from fol.data.synthetic import LEVELS, make_city_level, read_city, true_correspondences
from fol.errors import ConfigError, DataError

#: The same small training split, made by a process of its own.
MAKE = """
import sys
from fol.data.synthetic import make_city_level
make_city_level(sys.argv[1], "hard", "train", 4, 3, 48, views=3)
"""


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_city_level(tmp_path_factory.mktemp("levels") / "train", "hard", "train", 4, 3, 48, views=3)


class TestTrain:
    def test_layout(self, train: Path) -> None:
        with (train / "places.csv").open() as table:
            rows = list(csv.DictReader(table))
        assert [row["place_id"] for row in rows] == [f"place{k // 3:05d}" for k in range(12)]
        assert {row["image"] for row in rows} == {path.name for path in (train / "images").iterdir()}
        assert {row["condition"] for row in rows} <= set(LEVELS["hard"].train)
        assert {path.name for path in train.iterdir()} == {
            "images", "places.csv", "overlapping_places.csv", "city.json",
        }  # fmt: skip
        assert all(Image.open(path).size == (48, 48) for path in (train / "images").iterdir())
        _, size, views = read_city(train)
        assert size == 48
        for row in rows:
            view = views[f"images/{row['image']}"]
            assert f"place{view.place:05d}" == row["place_id"] and view.light == row["condition"]
            assert float(row["easting"]) == pytest.approx(420_000 + view.camera.position[0], abs=0.006)

    def test_overlapping_pairs_are_places(self, tmp_path: Path) -> None:
        folder = make_city_level(tmp_path / "c", "easy", "train", 24, 0, 28, views=2)
        with (folder / "overlapping_places.csv").open() as table:
            pairs = [(row["place_a"], row["place_b"]) for row in csv.DictReader(table)]
        with (folder / "places.csv").open() as table:
            known = {row["place_id"] for row in csv.DictReader(table)}
        assert pairs and all(a < b and {a, b} <= known for a, b in pairs)

    def test_same_bytes_in_another_process(self, train: Path, tmp_path: Path) -> None:
        environment = {**os.environ, "PYTHONHASHSEED": "17"}
        subprocess.run([sys.executable, "-c", MAKE, str(tmp_path / "again")], check=True, env=environment)
        assert files(tmp_path / "again") == files(train)

    def test_goes_on_after_a_kill(self, train: Path, tmp_path: Path) -> None:
        out, partial = tmp_path / "killed", tmp_path / ".killed.partial"
        process = subprocess.Popen([sys.executable, "-c", MAKE, str(out)])
        while process.poll() is None and len(list(partial.glob("images/*.jpg"))) < 3:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL and not out.exists()
        kept = {path.name: path.stat().st_mtime_ns for path in partial.glob("images/*.jpg")}
        assert len(kept) >= 3
        make_city_level(out, "hard", "train", 4, 3, 48, views=3)
        assert files(out) == files(train) and not partial.exists()
        assert all((out / "images" / name).stat().st_mtime_ns == when for name, when in kept.items())

    def test_a_complete_split_is_kept(self, train: Path) -> None:
        before = files(train)
        make_city_level(
            train, "hard", "train", 4, 3, 48, views=3, progress=lambda done, total: pytest.fail("rendered again")
        )
        assert files(train) == before


class TestEvaluation:
    @pytest.mark.parametrize("split", ["val", "test"])
    def test_reads_as_a_data_set(self, split: str, tmp_path: Path) -> None:
        folder = make_city_level(tmp_path / "c", "extreme", split, 6, 0, 32, views=2)  # type: ignore[arg-type]
        dataset = read_dataset(folder)
        assert len(dataset.database) == len(dataset.queries) == 12
        views = {Path(name).name: view for name, view in read_city(folder)[2].items()}
        assert dataset.positives is not None
        for query, positives in zip(dataset.queries, dataset.positives, strict=True):
            place = views[query.image.name].place
            own = {k for k, p in enumerate(dataset.database) if views[p.image.name].place == place}
            spot = {k for k, p in enumerate(dataset.database) if views[p.image.name].place // 2 == place // 2}
            assert own <= set(positives.tolist()) <= spot
            assert query.metadata["note"] in LEVELS["extreme"].queries

    def test_correspondences_of_what_was_read(self, tmp_path: Path) -> None:
        folder = make_city_level(tmp_path / "c", "easy", "test", 4, 0, 32)
        city, size, views = read_city(folder)
        by_place = {
            kind: {v.place: v for name, v in views.items() if name.startswith(kind)} for kind in ("database", "queries")
        }
        points = np.random.default_rng(0).uniform(0, size, (200, 2))
        for place in range(4):
            a, b = by_place["queries"][place].camera, by_place["database"][place].camera
            assert true_correspondences(city, a, b, points, size=size)[1].mean() > 0.1

    def test_default_numbers(self, tmp_path: Path) -> None:
        counted: list[int] = []

        def stop(done: int, total: int) -> None:
            counted.append(total)
            raise KeyboardInterrupt

        for split in ("train", "val", "test"):
            with pytest.raises(KeyboardInterrupt):
                make_city_level(tmp_path / split, "easy", split, size=28, progress=stop)  # type: ignore[arg-type]
        assert counted == [800 * 8, 60 * 2, 100 * 2]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"level": "brutal"}, "no level 'brutal', there are easy, medium, hard, extreme"),
            ({"split": "dev"}, "no split 'dev', there are train, val, test"),
            ({"places": 0}, "places is 0, give a value from 1"),
            ({"views": 1}, "views is 1, give a value from 2"),
            ({"views": 65, "split": "test"}, "views is 65, give a value from 1 to 64"),
            ({"size": 27}, "size is 27, give"),
            ({"seed": -1}, "seed is -1"),
        ],
    )
    def test_bad_options(self, options: dict[str, object], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message):
            make_city_level(tmp_path / "city", **options)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())

    def test_another_split_is_not_overwritten(self, train: Path) -> None:
        before = files(train)
        with pytest.raises(DataError, match=r"another synthetic city \(level hard instead of easy\): delete it"):
            make_city_level(train, "easy", "train", 4, 3, 48, views=3)
        assert files(train) == before

    def test_damaged_description(self, train: Path, tmp_path: Path) -> None:
        described = json.loads((train / "city.json").read_text())
        described["parameters"]["level"] = "brutal"
        (tmp_path / "city.json").write_text(json.dumps(described))
        with pytest.raises(DataError, match="is damaged"):
            read_city(tmp_path)
