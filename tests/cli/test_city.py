"""``fol city``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fol.cli import main
from fol.data import read_dataset
from fol.data.synthetic import read_city


def test_writes_a_training_split_and_says_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "it's a city"
    assert main(["city", "level=easy", "places=2", "views=2", "size=28", f"out={out}"]) == 0
    shown = capsys.readouterr()
    assert "fol train places.folders=" in shown.out and "4/4" in shown.err
    assert len((out / "places.csv").read_text().splitlines()) == 5


def test_writes_a_data_set_that_can_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "city"
    assert main(["city", "level=hard", "split=test", "places=2", "size=28", f"out={out}"]) == 0
    assert f"fol evaluate data={out}" in capsys.readouterr().out
    dataset = read_dataset(out)
    assert len(dataset.database) == len(dataset.queries) == 2
    assert read_city(out)[1] == 28


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["level=brutal"], "no level 'brutal', there are easy, medium, hard, extreme"),
        (["split=dev"], "no split 'dev', there are train, val, test"),
        (["places=0"], "places is 0, give a value from 1"),
        (["streets=3"], "fol city has no option 'streets'"),
    ],
)
def test_bad_options(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["city", f"out={tmp_path / 'city'}", *words]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["city"]) == 1
    assert "fol city needs out" in capsys.readouterr().err
