from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from fol.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def photo(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_same_size_is_scaled_and_normalised_by_hand():
    image = photo(28, 14)
    for antialias in (True, False):
        tensor = Preprocessing((14, 28), antialias=antialias)(image)
        expected = (np.asarray(image)[3, 5] / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
        np.testing.assert_allclose(tensor[:, 3, 5], expected, atol=1e-5)
        assert tensor.dtype == torch.float32 and tensor.shape == (3, 14, 28)


def test_without_antialias_equals_the_published_order_normalise_then_resize():
    image = photo(200, 100)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor(IMAGENET_MEAN)[:, None, None], torch.tensor(IMAGENET_STD)[:, None, None]
    expected = torch.nn.functional.interpolate(((pixels - mean) / std)[None], (28, 42), mode="bilinear")[0]
    torch.testing.assert_close(Preprocessing((28, 42), antialias=False)(image), expected, atol=1e-5, rtol=0)


def test_antialias_averages_what_sampling_would_miss():
    stripes = np.zeros((140, 140, 3), np.uint8)
    stripes[:, ::2] = 255
    smooth = Preprocessing((14, 14), mean=(0.5,) * 3, std=(0.5,) * 3)(Image.fromarray(stripes))
    assert smooth.abs().max() < 0.05


def test_grey_and_alpha_images_become_rgb():
    for mode in ("L", "RGBA", "P"):
        assert Preprocessing((14, 14))(photo(20, 20).convert(mode)).shape == (3, 14, 14)


def test_what_is_prepared_in_loading_processes_is_finished_to_the_same_bits():
    for antialias in (True, False):
        preprocessing = Preprocessing((42, 56), antialias=antialias)
        photos = [photo(97, 80), photo(56, 42), photo(30, 200).convert("L")]
        prepared = [preprocessing.prepare(image) for image in photos]
        assert {p.dtype for p in prepared} == {torch.uint8 if antialias else torch.float32}
        finished = preprocessing.finish(torch.stack(prepared))
        for image, alone, together in zip(photos, prepared, finished, strict=True):
            assert together.equal(preprocessing(image)) and preprocessing.finish(alone).equal(preprocessing(image))
