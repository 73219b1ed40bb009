"""Geometry with known inliers."""

from __future__ import annotations

import pytest
import torch

from fol.errors import MatchingError
from fol.matching import BatchMatches, check_sets, keep_inliers, token_spacing, verify_matches
from fol.types import LocalFeatures

HOMOGRAPHY = torch.tensor([[1.02, 0.05, 12.0], [-0.03, 0.98, -7.0], [1e-4, -5e-5, 1.0]])


def scene(model, inliers=60, outliers=40, noise=0.5, seed=0):
    """Positions in two photos of 640 x 480, outliers last."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([640.0, 480.0])
    count = inliers + outliers
    first = torch.rand(count, 2, generator=generator) * size
    ones = torch.ones(count, 1)
    if model == "homography":
        projected = torch.cat([first, ones], dim=1) @ HOMOGRAPHY.T
    else:  # points at many depths, seen again by a camera that moved and turned
        intrinsics = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
        depth = 4 + 8 * torch.rand(count, 1, generator=generator)
        points = depth * (torch.cat([first, ones], dim=1) @ torch.linalg.inv(intrinsics).T)
        angle = torch.tensor(0.1)
        turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
        projected = (points @ turn.T + torch.tensor([0.8, 0.1, 0.3])) @ intrinsics.T
    second = projected[:, :2] / projected[:, 2:] + noise * torch.randn(count, 2, generator=generator)
    second[inliers:] = torch.rand(outliers, 2, generator=generator) * size
    return first, second


@pytest.mark.parametrize("model", ["homography", "fundamental"])
def test_known_inliers_are_found(model):
    first, second = scene(model)
    found = verify_matches(first, second, model, 3.0)
    assert found.dtype == torch.bool
    assert int(found[:60].sum()) >= 57
    # A random pair lies within 3 px of a line in 480 px by chance, hardly ever within 3 px of a point.
    assert int(found[60:].sum()) <= (0 if model == "homography" else 5)


@pytest.mark.parametrize("model", ["homography", "fundamental"])
def test_neither_reads_nor_changes_the_global_random_state(model):
    first, second = scene(model, inliers=20, outliers=60)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(verify_matches(first, second, model, 2.0))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


@pytest.mark.parametrize("model", ["homography", "fundamental"])
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_too_few_matches_have_no_inliers(model, count):
    positions = torch.rand(count, 2) * 100
    found = verify_matches(positions, positions, model, 3.0)
    assert found.shape == (count,)
    assert not found.any()


@pytest.mark.parametrize("model", ["homography", "fundamental"])
@pytest.mark.parametrize(
    "positions",
    [
        torch.zeros(30, 2),
        torch.arange(30.0)[:, None].expand(30, 2),
        torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]).repeat(10, 1),
        torch.full((30, 2), torch.nan),
        torch.full((30, 2), 1e30),
    ],
    ids=["one point", "one line", "three points", "nan", "huge"],
)
def test_degenerate_sets_have_no_inliers(model, positions):
    other = torch.rand(30, 2, generator=torch.Generator().manual_seed(3)) * 100
    for pair in ((positions, positions), (positions, other), (other, positions)):
        assert not verify_matches(*pair, model, 3.0).any()


def test_positions_that_are_not_finite_are_left_out():
    first, second = scene("homography", noise=0.0)
    first[3] = torch.nan
    second[5, 0] = torch.inf
    found = verify_matches(first, second, "homography", 3.0)
    assert (~found).nonzero().flatten()[:2].tolist() == [3, 5]
    assert int(found.sum()) == 58


def test_spacing_of_a_grid_is_its_step():
    x, y = torch.meshgrid(torch.arange(40.0), torch.arange(30.0), indexing="xy")
    grid = 7.25 * torch.stack([x.flatten(), y.flatten()], dim=1) + 100
    assert token_spacing(grid) == pytest.approx(7.25)
    assert token_spacing(grid[torch.randperm(len(grid))[:1000]]) == pytest.approx(7.25)
    assert token_spacing(grid[:1]) == 0
    assert token_spacing(torch.zeros(0, 2)) == 0


def test_keeping_inliers_drops_the_outliers_of_every_candidate():
    first, second = scene("homography", noise=0.0)
    token = torch.nn.functional.normalize(torch.rand(100, 8), dim=1)
    make = lambda positions: LocalFeatures(token, positions, torch.ones(100))  # noqa: E731
    query, candidates = check_sets(make(first), [make(first), make(second)])
    matches = BatchMatches(torch.arange(100).repeat(2, 1), torch.ones(2, 100))
    kept = keep_inliers(matches, query, candidates, "homography", 3.0)
    assert torch.equal(kept.partner[0], matches.partner[0])  # the same photo: all agree
    assert (kept.partner[1, :60] == torch.arange(60)).all()
    assert (kept.partner[1, 60:] == -1).all()
    assert (kept.similarity[1, 60:] == 0).all()
    assert (matches.partner >= 0).all()  # the input is left alone


def test_positions_are_required():
    query, candidates = check_sets(torch.eye(3), [torch.eye(3)])
    matches = BatchMatches(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3))
    with pytest.raises(MatchingError, match="^the query has no positions to verify"):
        keep_inliers(matches, query, candidates, "homography", 3.0)
