"""What the catalogue says of a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fol.data.photo_set import PhotoSet
from fol.data.protocol import Protocol


@dataclass(frozen=True)
class Benchmark:
    """One data set (one split): how its own files are read, how many photos it has, under which rules it is measured.

    ``native``: a path below the folder of the download that tells that it is in its published form, with the function
    that reads it; the first that is there is taken. ``counts``: photos of database and queries before any protocol,
    None where no number is known; ``counted`` says whether they were counted in published files or are as printed in
    papers. ``access``: how one gets the photos. ``split``: folder below ``images/`` that VPR-datasets-downloader keeps
    it in.
    """

    name: str
    title: str
    native: tuple[tuple[str, Callable[[Path], PhotoSet]], ...]
    protocols: tuple[Protocol, ...]
    counts: tuple[int, int] | None = None
    counted: bool = False
    access: str = ""
    split: str = "test"

    @property
    def layout(self) -> str:
        """Where ``fol data prepare`` puts it."""
        return f"images/{self.split}"
