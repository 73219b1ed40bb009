"""``fol data``: the benchmarks that there are, their photos checked, and laid out for every tool."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from fol.cli.benchmark_list import show_benchmark, show_benchmarks
from fol.cli.console import note, progress_bar, say
from fol.data import printable
from fol.data.benchmark import Benchmark
from fol.data.catalogue import PROTOCOLS, find_benchmark, read_photos
from fol.data.prepared_benchmark import prepare_benchmark
from fol.data.protocol_check import ProtocolCheck, check_protocols
from fol.data.readers.positives_file import convert_npy
from fol.data.verification import Audit, verify_photos
from fol.errors import ConfigError, DataError
from fol.evaluation.journal import writing
from fol.files import write_atomically

_SHOWN = 20  # lines of each kind of finding


def run(config: DictConfig) -> None:
    """List, prepare, verify or convert."""
    actions = {"list": _list, "prepare": _prepare, "verify": _verify, "convert-npy": _convert}
    if config.action not in actions:
        raise ConfigError(f"fol data {config.action}: choose one of {', '.join(actions)}")
    if config.name is None and config.action != "list":
        what = "the .npy file" if config.action == "convert-npy" else "the name of a benchmark, see fol data list"
        raise ConfigError(f"fol data {config.action} needs {what}")
    actions[config.action](config)


def _list(config: DictConfig) -> None:
    if config.name is None:
        show_benchmarks()
    else:
        show_benchmark(str(config.name))


def _prepare(config: DictConfig) -> None:
    benchmark = find_benchmark(config.name)
    for option, meaning in (("from", "the folder of the download"), ("out", "the folder to write")):
        if config[option] is None:
            raise ConfigError(f"fol data prepare needs {option}, {meaning}: give --{option} FOLDER")
    photos, out = read_photos(benchmark, Path(config["from"])), Path(config.out)
    note(f"{benchmark.name}: {len(photos.database)} database, {len(photos.queries)} queries")
    with progress_bar("linking") as progress:
        prepared = prepare_benchmark(benchmark, photos, out, progress=progress)
    say(printable(prepared.summary))
    _first([f"missing: {printable(path)}" for path in prepared.missing])
    chosen = config.name if config.name in PROTOCOLS else benchmark.protocols[0].name
    say(f"now: fol evaluate {shlex.quote(f'data={out}')} protocol={chosen}")
    others = [protocol.name for protocol in benchmark.protocols if protocol.name != chosen]
    if others:
        say(f"or protocol={', '.join(others)}")


def _verify(config: DictConfig) -> None:
    benchmark = find_benchmark(config.name)
    if config.workers < 1:
        raise ConfigError(f"workers={config.workers}: it must be 1 or more")
    photos = read_photos(benchmark, Path(config["from"] or "."))
    with progress_bar("decoding") as progress:
        audit = verify_photos(photos, benchmark.counts, workers=config.workers, progress=progress)
    checks = check_protocols(benchmark, photos)
    say(audit.summary)
    if benchmark.counts is not None and not benchmark.counted:
        say("the published counts are as printed in papers")
    _first([f"missing: {printable(path)}" for path in audit.missing])
    _first([f"broken: {broken.reason}" for broken in audit.broken])
    _first([f"of another format: {printable(path)}" for path in audit.misnamed])
    _first([f"the same bytes: {', '.join(map(printable, group))}" for group in audit.duplicates])
    _first([f"query in the database: {printable(name)}" for name in audit.overlap])
    for check in checks:
        say(check.summary)
    faults = _faults(audit, checks)
    if config.out is not None:
        path = Path(config.out)
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(_report(benchmark, audit, checks, faults), indent=2).encode() + b"\n")
        say(f"report: {path}")
    if faults:
        raise DataError(f"{printable(photos.root)}: {benchmark.name} is not complete: {'; '.join(faults)}")
    say(f"{benchmark.name} is complete")


def _convert(config: DictConfig) -> None:
    say(f"{convert_npy(Path(config.name), None if config.out is None else Path(config.out))}: written")


def _first(lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        say(line)
    if len(lines) > _SHOWN:
        say(f"... and {len(lines) - _SHOWN} more")


def _faults(audit: Audit, checks: Sequence[ProtocolCheck]) -> list[str]:
    """Why a download is not complete; empty when it is."""
    found = []
    if audit.missing or audit.broken:
        found.append(f"{len(audit.missing)} photos are missing, {len(audit.broken)} broken")
    elif not audit.complete:
        found.append("it has another number of photos than published")
    found += [f"{check.protocol.name} has other counts than published" for check in checks if check.wrong]
    if all(check.problem is not None for check in checks):
        found.append("no protocol can be measured")
    return found


def _report(
    benchmark: Benchmark, audit: Audit, checks: Sequence[ProtocolCheck], faults: Sequence[str]
) -> dict[str, object]:
    return {
        "benchmark": benchmark.name,
        "root": printable(audit.root),
        "complete": not faults,
        "faults": list(faults),
        "database": audit.database,
        "queries": audit.queries,
        "published": None if audit.expected is None else list(audit.expected),
        "bytes_on_disk": audit.bytes_on_disk,
        "missing": [printable(path) for path in audit.missing],
        "broken": [{"path": printable(broken.path), "reason": broken.reason} for broken in audit.broken],
        "misnamed": [printable(path) for path in audit.misnamed],
        "duplicates": [[printable(path) for path in group] for group in audit.duplicates],
        "queries_in_database": [printable(name) for name in audit.overlap],
        "protocols": {
            check.protocol.name: {
                "database": check.database,
                "queries": check.queries,
                "queries_without_positives": check.without_positives,
                "median_positives": check.median_positives,
                "as_published": check.as_published,
                "problem": check.problem,
            }
            for check in checks
        },
    }
