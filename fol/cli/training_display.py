"""What people see of a training run: a live bar on a terminal, lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fol.cli.console import err, note
from fol.training import TrainingProgress, ValidationScores


@dataclass(frozen=True)
class TrainingDisplay:
    """Shows progress and validations; ``bar`` is None where the output is no terminal."""

    bar: Progress | None = None
    task: TaskID | None = None

    def progress(self, progress: TrainingProgress) -> None:
        """Batches, losses, images per second and the time that is left."""
        if self.bar is None or self.task is None:
            note(f"{progress.done}/{progress.total} (epoch {progress.epoch:.1f})  {figures(progress)}")
        else:
            self.bar.update(self.task, completed=progress.done, total=progress.total, figures=figures(progress))

    def validation(self, done: int, scores: ValidationScores) -> None:
        """R@1 of both stages, and the share of right matches where it is known."""
        right = scores.mean_match_accuracy
        matches = "" if right is None else f", {right:.1f} % of the matches right"
        reranked = scores.known("reranked", 1)
        second = "" if reranked is None else f", {reranked:.1f} after re-ranking"
        note(f"validation after {done} batches: R@1 {scores.mean('global', 1):.1f} by retrieval{second}{matches}")


@contextmanager
def training_display() -> Iterator[TrainingDisplay]:
    """The display of one run, on standard error."""
    if not err.is_terminal:
        yield TrainingDisplay()
        return
    columns = (
        TextColumn("training"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=err) as bar:
        yield TrainingDisplay(bar, bar.add_task("training", total=None, figures=""))


def figures(progress: TrainingProgress) -> str:
    """Each loss, images per second and the time that is left, in one line."""
    losses = "  ".join(f"{name} {value:.4g}" for name, value in progress.losses.items())
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{losses}  {progress.images_per_second:.1f} images/s  {minutes}:{seconds:02d} left"
