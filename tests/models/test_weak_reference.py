"""NetVLAD, SFRS's regions and DenserNet against numbers from their authors' code (tests/reference)."""

from __future__ import annotations

from pathlib import Path

import formula
import numpy as np
import pytest
import torch
from published_states import densernet, openibl

import fol

REFERENCE = Path(__file__).parents[1] / "reference"


def photos(pairs: list[tuple[int, int]], size: int) -> torch.Tensor:
    """Photos as 8-bit pixels, which the model normalises."""
    return torch.from_numpy(np.stack([formula.photo(p, v, size) for p, v in pairs])).permute(0, 3, 1, 2)


def check(what: str, actual: torch.Tensor, expected: np.ndarray, limit: float, *, relative: bool = False) -> None:
    """The largest difference (``relative``: over the largest value), which ``pytest -rP`` shows."""
    assert actual.shape == expected.shape
    error = float(np.abs(actual.numpy() - expected).max() / (np.abs(expected).max() if relative else 1))
    print(f"{what}: {error:.0e}, limit {limit:.0e}")
    assert error < limit


@pytest.fixture(scope="module")
def netvlad(tmp_path_factory):
    path = tmp_path_factory.mktemp("openibl") / "model_best.pth.tar"
    state = {f"module.{name}": tensor for name, tensor in openibl().items()}
    torch.save({"state_dict": state, "epoch": 4, "generation": 3, "best_recall5": np.float64(0.97)}, path)
    model = fol.load_model(path)
    pixels = photos([(10, 0), (10, 1), (11, 0), (11, 2)], 160)
    images = model.card.preprocessing.finish(pixels)
    with torch.inference_mode():
        return model, pixels, model.network.feature_map(images), model.network.regions(images)


def test_netvlad(netvlad):
    reference = np.load(REFERENCE / "netvlad_vgg16.npz")
    model, pixels, feature_map, _ = netvlad
    assert feature_map.shape == tuple(reference["trunk_shape"])
    check("means of conv5_3", feature_map.mean((2, 3)), reference["trunk_mean"], 1e-5, relative=True)
    check("maxima of conv5_3", feature_map.amax((2, 3)), reference["pool"], 1e-5, relative=True)
    descriptors = torch.stack([f.descriptor for f in model.extract(pixels)])
    assert descriptors.shape == tuple(reference["vlad_shape"])
    check("descriptor", descriptors[:, ::53], reference["vlad_every_53rd"], 1e-6)
    check("products of descriptors", descriptors @ descriptors.T, reference["vlad_gram"], 5e-6)


def test_regions(netvlad):
    reference = np.load(REFERENCE / "netvlad_vgg16.npz")
    regions = netvlad[3]
    check("regions", regions[0, :, ::97], reference["region_anchor_every_97th"], 1e-6)
    scores = torch.stack([regions[0] @ other.T for other in regions[1:]])
    check("products of regions", scores, reference["region_scores"], 5e-6)


def test_densernet(tmp_path):
    reference = np.load(REFERENCE / "densernet_small.npz")
    path = tmp_path / "model_best.pth.tar"
    state = {f"module.{name}": tensor for name, tensor in densernet().items()}
    torch.save({"state_dict": state, "epoch": 9, "best_recall5": 0.78}, path)
    model = fol.load_model(path)
    pixels = photos([(10, 0), (10, 1), (11, 0)], 128)
    with torch.inference_mode():
        feature_map = model.network.feature_map(model.card.preprocessing.finish(pixels))
    assert feature_map.shape == tuple(reference["feature_shape"])
    check("means of the map", feature_map.mean((2, 3)), reference["feature_mean"], 1e-5, relative=True)
    descriptors = torch.stack([f.descriptor for f in model.extract(pixels)])
    check("descriptor", descriptors[:, ::53], reference["vlad_every_53rd"], 1e-6)
    check("products of descriptors", descriptors @ descriptors.T, reference["vlad_gram"], 5e-6)
