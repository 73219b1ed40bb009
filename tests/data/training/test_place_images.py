"""Photos as the network will see them, from files and from memory, also where some are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fol.data.images import load_image
from fol.data.training import PlaceImages, TrainingPlaces, read_training_places
from fol.errors import ConfigError, ImageError
from fol.models.preprocessing import Preprocessing


@pytest.fixture
def places(tmp_path: Path) -> TrainingPlaces:
    rng = np.random.default_rng(0)
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / place / f"{k}.png")
    return read_training_places(tmp_path)


@pytest.mark.parametrize("antialias", [True, False])
def test_normalised_they_are_what_evaluation_sees(places: TrainingPlaces, antialias: bool) -> None:
    preprocessing = Preprocessing((28, 42), antialias=antialias)
    images = PlaceImages(places, preprocessing)
    for number, path in enumerate(places.images):
        pixels = images[number]
        assert pixels.dtype == torch.uint8 and pixels.shape == (3, 28, 42)
        seen = preprocessing.normalise(pixels.float().div(255))
        # without antialiasing, half a step of 8 bits over the smallest standard deviation
        tolerance = 1e-6 if antialias else 0.51 / 255 / 0.224
        torch.testing.assert_close(seen, preprocessing(load_image(path)), atol=tolerance, rtol=0)
    assert [images.label(number) for number in range(6)] == [0, 0, 0, 1, 1, 1]


def test_the_cache_is_filled_once_and_gives_the_same(places: TrainingPlaces) -> None:
    plain = PlaceImages(places, Preprocessing((28, 28)))
    cached = PlaceImages(places, Preprocessing((28, 28)), cache=True)
    expected = [plain[number] for number in range(6)]
    assert torch.equal(cached[2], expected[2])
    told: list[tuple[int, int]] = []
    cached.fill(lambda done, total: told.append((done, total)))
    assert told == [(k, 6) for k in range(1, 7)]
    for path in places.images:
        path.unlink()  # from here on memory alone
    cached.fill()
    for number in range(6):
        photo = cached[number]
        assert torch.equal(photo, expected[number])
        photo.zero_()  # what is done to a photo stays out of the cache
        assert torch.equal(cached[number], expected[number])
    with pytest.raises(ImageError, match="no such file"):
        plain[0]
    with pytest.raises(IndexError):
        cached[6]


def test_worker_processes_read_the_same(places: TrainingPlaces) -> None:
    images = PlaceImages(places, Preprocessing((28, 28)), cache=True)
    images.fill()
    loader = DataLoader(images, batch_size=4, num_workers=2, multiprocessing_context="fork")
    assert torch.equal(torch.cat(list(loader)), torch.stack([images[number] for number in range(6)]))


def test_a_damaged_photo_is_named(places: TrainingPlaces) -> None:
    places.images[1].write_bytes(places.images[1].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"a/1\.png: is damaged"):
        PlaceImages(places, Preprocessing((28, 28)))[1]


def test_or_replaced_by_the_next_of_its_place(places: TrainingPlaces) -> None:
    whole = PlaceImages(places, Preprocessing((28, 28)))
    first, fourth = whole[0], whole[3]
    for number in (1, 2, 5):
        places.images[number].write_bytes(b"no photo")
    images = PlaceImages(places, Preprocessing((28, 28)), on_error="skip", cache=True)
    images.fill()
    assert torch.equal(images[1], first) and torch.equal(images[2], first) and torch.equal(images[5], fourth)
    assert sorted(images.replaced) == [1, 2, 5] and "a/1.png" in images.replaced[1]
    for number in (3, 4):
        places.images[number].write_bytes(b"")
    with pytest.raises(ImageError, match=r"none of the 3 photos of place b can be read: .*b/0\.png"):
        PlaceImages(places, Preprocessing((28, 28)), on_error="skip")[3]


def test_too_little_memory_is_said_before_it_is_used(places: TrainingPlaces) -> None:
    with pytest.raises(ConfigError, match="set cache=false"):
        PlaceImages(places, Preprocessing((2_000_000, 2_000_000)), cache=True)
    with pytest.raises(ConfigError, match="cache=True"):
        PlaceImages(places, Preprocessing((28, 28))).fill()
