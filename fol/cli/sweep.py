"""``fol sweep``: the same training for every combination of the values given with commas, and one table of all."""

from __future__ import annotations

import csv
import io
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from fol.cli.configuration import resolve
from fol.cli.console import note, out, say
from fol.cli.train import train_configured
from fol.errors import ConfigError, TrainingStopped
from fol.files import write_atomically
from fol.training import ValidationScores

#: What a sweep prints and writes of the best validation of each run.
_COLUMNS: Mapping[str, Callable[[ValidationScores], float | None]] = {
    "global R@1": lambda scores: scores.known("global", 1),
    "global R@5": lambda scores: scores.known("global", 5),
    "re-ranked R@1": lambda scores: scores.known("reranked", 1),
    "re-ranked R@5": lambda scores: scores.known("reranked", 5),
    "match accuracy": lambda scores: scores.mean_match_accuracy,
}


@dataclass(frozen=True)
class Row:
    """One run: the values that were ``chosen`` for it, and its figures (None: it was stopped)."""

    chosen: Mapping[str, str]
    values: Sequence[float | None] | None


def run(words: Sequence[str]) -> None:
    """Run every combination of ``key=a,b`` words, each in a folder of its own below ``out``; finished ones are kept.

    A run that its guard stops is reported and the sweep goes on. Written below ``out``: ``sweep.csv`` with a row
    per run, ``sweep.md`` with the mean and the standard deviation over the seeds.
    """
    fixed, varied = split_sweep(words)
    if not varied:
        raise ConfigError("nothing to sweep over: give some key several values, such as seed=0,1,2")
    root = Path(str(resolve("train", fixed, {}).out))
    combinations = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    configs: list[DictConfig] = [
        resolve("train", [*fixed, *(f"{k}={v}" for k, v in chosen.items())], {}) for chosen in combinations
    ]
    for config in configs:
        if config.loop.devices != 1:  # the further processes would start the sweep itself, from its first run on
            raise ConfigError(
                f"loop.devices={config.loop.devices}: a sweep trains on one device; start its runs with fol train"
            )
    rows: list[Row] = []
    for number, (chosen, config) in enumerate(zip(combinations, configs, strict=True)):
        name = ",".join(f"{key}={value}" for key, value in chosen.items())
        note(f"run {number + 1} of {len(combinations)}: {name}")
        config.out = str(root / name.replace("/", "_"))
        try:
            rows.append(Row(chosen, _values(train_configured(config).scores)))
        except TrainingStopped as error:
            note(f"stopped: {error}")
            rows.append(Row(chosen, None))
        write_atomically(root / "sweep.csv", _csv(rows).encode())
        write_atomically(root / "sweep.md", markdown(rows).encode())
    out.print(markdown(rows), markup=False)
    say(f"results: {root / 'sweep.csv'}")


def split_sweep(words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words with one value, and the values of those with several (commas, hydra's choice(...) and range(...))."""
    fixed: list[str] = []
    varied: dict[str, list[str]] = {}
    for word in words:
        pair = word.removeprefix("--") if word.startswith("--") and "=" in word else word
        try:
            override = OverridesParser.create().parse_override(pair) if "=" in pair else None
        except HydraException:  # a path that the grammar does not know, or a mistake that the run will name
            override = None
        if override is not None and override.is_sweep_override():
            key = override.get_key_element()
            varied[key] = [str(value) for value in override.sweep_string_iterator()]
        else:
            fixed.append(word)
    return fixed, varied


def _values(scores: ValidationScores | None) -> list[float | None]:
    return [None if scores is None else column(scores) for column in _COLUMNS.values()]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*rows[0].chosen, *_COLUMNS])
    for row in rows:
        values = ["stopped"] * len(_COLUMNS) if row.values is None else row.values
        writer.writerow([*row.chosen.values(), *(f"{v:.2f}" if isinstance(v, float) else v for v in values)])
    return text.getvalue()


def markdown(rows: Sequence[Row]) -> str:
    """A table of all combinations; those that differ in their seed alone are one line, mean ± standard deviation."""
    keys = [key for key in rows[0].chosen if key != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.chosen[key] for key in keys), []).append(row)
    lines = [f"| {' | '.join([*keys, 'runs', *_COLUMNS])} |", "|" + "---|" * (len(keys) + 1 + len(_COLUMNS))]
    for chosen, members in groups.items():
        columns = [_spread([m.values[i] for m in members if m.values is not None]) for i in range(len(_COLUMNS))]
        lines.append(f"| {' | '.join([*chosen, str(len(members)), *columns])} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = statistics.fmean(known)
    return f"{mean:.1f} ± {statistics.stdev(known):.1f}" if len(known) > 1 else f"{mean:.1f}"
