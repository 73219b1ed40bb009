from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fol.errors import ConfigError
from fol.models import BASELINES, load_baseline
from fol.models.baselines import area_weights


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_area_weights_by_hand():
    assert area_weights(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    # three pixels from two: the middle one covers half of each
    assert np.allclose(area_weights(2, 3), [[1, 0], [0.5, 0.5], [0, 1]])
    assert np.allclose(area_weights(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    for before, after in ((97, 256), (72, 128), (512, 32), (5, 5)):
        weights = area_weights(before, after)
        assert np.allclose(weights.sum(axis=1), 1, atol=1e-5) and (weights >= 0).all()
        assert np.allclose(weights.sum(axis=0), after / before, atol=1e-4)  # no pixel counts more than another


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_single_stage_unit_descriptors(name):
    if name == "hog":
        pytest.importorskip("skimage")
    baseline = load_baseline(name)
    images = torch.stack([baseline.transform(photo(97, 72)), baseline.transform(Image.new("RGB", (40, 30), "teal"))])
    assert images.shape == (2, 3, *baseline.image_size) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1
    random, flat = baseline.extract(images, [(97, 72), (40, 30)])
    for features in (random, flat):  # a photo of one colour has one as well
        assert features.descriptor.shape == (baseline.descriptor_dim,) and len(features.local) == 0
        assert float(features.descriptor.norm()) == pytest.approx(1, abs=1e-5)
    assert baseline.local_dim == 0 and baseline.recipe == {"name_or_path": name}
    assert baseline.fingerprint == load_baseline(name).fingerprint


def test_they_differ():
    assert len({make().fingerprint for make in BASELINES.values()}) == len(BASELINES)


def test_grey_is_the_correlation_of_the_tiny_images():
    baseline = load_baseline("grey")
    a, b = (photo(320, 320, seed).resize((32, 32)) for seed in (1, 2))  # of the baseline's own size
    first, second = baseline.extract(torch.stack([baseline.transform(a), baseline.transform(b)]))
    expected = np.corrcoef(np.asarray(a.convert("L")).ravel(), np.asarray(b.convert("L")).ravel())[0, 1]
    assert float(first.descriptor @ second.descriptor) == pytest.approx(expected, abs=1e-5)
    # and does not mind another exposure
    brighter = Image.fromarray((np.asarray(a.convert("L")) // 2 + 60).astype(np.uint8)).convert("RGB")
    again = baseline.extract(baseline.transform(brighter)[None])[0]
    assert float(first.descriptor @ again.descriptor) > 0.99  # rounded to whole grey values


def test_hog_tells_the_direction_of_edges():
    pytest.importorskip("skimage")
    baseline = load_baseline("hog")
    pixels = np.zeros((128, 256), np.uint8)
    pixels[:, 120:136] = 200  # one upright bar
    found = baseline.extract(baseline.transform(Image.fromarray(pixels).convert("RGB"))[None])[0].descriptor
    # 7 x 15 blocks of 2 x 2 cells with 9 directions; an upright edge has a gradient along x: the first direction
    histograms = found.view(7, 15, 2, 2, 9)
    assert baseline.descriptor_dim == 7 * 15 * 2 * 2 * 9
    assert float(histograms[..., 1:].abs().max()) < 1e-6 < float(histograms[..., 0].max())
    assert float(histograms[:, :6].abs().max()) < 1e-6  # nothing where there is no edge


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(ConfigError, match=r"scikit-image: install it with pip install 'fol\[baselines\]'"):
        load_baseline("hog")


def test_bad_images():
    with pytest.raises(ConfigError, match=r"\(3, 8, 8\)"):
        load_baseline("grey").extract(torch.zeros(3, 8, 8))
