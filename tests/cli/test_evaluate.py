from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from replicas.tokyo import write_tokyo247

from fol.cli import main
from fol.data.synthetic import make_city

MODEL = ["model=fol_tiny_untrained", "model.image_size=126"]


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    return make_city(tmp_path_factory.mktemp("evaluate") / "city", places=4, size=64)


def run(city: Path, out: Path, *words: str) -> dict:
    assert main(["evaluate", f"data={city}", "--out", str(out), *MODEL, *words]) == 0
    return json.loads((out / "results.json").read_text())


def test_both_stages_protocol_and_configuration_are_written(city, tmp_path, capsys):
    result = run(city, tmp_path / "out", "candidates=5", "recall_values=[1,8]")
    printed = capsys.readouterr().out
    assert "R@8" in printed and "utm<=25m" in printed and "re-ranked" in printed
    text = json.dumps(result)
    assert "utm<=25m" in text and "count_as_miss" in text
    config = OmegaConf.load(tmp_path / "out" / "config.yaml")
    assert config.candidates == 5 and config.data.root == str(city)
    table = (tmp_path / "out" / "queries.csv").read_text().splitlines()
    assert len(table) == 1 + 8


def test_features_are_kept_until_a_photo_changes(city, tmp_path, capsys):
    run(city, tmp_path / "out")
    assert "extracting the database" in capsys.readouterr().err
    run(city, tmp_path / "out", "candidates=3")
    assert "extracting" not in capsys.readouterr().err
    photo = next((city / "database").iterdir())
    later = time.time() + 5
    os.utime(photo, (later, later))
    run(city, tmp_path / "out")
    assert "extracting the database" in capsys.readouterr().err
    os.utime(photo)
    run(city, tmp_path / "out", "model.preset=official", "model.image_size=224")
    assert "extracting" in capsys.readouterr().err, "another model never meets these features"
    assert len(list((tmp_path / "out" / "features").iterdir())) == 2


def test_what_it_takes_is_said_and_limited(city, tmp_path, capsys):
    words = [f"data={city}", "--out", str(tmp_path / "out"), *MODEL]
    assert main(["evaluate", *words, "max_disk=1k"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("descriptors" in line and "are free" in line for line in lines)
    assert "max_disk=1e-06 GB" in lines[-1] and "candidates=" in lines[-1]
    assert main(["evaluate", *words, "max_ram=10"]) == 1
    assert "max_ram" in capsys.readouterr().err.splitlines()[-1]


def test_several_data_sets_and_models_at_once(city, tmp_path, capsys):
    other = make_city(tmp_path / "other", places=3, size=64, seed=5)
    words = ["evaluate", str(city), str(other), "models=[fol_nano_untrained,grey]", "--out", str(tmp_path / "out")]
    assert main([*words, "candidates=5", "radii=[5]"]) == 0
    for dataset in ("city", "other"):
        for model in ("fol_nano_untrained", "grey"):
            result = json.loads((tmp_path / "out" / dataset / model / "results.json").read_text())
            assert result["dataset"]["name"] == dataset
            assert list(result["measures"]["global"]["within"]) == ["5.0"]


def test_two_protocols_share_the_features(tmp_path, capsys):
    write_tokyo247(tmp_path / "tokyo")
    words = [f"data={tmp_path / 'tokyo'}", "protocol=[tokyo247@25m,tokyo247@nms]", "recall_values=[1,2]"]
    assert main(["evaluate", *words, "model=fol_nano_untrained", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("extracting the database: 24/24") == 1
    for name in ("tokyo247@25m", "tokyo247@nms"):
        assert f"protocol {name}" in printed.out
        result = json.loads((tmp_path / "out" / name / "fol_nano_untrained" / "results.json").read_text())
        assert result["protocol"] == name


def test_a_given_map_is_used(city, tmp_path, capsys):
    assert main(["index", str(city / "database"), "--out", str(tmp_path / "m.fol"), *MODEL, "calibrate=false"]) == 0
    capsys.readouterr()
    run(city, tmp_path / "out", f"map={tmp_path / 'm.fol'}")
    assert "extracting" not in capsys.readouterr().err


def test_data_without_ground_truth_is_named(city, tmp_path, capsys):
    plain = tmp_path / "plain"
    for side in ("database", "queries"):
        (plain / side).mkdir(parents=True)
        for number, photo in enumerate(sorted((city / side).iterdir())[:3]):
            (plain / side / f"{number}.jpg").write_bytes(photo.read_bytes())
    assert main(["evaluate", f"data={plain}", "--out", str(tmp_path / "out"), *MODEL]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and str(plain) in line and "ground_truth.csv" in line
    assert main(["evaluate", f"data={tmp_path / 'absent'}", "--out", str(tmp_path / "out"), *MODEL]) == 1


@pytest.mark.parametrize("name", ["hog", "grey"])
def test_baselines_are_models_of_one_stage(city, tmp_path, capsys, name):
    if name == "hog":
        pytest.importorskip("skimage")
    words = [f"data={city}", "--out", str(tmp_path / "out"), f"model={name}"]
    assert main(["evaluate", *words]) == 0
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(result["recall"]) == {"global"} and result["model"]["name"] == name
    capsys.readouterr()
    assert main(["evaluate", *words, "model.preset=fol"]) == 1
    assert f"error: model.preset=fol: the baseline {name} has no such option" in capsys.readouterr().err
    assert main(["index", str(city / "database"), "--out", str(tmp_path / "m.fol"), f"model={name}"]) == 0
    photo = next((city / "database").iterdir())
    capsys.readouterr()
    assert main(["locate", str(photo), "--map", str(tmp_path / "m.fol")]) == 0
    assert photo.name in capsys.readouterr().out.replace("\n", "")


def test_a_baseline_has_no_network_to_convert(tmp_path, capsys):
    assert main(["convert", "grey", str(tmp_path / "a.safetensors")]) == 1
    assert "grey is a baseline without a network" in capsys.readouterr().err
