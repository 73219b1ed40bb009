"""The backend for CPUs: compiled by numba at first use, for the best instructions that the machine has.

The matrix of similarities never exists: ``cpu_tiles.py`` keeps running maxima, 1 KB per ten candidate tokens and
thread. Candidates go to as many threads as torch has, each with a whole candidate at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fol.errors import ConfigError
from fol.matching.backends import cpu_binary, cpu_float32, cpu_int8
from fol.matching.backends.coded import MAX_BIAS, binary_similarity, hamming_similarities, int8_similarity
from fol.matching.backends.cpu_encode import encode, encode_codes
from fol.matching.backends.cpu_features import cpu_features
from fol.matching.backends.cpu_mutual import Kernel, PairSearch, Scratch, pick
from fol.matching.inputs import TokenSet, quantisers
from fol.matching.mutual_nearest import BatchMatches
from fol.matching.precision import Precision
from fol.matching.quantisation import Quantiser
from fol.matching.threads import map_single_threaded

_Answer = tuple[Tensor, Tensor]  # partner [count] among the candidate's valid rows, -1 for none; similarity [count]
_Match = Callable[[TokenSet], _Answer]


#: Products of components per candidate, in about half a millisecond.
_SHORT = {"exact": 2e7, "int8": 2e8, "binary": 2e8}


class CpuBackend:
    """Above the features it needs about ``12 N Lq`` bytes for the answer and 1 MB of scratch per thread."""

    name = "cpu"

    def __init__(self, precision: Precision, kernel: Kernel) -> None:
        self.precision = precision
        self._kernel = kernel

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        least = -math.inf if threshold is None else threshold

        def prepare(_: None) -> tuple[Tensor, Tensor, Tensor | None, list[tuple[_Match, list[int]]]]:
            shape = (len(candidates), len(query))
            matchers = self._matchers(query, candidates, least)
            return torch.full(shape, -1), torch.zeros(shape), query.valid_rows(), matchers

        def fill(work: tuple[_Match, int]) -> None:
            match, k = work
            found, value = match(candidates[k])
            numbers = candidates[k].valid_rows()
            if numbers is not None:
                found = torch.where(found >= 0, numbers[found], -1)
            if rows is None:
                partner[k], similarity[k] = found, value
            else:
                partner[k, rows], similarity[k, rows] = found, value

        with torch.no_grad():
            # Not by all cores either: where these are busy, dividing such small work takes longer than all of it.
            ((partner, similarity, rows, matchers),) = map_single_threaded(prepare, [None])
            for match, members in matchers:
                work = [(match, k) for k in members]
                if self._is_short(query, candidates, members):
                    for item in work:
                        fill(item)
                else:
                    map_single_threaded(fill, work)
        return BatchMatches(partner, similarity)

    def _is_short(self, query: TokenSet, candidates: Sequence[TokenSet], members: list[int]) -> bool:
        """Whether the kernels return so soon that threads would mostly wait for each other's Python code."""
        tokens = sum(candidates[k].count for k in members) / len(members)
        return query.count * tokens * query.dim < _SHORT[self.precision]

    def _matchers(
        self, query: TokenSet, candidates: Sequence[TokenSet], least: float
    ) -> list[tuple[_Match, list[int]]]:
        scratch = Scratch()
        if self.precision == "exact":
            members = [k for k, candidate in enumerate(candidates) if candidate.count and query.count]
            return [(_exact(self._kernel, query, least, scratch), members)] if members else []
        matcher = _int8 if self.precision == "int8" else _binary
        return [
            (matcher(self._kernel, query, quantiser, least, scratch), members)
            for quantiser, members in quantisers(query, candidates)
        ]


def create(device: torch.device, precision: Precision) -> CpuBackend:
    """Raises ``ConfigError`` for other devices, and for processors without fused multiply-add ("exact")."""
    if device.type != "cpu":
        raise ConfigError(f"the matching backend 'cpu' does not run on {device}; use backend='auto'")
    modules = {"exact": cpu_float32, "int8": cpu_int8, "binary": cpu_binary}
    kernel = pick(modules[precision].KERNELS, cpu_features())
    if kernel is None:
        raise ConfigError(
            f"this processor has no instructions for fast matching in precision {precision!r}; use backend='torch'"
        )
    return CpuBackend(precision, kernel)


def _exact(kernel: Kernel, query: TokenSet, least: float, scratch: Scratch) -> _Match:
    search = PairSearch(kernel, cpu_float32.rows(query.compact()[0]), scratch)
    bound = np.float32(least)

    def match(candidate: TokenSet) -> _Answer:
        found, value = search(cpu_float32.rows(candidate.compact()[0]), bound)
        return torch.from_numpy(found), torch.from_numpy(value)

    return match


def _int8(kernel: Kernel, query: TokenSet, quantiser: Quantiser, least: float, scratch: Scratch) -> _Match:
    codes, bias = query.encoded(quantiser)
    rows = cpu_int8.rows(codes, bias, quantiser, kernel, is_query=True)
    search = PairSearch(kernel, rows, scratch)
    bound = _least_key(least, quantiser) if int(np.abs(rows.start).max()) < MAX_BIAS else _LOWEST
    whole = torch.from_numpy(rows.start)

    def match(candidate: TokenSet) -> _Answer:
        their_codes, their_bias = encode(candidate, quantiser)
        theirs = cpu_int8.rows(their_codes, their_bias, quantiser, kernel, is_query=False)
        saturated = int(np.abs(theirs.start).max()) == MAX_BIAS
        partner, key = search(theirs, np.int32(_LOWEST if saturated else bound))
        found = torch.from_numpy(partner)
        at = found.clamp(min=0)
        products = torch.from_numpy(key).long() - whole - torch.from_numpy(theirs.start)[at]
        return _above(found, int8_similarity(products, bias, their_bias[at], quantiser), least)

    return match


def _binary(kernel: Kernel, query: TokenSet, quantiser: Quantiser, least: float, scratch: Scratch) -> _Match:
    search = PairSearch(kernel, cpu_binary.rows(query.encoded(quantiser)[0]), scratch)
    dim = quantiser.dim
    bound = -int((hamming_similarities(dim) > least).sum())  # similarities fall with the distance

    def match(candidate: TokenSet) -> _Answer:
        partner, key = search(cpu_binary.rows(encode_codes(candidate, quantiser)), np.int32(bound))
        return _above(torch.from_numpy(partner), binary_similarity(-torch.from_numpy(key), dim), least)

    return match


def _above(found: Tensor, similarity: Tensor, least: float) -> _Answer:
    matched = (found >= 0) & (similarity > least)
    return torch.where(matched, found, -1), torch.where(matched, similarity, 0.0)


_LOWEST = int(np.iinfo(np.int32).min)


def _least_key(least: float, quantiser: Quantiser) -> int:
    """A key that no cosine above ``least`` stays below: rounding both biases moves a key by 1 at most."""
    if least == -math.inf:
        return _LOWEST
    key = (least + quantiser.squared_mean) * quantiser.scale * quantiser.scale
    margin = 2 + abs(key) * 1e-5  # and float32 rounds the cosine
    return int(min(max(math.floor(key - margin), _LOWEST), -_LOWEST - 1))
