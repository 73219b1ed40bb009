"""The catalogue of benchmarks as ``fol data list`` prints it."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Column, Table

from fol.cli.console import out, say
from fol.data.benchmark import Benchmark
from fol.data.catalogue import CATALOGUE, PROTOCOLS, find_benchmark
from fol.data.protocol import Protocol

_PRINTED = "*"
_LEGEND = f"{_PRINTED} as printed in papers; all other numbers were counted in published files"


def show_benchmarks() -> None:
    """A table of all."""
    table = Table(
        Column("name", no_wrap=True),
        Column("database", justify="right", no_wrap=True),
        Column("queries", justify="right", no_wrap=True),
        "protocols",
        "title",
        box=SIMPLE,
    )
    for benchmark in CATALOGUE.values():
        rules = ", ".join(protocol.name.removeprefix(benchmark.name) for protocol in benchmark.protocols)
        table.add_row(benchmark.name, *_counts(benchmark), rules, benchmark.title)
    out.print(table)
    say(_LEGEND)
    say("A protocol is called NAME@RULE. fol data list NAME says what its rules are and how to get the photos.")


def show_benchmark(name: str) -> None:
    """All about one, or one protocol of it. Raises ``ConfigError`` for an unknown name."""
    benchmark = find_benchmark(name)
    database, queries = _counts(benchmark)
    say(f"{benchmark.name}: {benchmark.title}")
    say(f"photos: {database} database, {queries} queries")
    say(f"how to get them: {benchmark.access}")
    say(f"known by, the first that is there: {', '.join(marker for marker, _ in benchmark.native)}")
    say(f"or by what fol data prepare writes: {benchmark.layout}/database.csv")
    for protocol in (PROTOCOLS[name][1],) if name in PROTOCOLS else benchmark.protocols:
        say(f"\n{protocol.name}: {protocol.summary}{_published(protocol)}")
    if _PRINTED in database + queries:
        say(f"\n{_LEGEND}")


def _counts(benchmark: Benchmark) -> tuple[str, str]:
    """Database and queries; where the photos were never counted, those of the first protocol."""
    counts, exact = benchmark.counts, benchmark.counted
    published = benchmark.protocols[0].published
    if counts is None and published is not None:
        counts, exact = (published.database, published.queries), published.exact
    if counts is None:
        return "-", "-"
    mark = "" if exact else _PRINTED
    return f"{counts[0]:,}{mark}", f"{counts[1]:,}{mark}"


def _published(protocol: Protocol) -> str:
    published = protocol.published
    if published is None:
        return ""
    hits = "" if published.with_positives is None else f", {published.with_positives:,} of them with positives"
    doubt = "" if published.exact else ", about, as printed in papers"
    return f"; {published.database:,} database, {published.queries:,} queries{hits}{doubt}"
