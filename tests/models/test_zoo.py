from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import fol
from fol.errors import ConfigError
from fol.models import CARDS


def test_names_and_cards():
    assert {"fol_vitl14", "fol_vitb14", "dinov2_salad", "fol_vitg14_untrained"} <= set(fol.list_models())
    for name in fol.list_models():
        card = fol.model_card(name)
        assert card.name == name and card.summary and card.licence_code and card.licence_weights and card.trained_on
        card.architecture.backbone.check_image_size(card.preprocessing.image_size)
        assert (card.weights is None and card.backbone_weights is None) == name.endswith("_untrained")
    card = fol.model_card("fol_vitl14")
    assert (card.weights.repo, card.weights.filename) == ("shunpeng/FoL", "FoL_large.pth")
    assert fol.model_card("fol_vitb14").weights.filename == "FoL_base.pth"


@pytest.mark.parametrize("name", sorted(CARDS))
def test_every_card_builds(name):
    with torch.device("meta"):
        network = CARDS[name].architecture.build(CARDS[name].preset)
    assert sum(p.numel() for p in network.parameters()) > 2e5


def test_unknown_names_point_to_near_ones():
    with pytest.raises(ConfigError, match="fol_vitl14"):
        fol.load_model("fol_vitl")
    with pytest.raises(ConfigError, match="official or fol"):
        fol.load_model("fol_tiny_untrained", preset="published")
    with pytest.raises(ConfigError, match="card"):
        fol.load_model("fol_tiny_untrained", heads=2)
    with pytest.raises(ConfigError, match="image_size 140x141: both sides must be multiples of 14"):
        fol.load_model("fol_tiny_untrained", image_size=(140, 141))
    with pytest.raises(ConfigError, match="image_size 31x64: both sides must be at least 32"):
        fol.load_model("netvlad_vgg_small_untrained", image_size=(31, 64))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(fol.FolError, match="nothing.pth: no such file"):
        fol.load_model(tmp_path / "nothing.pth")


def test_import_loads_nothing_heavy_and_needs_no_network():
    code = "import socket, sys; socket.socket = None; import fol; print('torch' in sys.modules, 'faiss' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_public_names_resolve():
    for name in fol.__all__:
        assert getattr(fol, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'x'"):
        _ = fol.x
