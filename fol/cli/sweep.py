"""``fol sweep``: the same training for every combination of the values given with commas, and one table of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from rich.table import Table

from fol.cli.configuration import resolve
from fol.cli.console import note, out, say
from fol.cli.train import train_configured
from fol.errors import ConfigError, TrainingStopped
from fol.files import write_atomically
from fol.training import TrainingResult, ValidationScores

#: What a sweep prints and writes of the best validation of each run.
_COLUMNS: Mapping[str, Callable[[ValidationScores], float | None]] = {
    "global R@1": lambda scores: scores.mean("global", 1),
    "re-ranked R@1": lambda scores: scores.mean("reranked", 1),
    "re-ranked R@5": lambda scores: scores.mean("reranked", 5),
    "match accuracy": lambda scores: scores.mean_match_accuracy,
}


def run(words: Sequence[str]) -> None:
    """Run every combination of ``key=a,b`` words, each in a folder of its own below ``out``; finished ones are kept.

    A run that is stopped by its guard is reported and the sweep goes on. Written: ``sweep.csv`` below ``out``.
    """
    fixed, varied = split_sweep(words)
    if not varied:
        raise ConfigError("nothing to sweep over: give some key several values, such as seed=0,1,2")
    root = Path(str(resolve("train", fixed, {}).out))
    combinations = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    rows: list[tuple[dict[str, str], TrainingResult | str]] = []
    for number, chosen in enumerate(combinations):
        name = ",".join(f"{key}={value}" for key, value in chosen.items())
        note(f"run {number + 1} of {len(combinations)}: {name}")
        config: DictConfig = resolve("train", [*fixed, *(f"{k}={v}" for k, v in chosen.items())], {})
        config.out = str(root / name.replace("/", "_"))
        try:
            rows.append((chosen, train_configured(config)))
        except TrainingStopped as error:
            note(f"stopped: {error}")
            rows.append((chosen, str(error)))
        _write(root / "sweep.csv", list(varied), rows)
    out.print(_table(list(varied), rows))
    say(f"results: {root / 'sweep.csv'}")


def split_sweep(words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words with one value, and the values of those with several (commas, hydra's choice(...) and range(...))."""
    fixed: list[str] = []
    varied: dict[str, list[str]] = {}
    for word in words:
        pair = word.removeprefix("--") if word.startswith("--") and "=" in word else word
        override = OverridesParser.create().parse_override(pair) if "=" in pair else None
        if override is not None and override.is_sweep_override():
            key = override.get_key_element()
            varied[key] = [str(value) for value in override.sweep_string_iterator()]
        else:
            fixed.append(word)
    return fixed, varied


def _values(outcome: TrainingResult | str) -> list[str]:
    if isinstance(outcome, str):
        return ["stopped"] + [""] * (len(_COLUMNS) - 1)
    if outcome.scores is None:
        return [""] * len(_COLUMNS)
    values = [column(outcome.scores) for column in _COLUMNS.values()]
    return ["" if value is None else f"{value:.1f}" for value in values]


def _write(path: Path, keys: list[str], rows: Sequence[tuple[Mapping[str, Any], TrainingResult | str]]) -> None:
    lines = [",".join([*keys, *_COLUMNS])]
    lines += [",".join([*(f'"{chosen[key]}"' for key in keys), *_values(outcome)]) for chosen, outcome in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _table(keys: list[str], rows: Sequence[tuple[Mapping[str, Any], TrainingResult | str]]) -> Table:
    table = Table(*keys, *_COLUMNS)
    for chosen, outcome in rows:
        table.add_row(*(str(chosen[key]) for key in keys), *_values(outcome))
    return table
