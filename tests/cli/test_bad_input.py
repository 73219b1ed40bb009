"""Bad input from the command line: one clear line and a status, or skipped and reported; never a damaged map."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fol
from fol.cli import main

MODEL = ["model=fol_tiny_untrained", "model.image_size=126", "batch_size=4"]


def photo(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1] // 6, size[0] // 6, 3), dtype=np.uint8)).resize(size)


def bad_photos(folder: Path) -> set[str]:
    """Photos that no model can use; returns their names."""
    (folder / "empty file.jpg").touch()
    (folder / "text.jpg").write_text("this is no picture")
    photo(1).save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:700])
    (folder / "whole.jpg").unlink()
    Image.new("RGB", (1, 1)).save(folder / "one pixel.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return {"empty file.jpg", "text.jpg", "truncated.jpg", "one pixel.png", "huge.png"}


def unusual_photos(folder: Path) -> set[str]:
    """Photos that people really have and that must work; returns their names."""
    photo(2).save(folder / "plain.jpg")
    photo(3).convert("RGBA").save(folder / "with alpha.png")
    grey = np.asarray(photo(4).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(folder / "grey 16 bit.tiff")
    photo(5).save(folder / "Straße bei Nacht 東京.jpg")
    photo(6).convert("L").save(folder / "grey.webp")
    return {"plain.jpg", "with alpha.png", "grey 16 bit.tiff", "Straße bei Nacht 東京.jpg", "grey.webp"}


@pytest.fixture(scope="module")
def good_map(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "photos").mkdir()
    for seed in range(3):
        photo(10 + seed).save(folder / "photos" / f"{seed}.jpg")
    assert main(["index", str(folder / "photos"), "--out", str(folder / "city.fol"), *MODEL]) == 0
    return folder / "city.fol"


def one_error_line(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_index_skips_and_reports_what_it_cannot_read(tmp_path, capsys):
    folder = tmp_path / "my photos ü"
    folder.mkdir()
    bad, good = bad_photos(folder), unusual_photos(folder)
    target = tmp_path / "karte ö.fol"
    assert main(["index", str(folder), "--out", str(target), *MODEL]) == 0
    captured = capsys.readouterr()
    reported = {
        line.removeprefix("skipped ").split(": ")[0]
        for line in captured.err.splitlines()
        if line.startswith("skipped ")
    }
    assert reported == bad
    assert "5 places, 5 photos skipped" in captured.out
    assert re.search(r"a photo takes descriptors \d+\.\d KB, local \d+\.\d KB", captured.err)
    place_map = fol.PlaceMap.open(target)
    assert {place_map.place(i).name for i in place_map.ids} == good
    for name in sorted(good):
        assert main(["locate", str(folder / name), "--map", str(target), "json=true"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["place"] == name


def test_locate_names_each_bad_photo_and_answers_the_others(tmp_path, good_map, capsys):
    bad = sorted(bad_photos(tmp_path))
    for name in bad:
        assert main(["locate", str(tmp_path / name), "--map", str(good_map)]) == 1
        captured = capsys.readouterr()
        assert name in captured.err.splitlines()[0] and "Traceback" not in captured.err and not captured.out
    fine = good_map.parent / "photos" / "1.jpg"
    assert main(["locate", *[str(tmp_path / name) for name in bad], str(fine), "--map", str(good_map)]) == 1
    captured = capsys.readouterr()
    assert str(fine) in captured.out and "5 of 6 photos" in captured.err
    assert main(["locate", str(tmp_path / "absent.jpg"), "--map", str(good_map)]) == 1


def test_folders_without_photos(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "absent"):
        assert main(["index", str(tmp_path / source), "--out", str(tmp_path / "m.fol"), *MODEL]) == 1
        assert source in one_error_line(capsys)
    (tmp_path / "empty" / "a.jpg").touch()
    assert main(["index", str(tmp_path / "empty"), "--out", str(tmp_path / "m.fol"), *MODEL]) == 1
    assert "a.jpg" in one_error_line(capsys)
    assert not list(tmp_path.glob("m.fol*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,lat,lon\na.jpg,91.5,3.0\n", "91.5"),
        ("image,lat,lon\na.jpg,45.0,200\n", "200"),
        ("image,utm_east,utm_north\na.jpg,x,5\n", "utm_east"),
        ("image,latitude\na.jpg,5\n", "lon"),
    ],
)
def test_coordinates_out_of_range_name_file_and_field(content, message, tmp_path, capsys):
    photo(1).save(tmp_path / "a.jpg")
    (tmp_path / "places.csv").write_text(content)
    assert main(["index", str(tmp_path), "--out", str(tmp_path / "m.fol"), *MODEL]) == 1
    line = one_error_line(capsys)
    assert message in line and "places.csv" in line


def test_every_truncated_map_file_is_noticed(tmp_path, good_map, capsys):
    fine = good_map.parent / "photos" / "1.jpg"
    for file in sorted(
        p for p in good_map.iterdir() if p.is_file() and p.stat().st_size and not p.name.startswith(".")
    ):
        broken = tmp_path / f"broken-{file.name}.fol"
        shutil.copytree(good_map, broken)
        (broken / file.name).write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert main(["locate", str(fine), "--map", str(broken)]) == 1, file.name
        assert file.name in one_error_line(capsys)
    assert main(["locate", str(fine), "--map", str(good_map)]) == 0


def test_a_map_of_another_model_is_refused_by_name(good_map, capsys):
    fine = good_map.parent / "photos" / "1.jpg"
    other = ["model=fol_tiny_untrained", "model.image_size=140"]
    assert main(["locate", str(fine), "--map", str(good_map), *other]) == 1
    line = one_error_line(capsys)
    assert "city.fol" in line and "fol_tiny_untrained" in line
    assert main(["locate", str(fine), "--map", str(good_map.parent / "absent.fol")]) == 1
    assert "absent.fol" in one_error_line(capsys)


def test_a_checkpoint_of_another_architecture(tmp_path, good_map, official_state, capsys):
    state = official_state("tiny")
    state["upconv2.weight"] = torch.zeros(256, 64, 3, 3)
    torch.save({"model_state_dict": state}, tmp_path / "other.pth")
    photos = str(good_map.parent / "photos")
    words = ["index", photos, "--out", str(tmp_path / "m.fol"), f"model={tmp_path / 'other.pth'}", "model.heads=4"]
    assert main(words) == 1
    assert "other.pth" in one_error_line(capsys)
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "resnet.pth")
    words[4] = f"model={tmp_path / 'resnet.pth'}"
    assert main(words) == 1
    assert "not a checkpoint of FoL, SALAD or NetVLAD" in one_error_line(capsys)


def test_a_map_whose_weight_file_was_moved_says_so(tmp_path, good_map, official_tiny, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(official_tiny, "weights.pth")
    fine = good_map.parent / "photos" / "1.jpg"
    model = ["model=weights.pth", "model.heads=4", "model.image_size=224"]
    assert main(["index", str(fine.parent), "--out", "m.fol", *model]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["locate", str(fine), "--map", "../m.fol"]) == 0, "the recipe knows where the file is"
    (tmp_path / "weights.pth").rename(tmp_path / "moved.pth")
    capsys.readouterr()
    assert main(["locate", str(fine), "--map", "../m.fol"]) == 1
    assert "weights.pth: no such file" in (line := one_error_line(capsys)) and "model=PATH" in line
    moved = ["model=../moved.pth", "model.heads=4", "model.image_size=224"]
    assert main(["locate", str(fine), "--map", "../m.fol", *moved]) == 0


def test_existing_maps_are_not_overwritten_by_accident(good_map, capsys):
    before = {p.name: p.read_bytes() for p in good_map.iterdir() if p.is_file()}
    assert main(["index", str(good_map.parent / "photos"), "--out", str(good_map), *MODEL]) == 1
    assert "overwrite" in one_error_line(capsys)
    assert {p.name: p.read_bytes() for p in good_map.iterdir() if p.is_file()} == before
