from __future__ import annotations

import pytest
import torch

from fol.errors import ConfigError
from fol.models.regions import (
    FOL_REGIONS,
    OFFICIAL_REGIONS,
    attention_guide,
    clip_largest,
    region_maps,
    select_patches,
    upsample_map,
)


def test_absolute_threshold_zeroes_weak_attention():
    attention = torch.tensor([[0.0099, 0.01, 0.5]])
    assert attention_guide(attention, 4, OFFICIAL_REGIONS).tolist() == [[0.0, pytest.approx(0.01), 0.5]]


def test_relative_threshold_is_the_published_one_for_vit_l_at_322_px():
    attention = torch.rand(2, 529) * 0.06
    torch.testing.assert_close(
        attention_guide(attention, 16, FOL_REGIONS), attention_guide(attention, 16, OFFICIAL_REGIONS)
    )
    # The same picture seen by half the heads on twice the patches has a quarter of the head sum.
    finer = torch.cat([attention, attention], 1) / 4
    guide = attention_guide(finer, 8, FOL_REGIONS)
    torch.testing.assert_close(guide[:, :529], attention_guide(attention, 16, FOL_REGIONS))


def test_clipping_by_hand():
    values = torch.arange(100.0)[None]  # int(0.05 * 100) = 5: the ceiling is the value at sorted rank 5, 94
    top3 = clip_largest(values, OFFICIAL_REGIONS)
    assert top3[0, -6:].tolist() == [94, 95, 96, 94, 94, 94]
    percentile = clip_largest(values, FOL_REGIONS)
    assert percentile[0, -6:].tolist() == [94, 94, 94, 94, 94, 94]
    assert values[0, -1] == 99, "the input is left alone"


def test_maps_are_distributions_and_the_sum_form_keeps_contrast():
    assignment, attention = torch.rand(2, 8, 60) / 8, torch.rand(2, 60)
    spread = {}
    for name, options in (("official", OFFICIAL_REGIONS), ("fol", FOL_REGIONS)):
        maps = region_maps(assignment, attention, options)
        torch.testing.assert_close(maps.aggregation.sum(1), torch.ones(2))
        torch.testing.assert_close(maps.combine("both").sum(1), torch.full((2,), 2.0))
        spread[name] = (maps.aggregation.amax(1) / maps.aggregation.amin(1)).min()
    assert spread["official"] < 1.1 < 1.5 < spread["fol"]


def test_selection_by_count_and_by_share():
    values = torch.tensor([[0.1, 0.4, 0.3, 0.2]])
    assert select_patches(values, 2).tolist() == [[False, True, True, False]]
    assert select_patches(values, 0.75).tolist() == [[False, True, True, True]]
    assert select_patches(values, 1e-9).sum() == 1
    with pytest.raises(ConfigError, match="225 patches"):
        select_patches(values, 225)


def test_upsampling_puts_patches_on_every_fourth_cell():
    values = torch.rand(1, 3, 5)
    torch.testing.assert_close(upsample_map(values, (9, 17))[:, ::4, ::4], values)


def test_zero_map_gives_no_nan():
    maps = region_maps(torch.zeros(1, 4, 30), torch.zeros(1, 30), FOL_REGIONS)
    assert torch.isfinite(maps.aggregation).all()
