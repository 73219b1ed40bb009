from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fol.cli import main
from fol.retrieval import LocalStoreOptions, ModelIdentity, PlaceMap
from fol.types import Features, LocalFeatures, Place


def _map(path: Path) -> PlaceMap:
    local = LocalFeatures(torch.eye(8)[:4], torch.rand(4, 2), torch.ones(4))
    items = [(Place(f"{i}", Path(f"/r/{i}.jpg")), Features(torch.eye(8)[i], local)) for i in range(8)]
    model = ModelIdentity("m", "ab" * 32, "fol", 8, 8, 4)
    return PlaceMap.from_features(path, model, items, local=LocalStoreOptions(bits=2), calibrate=False).place_map


def test_a_map_shrinks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "karte ö.fol"
    _map(path).remove([1, 2])
    assert main(["compact", str(path)]) == 0
    assert f"{path}: 6 places, 0.0 MB freed" in capsys.readouterr().out
    place_map = PlaceMap.open(path)
    assert place_map.manifest.rows == 6 and place_map.ids.tolist() == [0, 3, 4, 5, 6, 7]
    assert main(["compact", str(tmp_path / "none.fol")]) == 1
    assert "no map at" in capsys.readouterr().err
