"""The CSV of a run: rows that survive, rows that are forgotten."""

from __future__ import annotations

from pathlib import Path

from fol.training.history import CsvHistory


def test_rows_and_new_columns_survive(tmp_path: Path) -> None:
    history = CsvHistory(tmp_path / "metrics.csv")
    history.log_metrics({"loss": 0.5}, 1)
    history.log_metrics({"loss": 0.25}, 2)
    history.log_metrics({"recall": 50.0, "epoch": 0}, 2)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,loss,recall", "1,0.5,", "2,0.25,", "2,,50.0"]
    again = CsvHistory(tmp_path / "metrics.csv")
    again.forget_after(1)
    again.log_metrics({"loss": 0.125}, 2)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,loss,recall", "1,0.5,", "2,0.125,"]


def test_half_a_row_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,a,b\n1,2.0,3.0\n2,4.")
    history = CsvHistory(tmp_path / "metrics.csv")
    assert [row["step"] for row in history.rows] == ["1"]
    history.log_metrics({"a": 4.5, "b": 5.0}, 2)
    assert CsvHistory(tmp_path / "metrics.csv").rows[-1] == {"step": "2", "a": "4.5", "b": "5.0"}
