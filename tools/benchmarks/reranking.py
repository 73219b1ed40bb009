"""Re-ranking against the published formulation, in one process: time as a ratio, peak memory above the features."""

from __future__ import annotations

import torch
from torch import Tensor

import fol
from benchmarks.measuring import measure, parse


def correlated_sets(candidates: int, tokens: int, dim: int = 128) -> tuple[Tensor, Tensor]:
    """A query and candidates that repeat from 80 % down to none of its rows, with noise, shuffled."""
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


def published(query: Tensor, candidates: Tensor) -> list[int]:
    """Counts as the published code computes them (official: test_FoL.py:53-92): whole matrix, then a loop."""
    similarity = torch.matmul(query, candidates.transpose(1, 2))
    nearest_candidate, nearest_query = similarity.argmax(2), similarity.argmax(1)
    rows = torch.arange(len(query))
    counts = []
    for k in range(len(candidates)):
        mutual = nearest_query[k][nearest_candidate[k]] == rows
        counts.append(int((mutual & (similarity[k, rows, nearest_candidate[k]] > 0.7)).sum()))
    return counts


def ours(query: Tensor, candidates: Tensor) -> list[int]:
    """The same counts from ``fol.rerank``, in the incoming order."""
    ranking = fol.rerank(query, candidates, method="official")
    return ranking.num_matches[ranking.ids.argsort()].tolist()


def run(words: list[str]) -> None:
    """Measure and print a Markdown table."""
    options = parse(words, {"candidates": 100, "tokens": 3600, "repeats": 3, "threads": 2})
    torch.set_num_threads(options["threads"])
    query, candidates = correlated_sets(options["candidates"], options["tokens"])
    # Ours first: memory that the other has used and given back would hide what ours needs.
    counts, fast, fast_memory = measure(lambda: ours(query, candidates), options["repeats"])
    expected, slow, slow_memory = measure(lambda: published(query, candidates), options["repeats"])
    difference = max(abs(a - b) for a, b in zip(counts, expected, strict=True))
    print(f"{options}, torch {torch.__version__}; largest difference of counts: {difference}\n")
    print("| formulation | seconds | ratio | extra peak MB |\n|---|---|---|---|")
    print(f"| published, whole matrix | {slow:.2f} | 1.0 | {slow_memory:.0f} |")
    print(f"| fol.rerank | {fast:.2f} | {slow / fast:.1f} | {fast_memory:.0f} |")
