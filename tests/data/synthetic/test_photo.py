"""The camera's faults: exposure, blur, noise, compression."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fol.data.synthetic import LIGHTS
from fol.data.synthetic.photo import PhotoRanges, as_jpeg, exposure_gains, photograph

PERFECT = PhotoRanges(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (100, 100))


def decoded(encoded: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(BytesIO(encoded))).astype(float)


def photo(image: NDArray[np.uint8], ranges: PhotoRanges, seed: int, dark: float = 0.0) -> NDArray[np.float64]:
    return decoded(photograph(image, ranges, np.random.default_rng(seed), dark=dark))


@pytest.fixture(scope="module")
def edge() -> NDArray[np.uint8]:
    """Dark on the left, light on the right."""
    image = np.full((112, 112, 3), 60, np.uint8)
    image[:, 56:] = 180
    return image


def test_a_perfect_camera_changes_nothing(edge: NDArray[np.uint8]) -> None:
    assert np.abs(photo(edge, PERFECT, 0) - edge).max() <= 2  # JPEG of the best quality


def test_decided_by_the_generator(edge: NDArray[np.uint8]) -> None:
    files = [photograph(edge, PhotoRanges(), np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert files[0] == files[1] != files[2]


def test_noise_has_its_strength_and_more_in_the_dark() -> None:
    grey = np.full((128, 128, 3), 120, np.uint8)
    found = []
    for dark in (0.0, 1.0):
        deviations = [photo(grey, replace(PERFECT, noise=8.0), seed, dark).std() for seed in range(12)]
        # between a fifth of it and all of it, drawn per photo
        assert min(deviations) > 1.0 and max(deviations) < 8.5 * (1 + 2.5 * dark)
        found.append(np.mean(deviations))
    assert found[1] > 2 * found[0]


@pytest.mark.parametrize("ranges", [replace(PERFECT, blur=3.0, blurred=1), replace(PERFECT, motion=12.0, blurred=1)])
def test_blur_softens_edges_and_keeps_the_brightness(ranges: PhotoRanges, edge: NDArray[np.uint8]) -> None:
    steepest = []
    for seed in range(8):
        blurred = photo(edge, ranges, seed)
        steepest.append(np.abs(np.diff(blurred[56, :, 0])).max())
        assert blurred.mean() == pytest.approx(edge.mean(), abs=2)
    assert np.median(steepest) < 0.7 * 120 and min(steepest) < 40


def test_vignetting_darkens_the_corners() -> None:
    grey = np.full((96, 96, 3), 200, np.uint8)
    taken = photo(grey, replace(PERFECT, vignette=0.5), 3)[..., 0]
    assert taken[48, 48] == pytest.approx(200, abs=2) and taken[0, 0] < taken[0, 48] < 200


def test_bright_spots_bloom_at_night_only() -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    image[44:52, 44:52] = 255
    day, night = (photo(image, replace(PERFECT, bloom=0.8), 0, dark)[40, 48, 0] for dark in (0.0, 1.0))
    assert day < 5 and night > 15


def test_exposure_is_even_around_the_automatic_one() -> None:
    stops = []
    for brightness in (0.9, 0.3):
        gains = [
            exposure_gains(PhotoRanges(exposure=1.0, white_balance=0), brightness, np.random.default_rng(seed))
            for seed in range(300)
        ]
        assert all(r == g == b for r, g, b in gains)
        stops.append(np.log2([g for _, g, _ in gains]))
        assert np.ptp(stops[-1]) == pytest.approx(2.0, abs=0.05)
    # darkness is evened out in part: 0.6 of the log of the difference
    assert stops[1].mean() - stops[0].mean() == pytest.approx(0.6 * np.log2(0.9 / 0.3), abs=0.05)


def test_gains_scale_the_light() -> None:
    light = LIGHTS["day"].exposed((2.0, 1.0, 0.5))
    assert light.sun == pytest.approx((1.12, 0.52, 0.22)) and light.zenith == pytest.approx((0.6, 0.5, 0.4))
    assert light.haze == LIGHTS["day"].haze and light.elevation == LIGHTS["day"].elevation


def test_large_images_have_noise_everywhere() -> None:
    grey = np.full((1200, 1200, 3), 120, np.uint8)
    taken = photo(grey, replace(PERFECT, noise=8.0), 1)
    assert min(taken[:64, :64].std(), taken[-64:, -64:].std()) > 1


def test_quality_decides_the_size(edge: NDArray[np.uint8]) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert len(as_jpeg(noisy, 30)) < len(as_jpeg(noisy, 95))
