from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import fol
from fol.cli import main


def test_convert_then_load(official_tiny: Path, tmp_path, capsys):
    target = tmp_path / "fol tiny.safetensors"
    assert main(["convert", str(official_tiny), str(target), "model.heads=4"]) == 0
    original, converted = fol.load_model(official_tiny, heads=4), fol.load_model(target)
    assert converted.preset == "official"
    for name, tensor in original.network.state_dict().items():
        assert converted.network.state_dict()[name].equal(tensor)
    assert str(target) in capsys.readouterr().out
    assert main(["convert", str(official_tiny), str(target), "model.heads=4"]) == 1
    assert "overwrite=true" in capsys.readouterr().err
    assert main(["convert", str(official_tiny), str(target), "model.heads=4", "overwrite=true"]) == 0


def test_half_precision_halves_the_file_and_rounds_the_weights(official_tiny: Path, tmp_path, capsys):
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    assert main(["convert", str(official_tiny), str(whole), "model.heads=4"]) == 0
    assert main(["convert", str(official_tiny), str(half), "model.heads=4", "half=true"]) == 0
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    exact, rounded = fol.load_model(whole), fol.load_model(half)
    assert rounded.fingerprint[:12] in capsys.readouterr().out
    for name, tensor in exact.network.state_dict().items():
        assert rounded.network.state_dict()[name].equal(tensor.half().float())


def test_whitening_becomes_part_of_the_file(tmp_path, capsys):
    random = np.random.default_rng(0)
    directions = np.linalg.qr(random.normal(size=(1024, 12)))[0]
    with h5py.File(tmp_path / "pca_params_x.h5", "w") as file:
        file["U"], file["lams"], file["mu"] = directions, np.arange(12, 0, -1) / 100, random.normal(size=(1024, 1)) / 50
    source, whole, cut = "netvlad_vgg_small_untrained", tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    assert main(["convert", source, str(whole), f"whitening={tmp_path / 'pca_params_x.h5'}"]) == 0
    assert main(["convert", str(whole), str(cut), "whitening_dim=5"]) == 0
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    first, second = (fol.load_model(path).extract(images) for path in (whole, cut))
    for long, short in zip(first, second, strict=True):
        assert len(long.descriptor) == 12
        torch.testing.assert_close(short.descriptor, torch.nn.functional.normalize(long.descriptor[:5], dim=0))
    assert main(["convert", source, str(tmp_path / "no.safetensors"), "whitening_dim=5"]) == 1
    assert "netvlad_vgg_small_untrained has no whitening" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convert", "missing.pth", "x.safetensors"], "missing.pth: no such file"),
        (["convert", "missing.pth", "x.bin"], "must end in .safetensors"),
        (["convert"], "needs"),
        (["nothing"], "no command is called 'nothing'"),
        (["models", "fol_vitx"], "no model is called 'fol_vitx'"),
        (["index", "p", "out=x", "model=fol_tiny_untrained", "model.device=tpu"], "p"),
    ],
)
def test_errors_are_one_line_and_a_status(words, message, capsys):
    assert main(words) == 1
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n", " ") and captured.err.startswith("error: ")


def test_models_lists_cards_and_shows_one(capsys):
    assert main(["models"]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in fol.list_models())
    assert main(["models", "fol_vitl14"]) == 0
    card = capsys.readouterr().out
    assert "FoL_large.pth" in card and "GSV-Cities" in card and "504x504" in card


def test_usage_and_version(capsys):
    assert main([]) == 0 and "fol index" in capsys.readouterr().out
    assert main(["--version"]) == 0 and fol.__version__ in capsys.readouterr().out
    assert main(["index", "--help"]) == 0 and "batch_size" in capsys.readouterr().out
