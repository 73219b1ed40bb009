from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fol.errors import MapError
from fol.extraction import Skipped
from fol.retrieval.index import IndexDescription, IndexOptions, MeasuredRecall
from fol.retrieval.local_options import LocalStoreOptions
from fol.retrieval.manifest import Calibration, Manifest, MapFile, ModelIdentity

_MANIFEST = Manifest(
    model=ModelIdentity("m", "ab" * 32, "fol", 16, 8, 5, {"name_or_path": "m", "image_size": [140, 140]}),
    index=IndexDescription(
        IndexOptions("auto", 10**9), "rabitq", "auto: why", 40, {"bits": 1}, MeasuredRecall(9, 4, {"1@10": 1.0})
    ),
    generation=3,
    places=9,
    rows=11,
    next_id=12,
    files={"places": MapFile("places-3.parquet", 100, 0xFFFFFFFF), "descriptors": MapFile("d-1.f32", 704, 7)},
    images_root="/röt",
    images_relative="../röt",
    created="2026-01-02T03:04:05+00:00",
    created_by="fol 0.1.0",
    local=LocalStoreOptions(bits=2),
    index_files=(MapFile("index-3.faiss", 5, 6),),
    skipped=(Skipped("a b.jpg", "broken"),),
    calibration=(Calibration("fol", "", (0.25, 0.5), 100, 9, 50.0, 0),),
)


def test_it_is_read_as_written(tmp_path: Path) -> None:
    _MANIFEST.write(tmp_path)
    assert Manifest.read(tmp_path) == _MANIFEST
    assert Manifest.read(tmp_path).model.recipe == {"name_or_path": "m", "image_size": [140, 140]}


def test_the_way_a_model_is_loaded_is_no_part_of_its_identity() -> None:
    assert replace(_MANIFEST.model, recipe={}) == _MANIFEST.model


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"rows": 11', '"rows": "many"'),
        lambda text: text.replace('"rows": 11,', ""),
        lambda text: text.replace("places-3.parquet", "../../etc/passwd"),
        lambda text: text.replace('"bytes": 704', '"bytes": -704'),
        lambda text: text.replace('"bits": 2', '"bits": 3'),
    ],
)
def test_damage_is_reported_in_one_line(tmp_path: Path, damage: object) -> None:
    _MANIFEST.write(tmp_path)
    path = tmp_path / "manifest.json"
    assert callable(damage)
    path.write_text(damage(path.read_text()))
    with pytest.raises(MapError, match=r"manifest\.json is damaged") as caught:
        Manifest.read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [1, 3])
def test_older_and_newer_formats_are_refused(tmp_path: Path, version: int) -> None:
    _MANIFEST.write(tmp_path)
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({"format_version": version, "something": "else"} | {"rows": data["rows"]}))
    with pytest.raises(MapError, match=f"format version {version}, this fol reads 2: update fol, or build"):
        Manifest.read(tmp_path)


def test_what_is_not_a_map_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no map at"):
        Manifest.read(tmp_path / "nothing.fol")
    with pytest.raises(MapError, match="is not a map"):
        Manifest.read(tmp_path)
    (tmp_path / "file.fol").touch()
    with pytest.raises(MapError, match="is a file, not a map"):
        Manifest.read(tmp_path / "file.fol")
    (tmp_path / "half.fol.partial").mkdir()
    with pytest.raises(MapError, match="half.fol is not finished: run the same build again"):
        Manifest.read(tmp_path / "half.fol")
