"""Tuples of a query, its easiest positive, hard negatives and difficult positives, by cached descriptors.

Source: Relja/netvlad (trainWeakly.m), yxgeee/OpenIBL (ibl/utils/data/sampler.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fol.data.training.weak_places import WeakPlaces
from fol.errors import ConfigError
from fol.training.mining.k_reciprocal import difficult_positives, reciprocal_distances
from fol.training.mining.neighbours import Neighbours
from fol.training.mining.options import MiningOptions
from fol.training.mining.similarity import pair_similarities


@dataclass(frozen=True, eq=False)
class WeakTuples:
    """T tuples of image numbers of ``WeakPlaces``, int64: ``query [T]``, ``positive [T]``, ``negatives [T, N]``,
    ``difficult [T, P]``, the last two padded with -1 at the end of a row; P is 0 where none were asked for."""

    query: NDArray[np.int64]
    positive: NDArray[np.int64]
    negatives: NDArray[np.int64]
    difficult: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True, eq=False)
class NegativeMemory:
    """The negatives that each query had last time, ``negatives [Q, N]`` image numbers padded with -1.

    Row i is the i-th of ``WeakPlaces.queries``. Together with seed and epoch this is the whole state of mining.
    """

    negatives: NDArray[np.int64]

    @staticmethod
    def empty(places: WeakPlaces, options: MiningOptions) -> NegativeMemory:
        """Of a run that begins."""
        return NegativeMemory(np.full((len(places.queries), options.neg_num), -1, np.int64))

    def updated(self, places: WeakPlaces, *tuples: WeakTuples) -> NegativeMemory:
        """With the negatives of ``tuples``; queries that gave none keep theirs."""
        negatives = self.negatives.copy()
        for some in tuples:
            negatives[some.query - places.database] = some.negatives
        return NegativeMemory(negatives)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"negatives": torch.from_numpy(self.negatives.copy())}

    @staticmethod
    def from_state(state: Mapping[str, Any], places: WeakPlaces, options: MiningOptions) -> NegativeMemory:
        """As it was saved; ``ConfigError`` when the data or ``neg_num`` are others now."""
        negatives: NDArray[np.int64] = torch.as_tensor(state["negatives"]).numpy().astype(np.int64)
        wanted = (len(places.queries), options.neg_num)
        if negatives.shape != wanted or (negatives >= places.database).any():
            raise ConfigError(
                f"the run that is to go on had {'x'.join(map(str, negatives.shape))} negatives in memory, now it would "
                f"have {wanted[0]}x{wanted[1]} among {places.database} photos: the training photos or mining.neg_num "
                "have changed; train in another folder"
            )
        return NegativeMemory(negatives)


def mine(
    features: NDArray[np.float32],
    places: WeakPlaces,
    queries: NDArray[np.int64],
    options: MiningOptions,
    memory: NegativeMemory,
    seed: Sequence[int],
    *,
    neighbours: Mapping[int, Neighbours] | None = None,
    device: torch.device | str = "cpu",
) -> WeakTuples:
    """The tuples of ``queries`` (image numbers), in their order; a query without any negative gives none.

    ``features [M, D]`` unit descriptors of ``places.images``, such as a memory map. The positive is the most similar
    one; negatives are the most similar of ``neg_pool`` random photos of the query's group outside of its exclusion
    radius and of those in ``memory``. Difficult positives come from ``neighbours`` (``find_neighbours``), or are the
    nearest ones without (SFRS's first generation).

    Pure. What is drawn follows from ``seed`` (run, epoch, chunk) and the query's number, so that it does not matter
    how queries are shared among processes.
    """
    if features.shape[0] != len(places.images):
        raise ValueError(f"{features.shape[0]} descriptors of {len(places.images)} photos")
    positives = places.positives(queries)
    pools = [
        _pool(places, query, excluded, memory, options, seed)
        for query, excluded in zip(queries.tolist(), places.excluded(queries), strict=True)
    ]
    both = [np.concatenate(pair) for pair in zip(positives, pools, strict=True)]
    similar = pair_similarities(features, queries, both, max_bytes=options.max_bytes, device=device)
    positive = np.empty(len(queries), np.int64)
    negatives = np.full((len(queries), options.neg_num), -1, np.int64)
    nearest = np.full((len(queries), options.pos_pool), -1, np.int64)
    squared = np.zeros(nearest.shape, np.float32)
    for i, (near, pool, cosine) in enumerate(zip(positives, pools, similar, strict=True)):
        distance = np.maximum(2 - 2 * cosine, 0)
        to_near, to_pool = np.split(distance, [len(near)])
        order = np.argsort(to_near, kind="stable")[: options.pos_pool]
        positive[i] = near[order[0]]
        nearest[i, : len(order)], squared[i, : len(order)] = near[order], to_near[order]
        hardest = np.argsort(to_pool, kind="stable")[: options.neg_num]
        if options.violating_only:
            hardest = hardest[_violates(to_near[order[0]], to_pool[hardest], options)]
        negatives[i, : len(hardest)] = pool[hardest]
    kept = negatives[:, 0] >= 0
    difficult = _difficult(features, places, queries[kept], nearest[kept], squared[kept], options, neighbours)
    return WeakTuples(queries[kept], positive[kept], negatives[kept], difficult)


def _pool(
    places: WeakPlaces,
    query: int,
    excluded: NDArray[np.int64],
    memory: NegativeMemory,
    options: MiningOptions,
    seed: Sequence[int],
) -> NDArray[np.int64]:
    """Photos that the negatives are chosen from, ascending."""
    members = places.members[int(places.groups[query])]
    taken = np.searchsorted(members, excluded)
    allowed = len(members) - len(taken)
    rng = np.random.default_rng([*seed, query])
    drawn = rng.choice(allowed, min(options.neg_pool, allowed), replace=False, shuffle=False)
    # The r-th that is not taken: r and as many as are taken before it.
    drawn = drawn + np.searchsorted(taken - np.arange(len(taken)), drawn, side="right")
    remembered = memory.negatives[query - places.database]
    return np.union1d(members[drawn], remembered[remembered >= 0])


def _violates(positive: np.float32, negatives: NDArray[np.float32], options: MiningOptions) -> NDArray[np.bool_]:
    power = 1.0 if options.squared else 0.5
    violates: NDArray[np.bool_] = negatives**power < positive**power + options.margin
    return violates


def _difficult(
    features: NDArray[np.float32],
    places: WeakPlaces,
    queries: NDArray[np.int64],
    nearest: NDArray[np.int64],
    squared: NDArray[np.float32],
    options: MiningOptions,
    neighbours: Mapping[int, Neighbours] | None,
) -> NDArray[np.int64]:
    """``[T, pos_num]`` of the positives ``nearest [T, pos_pool]``, which are in the order of distance."""
    if neighbours is None or not options.pos_num:
        return nearest[:, : options.pos_num]
    difficult = np.full((len(queries), options.pos_num), -1, np.int64)
    groups = places.groups[queries]
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        distance = reciprocal_distances(
            neighbours[group],
            features,
            queries[rows],
            nearest[rows],
            squared[rows],
            k1=options.k1,
            jaccard_lambda=options.jaccard_lambda,
        )
        for row, own in zip(rows.tolist(), distance, strict=True):
            count = int((nearest[row] >= 0).sum())
            rank = np.empty(count, np.int64)
            rank[np.argsort(own[:count], kind="stable")] = np.arange(count)
            chosen = difficult_positives(np.arange(count), rank, options.pos_num)
            difficult[row, : len(chosen)] = nearest[row, chosen]
    return difficult
