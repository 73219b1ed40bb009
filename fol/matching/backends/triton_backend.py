"""Mutual nearest neighbours on CUDA devices by Triton kernels: all candidates of all queries in one launch per step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import torch

from fol.errors import ConfigError
from fol.matching.backends import torch_tiled
from fol.matching.inputs import TokenSet, quantisers, with_tokens
from fol.matching.mutual_nearest import BatchMatches
from fol.matching.quantisation import Quantiser

if TYPE_CHECKING:
    from fol.matching.backends import Backend, Precision

_LEAST_CAPABILITY = (8, 0)  # what the kernels are compiled for in the tests


def usable(device: torch.device | str) -> bool:
    """Whether the kernels can run there: a CUDA device of compute capability 8.0 or more, and Triton is installed."""
    device = torch.device(device)
    return (
        device.type == "cuda"
        and torch.version.cuda is not None
        and torch.cuda.is_available()
        and torch.cuda.get_device_capability(device) >= _LEAST_CAPABILITY
        and find_spec("triton") is not None
    )


def create(device: torch.device, precision: Precision = "exact") -> Backend:
    """The backend for CUDA devices, or for the CPU when Triton interprets kernels (``TRITON_INTERPRET=1``).

    Binary matching is the torch backend's. Raises ``ConfigError`` where the kernels cannot run.
    """
    if precision == "binary":
        return torch_tiled.create(device, precision)
    interpreted = os.environ.get("TRITON_INTERPRET") == "1" and find_spec("triton") is not None
    if not interpreted:
        reason = None if usable(device) else "it needs Triton and a CUDA device of compute capability 8.0 or more"
        reason = reason or _driver_fault()
        if reason is not None:
            raise ConfigError(
                f"the matching backend 'triton' cannot run on {device}: {reason}; choose the backend 'auto'"
            )
    return TritonBackend(precision)


@cache
def _driver_fault() -> str | None:
    """What keeps Triton from starting, which needs more than a device: a C compiler, for one."""
    try:
        from triton.runtime import driver

        driver.active.get_current_device()
    except Exception as error:  # of many kinds, among them those of the compiler's process
        return " ".join(str(error).split()) or type(error).__name__
    return None


class TritonBackend:
    """Exact float32, or integer arithmetic on codes. One transfer to the device per batch, and no waiting for it.

    Sets of more codes than ``launch.longest_coded_set`` (32768 of 128 dimensions) are left to the torch backend.
    """

    name = "triton"

    def __init__(self, precision: Precision) -> None:
        self._precision = precision

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """See ``Backend.match``."""
        return self.match_many([query], [candidates], threshold)[0]

    def match_many(
        self, queries: Sequence[TokenSet], candidates: Sequence[Sequence[TokenSet]], threshold: float | None
    ) -> list[BatchMatches]:
        """``match`` of each query with its own candidates, in the launches of one; sets may occur more than once."""
        answers: list[BatchMatches | None] = [None] * len(queries)
        with torch.no_grad():
            groups = self._grouped(queries, candidates)
            if not all(quantiser is None or _fits(quantiser, queries, candidates) for quantiser, _ in groups):
                plain = torch_tiled.create(queries[0].device, self._precision)
                return [plain.match(query, own, threshold) for query, own in zip(queries, candidates, strict=True)]
            for quantiser, pairs in groups:
                _fill(answers, queries, candidates, pairs, quantiser, threshold)
        return [
            BatchMatches.none(len(own), len(query), query.device) if answer is None else answer
            for answer, query, own in zip(answers, queries, candidates, strict=True)
        ]

    def _grouped(
        self, queries: Sequence[TokenSet], candidates: Sequence[Sequence[TokenSet]]
    ) -> list[tuple[Quantiser | None, list[tuple[int, int]]]]:
        """Pairs (query, candidate) with tokens on both sides, by the codes in which they are compared."""
        if self._precision == "exact":
            filled = [(q, k) for q, own in enumerate(candidates) for k in with_tokens(queries[q], own)]
            return [(None, filled)] if filled else []
        groups: dict[int, tuple[Quantiser | None, list[tuple[int, int]]]] = {}
        for q, own in enumerate(candidates):
            for quantiser, numbers in quantisers(queries[q], own):
                groups.setdefault(id(quantiser), (quantiser, []))[1].extend((q, k) for k in numbers)
        return list(groups.values())


def _fits(quantiser: Quantiser, queries: Sequence[TokenSet], candidates: Sequence[Sequence[TokenSet]]) -> bool:
    """Whether the kernels can keep a product of codes and the number of a tile in one integer."""
    from fol.matching.backends.triton_kernels.launch import longest_coded_set

    longest = max(item.count for item in (*queries, *(c for own in candidates for c in own)))
    return longest <= longest_coded_set(quantiser.dim)


def _fill(
    answers: list[BatchMatches | None],
    queries: Sequence[TokenSet],
    candidates: Sequence[Sequence[TokenSet]],
    pairs: Sequence[tuple[int, int]],
    quantiser: Quantiser | None,
    threshold: float | None,
) -> None:
    """Match the pairs (query, candidate), which are sorted by query, and put what is found into the answers."""
    from fol.matching.backends.triton_kernels.launch import RaggedPairs, match_pairs, to_device
    from fol.matching.backends.triton_kernels.packing import pack

    x_numbers = list(dict.fromkeys(q for q, _ in pairs))
    y_numbers = {id(candidates[q][k]): (q, k) for q, k in pairs}  # every set once, however often it occurs
    x = pack([queries[q] for q in x_numbers], quantiser)
    y = pack([candidates[q][k] for q, k in y_numbers.values()], quantiser)
    x_slot, y_slot = ({key: slot for slot, key in enumerate(keys)} for keys in (x_numbers, y_numbers))
    x_slots = [x_slot[q] for q, _ in pairs]
    y_slots = [y_slot[id(candidates[q][k])] for q, k in pairs]
    table = RaggedPairs.upload(
        [x.starts[slot] for slot in x_slots],
        [x.counts[slot] for slot in x_slots],
        [y.starts[slot] for slot in y_slots],
        [y.counts[slot] for slot in y_slots],
        queries[0].device,
    )
    partner, similarity = match_pairs(x.sets, y.sets, table, threshold, quantiser)
    if y.row_numbers is not None:
        row = table.table[2][:, None] + partner.clamp(min=0)
        partner = torch.where(partner >= 0, y.row_numbers[row], -1)
    first = 0
    for (q, own), start, count in zip(groupby(pairs, key=itemgetter(0)), x.starts, x.counts, strict=True):
        numbers = [k for _, k in own]
        found = slice(first, first + len(numbers)), slice(count)
        first += len(numbers)
        if len(numbers) == len(candidates[q]) and count == len(queries[q]):
            answers[q] = BatchMatches(partner[found], similarity[found])
            continue
        answer = answers[q] = answers[q] or BatchMatches.none(len(candidates[q]), len(queries[q]), queries[q].device)
        rows = torch.arange(count, device=partner.device) if x.row_numbers is None else x.row_numbers[start:][:count]
        (places,) = to_device([numbers], partner.device)
        answer.partner[places[:, None], rows] = partner[found]
        answer.similarity[places[:, None], rows] = similarity[found]
