"""A page as a browser reads it, and evaluations to make pages of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fol.data import PlaceDataset
from fol.evaluation import EvaluationResult, Subject, write_result
from fol.evaluation.journal import QueryRanking
from fol.evaluation.measures import measure_stage
from fol.evaluation.scoring import score_queries, stage_seconds
from fol.types import Place, Position

_VOID = {"meta", "img", "br", "input", "link", "hr"}


@dataclass
class Page(HTMLParser):
    """Elements, text and what is embedded; fails where tags do not nest."""

    text: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    cells: dict[tuple[str, ...], str] = field(default_factory=dict)  # of attributes data-... of cells
    data: Any = None

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(self.text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1][0] == tag, (tag, self._open[-3:], self.getpos())
        self._open.pop()

    def handle_data(self, data: str) -> None:
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.data = json.loads(data)
        if tag in ("script", "style"):
            return
        self.words.append(data)
        if tag == "td" and "data-stage" in attributes:
            key = tuple(str(value) for name, value in attributes.items() if name.startswith("data-"))
            self.cells.setdefault(key, data.strip())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]

    @property
    def shown(self) -> str:
        """All words, single spaces."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def read_page() -> Callable[[Path], Page]:
    return lambda path: Page(path.read_text())


@dataclass(frozen=True)
class Run:
    """An evaluation that was never computed by a model."""

    folder: Path
    dataset: PlaceDataset
    result: EvaluationResult
    rankings: dict[str, QueryRanking]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """``orders``: per query the database indices as retrieved and as re-ranked; query i is at database photo i."""

    def make(
        orders: list[tuple[list[int], list[int] | None]],
        *,
        names: list[str] | None = None,
        positives: list[list[int]] | None = None,
        skipped: dict[int, str] | None = None,
        photos: bool = False,
        positions: bool = False,
        model: str = "nano",
        dataset_name: str = "town",
        ks: tuple[int, ...] = (1, 2),
        conditions: list[str] | None = None,
        rule: str = "count_as_miss",
        protocol: str = "ground_truth.csv",
    ) -> Run:
        size = max([len(orders), *(1 + max(before, default=0) for before, _ in orders)])
        root = tmp_path / dataset_name
        names = names or [f"q{i}.jpg" for i in range(len(orders))]

        def place(side: str, name: str, i: int) -> Place:
            path = root / side / f"{i}.jpg"
            if photos and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(i).integers(0, 255, (60, 80, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
            notes = {"note": conditions[i]} if conditions and side == "queries" else {}
            return Place(name, path, Position(100.0 * i, 50.0, "31N") if positions else None, metadata=notes)

        dataset = PlaceDataset(
            dataset_name,
            root,
            tuple(place("database", f"d{i}.jpg", i) for i in range(size)),
            tuple(place("queries", name, i) for i, name in enumerate(names)),
            tuple(np.array(p, np.int64) for p in (positives or [[i] for i in range(len(orders))])),
            tuple(np.empty(0, np.int64) for _ in orders),
            protocol,
        )
        rankings = {}
        for i, (name, (before, after)) in enumerate(zip(names, orders, strict=True)):
            why = (skipped or {}).get(i)
            fall = [1 - 0.1 * at - 0.001 * i for at in range(len(before))]
            rankings[name] = QueryRanking(
                name,
                tuple(before),
                tuple(fall),
                None if after is None else tuple(after),
                () if after is None else tuple(2 * value for value in fall),
                () if after is None else tuple(10 * (len(after) - at) for at in range(len(after))),
                {"extract": 0.25},
                why,
            )
        two_stage = any(after is not None for _, after in orders)
        stages = ("global", "reranked") if two_stage else ("global",)
        subject = Subject(model, model * 8, "fol", "fol", {"threshold": 0.7}, dataset_name, "", protocol, size, 100)
        ordered = list(rankings.values())
        result = EvaluationResult(
            subject,
            ks,
            rule,  # type: ignore[arg-type]
            two_stage,
            score_queries(dataset, rankings),
            seconds=stage_seconds(rankings),
            measures={stage: measure_stage(dataset, ordered, stage, ks, rule) for stage in stages},  # type: ignore[arg-type,misc]
            bytes_per_image={"descriptors": 2048.0},
            environment={"python": "3.11", "packages": {"torch": "2"}},
        )
        folder = tmp_path / "runs" / dataset_name / model
        folder.mkdir(parents=True, exist_ok=True)
        write_result(result, folder, {"data": {"root": str(root)}})
        return Run(folder, dataset, result, rankings)

    return make
