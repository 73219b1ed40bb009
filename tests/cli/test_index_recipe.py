"""``fol index ... index=RECIPE``: what is built, what it says about itself, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import fol
from fol.cli import main

MODEL = ["model=fol_tiny_untrained", "model.image_size=126"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 120)).save(folder / f"{seed}.jpg")
    return folder


def test_a_recipe_by_name_and_by_memory(photos, tmp_path, capsys):
    words = ["index", str(photos), *MODEL, "calibrate=false"]
    assert main([*words, "--out", str(tmp_path / "a.fol"), "index=sq8"]) == 0
    printed = capsys.readouterr().err
    assert "index sq8 (as asked for), " in printed and "recall against exact search 1@1 " in printed
    index = fol.PlaceMap.open(tmp_path / "a.fol").manifest.index
    assert index.recipe == "sq8" and index.measured is not None and index.measured.queries == 2
    assert main([*words, "--out", str(tmp_path / "a.fol"), "add=true"]) == 0
    assert fol.PlaceMap.open(tmp_path / "a.fol").manifest.index.recipe == "sq8"
    assert main([*words, "--out", str(tmp_path / "b.fol"), "max_memory=2GB"]) == 0
    assert "index flat (auto: 4 x " in capsys.readouterr().err
    assert fol.PlaceMap.open(tmp_path / "b.fol").manifest.index.requested.max_memory == 2 * 10**9


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("index=best", "'best' is unknown: choose one of auto, flat, fp16, gpu_flat"),
        ("max_memory=much", "'much' is no size: give bytes or a number with a unit, such as 4GB"),
    ],
)
def test_what_is_refused_before_any_work(photos, tmp_path, capsys, word, message):
    assert main(["index", str(photos), "--out", str(tmp_path / "m.fol"), *MODEL, word]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
