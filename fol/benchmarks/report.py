"""Results of a benchmark as a table and as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fol.benchmarks.measuring import Timing
from fol.visualization.page import FAINT, INK, Page, check_png, dress, fits, save_png
from fol.visualization.recall import COLOURS


@dataclass(frozen=True)
class Row:
    """One formulation: its timing, the ``floor`` in seconds that the machine's peaks set, and a ``note``."""

    name: str
    timing: Timing
    floor: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """``rows`` with the baseline first; ``setting`` and ``notes`` are sentences for people."""

    subject: str
    setting: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """A heading, a table, the notes."""
        lines = [
            f"### {self.subject}",
            "",
            self.setting,
            "",
            "| formulation | seconds | times as fast | floor, s | extra peak MB | |",
            "|---|---|---|---|---|---|",
            *(self._line(row) for row in self.rows),
        ]
        return "\n".join([*lines, *(("", *self.notes) if self.notes else ())]) + "\n"

    def _line(self, row: Row) -> str:
        timing = row.timing
        floor = "-" if row.floor is None else f"{row.floor:.3g}"
        peak = "-" if timing.peak_bytes is None else f"{timing.peak_bytes / 1e6:.1f}"
        return f"| {row.name} | {timing.seconds:.3g} | {timing.ratio:.1f} | {floor} | {peak} | {row.note} |"


def rows_of(
    timings: Mapping[str, Timing],
    floors: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
) -> tuple[Row, ...]:
    """Rows in the order of ``timings``."""
    return tuple(Row(n, t, (floors or {}).get(n), (notes or {}).get(n, "")) for n, t in timings.items())


def draw_reports(path: Path | str, reports: Sequence[Report]) -> None:
    """Write bars of "times as fast as the published formulation" of every subject as PNG, atomically."""
    check_png(Path(path))
    rows = [(report, row) for report in reports for row in report.rows[1:]]
    if not rows:
        raise ValueError("no formulation to draw beside a baseline")
    height = 0.26 * len(rows)
    page = Page(7.6, height + 0.7)
    axes = page.axes(2.9, 0.2, 4.3, height)
    subjects = [report.subject for report in reports]
    for place, (report, row) in enumerate(rows):
        colour = COLOURS[subjects.index(report.subject) % len(COLOURS)]
        axes.barh(place, row.timing.ratio, color=colour, height=0.72)
        axes.text(row.timing.ratio * 1.06, place, f"{row.timing.ratio:.1f}", va="center", fontsize=7.5, color=INK)
    axes.axvline(1.0, color=FAINT, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(right=max(row.timing.ratio for _, row in rows) * 2)
    axes.set_yticks(range(len(rows)), [fits(f"{r.subject}: {row.name}", 44) for r, row in rows])
    axes.invert_yaxis()
    dress(axes, xlabel="times as fast as the published formulation")
    axes.tick_params(length=0, labelsize=7.5, labelcolor=INK)
    save_png(page.figure, Path(path))
