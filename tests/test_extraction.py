from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import fol
from fol.errors import ConfigError, ImageError
from fol.extraction import ExtractedBatch, Skipped, extract_places, on_cpu, one_ahead
from fol.models import load_baseline
from fol.types import Extractor, Features, Place

SIZES = [(140, 140), (280, 140), (90, 300), (512, 384), (64, 64), (200, 200), (33, 14)]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> Extractor:
    return fol.load_model("fol_tiny_untrained", image_size=(126, 126))


def _photo(path: Path, size: tuple[int, int], seed: int) -> Place:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return Place(path.name, path)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    folder = tmp_path_factory.mktemp("photos è")
    return [_photo(folder / f"photo {i}.png", size, i) for i, size in enumerate(SIZES)]


class Wrapped:
    """A model whose way of preprocessing differs; everything else is the real one's."""

    def __init__(self, model: Extractor) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def recipe(self) -> Mapping[str, Any]:
        return self._model.recipe

    def prepare(self, image: Image.Image) -> Tensor:
        return self._model.prepare(image)

    def extract(self, images: Tensor, original_sizes: Sequence[tuple[int, int]] | None = None) -> list[Features]:
        return self._model.extract(images, original_sizes)


def _all(batches: Iterator[ExtractedBatch]) -> dict[int, Features]:
    return {index: features for batch in batches for index, features in batch.features}


def _assert_same(first: Features, second: Features) -> None:
    torch.testing.assert_close(first.descriptor, second.descriptor, atol=1e-5, rtol=0)
    assert len(first.local) == len(second.local)
    torch.testing.assert_close(first.local.descriptors, second.local.descriptors, atol=1e-4, rtol=0)
    torch.testing.assert_close(first.local.positions, second.local.positions, atol=1e-3, rtol=0)
    torch.testing.assert_close(first.local.weights, second.local.weights, atol=1e-4, rtol=0)


def test_features_are_those_of_the_model_whatever_the_batches(model: Extractor, places: list[Place]) -> None:
    expected = {}
    for index, place in enumerate(places):
        image = Image.open(place.image)
        with torch.inference_mode():
            expected[index] = model.extract(model.transform(image)[None], [image.size])[0]
    for batch_size, workers in [(1, 0), (3, 0), (3, 2), (100, 1)]:
        batches = list(extract_places(model, places, batch_size=batch_size, workers=workers))
        bounds = [(batch.start, batch.stop) for batch in batches]
        assert bounds == [(i, min(i + batch_size, 7)) for i in range(0, 7, batch_size)]
        assert not any(batch.skipped for batch in batches)
        found = _all(iter(batches))
        assert list(found) == list(range(7))
        for index, features in found.items():
            _assert_same(features, expected[index])
            assert features.descriptor.device.type == "cpu"


def test_positions_are_pixels_of_the_photo(model: Extractor, places: list[Place]) -> None:
    for index, features in _all(extract_places(model, places)).items():
        width, height = SIZES[index]
        x, y = features.local.positions.T
        assert x.min() >= 0 and width / 2 < x.max() <= width
        assert y.min() >= 0 and height / 2 < y.max() <= height


@pytest.mark.parametrize("workers", [0, 2])
def test_unusable_photos_are_reported_and_cost_nothing_else(
    model: Extractor, places: list[Place], tmp_path: Path, workers: int
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    bad = [Place(name, tmp_path / name) for name in ("text.jpg", "empty.png", "dot.png", "missing.jpg")]
    mixed = [bad[0], *places[:2], bad[1], bad[2], places[2], bad[3]]
    batches = list(extract_places(model, mixed, batch_size=2, workers=workers))
    skipped = [skip for batch in batches for skip in batch.skipped]
    assert [skip.name for skip in skipped] == ["text.jpg", "empty.png", "dot.png", "missing.jpg"]
    for skip in skipped:
        assert isinstance(skip, Skipped)
        assert skip.name in skip.reason and "\n" not in skip.reason
    found = _all(iter(batches))
    assert list(found) == [1, 2, 5]
    for index, features in _all(extract_places(model, places[:3])).items():
        _assert_same(found[[1, 2, 5][index]], features)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_while_loading_costs_that_photo_alone(model: Extractor, places: list[Place], workers: int) -> None:
    class Picky(Wrapped):
        def prepare(self, image: Image.Image) -> Tensor:
            if image.width == 90:
                raise ValueError("I do not like\nthis width")
            return super().prepare(image)

    batches = list(extract_places(Picky(model), places, batch_size=4, workers=workers))
    assert list(_all(iter(batches))) == [0, 1, 3, 4, 5, 6]
    (skip,) = batches[0].skipped
    assert skip == Skipped("photo 2.png", f"{places[2].image}: ValueError: I do not like this width")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # torch's own clean-up may meet it again
def test_a_loading_process_that_dies_ends_the_run_with_one_line(model: Extractor, places: list[Place]) -> None:
    class Deadly(Wrapped):
        def prepare(self, image: Image.Image) -> Tensor:
            if image.width == 512:
                os._exit(9)
            return super().prepare(image)

    batches = extract_places(Deadly(model), places, batch_size=1, workers=1)
    with pytest.raises(
        ImageError, match=r"a loading process died near photo \d.png .*run again with workers=0"
    ) as caught:
        list(batches)
    assert "\n" not in str(caught.value)


def test_photos_of_several_network_sizes_in_one_batch(model: Extractor, places: list[Place]) -> None:
    class KeepsAspect(Wrapped):
        def prepare(self, image: Image.Image) -> Tensor:
            pixels = super().prepare(image)
            return torch.cat([pixels, pixels], dim=2) if image.width > image.height else pixels

    wrapped = KeepsAspect(model)
    together = _all(extract_places(wrapped, places, batch_size=7))
    alone = _all(extract_places(wrapped, places, batch_size=1))
    assert list(together) == list(alone) == list(range(7))
    for index, features in together.items():
        _assert_same(features, alone[index])


def test_nothing_to_do_and_numbers_out_of_range(model: Extractor, places: list[Place]) -> None:
    assert list(extract_places(model, [])) == []
    with pytest.raises(ConfigError, match="batch_size=0"):
        extract_places(model, places, batch_size=0)
    with pytest.raises(ConfigError, match="workers=-1"):
        extract_places(model, places, workers=-1)


def test_workers_hand_over_bytes_and_change_no_bit(
    model: Extractor, places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []

    class Watched(Wrapped):
        def extract(self, images: Tensor, original_sizes: Sequence[tuple[int, int]] | None = None) -> list[Features]:
            seen.append(images.dtype)
            return super().extract(images, original_sizes)

    here, there = (_all(extract_places(Watched(model), places, batch_size=3, workers=n)) for n in (0, 2))
    assert set(seen) == {torch.uint8}
    for index, features in here.items():
        other = there[index]
        assert features.descriptor.equal(other.descriptor)
        assert features.local.descriptors.equal(other.local.descriptors)
        assert features.local.positions.equal(other.local.positions)


def test_one_ahead_takes_the_next_first_and_raises_in_turn() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(3):
            taken.append(number)
            yield number
        raise ImageError("the end")

    ahead = one_ahead(numbers())
    assert next(ahead) == 0 and taken == [0, 1]
    assert [next(ahead), next(ahead)] == [1, 2] and taken == [0, 1, 2]
    with pytest.raises(ImageError, match="the end"):
        next(ahead)
    assert list(one_ahead([])) == [] and list(one_ahead("abc")) == ["a", "b", "c"]


def test_features_of_a_batch_are_copied_together(model: Extractor) -> None:
    images = torch.rand(3, 3, 126, 126)
    two_stages, one_stage = model.extract(images), load_baseline("grey").extract(images)
    for features in (two_stages, one_stage):
        for before, after in zip(features, on_cpu(features), strict=True):
            assert before.descriptor.equal(after.descriptor)
            assert before.local.descriptors.equal(after.local.descriptors)
            assert before.local.positions.equal(after.local.positions)
            assert before.local.weights.equal(after.local.weights)
            maps = before.region_map, after.region_map
            assert maps == (None, None) if maps[0] is None else maps[0].equal(maps[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_gpu_gives_the_features_of_the_cpu(model: Extractor, places: list[Place], workers: int) -> None:
    on_gpu = fol.load_model("fol_tiny_untrained", image_size=(126, 126), device="cuda")
    here = _all(extract_places(model, places, batch_size=2))
    there = _all(extract_places(on_gpu, places, batch_size=2, workers=workers))
    assert list(there) == list(here)
    for index, features in there.items():
        assert features.descriptor.device.type == features.local.descriptors.device.type == "cpu"
        assert float(features.descriptor @ here[index].descriptor) > 0.9999
