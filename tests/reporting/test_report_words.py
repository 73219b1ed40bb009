"""Numbers and sentences of pages."""

from __future__ import annotations

from fol.evaluation import Interval, PairedDifference
from fol.reporting.words import counted, metres, p_value, points, share, size, span, verdict


def difference(value: float, low: float, high: float, p: float, gained: int, lost: int) -> PairedDifference:
    return PairedDifference(value, Interval(low, high, 0.95), p, gained, lost)


def test_numbers():
    assert (share(0.12345), share(None), share(float("nan"))) == ("12.3", "\u2013", "\u2013")
    assert (points(0.0123), points(-0.0123), points(-0.0001), points(0)) == ("+1.2", "\u22121.2", "0.0", "0.0")
    assert (span(0.1, 0.25), span(float("nan"), float("nan"))) == ("10.0\u201325.0", "")
    assert (metres(3.14), metres(150.4), metres(12_345), metres(None)) == ("3.1 m", "150 m", "12.3 km", "infinite")
    assert (size(512), size(2048), size(3 * 2**30)) == ("512 B", "2.0 KiB", "3.00 GiB")
    assert (counted(1, "query", "queries"), counted(0, "query", "queries")) == ("1 query", "0 queries")
    assert counted(12345, "query", "queries") == "12\u202f345 queries"
    assert (p_value(0.0004), p_value(0.0123), p_value(0.5)) == ("p < 0.001", "p = 0.012", "p = 0.50")


def test_a_difference_that_is_rarely_chance():
    text = verdict(difference(0.1, 0.05, 0.15, 0.001, 12, 2), "Re-ranking", "retrieval", 1, 100)
    assert text.startswith("Re-ranking: R@1 +10.0 points against retrieval (95 % interval +5.0 to +15.0); 12 queries")
    assert text.endswith("take it as a gain.")
    assert verdict(difference(-0.1, -0.15, -0.05, 0.001, 2, 12), "a", "b", 1, 100).endswith("take it as a loss.")


def test_a_difference_that_says_little():
    text = verdict(difference(0.02, -0.03, 0.07, 0.6, 8, 6), "a", "b", 5, 100)
    assert "100 queries cannot tell the two apart" in text
    assert "from 3.0 points worse to 7.0 points better" in text
    # few changes: the interval is too narrow, the exact test is right
    assert "leave open" not in verdict(difference(0.03, 0.01, 0.06, 0.25, 3, 0), "a", "b", 1, 100)


def test_nothing_to_compare():
    assert "same queries at K=1" in verdict(difference(0, 0, 0, 1, 0, 0), "a", "b", 1, 9)
    assert "No query counts" in verdict(None, "a", "b", 1, 0)
