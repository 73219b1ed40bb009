from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

import fol
from fol.errors import CheckpointError, ConfigError
from fol.models import CARDS
from fol.models.architecture import Architecture

GLOBAL = sorted(name for name, card in CARDS.items() if card.architecture.kind == "global")
SMALL = ("netvlad_vgg_small_untrained", "netvlad_nano", "densernet_tiny_untrained", "densernet_tiny_single_untrained")


def test_sizes_of_the_published_network():
    card = CARDS["netvlad_vgg16"]
    with torch.device("meta"):
        network = card.architecture.build()
        assert network.feature_map(torch.empty(1, 3, 480, 640)).shape == (1, 512, 30, 40)
    assert card.architecture.aggregation.descriptor_dim == 32_768
    assert card.architecture.descriptor_dim == 4096 and network.whitening.weight.shape == (4096, 32_768)
    frozen = sum(p.numel() for p in network.backbone.frozen_parameters())
    every = sum(p.numel() for p in network.parameters())
    assert (every, every - frozen) == (14_780_224, 7_144_960)


@pytest.mark.parametrize("name", SMALL)
def test_extraction(name):
    model = fol.load_model(name)
    height, width = model.card.preprocessing.image_size
    images = torch.randint(0, 256, (3, 3, height, width), dtype=torch.uint8)
    features = model.extract(images)
    descriptors = torch.stack([f.descriptor for f in features])
    assert descriptors.shape == (3, model.descriptor_dim) and model.local_dim == model.max_tokens == 0
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(3))
    assert all(len(f.local) == 0 and f.region_map is None for f in features)
    alone = model.extract(images[1:2])[0].descriptor
    torch.testing.assert_close(alone, descriptors[1], atol=1e-5, rtol=0)
    assert fol.load_model(name).fingerprint == model.fingerprint
    output = model.network(model.card.preprocessing.finish(images))
    assert output.descriptor.requires_grad and torch.isfinite(output.residuals).all()


def test_the_nano_transformer_is_that_of_fol_nano():
    ours, theirs = fol.load_model("netvlad_nano").network.backbone, fol.load_model("fol_nano").network.backbone
    assert all(a.equal(b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", [*SMALL, "fol_tiny_untrained", "salad_tiny_untrained"])
def test_nine_regions_the_first_is_the_whole(name):
    model = fol.load_model(name)
    images = torch.randn(2, 3, 126, 140)
    with torch.inference_mode():
        regions = model.network.regions(images)
        whole = model.network(images).descriptor
    assert regions.shape == (2, 9, model.descriptor_dim)
    torch.testing.assert_close(regions[:, 0], whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(regions.norm(dim=2), torch.ones(2, 9))
    assert regions[:, 5:].unsqueeze(2).sub(regions[:, None, 5:]).norm(dim=-1).add(torch.eye(4)).min() > 1e-3


@pytest.mark.parametrize("name", ["fol_tiny_untrained", "salad_tiny_untrained"])
@pytest.mark.parametrize("size", [(126, 140), (126, 126)], ids=["9x10", "9x9"])
def test_regions_of_a_transport_plan_by_loops(name, size):
    """One assignment on the whole image; sums over the tokens of a region, each cluster to unit length."""
    model = fol.load_model(name)
    network, images = model.network, torch.randn(1, 3, *size)
    with torch.inference_mode():
        regions = network.regions(images)
        output = network(images)
        tokens = network.backbone(images)
        features = network.aggregation.cluster_features(tokens.patch_map)[0]
        scene = functional.normalize(network.aggregation.token_features(tokens.class_token)[0], dim=0)
    height, width = features.shape[1:]
    plan = output.assignment[0].unflatten(1, (height, width))
    rows = {"all": range(height), "top": range(height // 2), "bottom": range(height // 2, height)}
    columns = {"all": range(width), "left": range(width // 2), "right": range(width // 2, width)}
    parts = [
        ("all", "all"), ("top", "all"), ("bottom", "all"), ("all", "left"), ("all", "right"),
        ("top", "left"), ("top", "right"), ("bottom", "left"), ("bottom", "right"),
    ]  # fmt: skip
    for number, (band, side) in enumerate(parts):
        sums = torch.zeros(features.shape[0], plan.shape[0])
        for row in rows[band]:
            for column in columns[side]:
                sums += torch.outer(features[:, row, column], plan[:, row, column])
        clusters = functional.normalize(sums, dim=0).flatten()
        expected = functional.normalize(torch.cat([scene, clusters]), dim=0)
        torch.testing.assert_close(regions[0, number], expected, atol=1e-5, rtol=0)


def test_initialisation_from_sampled_features():
    network = fol.load_model("netvlad_vgg_small_untrained").network
    images = torch.randn(6, 3, 64, 96, generator=torch.Generator().manual_seed(0))

    def sample(count: int, seed: int) -> torch.Tensor:
        return network.sample_features(images, count, torch.Generator().manual_seed(seed))

    every = network.feature_map(images).flatten(2).transpose(1, 2)
    some = sample(10, 1)
    assert some.shape == (60, 64) and some.equal(sample(10, 1)) and not some.equal(sample(10, 2))
    for photo, rows in zip(every, some.split(10), strict=True):
        found = (rows[:, None] == photo[None]).all(2)
        assert found.sum(1).tolist() == [1] * 10 and found.sum(0).max() == 1
    assert len(sample(100, 1)) == 6 * 24  # all that there are
    network.aggregation.initialise(sample(24, 1))
    with torch.no_grad():
        assert torch.isfinite(network(images).descriptor).all()


@pytest.mark.parametrize("name", GLOBAL)
def test_architecture_survives_the_header(name):
    architecture = CARDS[name].architecture
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def test_headers_that_are_not_understood():
    values = CARDS["netvlad_vgg16"].architecture.to_dict()
    for change in ({"family": "resnet"}, {"train_from": "conv9"}, {"colour": 3}):
        with pytest.raises(CheckpointError, match="header is not understood"):
            Architecture.from_dict({**values, "backbone": {**values["backbone"], **change}})
    with pytest.raises(CheckpointError, match="header is not understood"):
        Architecture.from_dict({**CARDS["fol_nano"].architecture.to_dict(), "aggregation": values["aggregation"]})


def test_files_keep_what_is_trained(tmp_path):
    model = fol.load_model("netvlad_vgg_small_untrained").with_train_from("conv3")
    fol.models.save_safetensors(model.card, model.network, tmp_path / "m.safetensors")
    again = fol.load_model(tmp_path / "m.safetensors")
    assert again.network.backbone.config.train_from == "conv3" and again.fingerprint == model.fingerprint
    assert again.card.preprocessing == model.card.preprocessing


def test_what_makes_no_sense_is_said():
    vgg, nano = fol.load_model("netvlad_vgg_small_untrained"), fol.load_model("netvlad_nano")
    densernet = fol.load_model("densernet_tiny_untrained")
    with pytest.raises(
        ConfigError, match="trainable_blocks=2: netvlad_vgg_small_untrained has no transformer, but VGG"
    ):
        vgg.with_trainable_blocks(2)
    with pytest.raises(ConfigError, match="no transformer, but DenserNet"):
        densernet.with_trainable_blocks(2)
    for model in (nano, densernet):
        with pytest.raises(ConfigError, match="train_from=conv4: .* has no VGG16 to train, but"):
            model.with_train_from("conv4")
    assert nano.with_trainable_blocks(2).card.architecture.backbone.trainable_blocks == 2
    assert len(list(vgg.with_train_from("full").network.backbone.frozen_parameters())) == 0
