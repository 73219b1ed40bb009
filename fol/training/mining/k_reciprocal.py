"""Distances by common k-reciprocal neighbours, for the wanted pairs alone, and the difficult positives they choose.

"Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, as yxgeee/OpenIBL uses it (ibl/utils/
rerank.py, with k2 = 1: no expansion over neighbours). The published code holds several n x n matrices; here a photo
needs its nearest list and a sparse row of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fol.training.mining.neighbours import Neighbours

_CHUNK = 512  # photos whose sets of neighbours are compared at once


@dataclass(frozen=True, eq=False)
class _Weights:
    """Rows of a sparse matrix: ``columns`` and ``values`` from ``starts[i]`` to ``starts[i + 1]`` are row i's."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]


def reciprocal_distances(
    neighbours: Neighbours,
    features: NDArray[np.float32],
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    squared: NDArray[np.float32],
    *,
    k1: int = 20,
    jaccard_lambda: float = 0.1,
) -> NDArray[np.float64]:
    """(1 - lambda) Jaccard + lambda original distance ``[Q, C]`` of ``queries [Q]`` to ``candidates [Q, C]``.

    Both are image numbers among ``neighbours.members``; candidates are padded with -1, where the result is infinite.
    ``squared [Q, C]``: squared distances of the pairs. As in the published code the original distance is the square
    of the squared distance, divided by the query's largest.

    Source of the weights: member i has exp(-d^4 / largest d^4) for each photo of its k1-reciprocal set, extended by
    the k1/2-reciprocal sets of its members that lie in it by more than two thirds; they sum to 1.
    """
    asked = np.searchsorted(neighbours.members, queries)
    pairs = candidates >= 0
    wanted = np.searchsorted(neighbours.members, np.where(pairs, candidates, neighbours.members[0]))
    rows, position = np.unique(np.concatenate([asked, wanted[pairs]]), return_inverse=True)
    weights = _weights(neighbours, features, rows, k1)
    of_query, of_pair = position[: len(asked)], np.zeros(candidates.shape, np.int64)
    of_pair[pairs] = position[len(asked) :]
    common = np.zeros(candidates.shape)
    own = np.zeros(len(neighbours.members))
    for query, row in enumerate(of_query.tolist()):
        mine = slice(weights.starts[row], weights.starts[row + 1])
        own[weights.columns[mine]] = weights.values[mine]
        for column in np.flatnonzero(pairs[query]).tolist():
            other = of_pair[query, column]
            theirs = slice(weights.starts[other], weights.starts[other + 1])
            common[query, column] = np.minimum(own[weights.columns[theirs]], weights.values[theirs]).sum()
        own[weights.columns[mine]] = 0
    original = _relative(squared, neighbours.farthest[asked][:, None])
    distance = (1 - jaccard_lambda) * (1 - common / (2 - common)) + jaccard_lambda * original
    return np.where(pairs, distance, np.inf)


def difficult_positives(
    feature_rank: NDArray[np.int64], jaccard_rank: NDArray[np.int64], pos_num: int
) -> NDArray[np.int64]:
    """Which of n positives are difficult, ``[P]`` indices with 1 <= P <= ``pos_num``, by their two ranks ``[n]``.

    Those that the Jaccard distance promotes, the largest promotion first, then those whose rank is the same, equal
    ones in the order of Jaccard; what it demotes is dropped (SFRS; OpenIBL, ibl/utils/data/sampler.py).
    """
    promotion = feature_rank - jaccard_rank
    order = np.lexsort((jaccard_rank, -promotion))
    return order[promotion[order] >= 0][:pos_num].astype(np.int64)


def _relative(squared: NDArray[np.float32], farthest: NDArray[np.float32]) -> NDArray[np.float64]:
    largest = np.maximum(farthest.astype(np.float64), np.finfo(np.float32).tiny)
    relative: NDArray[np.float64] = (squared.astype(np.float64) / largest) ** 2
    return relative


def _reciprocal(neighbours: Neighbours, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """``[m, k]``: which of the k nearest of each row have it among their own k nearest; -1 for the others."""
    near = neighbours.nearest[rows, :k].astype(np.int64)
    mutual = (neighbours.nearest[near, :k] == rows[:, None, None]).any(2)
    return np.where(mutual, near, -1)


def _weights(neighbours: Neighbours, features: NDArray[np.float32], rows: NDArray[np.int64], k1: int) -> _Weights:
    lengths, columns, values = [], [], []
    for chunk in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
        sets = _expanded(neighbours, chunk, k1)
        owner, slot = np.nonzero(sets >= 0)
        member = sets[owner, slot]
        squared = _squared(neighbours, features, chunk, owner, member)
        weight = np.exp(-_relative(squared, neighbours.farthest[chunk][owner]))
        lengths.append(np.bincount(owner, minlength=len(chunk)))
        columns.append(member)
        values.append(weight / np.bincount(owner, weight, len(chunk))[owner])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return _Weights(starts, np.concatenate(columns), np.concatenate(values))


def _expanded(neighbours: Neighbours, rows: NDArray[np.int64], k1: int) -> NDArray[np.int64]:
    """The extended reciprocal set of each row, ascending; -1 where nothing is."""
    own = _reciprocal(neighbours, rows, k1 + 1)
    candidates, back = np.unique(own, return_inverse=True)
    theirs = _reciprocal(neighbours, np.maximum(candidates, 0), int(np.around(k1 / 2)) + 1)
    theirs = np.where(candidates[:, None] >= 0, theirs, -1)[back.reshape(own.shape)]  # [m, k1 + 1, k1 / 2 + 1]
    there = theirs >= 0
    inside = there & (theirs[..., None] == own[:, None, None]).any(3)
    close = 3 * inside.sum(2) > 2 * there.sum(2)
    extended = np.concatenate([own, np.where(close[..., None], theirs, -1).reshape(len(rows), -1)], axis=1)
    extended.sort(axis=1)
    extended[:, 1:][extended[:, 1:] == extended[:, :-1]] = -1
    return extended


def _squared(
    neighbours: Neighbours,
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    owner: NDArray[np.int64],
    member: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Squared distances of ``rows[owner]`` to ``member``: from the nearest lists, else from the descriptors."""
    count = len(neighbours.members)
    keys = (np.arange(len(rows))[:, None] * count + neighbours.nearest[rows]).ravel()
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, owner * count + member, sorter=order), len(keys) - 1)
    found: NDArray[np.float32] = neighbours.squared[rows].ravel()[order[place]]
    missing = np.flatnonzero(keys[order[place]] != owner * count + member)
    for row in np.unique(owner[missing]).tolist():
        here = missing[owner[missing] == row]
        vector = features[neighbours.members[rows[row]]]
        cosine = features[neighbours.members[member[here]]] @ vector
        found[here] = np.maximum(2 - 2 * cosine, 0)
    return found
