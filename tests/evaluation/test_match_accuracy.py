"""Match accuracy: by hand with a geometry that is a shift, then on a small synthetic city."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray

import fol
from fol.data import PlaceDataset, read_dataset
from fol.data.correspondences import CityGeometry, true_geometry
from fol.data.synthetic import make_city, read_city
from fol.errors import ConfigError, DataError
from fol.evaluation import MatchCount, count_correct, evaluate, judge_matches, read_result
from fol.evaluation.answers import Task, subject_of
from fol.evaluation.map_answers import MapAnswers
from fol.evaluation.match_accuracy import MATCH_RADIUS, MatchJudge, mean_share
from fol.evaluation.two_stage import _key
from fol.localizer import Localizer
from fol.retrieval import PlaceMap
from fol.types import LocalFeatures

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Shifted:
    """The database image shows the query's points 10 px further right, as far as they stay within 100 px."""

    def correspondences(
        self, query: int, database: int, points: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        moved = np.asarray(points, np.float64) + np.array([10, 0])
        return moved, moved[:, 0] < 100

    def closest_view(self, query: int, database: Sequence[int]) -> int | None:
        return database[0] if database else None


def local(positions: list[tuple[float, float]], directions: list[int]) -> LocalFeatures:
    """Features whose descriptors are unit vectors along ``directions``: equal numbers match."""
    return LocalFeatures(torch.eye(8)[directions], torch.tensor(positions), torch.ones(len(positions)))


def test_counts_by_hand() -> None:
    true = np.array([[0, 0], [0, 0], [0, 0], [np.nan, np.nan]])
    found = [[14.0, 0.0], [10.0, 10.0], [0.0, 3.0], [0.0, 0.0]]  # at 14 px, 14.1 px, hidden, sky
    count = count_correct(found, true, np.array([True, True, False, False]))
    assert count == MatchCount(matches=4, judged=2, correct=1) and count.share == 0.5
    assert count_correct(found, true, np.array([True, True, False, False]), radius=15).correct == 2
    assert MatchCount(3, 0, 0).share is None
    assert mean_share([MatchCount(9, 4, 1), None, MatchCount(3, 0, 0), MatchCount(1, 1, 1)]) == (0.25 + 1) / 2
    assert mean_share([None, MatchCount(0, 0, 0)]) is None


def test_matches_of_re_ranking_are_judged() -> None:
    query = local([(0, 0), (50, 50), (20, 80), (95, 10), (60, 60)], [0, 1, 2, 3, 4])
    # right, 20 px off, right within 14 px, out of sight, no partner (direction 7)
    other = local([(10, 0), (80, 50), (30, 93), (5, 5), (0, 0)], [0, 1, 2, 3, 7])
    assert judge_matches(query, [other], Shifted(), 0, 0) == MatchCount(matches=4, judged=3, correct=2)
    assert judge_matches(query, [other], Shifted(), 0, 0, method="official", radius=12.9).correct == 1
    nothing = fol.RerankOptions(threshold=1.5)
    assert judge_matches(query, [other], Shifted(), 0, 0, options=nothing) == MatchCount(0, 0, 0)


# ---- a city ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_city(tmp_path_factory.mktemp("match") / "city", places=3, size=112)


@pytest.fixture(scope="module")
def dataset(city: Path) -> PlaceDataset:
    return read_dataset(city)


@pytest.fixture(scope="module")
def geometry(dataset: PlaceDataset) -> CityGeometry:
    found = true_geometry(dataset)
    assert isinstance(found, CityGeometry)
    return found


def grid(step: float = 7, size: int = 112) -> NDArray[np.float64]:
    axis = np.arange(step / 2, size, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def test_the_closest_view_looks_the_same_way(city: Path, dataset: PlaceDataset, geometry: CityGeometry) -> None:
    assert dataset.positives is not None
    for number, query in enumerate(dataset.queries):
        found = geometry.closest_view(number, dataset.positives[number].tolist())
        assert found is not None
        # view k of a place's queries is made to look where view k of its database looks
        assert query.metadata["pano_id"].replace("queries", "database") == dataset.database[found].metadata["pano_id"]
    assert geometry.closest_view(0, []) is None


def features_of_the_world(city: Path, name: str, points: NDArray[np.float64]) -> LocalFeatures:
    """Descriptors that are a smooth code of the point in the world that a pixel shows; zero rows for the sky."""
    from fol.data.synthetic import cast

    world_city, size, views = read_city(city)
    world, surface = cast(world_city, views[name].camera, points, size)
    generator = np.random.default_rng(0)
    waves, phases = generator.normal(0, 1.5, (3, 256)), generator.uniform(0, 2 * np.pi, 256)
    code = np.cos(np.nan_to_num(world) @ waves + phases)
    code = np.where((surface >= 0)[:, None], code / np.linalg.norm(code, axis=1, keepdims=True), 0)
    return LocalFeatures(torch.from_numpy(code).float(), torch.from_numpy(points).float(), torch.ones(len(points)))


def test_descriptors_of_the_true_geometry_match_right(
    city: Path, dataset: PlaceDataset, geometry: CityGeometry
) -> None:
    assert dataset.positives is not None
    counts = []
    for number, query in enumerate(dataset.queries):
        database = geometry.closest_view(number, dataset.positives[number].tolist())
        assert database is not None
        pair = [
            features_of_the_world(city, name, grid(3.5))
            for name in (f"queries/{query.name}", f"database/{dataset.database[database].name}")
        ]
        options = fol.RerankOptions(threshold=0.9)
        counts.append(judge_matches(pair[0], pair[1:], geometry, number, database, options=options, radius=7))
    assert all(count.judged > 20 for count in counts)
    accuracy = mean_share(counts)
    assert accuracy is not None and accuracy > 0.97


def test_an_image_with_itself_is_all_right(city: Path, tmp_path: Path) -> None:
    """Queries replaced by the database, cameras as well: every match is of a point with itself."""
    copy = tmp_path / "city"
    shutil.copytree(city, copy)
    shutil.rmtree(copy / "queries")
    shutil.copytree(copy / "database", copy / "queries")
    described = json.loads((copy / "city.json").read_text())
    views = {k: v for k, v in described["views"].items() if k.startswith("database/")}
    described["views"] = views | {k.replace("database/", "queries/", 1): v for k, v in views.items()}
    (copy / "city.json").write_text(json.dumps(described))
    result = measure(read_dataset(copy), tmp_path / "out")
    assert result.match_accuracy == 1.0
    assert all(q.true_matches is not None and q.true_matches.judged > 10 for q in result.queries)


def measure(dataset: PlaceDataset, out: Path, **options: object) -> fol.evaluation.EvaluationResult:
    model = fol.load_model("fol_tiny_untrained", image_size=126)
    built = PlaceMap.build(out / "map.fol", model, dataset.database) if not (out / "map.fol").exists() else None
    place_map = PlaceMap.open(out / "map.fol") if built is None else built.place_map
    return evaluate(Localizer(model, place_map), dataset, out=out, candidates=4, **options)  # type: ignore[arg-type]


def test_the_evaluation_reports_it(dataset: PlaceDataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = measure(dataset, tmp_path / "out")
    assert result.match_radius == 14 and result.match_accuracy is not None and 0 <= result.match_accuracy <= 1
    assert read_result(tmp_path / "out") == result
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    counts = [q.true_matches for q in result.queries if q.true_matches is not None]
    assert document["match_accuracy"] == {
        "mean": result.match_accuracy,
        "radius_px": 14,
        "queries": sum(c.judged > 0 for c in counts),
        "matches": sum(c.matches for c in counts),
        "judged": sum(c.judged for c in counts),
        "correct": sum(c.correct for c in counts),
    }
    assert result.conditions == ("day", "dusk")
    assert {name: part["queries"] for name, part in document["conditions"].items()} == {"day": 3, "dusk": 3}
    wide = measure(dataset, tmp_path / "out", match_radius=40)
    assert wide.match_accuracy is not None and wide.match_accuracy > result.match_accuracy
    with pytest.raises(ConfigError, match="match_radius=0"):
        measure(dataset, tmp_path / "out", match_radius=0)


def test_matches_judged_by_another_geometry_are_not_taken_over(city: Path, tmp_path: Path) -> None:
    copy = tmp_path / "city"
    shutil.copytree(city, copy)  # with the photos' times, which the journal looks at too
    dataset = read_dataset(copy)
    model = fol.load_model("fol_tiny_untrained", image_size=126)
    localizer = Localizer(model, PlaceMap.build(tmp_path / "map.fol", model, dataset.database).place_map)
    geometry = true_geometry(dataset)
    assert geometry is not None
    judge = MatchJudge(dataset, geometry, MATCH_RADIUS, localizer.method, localizer.options)

    def key(judge: MatchJudge | None) -> Mapping[str, object]:
        task = Task(dataset, 4, 4, 2, 0, judge)
        answers = MapAnswers(localizer, task)
        return _key(answers, task, subject_of(answers, dataset, 4))

    usual = key(judge)
    assert key(judge) == usual
    description = copy / "city.json"
    description.write_text(description.read_text() + " ")
    assert key(judge) != usual
    unjudged = key(None)
    description.unlink()
    assert key(None) == unjudged


def test_other_data_have_no_geometry(city: Path, dataset: PlaceDataset, tmp_path: Path) -> None:
    for folder in ("database", "queries"):
        (tmp_path / folder).symlink_to(city / folder)
    assert true_geometry(read_dataset(tmp_path)) is None
    (tmp_path / "city.json").write_text("{")
    with pytest.raises(DataError, match=r"city\.json"):
        true_geometry(read_dataset(tmp_path))
