"""Local features as the matching takes them: read from what callers hold, and checked once, with one device sync."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from fol.errors import MatchingError
from fol.matching.norms import row_norms
from fol.matching.quantisation import QuantisedLocalFeatures, Quantiser
from fol.matching.threads import map_single_threaded
from fol.types import LocalFeatures, LocalFeaturesBatch

_WEIGHT_ROUNDING = 1e-3
_UNIT_TOLERANCE = 0.1  # beyond rounding by float16 or 8-bit storage: somebody forgot to normalise


@dataclass(frozen=True, eq=False)
class Codes:
    """Tokens of one image as ``Quantiser.encode`` gives them: ``codes [L, D]`` int8, ``bias [L]`` float32."""

    codes: Tensor
    bias: Tensor
    quantiser: Quantiser


@dataclass(frozen=True, eq=False)
class TokenSet:
    """The local features of one image, checked.

    ``stored``: descriptors ``[L, D]`` floating point, finite, or their ``Codes``; ``valid [L]`` bool, False for zero
    rows (padding, which never matches; codes have none); ``count`` how many are valid; ``weights [L]`` float32, zero
    where not valid; ``positions [L, 2]`` or None when the caller gave plain descriptors.
    """

    stored: Tensor | Codes
    valid: Tensor
    count: int
    weights: Tensor
    positions: Tensor | None = None

    def __len__(self) -> int:
        return int(self.valid.shape[0])

    @property
    def device(self) -> torch.device:
        """Of every tensor here."""
        return self.valid.device

    @cached_property
    def descriptors(self) -> Tensor:
        """``[L, D]`` floating point; decoded at the first look when codes are stored."""
        stored = self.stored
        return stored if isinstance(stored, Tensor) else stored.quantiser.decode(stored.codes)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return int((self.stored if isinstance(self.stored, Tensor) else self.stored.codes).shape[1])

    @property
    def quantiser(self) -> Quantiser | None:
        """Of the stored codes, None for descriptors."""
        return None if isinstance(self.stored, Tensor) else self.stored.quantiser

    def compact(self) -> tuple[Tensor, Tensor | None]:
        """Descriptors without the zero rows ``[count, D]``, in order, and their row numbers ``[count]`` (None: all)."""
        rows = self.valid_rows()
        return (self.descriptors if rows is None else self.descriptors[rows]), rows

    def valid_rows(self) -> Tensor | None:
        """Numbers of the valid rows ``[count]``, ascending; None for all."""
        if self.count == len(self):
            return None
        # A stable sort with a known cut gives the same as nonzero(), which would wait for the device.
        return torch.argsort((~self.valid).to(torch.uint8), stable=True)[: self.count]

    def encoded(self, quantiser: Quantiser) -> tuple[Tensor, Tensor]:
        """Codes ``[count, D]`` int8 and bias ``[count]`` float32 of the valid rows, in the order of ``compact``.

        The stored ones where they come from that quantiser object, otherwise made from the descriptors.
        """
        if isinstance(self.stored, Codes) and self.stored.quantiser is quantiser:
            return self.stored.codes, self.stored.bias
        return quantiser.encode(self.compact()[0])


def with_tokens(query: TokenSet, candidates: Sequence[TokenSet]) -> list[int]:
    """Numbers of the candidates that can match at all: both sides have tokens."""
    return [k for k, candidate in enumerate(candidates) if candidate.count and query.count]


def quantisers(query: TokenSet, candidates: Sequence[TokenSet]) -> list[tuple[Quantiser, list[int]]]:
    """In which codes each candidate is compared: ``[(quantiser, candidate numbers)]``; those without tokens are absent.

    A candidate with codes keeps its own. The others share the query's: the one of its codes, else one fitted to its
    valid descriptors. So the choice follows from that candidate and the query alone.
    """
    groups: dict[int, tuple[Quantiser, list[int]]] = {}
    of_query = query.quantiser
    for k in with_tokens(query, candidates):
        chosen = candidates[k].quantiser or of_query
        if chosen is None:
            chosen = of_query = Quantiser.fit(query.compact()[0])
        groups.setdefault(id(chosen), (chosen, []))[1].append(k)
    return list(groups.values())


def check_sets(
    query: LocalFeatures | QuantisedLocalFeatures | Tensor, candidates: object
) -> tuple[TokenSet, list[TokenSet]]:
    """Read and check one query and its candidates.

    ``query``: ``LocalFeatures``, ``QuantisedLocalFeatures`` of one image, or a tensor ``[Lq, D]``. ``candidates``:
    ``LocalFeaturesBatch``, ``QuantisedLocalFeatures``, a sequence of what a query can be, or a tensor ``[N, Lc, D]``.
    Packed ones are looked at in one pass. Plain tensors have weights of 1 and no positions. Floating-point types may
    differ between the sets; a set without tokens may have any D.

    Raises ``MatchingError`` naming the set at fault: wrong type or number of dimensions, another D or device than
    the query's, integers, NaN or infinity, weights outside [0, 1], fields of different lengths. Warns when rows are
    far from unit length, as cosine thresholds mean nothing then.
    """
    blocks = [_read(query, "the query"), *_listed(candidates)]
    for block in blocks[1:]:
        _check_against(blocks[0].rows, block.rows, block.names[0])
    checked = _check_values(blocks)
    return checked[0], checked[1:]


@dataclass(frozen=True, eq=False)
class _Block:
    """Sets packed end to end, as the caller gave them."""

    rows: Tensor  # descriptors, or codes
    weights: Tensor | None
    positions: Tensor | None
    lengths: Sequence[int]
    names: Sequence[str]
    bias: Tensor | None = None
    quantiser: Quantiser | None = None


def _listed(candidates: object) -> list[_Block]:
    if isinstance(candidates, Tensor):
        if candidates.dim() != 3:
            raise MatchingError(
                f"the candidates have shape {tuple(candidates.shape)}; give one tensor [N, Lc, D] or a list of [Lc, D]"
            )
        count, length, dim = candidates.shape
        if not count:
            return []
        if candidates.is_contiguous():
            packed = candidates.view(count * length, dim)
            return [_checked_block(_Block(packed, None, None, [length] * count, _names(count)))]
        return [_read(item, name) for item, name in zip(candidates.unbind(0), _names(count), strict=True)]
    if isinstance(candidates, LocalFeaturesBatch | QuantisedLocalFeatures):
        if not len(candidates):
            return []
        if sum(candidates.lengths) != _packed_rows(candidates):
            raise MatchingError(
                f"the candidates' lengths add up to {sum(candidates.lengths)}, "
                f"but there are {_packed_rows(candidates)} descriptors"
            )
        return [_packed(candidates, _names(len(candidates)))]
    if isinstance(candidates, Sequence) and not isinstance(candidates, str | bytes):
        return [_read(item, f"candidate {k}") for k, item in enumerate(candidates)]
    raise MatchingError(
        f"the candidates are a {type(candidates).__name__}; give a list of LocalFeatures or of tensors [Lc, D], "
        "or one tensor [N, Lc, D]"
    )


def _names(count: int) -> list[str]:
    return [f"candidate {k}" for k in range(count)]


def _packed_rows(features: LocalFeaturesBatch | QuantisedLocalFeatures) -> int:
    return int((features.codes if isinstance(features, QuantisedLocalFeatures) else features.descriptors).shape[0])


def _packed(features: LocalFeaturesBatch | QuantisedLocalFeatures, names: Sequence[str]) -> _Block:
    if isinstance(features, LocalFeaturesBatch):
        block = _Block(features.descriptors, features.weights, features.positions, features.lengths, names)
    else:
        block = _Block(
            features.codes,
            features.weights,
            features.positions,
            features.lengths,
            names,
            features.bias,
            features.quantiser,
        )
    return _checked_block(block)


def _read(item: object, name: str) -> _Block:
    if isinstance(item, LocalFeatures):
        rows = item.descriptors
        return _checked_block(_Block(rows, item.weights, item.positions, [_length(rows)], [name]))
    if isinstance(item, QuantisedLocalFeatures):
        if len(item) != 1:
            raise MatchingError(f"{name} has the codes of {len(item)} images; give those of one")
        return _packed(item, [name])
    if isinstance(item, Tensor):
        return _checked_block(_Block(item, None, None, [_length(item)], [name]))
    raise MatchingError(f"{name} is a {type(item).__name__}; give LocalFeatures or a tensor [L, D]")


def _length(rows: Tensor) -> int:
    return int(rows.shape[0]) if rows.dim() else 0


def _checked_block(block: _Block) -> _Block:
    """Types and shapes."""
    name = block.names[0] if len(block.names) == 1 else "the set of candidates"
    rows = block.rows
    if rows.dim() != 2:
        raise MatchingError(f"{name} has descriptors of shape {tuple(rows.shape)}; it must be [L, D]")
    length = int(rows.shape[0])
    fields: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("positions", block.positions, (length, 2)),
        ("weights", block.weights, (length,)),
    ]
    if block.quantiser is None:
        if not rows.is_floating_point():
            raise MatchingError(f"{name} has {rows.dtype} descriptors; give unit rows in floating point")
    else:
        fields.append(("a bias", block.bias, (length,)))
        if rows.dtype != torch.int8:
            raise MatchingError(f"{name} has {rows.dtype} codes; they must be int8")
        if rows.shape[1] != block.quantiser.dim:
            raise MatchingError(
                f"{name} has codes of {rows.shape[1]} dimensions, its quantiser has {block.quantiser.dim}"
            )
    for field, values, shape in fields:
        if values is not None and tuple(values.shape) != shape:
            raise MatchingError(f"{name} has {field} of shape {tuple(values.shape)}; it must be {list(shape)}")
    return block


def _check_against(query: Tensor, candidate: Tensor, name: str) -> None:
    if candidate.device != query.device:
        raise MatchingError(f"{name} is on {candidate.device}, the query on {query.device}; move one of them")
    if candidate.shape[0] and query.shape[0] and candidate.shape[1] != query.shape[1]:
        raise MatchingError(
            f"{name} has descriptors of {candidate.shape[1]} dimensions, the query of {query.shape[1]}; "
            "both must come from the same model"
        )


def _check_values(blocks: Sequence[_Block]) -> list[TokenSet]:
    """Look at every value once; what was found crosses to the host in one transfer."""
    norms = [row_norms(block.rows) if block.bias is None else block.bias for block in blocks]
    work = list(zip(blocks, norms, strict=True))
    on_cpu = blocks[0].rows.device.type == "cpu"
    found = map_single_threaded(_examine, work) if on_cpu else [_examine(item) for item in work]
    masks, filled, facts = zip(*found, strict=True)
    rows = torch.cat(facts, dim=1).T.tolist()
    names = [name for block in blocks for name in block.names]
    starts = [block.rows[start : start + n] for block in blocks for start, n in _ranges(block.lengths)]
    for descriptors, name, (infinite, unweighted, _, _) in zip(starts, names, rows, strict=True):
        if infinite:
            raise MatchingError(f"{name} {_where_not_finite(descriptors)}")
        if unweighted:
            raise MatchingError(f"{name} has weights that are not in [0, 1]")
    odd_names = [name for name, row in zip(names, rows, strict=True) if row[3]]
    if odd_names:
        warnings.warn(
            f"{odd_names[0]} has descriptors that are not of unit length ({len(odd_names)} of {len(names)} sets do), "
            "so their products are not cosines; normalise them with "
            "torch.nn.functional.normalize(descriptors, dim=1)",
            stacklevel=4,
        )
    counts = iter(int(row[2]) for row in rows)
    return [
        token_set
        for block, valid, weights in zip(blocks, masks, filled, strict=True)
        for token_set in _split(block, valid, weights, [next(counts) for _ in block.lengths])
    ]


def _examine(work: tuple[_Block, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Valid rows ``[L]``, their weights ``[L]``, and how many rows of every set are bad, valid or odd ``[4, N]``."""
    block, norms = work
    infinite = ~norms.isfinite()
    if block.bias is None:
        valid = norms > 0
        odd = (norms - 1).abs_().gt(_UNIT_TOLERANCE) & valid
    else:  # codes of any value are valid; a bias that is not finite stands for a bad descriptor
        valid = torch.ones_like(infinite)
        odd = torch.zeros_like(infinite)
    if block.weights is None:
        weights = valid.float()
        unweighted = torch.zeros_like(infinite)
    else:
        weights = block.weights.detach().to(norms.device, torch.float32)
        if block.bias is None:
            weights = torch.where(valid, weights, 0.0)
        unweighted = ~((weights >= 0) & (weights <= 1 + _WEIGHT_ROUNDING))  # True for NaN
    return valid, weights, torch.stack([_per_set(f, block.lengths) for f in (infinite, unweighted, valid, odd)])


def _ranges(lengths: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(accumulate([0, *lengths[:-1]]), lengths, strict=True)) if lengths else []


def _per_set(flag: Tensor, lengths: Sequence[int]) -> Tensor:
    """How many rows of every set have the flag: ``[sum(lengths)]`` bool to ``[N]`` int64."""
    if len(set(lengths)) == 1:
        # float32 counts up to 2^24 exactly, and several times as fast as integers
        return flag.float().view(len(lengths), lengths[0]).sum(dim=1).long()
    ends = torch.tensor([0, *accumulate(lengths)]).to(flag.device, non_blocking=True)
    running = torch.nn.functional.pad(flag.cumsum(dim=0, dtype=torch.int32), (1, 0))
    return (running[ends[1:]] - running[ends[:-1]]).long()


def _split(block: _Block, valid: Tensor, weights: Tensor, counts: Sequence[int]) -> list[TokenSet]:
    lengths = list(block.lengths)
    nothing: list[Tensor | None] = [None] * len(lengths)
    rows = torch.split(block.rows, lengths)
    stored: Sequence[Tensor | Codes] = rows
    if block.quantiser is not None and block.bias is not None:
        biases = torch.split(block.bias, lengths)
        stored = [Codes(part, bias, block.quantiser) for part, bias in zip(rows, biases, strict=True)]
    positions = nothing if block.positions is None else torch.split(block.positions, lengths)
    parts = zip(stored, torch.split(valid, lengths), counts, torch.split(weights, lengths), positions, strict=True)
    return [TokenSet(*part) for part in parts]


def _where_not_finite(descriptors: Tensor) -> str:
    if not descriptors.is_floating_point():
        return "has a bias that is not finite; it cannot be compared"
    bad = (~descriptors.isfinite()).any(dim=1).nonzero().flatten()
    if len(bad):
        return f"has a NaN or infinite descriptor (token {int(bad[0])}, {len(bad)} in all); it cannot be compared"
    return "has descriptors too large for float32 arithmetic; normalise them to unit length"
