"""How the local features of a map are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from fol.errors import ConfigError

Bits = Literal[16, 8, 4, 2, 1]


@dataclass(frozen=True)
class LocalStoreOptions:
    """``bits`` per component of a local descriptor, and how many of an image's tokens are kept.

    16 keeps descriptors as float16. 8 keeps integers around the map's mean descriptor, which are matched as they
    are. 4, 2 and 1 keep that many bits and come back as such integers: the fewer, the coarser. ``max_tokens`` keeps
    only so many tokens of an image, those of high weight spread over it (``fol.matching.budget``); None keeps all.
    A map keeps what it was built with. Raises ``ConfigError`` for other numbers.
    """

    bits: Bits = 8
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or self.bits not in get_args(Bits):
            allowed = ", ".join(str(bits) for bits in sorted(get_args(Bits)))
            raise ConfigError(f"local.bits={self.bits!r}: choose one of {allowed}")
        tokens = self.max_tokens
        if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1):
            raise ConfigError(f"local.max_tokens={tokens!r}: it must be at least 1, or null for all")

    @staticmethod
    def of_preset(preset: str) -> LocalStoreOptions:
        """Default of a model's preset: "official" counts matches as published, which takes float16; others 8 bits."""
        return LocalStoreOptions(bits=16 if preset == "official" else 8)
