"""Implementations of the mutual-nearest operation for one query and many candidates.

``get_backend(name, device)`` is the door. A backend is a module of this package with a class that satisfies ``Backend``
and one line in the table below; it must keep the rules of ``fol.matching.mutual_nearest``, whose reference it is
tested against. Documented tolerance between backends: they add float32 products in different orders, so similarities
differ by about 1e-7, and where two tokens are that close to a tie, or a cosine that close to the threshold, a match may
differ. On data without such near-ties the matches are equal. Within one backend the result for a candidate depends on
that candidate and the query alone, bit for bit, never on the other candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

import torch

from fol.errors import ConfigError
from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches

_MODULES = {
    "reference": "fol.matching.backends.reference",
    "torch": "fol.matching.backends.torch_tiled",
}


class Backend(Protocol):
    """Matches one query with many candidates."""

    @property
    def name(self) -> str:
        """As in ``backend_names()``."""

    def match(self, query: TokenSet, candidates: Sequence[TokenSet], threshold: float | None) -> BatchMatches:
        """Matches of ``query`` with every candidate, all on one device; ``threshold`` None keeps every mutual pair."""


def backend_names() -> tuple[str, ...]:
    """What ``get_backend`` takes."""
    return ("auto", *sorted(_MODULES))


def get_backend(name: str, device: torch.device | str) -> Backend:
    """The backend called ``name`` for tensors on ``device``; ``"auto"`` takes the fastest exact one there.

    Raises ``ConfigError`` for an unknown name.
    """
    if name not in backend_names():
        raise ConfigError(f"unknown matching backend {name!r}; choose one of: {', '.join(backend_names())}")
    module = import_module(_MODULES["torch" if name == "auto" else name])
    return cast(Backend, module.create(torch.device(device)))
