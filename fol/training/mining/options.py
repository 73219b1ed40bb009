"""How many photos of each kind a tuple has, and from how many they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from fol.errors import ConfigError


@dataclass(frozen=True)
class MiningOptions:
    """Defaults are OpenIBL's for NetVLAD and SARE; SFRS has ``pos_num`` 10. The radii are in ``RadiusOptions``.

    ``neg_num``: negatives of a query, the nearest of ``neg_pool`` random ones and those of last time.
    ``violating_only``: of these only the ones that violate the triplet by the cached descriptors, d_n < d_p +
    ``margin`` (of squared distances if ``squared``), as NetVLAD does; a query without one gives no tuple.
    ``pos_num``: most difficult positives, chosen from the ``pos_pool`` nearest; 0 for none. ``k1`` and
    ``jaccard_lambda`` are those of the k-reciprocal distances that choose them.
    ``max_bytes``: about how much memory descriptors and products may take at once; changes no result beyond rounding.
    """

    neg_num: int = 10
    neg_pool: int = 1000
    violating_only: bool = False
    margin: float = 0.1
    squared: bool = True
    pos_num: int = 0
    pos_pool: int = 20
    k1: int = 20
    jaccard_lambda: float = 0.1
    max_bytes: int = 512 << 20

    def check(self) -> None:
        """``ConfigError`` for a value out of range."""
        for name, low in (("neg_num", 1), ("neg_pool", 1), ("pos_num", 0), ("pos_pool", 1), ("k1", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"weak.mining.{name}={getattr(self, name)}: it must be at least {low}")
        if self.neg_pool < self.neg_num:
            raise ConfigError(f"weak.mining.neg_pool={self.neg_pool}: must be at least neg_num={self.neg_num}")
        if self.pos_pool < self.pos_num:
            raise ConfigError(f"weak.mining.pos_pool={self.pos_pool}: must be at least pos_num={self.pos_num}")
        if not 0 <= self.margin < float("inf"):
            raise ConfigError(f"weak.mining.margin={self.margin}: it must be at least 0 and finite")
        if not 0 <= self.jaccard_lambda <= 1:
            raise ConfigError(f"weak.mining.jaccard_lambda={self.jaccard_lambda}: it must lie between 0 and 1")
        if self.max_bytes < 1 << 20:
            raise ConfigError(f"weak.mining.max_bytes={self.max_bytes}: it must be at least {1 << 20}")
