"""Implementations of the mutual-nearest operation for one query and many candidates.

``get_backend(name, device, precision)`` is the door. A backend is a module of this package with a class that satisfies
``Backend`` and one line in the table below; it must keep the rules of ``fol.matching.mutual_nearest``, whose reference
it is tested against. Documented tolerance between backends: they add float32 products in different orders, so
similarities differ by about 1e-7, and where two tokens are that close to a tie, or a cosine that close to the
threshold, a match may differ. On data without such near-ties the matches are equal. Within one backend the result for a
candidate depends on that candidate and the query alone, bit for bit, never on the other candidates.

Precisions: ``"exact"`` multiplies float32; ``"int8"`` multiplies 8-bit codes around a mean and adds the biases, which
gives nearly the same cosines (``fol.matching.quantisation``); ``"binary"`` counts the differing signs of the codes, an
estimate of the cosine seen from the mean, which is another score with thresholds of its own. The last two decide on
integers (``coded.py``), so there the backends agree bit for bit. Sets without codes are encoded by what fits the query
(``fol.matching.inputs.quantisers``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

import torch

from fol.errors import ConfigError
from fol.matching.inputs import TokenSet
from fol.matching.mutual_nearest import BatchMatches
from fol.matching.precision import PRECISIONS, Precision

__all__ = ["Backend", "Precision", "backend_names", "get_backend"]

_MODULES = {
    "cpu": "fol.matching.backends.cpu",
    "reference": "fol.matching.backends.reference",
    "torch": "fol.matching.backends.torch_tiled",
    "triton": "fol.matching.backends.triton_backend",
}
_FASTEST = {"cpu": "cpu", "cuda": "triton"}


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


def get_backend(name: str, device: torch.device | str, precision: Precision = "exact") -> Backend:
    """The backend called ``name`` for tensors on ``device``; ``"auto"`` takes the fastest that works there.

    Raises ``ConfigError`` for an unknown name or precision, and for a backend that this machine cannot run.
    """
    if name not in backend_names():
        raise ConfigError(f"unknown matching backend {name!r}; choose one of: {', '.join(backend_names())}")
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown matching precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    device = torch.device(device)
    return _create(name, device, precision) if name != "auto" else _create_fastest(device, precision)


def _create_fastest(device: torch.device, precision: Precision) -> Backend:
    fastest = _FASTEST.get(device.type)
    if fastest is not None:
        try:
            return _create(fastest, device, precision)
        except (ImportError, ConfigError) as error:
            _notice(fastest, str(error))
    return _create("torch", device, precision)


def _create(name: str, device: torch.device, precision: Precision) -> Backend:
    return cast(Backend, import_module(_MODULES[name]).create(device, precision))


@cache
def _notice(backend: str, reason: str) -> None:
    """Once per process and reason."""
    warnings.warn(
        f"matching runs on plain torch, as the backend {backend!r} does not work here: {reason}", stacklevel=5
    )
