"""Local features as the matching takes them: read from what callers hold, and checked once, with one device sync."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.errors import MatchingError
from fol.types import LocalFeatures, LocalFeaturesBatch

_WEIGHT_ROUNDING = 1e-3
_UNIT_TOLERANCE = 0.1  # beyond rounding by float16 or 8-bit storage: somebody forgot to normalise


@dataclass(frozen=True, eq=False)
class TokenSet:
    """The local features of one image, checked.

    ``descriptors [L, D]`` floating point, finite; ``valid [L]`` bool, False for zero rows (padding, which never
    matches); ``count`` how many are valid; ``weights [L]`` float32, zero where not valid; ``positions [L, 2]`` or
    None when the caller gave plain descriptors.
    """

    descriptors: Tensor
    valid: Tensor
    count: int
    weights: Tensor
    positions: Tensor | None = None

    def __len__(self) -> int:
        return int(self.descriptors.shape[0])

    def compact(self) -> tuple[Tensor, Tensor | None]:
        """Descriptors without the zero rows ``[count, D]``, in order, and their row numbers ``[count]`` (None: all)."""
        if self.count == len(self):
            return self.descriptors, None
        # A stable sort with a known cut gives the same as nonzero(), which would wait for the device.
        rows = torch.argsort((~self.valid).to(torch.uint8), stable=True)[: self.count]
        return self.descriptors[rows], rows


def check_sets(query: LocalFeatures | Tensor, candidates: object) -> tuple[TokenSet, list[TokenSet]]:
    """Read and check one query and its candidates.

    ``query``: ``LocalFeatures`` or a tensor ``[Lq, D]``. ``candidates``: ``LocalFeaturesBatch``, a sequence of
    ``LocalFeatures`` or of tensors ``[Lc, D]``, or a tensor ``[N, Lc, D]``. Plain tensors have weights of 1 and no
    positions. Floating-point types may differ between the sets; a set without tokens may have any D.

    Raises ``MatchingError`` naming the set at fault: wrong type or number of dimensions, another D or device than
    the query's, integers, NaN or infinity, weights outside
    [0, 1], fields of different lengths. Warns when rows are
    far from unit length, as cosine thresholds mean nothing then.
    """
    names = ["the query"]
    sets = [_read(query, names[0])]
    for k, item in enumerate(_listed(candidates)):
        names.append(f"candidate {k}")
        sets.append(_read(item, names[-1]))
        _check_against(sets[0][0], sets[-1][0], names[-1])
    checked = _check_values(sets, names)
    return checked[0], checked[1:]


_Parts = tuple[Tensor, Tensor | None, Tensor | None]  # descriptors, positions, weights


def _listed(candidates: object) -> Sequence[object]:
    if isinstance(candidates, Tensor):
        if candidates.dim() != 3:
            raise MatchingError(
                f"the candidates have shape {tuple(candidates.shape)}; give one tensor [N, Lc, D] or a list of [Lc, D]"
            )
        return candidates.unbind(0)
    if isinstance(candidates, LocalFeaturesBatch):
        rows = int(candidates.descriptors.shape[0])
        if sum(candidates.lengths) != rows:
            raise MatchingError(
                f"the candidates' lengths add up to {sum(candidates.lengths)}, but there are {rows} descriptors"
            )
        return list(candidates)  # its iterator is linear, its indexing is not
    if isinstance(candidates, Sequence) and not isinstance(candidates, str | bytes):
        return candidates
    raise MatchingError(
        f"the candidates are a {type(candidates).__name__}; give a list of LocalFeatures or of tensors [Lc, D], "
        "or one tensor [N, Lc, D]"
    )


def _read(item: object, name: str) -> _Parts:
    positions: Tensor | None = None
    weights: Tensor | None = None
    if isinstance(item, LocalFeatures):
        descriptors, positions, weights = item.descriptors, item.positions, item.weights
    elif isinstance(item, Tensor):
        descriptors = item
    else:
        raise MatchingError(f"{name} is a {type(item).__name__}; give LocalFeatures or a tensor [L, D]")
    if descriptors.dim() != 2:
        raise MatchingError(f"{name} has descriptors of shape {tuple(descriptors.shape)}; it must be [L, D]")
    if not descriptors.is_floating_point():
        raise MatchingError(f"{name} has {descriptors.dtype} descriptors; give unit rows in floating point")
    length = int(descriptors.shape[0])
    if positions is not None and tuple(positions.shape) != (length, 2):
        raise MatchingError(f"{name} has positions of shape {tuple(positions.shape)}; it must be [{length}, 2]")
    if weights is not None and tuple(weights.shape) != (length,):
        raise MatchingError(f"{name} has weights of shape {tuple(weights.shape)}; it must be [{length}]")
    return descriptors, positions, weights


def _check_against(query: Tensor, candidate: Tensor, name: str) -> None:
    if candidate.device != query.device:
        raise MatchingError(f"{name} is on {candidate.device}, the query on {query.device}; move one of them")
    if candidate.shape[0] and query.shape[0] and candidate.shape[1] != query.shape[1]:
        raise MatchingError(
            f"{name} has descriptors of {candidate.shape[1]} dimensions, the query of {query.shape[1]}; "
            "both must come from the same model"
        )


def _check_values(sets: Sequence[_Parts], names: Sequence[str]) -> list[TokenSet]:
    """Look at every value once; what was found crosses to the host in one transfer."""
    device = sets[0][0].device
    facts, masks, filled = [], [], []
    for descriptors, _, weights in sets:
        # Upcast one set at a time: float16 squares overflow, and a whole batch in float32 would double the memory.
        norms = torch.linalg.vector_norm(descriptors.detach().float(), dim=1)
        valid = norms > 0
        given = valid.float() if weights is None else weights.detach().to(device, torch.float32) * valid
        masks.append(valid)
        filled.append(given)
        facts += [
            norms.isfinite().all().double(),
            ((given >= 0) & (given <= 1 + _WEIGHT_ROUNDING)).all().double(),  # False for NaN
            valid.sum().double(),
            (((norms - 1).abs() > _UNIT_TOLERANCE) & valid).sum().double(),
        ]
    rows = torch.stack(facts).view(-1, 4).tolist()
    for (descriptors, _, _), name, (finite, weighted, _, _) in zip(sets, names, rows, strict=True):
        if not finite:
            raise MatchingError(f"{name} {_where_not_finite(descriptors)}")
        if not weighted:
            raise MatchingError(f"{name} has weights that are not in [0, 1]")
    odd = [name for name, row in zip(names, rows, strict=True) if row[3]]
    if odd:
        warnings.warn(
            f"{odd[0]} has descriptors that are not of unit length ({len(odd)} of {len(names)} sets do), so their "
            "products are not cosines; normalise them with torch.nn.functional.normalize(descriptors, dim=1)",
            stacklevel=4,
        )
    return [
        TokenSet(descriptors, valid, int(row[2]), weights, positions)
        for (descriptors, positions, _), valid, weights, row in zip(sets, masks, filled, rows, strict=True)
    ]


def _where_not_finite(descriptors: Tensor) -> str:
    bad = (~descriptors.isfinite()).any(dim=1).nonzero().flatten()
    if len(bad):
        return f"has a NaN or infinite descriptor (token {int(bad[0])}, {len(bad)} in all); it cannot be compared"
    return "has descriptors too large for float32 arithmetic; normalise them to unit length"
