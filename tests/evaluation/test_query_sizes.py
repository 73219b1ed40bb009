"""What networks see under Tokyo 24/7's protocols: queries at the protocol's size, the database at the card's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fol
from fol.data import PlaceDataset
from fol.data.catalogue import find_protocol
from fol.data.coordinates import position_from_utm
from fol.data.photo_set import PhotoSet
from fol.data.protocol import apply_protocol
from fol.evaluation import CachedModel, evaluate
from fol.extraction import extract_places
from fol.models import PlaceModel
from fol.types import Place

pytestmark = pytest.mark.usefixtures("one_thread")

WIDE, PORTRAIT = (640, 480), (960, 1280)  # width, height


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """Two panoramas of the database; a query that stands upright and one that lies."""
    root = tmp_path_factory.mktemp("tokyo")

    def photo(name: str, size: tuple[int, int], seed: int, **metadata: str) -> Place:
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(root / name)
        return Place(name, root / name, position_from_utm(381462.0, 3946411.0, "54S"), metadata=metadata)

    database = tuple(photo(f"d{i}.png", WIDE, i, panorama=f"p{i}") for i in range(2))
    return PhotoSet(root, database, (photo("upright.png", PORTRAIT, 0), photo("lying.png", (1280, 960), 1)))


def under(photos: PhotoSet, protocol: str) -> PlaceDataset:
    return apply_protocol(photos, find_protocol(protocol)[1])


@contextmanager
def seen(model: PlaceModel) -> Iterator[list[tuple[int, int]]]:
    """(height, width) of every photo that the network gets."""
    sizes: list[tuple[int, int]] = []
    hook = model.network.backbone.register_forward_pre_hook(
        lambda _, inputs: sizes.extend([tuple(inputs[0].shape[-2:])] * len(inputs[0]))
    )
    try:
        yield sizes
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def vgg() -> PlaceModel:
    return fol.load_model("netvlad_vgg_small_untrained", image_size=(480, 640))


@pytest.mark.parametrize(
    ("protocol", "queries"),
    [
        ("tokyo247@25m", [(480, 640), (480, 640)]),
        ("tokyo247@nms_fixed", [(480, 640), (480, 640)]),
        ("tokyo247@short480", [(640, 480), (480, 640)]),
        ("tokyo247@nms", [(853, 640), (640, 853)]),
    ],
)
def test_a_convolutional_network_sees_the_size_of_the_protocol(
    photos: PhotoSet, vgg: PlaceModel, protocol: str, queries: list[tuple[int, int]]
) -> None:
    with seen(vgg) as sizes:
        list(extract_places(vgg, photos.queries, short_side=under(photos, protocol).rules.query_short_side))
    assert sizes == queries


def test_an_evaluation_resizes_queries_alone(photos: PhotoSet, vgg: PlaceModel, tmp_path: Path) -> None:
    with seen(vgg) as sizes:
        evaluate(
            CachedModel(vgg, tmp_path / "c"), under(photos, "tokyo247@nms"), out=tmp_path / "o", recall_values=(1,)
        )
    assert sorted(sizes) == [(480, 640), (480, 640), (640, 853), (853, 640)]
    fixed = under(photos, "tokyo247@25m")  # features of queries are other ones, those of the database the same
    with seen(vgg) as sizes:
        evaluate(CachedModel(vgg, tmp_path / "c"), fixed, out=tmp_path / "p", recall_values=(1,))
    assert sizes == [(480, 640), (480, 640)]


@pytest.mark.parametrize("name", ["netvlad_vgg_small_untrained", "densernet_tiny_untrained"])
def test_the_descriptor_is_that_of_the_photo_resized_by_hand(photos: PhotoSet, name: str) -> None:
    model = fol.load_model(name, image_size=(480, 640))
    rules = under(photos, "tokyo247@nms").rules
    (batch,) = extract_places(model, photos.queries, batch_size=2, short_side=rules.query_short_side)
    for (_, features), size in zip(batch.features, [(640, 853), (853, 640)], strict=True):
        photo = Image.open(photos.queries[0 if size[0] == 640 else 1].image).resize(size, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255
        by_hand = fol.load_model(name, image_size=(size[1], size[0])).network
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in (model.card.preprocessing.mean, model.card.preprocessing.std)
        )
        with torch.inference_mode():
            expected = by_hand.features(((pixels - mean) / std)[None])[0].descriptor
        assert torch.allclose(features.descriptor, expected, atol=1e-5)
        fixed = model.extract(model.transform(Image.open(photos.queries[0].image))[None])[0].descriptor
        assert not torch.allclose(features.descriptor, fixed, atol=1e-3)


def test_a_transformer_gets_its_own_size_from_the_resized_photo(photos: PhotoSet) -> None:
    model = fol.load_model("netvlad_nano", image_size=(84, 84))
    with seen(model) as sizes:
        (batch,) = extract_places(model, photos.queries[:1], short_side=120)
    assert sizes == [(84, 84)]
    small = Image.open(photos.queries[0].image).resize((120, 160), Image.Resampling.BILINEAR)
    expected = model.extract(model.transform(small)[None])[0].descriptor
    assert torch.allclose(batch.features[0][1].descriptor, expected, atol=1e-5)
