"""The run's figures as a CSV file that survives a kill and a resume."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from fol.files import write_atomically


class CsvHistory(Logger):
    """One row per logged step: ``step``, then a column per figure. New figures add columns.

    Rows are appended as they come; ``forget_after`` drops those that a resumed run will write again, so that the file
    of a killed and resumed run has the rows of the uninterrupted one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = []
        self._rows: list[dict[str, str]] = []
        if path.is_file():
            text = path.read_text()
            # A row that was being written when the process died lacks its end.
            whole = text[: text.rfind("\n") + 1]
            reader = csv.DictReader(io.StringIO(whole))
            self._rows = list(reader)
            self._columns = list(reader.fieldnames or [])
            if whole != text:
                self._write_all()

    @property
    def name(self) -> str:
        """Lightning's name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version of the run: there is one."""
        return ""

    @property
    def rows(self) -> tuple[Mapping[str, str], ...]:
        """All rows, as text."""
        return tuple(self._rows)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The configuration has a file of its own."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row."""
        row = {"step": str(step or 0)} | {key: repr(float(value)) for key, value in metrics.items() if key != "epoch"}
        new = [key for key in row if key not in self._columns]
        self._rows.append(row)
        if new:
            self._columns += new
            self._write_all()
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def forget_after(self, step: int) -> None:
        """Drop the rows beyond ``step``."""
        kept = [row for row in self._rows if int(row["step"]) <= step]
        if len(kept) < len(self._rows):
            self._rows = kept
            self._write_all()

    def _write_all(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(self._rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, text.getvalue().encode())
