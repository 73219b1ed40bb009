"""Fewer local features per image: the ones in discriminative regions, spread over the photo.

Matching costs the product of both images' tokens and storage is linear in them, while neighbouring tokens of the fine
map say nearly the same.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from fol.matching.inputs import Codes, TokenSet
from fol.types import LocalFeatures

#: How a budget is spent: evenly over the photo and there by weight; by weight alone; on a coarser grid.
Selection = Literal["spread", "weight", "stride"]
SELECTIONS: tuple[Selection, ...] = get_args(Selection)

_SAME_LINE = 0.25  # share of the grid's step by which positions on one line of the grid may differ


def select_tokens(features: LocalFeatures, budget: int, by: Selection = "spread") -> LocalFeatures:
    """At most ``budget`` tokens of one image, in their order; the features themselves when there are no more.

    ``"spread"``: the photo is cut into about ``budget`` square cells over the tokens' extent; the token with the
    highest weight of every cell comes first, then the second of every cell, and so on, by weight within a round.
    ``"weight"``: the highest weights. ``"stride"``: every n-th row and column of the tokens' grid, with the least n
    that keeps to the budget. Equal weights: the earlier token. Raises ``ValueError`` for a budget below 1.
    """
    kept = kept_rows(features.positions, features.weights, budget, by)
    if kept is None:
        return features
    return LocalFeatures(features.descriptors[kept], features.positions[kept], features.weights[kept])


def thin(tokens: TokenSet, budget: int, by: Selection = "spread") -> tuple[TokenSet, Tensor | None]:
    """``select_tokens`` for checked tokens, and the numbers of the rows that stay (None: all).

    Without positions by weight. Padding is left out first.
    """
    if tokens.count <= budget:
        return tokens, None
    rows = tokens.valid_rows()
    weights = tokens.weights if rows is None else tokens.weights[rows]
    positions = tokens.positions if rows is None or tokens.positions is None else tokens.positions[rows]
    kept = kept_rows(positions, weights, budget, by)
    if kept is None:
        return tokens, None
    kept = kept if rows is None else rows[kept]
    stored = tokens.stored
    if isinstance(stored, Codes):
        stored = Codes(stored.codes[kept], stored.bias[kept], stored.quantiser)
    else:
        stored = stored[kept]
    thinned = replace(
        tokens,
        stored=stored,
        valid=tokens.valid[kept],
        count=len(kept),
        weights=tokens.weights[kept],
        positions=None if tokens.positions is None else tokens.positions[kept],
    )
    return thinned, kept


def kept_rows(positions: Tensor | None, weights: Tensor, budget: int, by: Selection = "spread") -> Tensor | None:
    """Numbers of the tokens that ``select_tokens`` keeps, ascending ``[<= budget]`` int64; None for all of them."""
    if budget < 1:
        raise ValueError(f"budget {budget}: it must be at least 1")
    if by not in SELECTIONS:
        raise ValueError(f"unknown selection {by!r}; choose one of: {', '.join(SELECTIONS)}")
    if len(weights) <= budget:
        return None
    order = torch.argsort(weights, descending=True, stable=True)
    if positions is not None and by == "spread":
        cells = _cells(positions, budget)
        order = order[torch.argsort(_turn(cells[order]), stable=True)]
    elif positions is not None and by == "stride":
        kept = _on_coarser_grid(positions, budget)
        if len(kept):  # a region may miss every line of a coarse grid
            return kept
    return order[:budget].sort().values


def _cells(positions: Tensor, budget: int) -> Tensor:
    """Number of the cell of every token ``[L]`` int64: about ``budget`` square cells over the tokens' extent."""
    corner = positions.amin(dim=0)
    extent = (positions.amax(dim=0) - corner).double()
    side = max(math.sqrt(float(extent.prod()) / budget), float(extent.amax()) / budget, 1e-6)
    last = (extent / side).ceil().long().clamp(min=1) - 1  # the far edge belongs to the last cell
    cell = ((positions - corner).double() / side).long().minimum(last)
    return cell[:, 1] * (cell[:, 0].amax() + 1) + cell[:, 0]


def _turn(cells: Tensor) -> Tensor:
    """How many earlier tokens are in the same cell, for every token ``[L]`` int64."""
    order = torch.argsort(cells, stable=True)
    ordered = cells[order]
    place = torch.arange(len(cells), device=cells.device)
    first = torch.where(ordered != ordered.roll(1), place, 0)
    turn = torch.empty_like(place)
    turn[order] = place - first.cummax(dim=0).values
    return turn


def _on_coarser_grid(positions: Tensor, budget: int) -> Tensor:
    columns, rows = _line_numbers(positions[:, 0]), _line_numbers(positions[:, 1])
    stride = max(1, math.isqrt(len(positions) // budget))
    while True:
        kept = ((columns % stride == 0) & (rows % stride == 0)).nonzero().squeeze(1)
        if len(kept) <= budget:
            return kept
        stride += 1


def _line_numbers(coordinate: Tensor) -> Tensor:
    """Number of the grid line that every coordinate lies on ``[L]`` int64, counted from the lowest one."""
    values = coordinate.double()
    gaps = values.unique().diff()
    step = gaps[gaps > _SAME_LINE * gaps.amax()].amin() if len(gaps) else values.new_ones(())
    return ((values - values.amin()) / step).round().long()
