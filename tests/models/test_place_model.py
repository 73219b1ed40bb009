from __future__ import annotations

import pytest
import torch

import fol
from fol.errors import ConfigError


@pytest.fixture(scope="module")
def model():
    return fol.load_model("fol_tiny_untrained", image_size=(140, 154))


@pytest.mark.parametrize("size", [(126, 126), (140, 154), (224, 224), (252, 252), (280, 280), (182, 322)])
def test_fol_preset_takes_any_multiple_of_14(model, size):
    feature = model.extract(torch.randn(1, 3, *size))[0]
    patches = size[0] // 14 * (size[1] // 14)
    kept = round(225 / 529 * patches)
    assert 9 * kept <= len(feature.local) <= 16 * kept <= model.network.max_tokens(size) + 7 * kept
    assert len(feature.local) <= model.network.max_tokens(size)
    assert feature.region_map.shape == (size[0] // 14, size[1] // 14)
    assert feature.local.weights.min() >= 0 and feature.local.weights.max() <= 1
    torch.testing.assert_close(feature.local.descriptors.norm(dim=1), torch.ones(len(feature.local)))


@pytest.mark.parametrize(
    ("size", "fewest", "most"), [(210, 3249, 3249), (224, 3225, 3376), (252, 2745, 3600), (322, 3057, 3600)]
)
def test_official_preset_runs_where_the_published_code_crashes(size, fewest, most):
    official = fol.load_model("fol_tiny_untrained", preset="official")
    count = len(official.extract(torch.randn(1, 3, size, size))[0].local)
    assert fewest <= count <= min(most, official.network.max_tokens((size, size)))
    with pytest.raises(ConfigError, match="225 patches are to be kept but the image has 196"):
        official.extract(torch.randn(1, 3, 196, 196))


def test_features_do_not_depend_on_the_batch(model):
    images = torch.randn(3, 3, 140, 154)
    together = model.extract(images)
    for image, feature in zip(images, together, strict=True):
        alone = model.extract(image[None])[0]
        torch.testing.assert_close(alone.descriptor, feature.descriptor, atol=1e-5, rtol=0)
        assert alone.local.positions.equal(feature.local.positions)
        torch.testing.assert_close(alone.local.descriptors, feature.local.descriptors, atol=1e-4, rtol=0)


def test_positions_are_pixels_of_the_original_photo(model):
    images = torch.randn(1, 3, 140, 154)
    inside, original = model.extract(images)[0], model.extract(images, [(1540, 280)])[0]
    torch.testing.assert_close(original.local.positions, inside.local.positions * torch.tensor([10.0, 2.0]))
    assert (inside.local.positions > 0).all() and (inside.local.positions < torch.tensor([154, 140])).all()


def test_positions_follow_the_selected_patches(model):
    images = torch.randn(1, 3, 140, 154)
    feature = model.extract(images)[0]
    with torch.inference_mode():
        selected = model.network(images).selected[0]
    # Centre of patch (r, c) is at (14c + 7, 14r + 7): each selected patch has its own centre among the features.
    centres = {(14.0 * c + 7, 14.0 * r + 7) for r, c in selected.nonzero().tolist()}
    assert centres <= {tuple(p) for p in feature.local.positions.tolist()}


def test_dropout_is_off_in_training_mode_and_the_mode_is_kept(model):
    images = torch.randn(1, 3, 140, 154)
    expected = model.extract(images)[0].descriptor
    model.train()
    try:
        assert model.extract(images)[0].descriptor.equal(expected) and model.training and model.network.training
    finally:
        model.eval()


def test_wrong_shapes_are_named(model):
    with pytest.raises(ConfigError, match=r"\(3, 140, 154\)"):
        model.extract(torch.randn(3, 140, 154))
    with pytest.raises(ConfigError, match="2 original sizes for 1 images"):
        model.extract(torch.randn(1, 3, 140, 154), [(1, 1), (2, 2)])


def test_fingerprint_changes_with_weights_preset_and_size(model):
    def load(**options):
        return fol.load_model("fol_tiny_untrained", **options)

    assert load(image_size=(140, 154)).fingerprint == model.fingerprint
    others = [load(image_size=140), load(image_size=(140, 154), preset="official")]
    changed = load(image_size=(140, 154))
    with torch.no_grad():
        changed.network.backbone.norm.bias[3] += 1e-3
    prints = {m.fingerprint for m in (model, changed, *others)}
    assert len(prints) == 4 and all(len(p) == 64 for p in prints)


def test_untrained_weights_depend_on_the_seed_alone(model):
    torch.manual_seed(123)
    again = fol.load_model("fol_tiny_untrained", image_size=(140, 154))
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert a.equal(b) and torch.isfinite(a).all(), name
