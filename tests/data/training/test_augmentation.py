"""Augmentation: what each operation does to a photo, how often, and always the same for a seed."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml

from fol.data.training import AUGMENTATIONS, AugmentationOptions, BatchAugmentation, Change
from fol.errors import ConfigError

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [field.name for field in fields(AugmentationOptions)]


def only(name: str, strength: float, probability: float = 1.0) -> BatchAugmentation:
    return BatchAugmentation(replace(AugmentationOptions(), **{name: Change(probability, strength)}))


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Smooth colours within 0.2 to 0.8, so that nothing is clipped."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 64), indexing="ij")
    one = torch.stack([x, y, (x + y) / 2]) * 0.6 + 0.2
    return torch.stack([one, one.flip(2), one.flip(1), one.mean(0, keepdim=True).expand(3, -1, -1)] * 4)


@pytest.mark.parametrize("preset", list(AUGMENTATIONS))
def test_decided_by_the_seed_alone(photos: torch.Tensor, preset: str) -> None:
    augment, given = BatchAugmentation(AUGMENTATIONS[preset]), photos.clone()
    state = torch.get_rng_state()
    changed = augment(photos, 7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert torch.equal(augment(photos, 7), changed)
    assert torch.equal(photos, given)
    assert changed.shape == photos.shape and changed.dtype == torch.float32
    assert changed.isfinite().all() and changed.min() >= 0 and changed.max() <= 1
    assert torch.equal(augment(photos, 8), changed) == (preset == "none")


def test_none_changes_nothing(photos: torch.Tensor) -> None:
    assert torch.equal(BatchAugmentation(AUGMENTATIONS["none"])(photos, 0), photos)


@pytest.mark.parametrize("name", NAMES)
def test_each_operation_changes_the_share_of_photos_that_its_probability_says(name: str) -> None:
    strength = {"perspective": 0.2, "rotation": 20.0, "low_resolution": 4.0, "blur": 2.0, "jpeg": 80.0}.get(name, 0.4)
    noisy = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    changed = (only(name, strength, 0.5)(noisy, 3) != noisy).flatten(1).any(1)
    assert 70 <= int(changed.sum()) <= 130  # 100 expected, standard deviation 7
    all_changed = (only(name, strength)(noisy, 3) != noisy).flatten(1).any(1)
    assert int(all_changed.sum()) >= 195


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("low_resolution", "blur", "jpeg")])
def test_strength_zero_changes_nothing(photos: torch.Tensor, name: str) -> None:
    torch.testing.assert_close(only(name, 0.0)(photos, 0), photos, atol=2e-3 if name == "hue" else 1e-4, rtol=0)


def test_brightness_is_a_factor_within_the_bound(photos: torch.Tensor) -> None:
    factors = only("brightness", 0.2)(photos, 0) / photos
    assert factors.flatten(1).std(1).max() < 1e-5  # one factor per photo
    first = factors[:, 0, 0, 0]
    assert first.min() >= 0.8 and first.max() <= 1.2 and first.min() < 0.95 < 1.05 < first.max()


def test_contrast_keeps_the_mean_of_grey(photos: torch.Tensor) -> None:
    changed = only("contrast", 0.3)(photos, 0)
    grey = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    torch.testing.assert_close(
        (changed * grey).sum(1).mean((1, 2)), (photos * grey).sum(1).mean((1, 2)), atol=1e-4, rtol=0
    )


def test_colour_operations_leave_grey_photos_grey(photos: torch.Tensor) -> None:
    for name, strength in (("saturation", 0.8), ("hue", 0.4), ("grey", 1.0)):
        torch.testing.assert_close(only(name, strength)(photos, 0)[3::4], photos[3::4], atol=1e-4, rtol=0)


def test_full_grey_takes_the_colours_away(photos: torch.Tensor) -> None:
    spread = only("grey", 1.0)(photos, 0).std(1).mean((1, 2)) / photos.std(1).mean((1, 2)).clamp_min(1e-6)
    assert (spread <= 1 + 1e-5).all() and spread[:3].min() < 0.9


def test_noise_has_the_standard_deviation_that_is_asked_for() -> None:
    flat = torch.full((32, 3, 32, 32), 0.5)
    deviation = (only("noise", 0.1)(flat, 0) - flat).flatten(1).std(1)
    assert deviation.max() <= 0.105 and 0.03 < deviation.mean() < 0.07  # evenly between 0 and 0.1


def test_blur_and_low_resolution_smooth_but_keep_the_mean() -> None:
    noisy = torch.rand(8, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    for name, strength in (("blur", 2.0), ("low_resolution", 4.0)):
        changed = only(name, strength)(noisy, 0)
        torch.testing.assert_close(changed.mean((1, 2, 3)), noisy.mean((1, 2, 3)), atol=0.02, rtol=0)
        assert (changed.flatten(1).std(1) < 0.95 * noisy.flatten(1).std(1)).all()


def test_erasing_fills_one_rectangle_with_one_colour(photos: torch.Tensor) -> None:
    changed = only("erasing", 0.25)(photos, 0)
    for before, after in zip(photos, changed, strict=True):
        mask = (before != after).any(0)
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        if not len(rows):
            continue
        block = after[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert mask.float().mean() <= 0.27  # a quarter, and half a pixel around it
        assert torch.equal(block, block[:, :1, :1].expand_as(block))


def test_zoom_shows_a_part_of_the_photo_upright() -> None:
    """On a ramp from 0 to 1 along x, a part is a ramp with a smaller slope, and y stays constant."""
    ramp = torch.linspace(0, 1, 65).expand(32, 3, 33, 65).contiguous()
    changed = only("zoom", 0.4)(ramp, 0)
    left, right = changed[:, 0, :, 0], changed[:, 0, :, -1]
    slopes = (right - left).mean(1)
    assert slopes.min() >= 0.6 - 1e-4 and slopes.max() <= 1 and slopes.min() < 0.75 and slopes.max() > 0.9
    torch.testing.assert_close(left, left[:, :1].expand_as(left), atol=1e-4, rtol=0)
    assert left.std() > 0.02  # anywhere in the photo


def test_perspective_keeps_lines_straight_and_pulls_corners_within_its_bound() -> None:
    """With x and y of a photo as its colours, the colours of a warped photo say where each pixel came from."""
    side = 129
    y, x = torch.meshgrid(torch.linspace(0.3, 0.7, side), torch.linspace(0.3, 0.7, side), indexing="ij")
    photo = torch.stack([x, y, x]).expand(32, -1, -1, -1).contiguous()
    changed = only("perspective", 0.1)(photo, 0)[:, :2, 40:89, 40:89].flatten(2).mT  # [32, pixels, 2] away from borders
    # a line of pixels is a line in the photo: third points lie on the line through two others
    rows = changed.reshape(32, 49, 49, 2)
    first, middle, last = rows[:, :, 0], rows[:, :, 24], rows[:, :, 48]
    across, along = middle - first, last - first
    assert (across[..., 0] * along[..., 1] - across[..., 1] * along[..., 0]).abs().max() < 1e-6
    # Corners move by at most 0.1 of the side of 0.4, so each diagonal by that, and where they cross by twice that.
    moved = (rows - photo[:, :2, 40:89, 40:89].permute(0, 2, 3, 1)).abs()
    assert 0.01 < moved.max() <= 0.08


def test_rotation_turns_about_the_middle_within_its_bound() -> None:
    """Where a photo is a ramp along x, turning it by t makes its gradient (cos t, sin t) times the slope."""
    ramp = torch.linspace(0.25, 0.75, 65).expand(64, 3, 65, 65).contiguous()
    changed = only("rotation", 10.0)(ramp, 0)[:, 0, 24:41, 24:41]  # away from the borders
    along_x, along_y = changed.diff(dim=2).mean((1, 2)), changed.diff(dim=1).mean((1, 2))
    degrees = torch.rad2deg(torch.atan2(along_y, along_x))
    assert degrees.abs().max() <= 10.01 and degrees.min() < -5 and degrees.max() > 5
    torch.testing.assert_close(torch.hypot(along_x, along_y), torch.full((64,), 0.5 / 64), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[:, 8, 8], torch.full((64,), 0.5), atol=1e-4, rtol=0)


def test_the_yaml_groups_are_the_presets() -> None:
    folder = Path(__file__).parents[3] / "conf" / "augmentation"
    assert {path.stem for path in folder.glob("*.yaml")} == set(AUGMENTATIONS)
    for path in folder.glob("*.yaml"):
        written = yaml.safe_load(path.read_text())
        assert (
            AugmentationOptions(**{name: Change(**values) for name, values in written.items()})
            == AUGMENTATIONS[path.stem]
        )
        assert list(written) == NAMES


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("blur", Change(1.5, 1.0), r"augmentation\.blur\.probability=1\.5"),
        ("hue", Change(1.0, 0.7), r"augmentation\.hue\.strength=0\.7: give a value from 0 to 0\.5"),
        ("low_resolution", Change(0.5, 0.5), r"low_resolution\.strength=0\.5: give a value from 1 to 16"),
        ("noise", Change(0.5, float("nan")), r"noise\.strength=nan"),
    ],
)
def test_values_out_of_range(name: str, change: Change, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BatchAugmentation(replace(AugmentationOptions(), **{name: change}))
