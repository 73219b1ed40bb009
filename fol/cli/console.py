"""What people see while a command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from fol.types import ProgressCallback

#: Columns assumed where the output is no terminal (a file, a pipe).
_PLAIN_WIDTH = 120


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH)


#: Results go to standard output, all else to standard error.
out = _console(stderr=False)
err = _console(stderr=True)


def say(text: str) -> None:
    """A line of the result, on standard output, exactly as it is."""
    out.print(text, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """A line beside the result, on standard error, exactly as it is."""
    err.print(text, markup=False, soft_wrap=True)


@contextmanager
def speaking(allowed: bool) -> Iterator[None]:
    """Nothing is printed inside unless ``allowed``: of several processes that do the same, one speaks."""
    before = out.quiet, err.quiet
    if not allowed:
        out.quiet = err.quiet = True
    try:
        yield
    finally:
        out.quiet, err.quiet = before


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """``12.3/s``, or a dash before the first item."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s")


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """A callback (done, total) that draws a bar with rate and remaining time on standard error.

    Where that is no terminal, a plain line per tenth of the work, so that logs stay readable.
    """
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=err) as bar:
            task = bar.add_task(description, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown = -1

    def report(done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth != shown:
            shown = tenth
            note(f"{description}: {done}/{total}")

    yield report
