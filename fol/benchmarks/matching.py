"""Re-ranking one query against the published formulation: every precision, the cascade, and token budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fol.benchmarks.measuring import compare
from fol.benchmarks.peaks import Peaks
from fol.benchmarks.report import Report, rows_of
from fol.matching import QuantisedLocalFeatures, Quantiser, random_rotation
from fol.reranking import Method, RerankOptions, rerank
from fol.types import LocalFeaturesBatch, Ranking


@dataclass(frozen=True)
class MatchingSize:
    """How much is matched: ``candidates`` of ``tokens`` each, ``rounds`` times."""

    candidates: int = 100
    tokens: int = 3600
    dim: int = 128
    rounds: int = 5


def correlated_sets(candidates: int, tokens: int, dim: int) -> tuple[Tensor, Tensor]:
    """A query ``[L, D]`` and candidates ``[N, L, D]`` that repeat from 80 % down to none of its rows, with noise."""
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)

    query, others = unit(tokens, dim), unit(candidates, tokens, dim)
    for k in range(candidates):
        shared = int(0.8 * tokens * (1 - k / candidates))
        rows = torch.nn.functional.normalize(query[:shared] + 0.4 * others[k, :shared], dim=-1)
        others[k, :shared] = rows
        others[k] = others[k][torch.randperm(tokens, generator=generator)]
    return query, others


def published_counts(query: Tensor, candidates: Tensor) -> Tensor:
    """Counts as the published code computes them (official: test_FoL.py:53-92): whole matrix, then a loop."""
    similarity = torch.matmul(query, candidates.transpose(1, 2))
    nearest_candidate, nearest_query = similarity.argmax(2), similarity.argmax(1)
    rows = torch.arange(len(query))
    counts = []
    for k in range(len(candidates)):
        mutual = nearest_query[k][nearest_candidate[k]] == rows
        counts.append(int((mutual & (similarity[k, rows, nearest_candidate[k]] > 0.7)).sum()))
    return torch.tensor(counts)


def measure(size: MatchingSize, peaks: Peaks | None = None) -> Report:
    """Time, memory and agreement of counts with the published formulation, float32 and codes as a map stores them."""
    query, candidates = correlated_sets(size.candidates, size.tokens, size.dim)
    packed, stored = _batches(candidates, size.tokens)
    counts: dict[str, Tensor] = {}

    def work(
        name: str,
        given: LocalFeaturesBatch | QuantisedLocalFeatures,
        options: RerankOptions,
        method: Method = "official",
        tokens: Tensor = query,
    ) -> Callable[[], object]:
        def run() -> object:
            ranking = rerank(tokens, given, method=method, options=options)
            counts[name] = _by_id(ranking)
            return ranking

        return run

    def published() -> object:
        counts["published"] = published_counts(query, candidates)
        return counts["published"]

    works: dict[str, Callable[[], object]] = {"published": published}
    for name, given, options in (
        ("exact, torch", packed, RerankOptions(backend="torch")),
        ("exact", packed, RerankOptions()),
        ("int8, from float32", packed, RerankOptions(precision="int8")),
        ("int8", stored, RerankOptions(precision="int8")),
        ("binary", stored, RerankOptions(precision="binary")),
    ):
        works[name] = work(name, given, options)
    works["cascade"] = work("cascade", stored, RerankOptions(), "cascade")
    budgets = [budget for budget in (900, 450, 225) if budget < size.tokens]
    for budget in budgets:
        _, thinned = _batches(candidates[:, :budget].contiguous(), budget)
        name = f"int8, {budget} tokens"
        works[name] = work(name, thinned, RerankOptions(precision="int8"), tokens=query[:budget])
    timings = compare(works, size.rounds)
    operations = 2.0 * size.candidates * size.tokens**2 * size.dim
    floors: dict[str, float] = {}
    if peaks is not None:
        floors = dict.fromkeys(("published", "exact, torch", "exact"), operations / peaks.float32)
        if peaks.int8 is not None:
            floors |= dict.fromkeys(("int8, from float32", "int8"), operations / peaks.int8)
            floors |= {f"int8, {b} tokens": operations * (b / size.tokens) ** 2 / peaks.int8 for b in budgets}
    notes = {
        name: _agreement(counts[name], counts["published"])
        for name in ("exact, torch", "exact", "int8, from float32", "int8")
    }
    return Report(
        "matching",
        f"One query, {size.candidates} candidates, {size.tokens} tokens of {size.dim} values, "
        f"{torch.get_num_threads()} threads, median of {size.rounds}.",
        rows_of(timings, floors, notes),
    )


def _batches(candidates: Tensor, tokens: int) -> tuple[LocalFeaturesBatch, QuantisedLocalFeatures]:
    """The candidates packed, and as int8 codes around their mean after a rotation, as a map keeps them."""
    count, _, dim = candidates.shape
    rows = candidates.reshape(count * tokens, dim)
    packed = LocalFeaturesBatch(rows, torch.zeros(len(rows), 2), torch.ones(len(rows)), (tokens,) * count)
    quantiser = Quantiser.fit(rows[: 10 * tokens], random_rotation(dim, 0))
    return packed, QuantisedLocalFeatures.encode(packed, quantiser)


def _by_id(ranking: Ranking) -> Tensor:
    return ranking.num_matches[ranking.ids.argsort()]


def _agreement(counts: Tensor, published: Tensor) -> str:
    difference = (counts - published).abs()
    if not bool(difference.any()):
        return "identical counts"
    share = float((difference / published.clamp(min=1)).mean())
    return f"counts differ by {int(difference.max())} of {int(published.max())} at most, {100 * share:.2f} % on average"
