"""Numbers as pages print them, and what a comparison means in a sentence."""

from __future__ import annotations

import math

from fol.evaluation import PairedDifference

#: Below this a difference is called more than chance.
SIGNIFICANT = 0.05
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def share(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent, without the sign; a dash where it is not known."""
    return DASH if value is None or math.isnan(value) else f"{100 * value:.{digits}f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def span(low: float, high: float) -> str:
    """An interval of shares in percent; empty where it is not known."""
    return "" if math.isnan(low) or math.isnan(high) else f"{share(low)}{DASH}{share(high)}"


def metres(value: float | None) -> str:
    """A distance; too few answers make it infinite."""
    if value is None or math.isinf(value):
        return "infinite"
    return f"{value / 1000:.1f} km" if value >= 10_000 else f"{value:.1f} m" if value < 100 else f"{value:.0f} m"


def size(value: float) -> str:
    """Bytes in units of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def counted(number: int, one: str, more: str) -> str:
    """``1 query``, ``2 queries``; thousands apart."""
    return f"1 {one}" if number == 1 else f"{number:,} {more}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def p_value(value: float) -> str:
    """As it is usual to print one."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def verdict(difference: PairedDifference | None, after: str, before: str, k: int, queries: int) -> str:
    """What the paired test of ``after`` against ``before`` says; None where no query counts."""
    if difference is None:
        return "No query counts here, so there is nothing to compare."
    if not difference.gained and not difference.lost:
        return f"{after} and {before} hit the very same queries at K={k}."
    low, high = difference.interval.low, difference.interval.high
    change = (
        f"{after}: R@{k} {points(difference.difference)} points against {before} (95 % interval {points(low)} to "
        f"{points(high)}); {counted(difference.gained, 'query', 'queries')} gained, {difference.lost} lost, "
        f"{p_value(difference.p_value)}."
    )
    if difference.p_value < SIGNIFICANT:
        kind = "gain" if difference.difference > 0 else "loss"
        return f"{change} So uneven a change is rarely chance: take it as a {kind}."
    left_open = ""
    if low < 0 < high:
        left_open = f", which leave open anything from {share(-low)} points worse to {share(high)} points better"
    return f"{change} {counted(queries, 'query', 'queries')} cannot tell the two apart{left_open}."
