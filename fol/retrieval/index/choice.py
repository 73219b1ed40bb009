"""``index=auto``: the recipe that finds most among those that are fast enough and fit into memory.

In this order, with the bytes that all descriptors or codes take:

1. ``flat`` up to 1 GB (30,000 descriptors of 8448 components): exact, and a single query takes 50 ms.
2. ``rabitq`` up to 256 MB (250,000 of 8448): every code is looked at, 20 ms.
3. ``pca_rabitq`` up to 256 MB (900,000): the same with the codes of 1024 components.
4. ``ivf_rabitq`` above: an eighth of the codes is looked at.

What exceeds the memory limit is passed over; when everything does, ``ivf_rabitq`` is taken none the less, as it is the
smallest that stays fast. Times are for two cores.
"""

from __future__ import annotations

import os

from fol.retrieval.index.options import AUTO, IndexOptions
from fol.retrieval.index.registry import get_recipe

#: Recipe and the most bytes that it may go through for each query.
_RULE: tuple[tuple[str, float], ...] = (
    ("flat", 1e9),
    ("rabitq", 256e6),
    ("pca_rabitq", 256e6),
    ("ivf_rabitq", float("inf")),
)


def choose(options: IndexOptions, rows: int, dim: int) -> tuple[str, str]:
    """The recipe for ``rows`` descriptors of ``dim`` components, and why."""
    if options.recipe != AUTO:
        return options.recipe, "as asked for"
    limit = half_of_memory() if options.max_memory is None else options.max_memory
    for name, most in _RULE:
        size = rows * get_recipe(name).bytes_per_vector(dim)
        if size <= min(most, limit):
            bound = f"{limit / 1e9:.4g} GB of memory" + (
                "" if most > limit else f" and the {most / 1e9:g} GB it scans fast"
            )
            return name, f"auto: {rows} x {dim} take {size / 1e9:.3g} GB, within {bound}"
    return name, f"auto: {rows} x {dim} take {size / 1e9:.3g} GB at least, more than {limit / 1e9:.4g} GB of memory"


def half_of_memory() -> int:
    """Bytes: the limit where none is given."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
