"""Taking off what all local descriptors share, before they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fol.matching.inputs import TokenSet

_NOTHING = 1e-6  # length below which a centred descriptor is rounding, and has no direction


def centre(query: TokenSet, candidates: Sequence[TokenSet]) -> tuple[TokenSet, list[TokenSet]]:
    """The same tokens with the mean of the query's taken off and scaled to unit length again.

    The mean is the query's own, so that a candidate's result does not depend on the other candidates. Tokens equal to
    the mean have no direction left and become padding.
    """
    if not query.count:
        return query, list(candidates)
    mean = query.compact()[0].float().mean(dim=0)
    return _centred(query, mean), [_centred(candidate, mean) for candidate in candidates]


def _centred(tokens: TokenSet, mean: Tensor) -> TokenSet:
    if not tokens.count:
        return tokens
    rows = tokens.descriptors.float() - mean
    norms = torch.linalg.vector_norm(rows, dim=1)
    valid = tokens.valid & (norms > _NOTHING)
    rows = torch.where(valid[:, None], rows / norms.clamp(min=_NOTHING)[:, None], 0.0)
    return replace(
        tokens,
        stored=rows,
        valid=valid,
        count=int(valid.sum()),
        weights=torch.where(valid, tokens.weights, 0.0),
    )
