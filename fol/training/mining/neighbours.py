"""The nearest photos of every training photo by cached descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fol.data.training.weak_places import WeakPlaces
from fol.matching.precision import exact_float32
from fol.training.mining.options import MiningOptions
from fol.training.mining.similarity import read_rows, rows_at_once
from fol.types import ProgressCallback


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Of ``members [n]`` (image numbers, ascending): their nearest among each other.

    ``nearest [n, K]`` int32 positions in ``members``, nearest first, the photo itself among them; ``squared [n, K]``
    their squared distances; ``farthest [n]`` the largest squared distance of each. Linear in n, as K is fixed.
    """

    members: NDArray[np.int64]
    nearest: NDArray[np.int32]
    squared: NDArray[np.float32]
    farthest: NDArray[np.float32]

    @staticmethod
    def join(parts: Sequence[Neighbours]) -> Neighbours:
        """Of the parts of ``nearest_neighbours`` in their order."""
        return Neighbours(
            parts[0].members,
            np.concatenate([part.nearest for part in parts]),
            np.concatenate([part.squared for part in parts]),
            np.concatenate([part.farthest for part in parts]),
        )


def find_neighbours(
    features: NDArray[np.float32],
    places: WeakPlaces,
    options: MiningOptions,
    *,
    device: torch.device | str = "cpu",
    part: tuple[int, int] = (0, 1),
    progress: ProgressCallback | None = None,
) -> dict[int, Neighbours]:
    """``nearest_neighbours`` of each group that has queries: database and queries together, as in SFRS.

    ``features [M, D]`` in the order of ``places.images``. Call once for each state of the cache. ``progress`` counts
    photos; ``part`` as there.
    """
    groups = np.unique(places.groups[places.queries]).tolist()
    members = {group: np.flatnonzero(places.groups == group) for group in groups}
    lengths = [len(_rows(len(own), part)) for own in members.values()]
    found: dict[int, Neighbours] = {}
    for before, (group, own) in zip(np.cumsum([0, *lengths]).tolist(), members.items(), strict=False):

        def rows_done(done: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + done, sum(lengths))

        k = 3 * (options.k1 + 1)  # more than are needed, so that few distances have to be computed anew
        found[group] = nearest_neighbours(
            features, own, k, max_bytes=options.max_bytes, device=device, part=part, progress=rows_done
        )
    return found


def nearest_neighbours(
    features: NDArray[np.float32],
    members: NDArray[np.int64],
    k: int,
    *,
    max_bytes: int,
    device: torch.device | str = "cpu",
    part: tuple[int, int] = (0, 1),
    progress: ProgressCallback | None = None,
) -> Neighbours:
    """The ``k`` nearest of ``members [n]`` (rows of ``features [M, D]``, unit) to each; n^2 D products.

    ``part`` (i, p): rows of the i-th of p parts alone, for p processes; ``Neighbours.join`` puts them together.
    ``progress`` counts rows.
    """
    device, block = torch.device(device), rows_at_once(features.shape[1], max_bytes)
    k = min(k, len(members))
    rows = _rows(len(members), part)
    nearest = np.empty((len(rows), k), np.int32)
    squared = np.empty((len(rows), k), np.float32)
    farthest = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), block):
        own = slice(start, start + block)
        vectors = read_rows(features, members[rows[own]], device)
        best = torch.empty((len(vectors), 0), device=device)
        ids = torch.empty((len(vectors), 0), dtype=torch.int64, device=device)
        least = torch.full((len(vectors),), torch.inf, device=device)
        for first in range(0, len(members), block):
            others = read_rows(features, members[first : first + block], device)
            with exact_float32(device):
                product = vectors @ others.T
            least = torch.minimum(least, product.amin(1))
            top = product.topk(min(k, len(others)), dim=1)
            best, ids = torch.cat([best, top.values], 1), torch.cat([ids, top.indices + first], 1)
            best, chosen = best.topk(min(k, best.shape[1]), dim=1)
            ids = ids.gather(1, chosen)
        nearest[own] = ids.to(torch.int32).cpu().numpy()
        squared[own] = (2 - 2 * best).clamp_min(0).cpu().numpy()
        farthest[own] = (2 - 2 * least).clamp_min(0).cpu().numpy()
        if progress:
            progress(min(start + block, len(rows)), len(rows))
    return Neighbours(members, nearest, squared, farthest)


def _rows(count: int, part: tuple[int, int]) -> NDArray[np.int64]:
    return np.array_split(np.arange(count), part[1])[part[0]]
