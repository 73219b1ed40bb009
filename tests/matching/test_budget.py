"""Which tokens stay within a budget: by hand on small grids."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fol.matching import check_sets, select_tokens, thin
from fol.matching.budget import kept_rows
from fol.types import LocalFeatures


def grid(width: int, height: int, step: float = 7.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1) * step + 3


def test_weight_alone_takes_the_highest_and_of_equals_the_earlier():
    weights = torch.tensor([0.2, 0.9, 0.5, 0.9, 0.5])
    assert kept_rows(None, weights, 3, "weight").tolist() == [1, 2, 3]
    assert kept_rows(grid(5, 1), weights, 2, "weight").tolist() == [1, 3]


def test_spread_takes_the_best_of_every_cell_first():
    # Four tokens in each of the four corners; all the heavy ones stand in the first corner.
    corners = torch.tensor([[0.0, 0], [90, 0], [0, 90], [90, 90]])
    positions = torch.cat([corner + grid(2, 2, 10.0) for corner in corners])
    weights = torch.tensor([0.9, 1.0, 0.8, 0.7, *[0.1, 0.2, 0.3, 0.1], *[0.4, 0.1, 0.1, 0.1], *[0.1, 0.1, 0.1, 0.5]])
    assert kept_rows(positions, weights, 4, "spread").tolist() == [1, 6, 8, 15]
    assert kept_rows(positions, weights, 4, "weight").tolist() == [0, 1, 2, 3]


def test_a_second_round_goes_by_weight_again():
    positions = torch.tensor([[0.0, 0], [1, 0], [2, 0], [100, 0], [101, 0], [102, 0]])
    weights = torch.tensor([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    # A line of length 102 and a budget of 3: cells of 34, so two of them are occupied; then the heavier second one.
    assert kept_rows(positions, weights, 3, "spread").tolist() == [0, 1, 3]


@pytest.mark.parametrize(("budget", "stride"), [(100, 1), (99, 2), (25, 2), (24, 3), (16, 3), (4, 5), (1, 10)])
def test_stride_takes_every_nth_row_and_column(budget, stride):
    positions = grid(10, 10)
    kept = kept_rows(positions, torch.ones(100), budget, "stride")
    expected = [y * 10 + x for y in range(0, 10, stride) for x in range(0, 10, stride)]
    assert list(range(100)) == expected if kept is None else kept.tolist() == expected


@given(st.integers(1, 60), st.integers(1, 70), st.sampled_from(["spread", "weight", "stride"]), st.integers(0, 9))
def test_a_budget_is_kept_to_and_order_is_too(count, budget, by, seed):
    generator = torch.Generator().manual_seed(seed)
    local = LocalFeatures(
        torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=1),
        (torch.rand(count, 2, generator=generator) * 9).round() * 5,
        (torch.rand(count, generator=generator) * 4).round() / 4,
    )
    chosen = select_tokens(local, budget, by)
    assert len(chosen) == min(count, budget) if by != "stride" else 1 <= len(chosen) <= budget
    places = [next(i for i in range(count) if torch.equal(local.descriptors[i], row)) for row in chosen.descriptors]
    assert places == sorted(set(places))
    assert torch.equal(chosen.weights, local.weights[places]) and torch.equal(chosen.positions, local.positions[places])


def test_thinning_leaves_padding_out_and_says_which_rows_stay():
    rows = torch.eye(6)
    rows[1] = 0
    tokens, _ = check_sets(rows, [])
    thinned, kept = thin(tokens, 3)
    assert kept.tolist() == [0, 2, 3]
    assert torch.equal(thinned.descriptors, torch.eye(6)[[0, 2, 3]]) and thinned.count == 3
    same, none = thin(tokens, 5)
    assert same is tokens and none is None


def test_unusable_requests_are_refused():
    with pytest.raises(ValueError, match="budget 0: it must be at least 1"):
        kept_rows(None, torch.ones(3), 0)
    with pytest.raises(ValueError, match="unknown selection 'best'; choose one of: spread, weight, stride"):
        kept_rows(None, torch.ones(3), 1, "best")
