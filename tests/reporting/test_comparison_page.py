"""The page that compares evaluations, and the tables beside it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fol.errors import ConfigError, DataError
from fol.evaluation import comparison_table
from fol.reporting import Evaluated, groups, read_evaluations, write_comparison, write_run_page

BETTER = [([0, 1], [0, 1]), ([1, 0], [1, 0]), ([2, 1], [2, 1]), ([0, 3], [3, 0])]
WORSE = [([0, 1], [0, 1]), ([0, 1], [0, 1]), ([0, 2], [0, 2]), ([3, 0], [0, 3])]


@pytest.fixture
def runs(make_run):
    options = {"photos": True}
    return [make_run(WORSE, model="small", **options), make_run(BETTER, model="large", **options)]


def evaluated(runs):
    return [Evaluated(run.result, run.folder, run.dataset) for run in runs]


def test_numbers_and_the_test_against_the_first(runs, tmp_path, read_page):
    page = read_page(write_comparison(evaluated(runs), tmp_path / "all.html"))
    for run in runs:
        document = json.loads((run.folder / "results.json").read_text())
        for stage in ("global", "reranked"):
            for k in (1, 2):
                value = document["recall"][stage]["count_as_miss"][str(k)]
                assert page.cells[run.result.subject.model, stage, str(k)] == f"{100 * value:.1f}"
    # After re-ranking the small one has query 0 right alone, the large one all four.
    assert "large: R@1 +75.0 points against small" in page.shown
    assert "3 queries gained, 0 lost, p = 0.25" in page.shown  # (1/2)^3, two sides
    assert "4 queries cannot tell the two apart" in page.shown
    assert "large gains 3 queries at K=1" in page.shown and "large loses" not in page.shown
    assert len(page.all("img")) == 3 * 3
    kinds = [found["class"] for found in page.all("div") if (found.get("class") or "").startswith("photo")]
    assert kinds == ["photo ", "photo wrong", "photo right"] * 3


def test_runs_below_are_linked(runs, tmp_path, read_page):
    run = runs[0]
    write_run_page(run.folder, run.dataset, run.result, run.rankings, None, pictures=0)
    below = read_page(write_comparison(evaluated(runs), tmp_path / "all.html"))
    links = [link["href"] for link in below.all("a")]
    assert "runs/town/small/report.html" in links and not any("large" in link for link in links)
    beside = read_page(write_comparison(evaluated(runs), tmp_path / "elsewhere" / "all.html"))
    assert not any("report.html" in link["href"] for link in beside.all("a"))


def test_links_to_folders_of_any_name(make_run, tmp_path, read_page):
    run = make_run(WORSE, dataset_name="a \udcff#?&")
    write_run_page(run.folder, run.dataset, run.result, run.rankings, None, pictures=0)
    page = read_page(write_comparison(evaluated([run]), tmp_path / "100% &.html"))
    links = [link["href"] for link in page.all("a")]
    assert "runs/a%20%FF%23%3F%26/nano/report.html" in links and "100%25%20%26.csv" in links
    assert "a \\udcff#?&" in page.shown


def test_what_cannot_be_compared_is_apart(runs, make_run, tmp_path, read_page):
    one = runs[0]
    rule = replace(one.result, without_positives="drop")
    other = make_run(WORSE[:3], model="third")
    protocol = replace(one.result, subject=replace(one.result.subject, protocol="utm<=5m"))
    found = [*evaluated(runs), *(Evaluated(r, one.folder) for r in (rule, other.result, protocol))]
    made = groups(found)
    assert [len(group.evaluated) for group in made] == [2, 1, 1, 1]
    assert len({group.title for group in made}) == 4
    page = read_page(write_comparison(found, tmp_path / "all.html"))
    assert "cannot be compared" in page.shown
    assert page.shown.count("Against") == 1


def test_one_data_set_with_other_queries_or_positives_is_another(runs):
    one = runs[0].result
    renamed = replace(one, queries=(replace(one.queries[0], name="x"), *one.queries[1:]))
    moved = replace(one, queries=(replace(one.queries[0], num_positives=2), *one.queries[1:]))
    made = groups([Evaluated(r, Path(str(i))) for i, r in enumerate((one, renamed, moved))])
    assert [len(group.evaluated) for group in made] == [1, 1, 1]
    assert len({group.title for group in made}) == 3


def test_namesakes_are_told_apart_by_their_folder(runs):
    one = runs[0]
    (group,) = groups([Evaluated(one.result, Path("runs/a")), Evaluated(one.result, Path("runs/b"))])
    assert group.labels == ("small in a", "small in b")


def test_tables(runs, make_run, tmp_path):
    single = make_run([([0, 1], None), ([0, 1], None)], dataset_name="village", model="hog", ks=(1, 5))
    out = tmp_path / "all.html"
    write_comparison(evaluated([*runs, single]), out)
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert len(rows) == 2 * 2 * 2 + 2
    row = next(r for r in rows if (r["model"], r["stage"], r["k"]) == ("large", "reranked", "1"))
    assert (row["dataset"], row["protocol"], row["queries"], row["hits"]) == ("town", "ground_truth.csv", "4", "4")
    assert float(row["recall"]) == 1.0 and float(row["low_95"]) == 1.0
    assert (row["method"], row["candidates"]) == ("fol", "100")
    hog = [r for r in rows if r["model"] == "hog"]
    assert [(r["stage"], r["k"], r["recall"], r["candidates"]) for r in hog] == [
        ("global", "1", "0.5", ""),
        ("global", "5", "1.0", ""),
    ]
    text = (tmp_path / "all.md").read_text()
    assert text.startswith(comparison_table([run.result for run in (*runs, single)]))
    assert "| large | fol, 100 | town | ground_truth.csv | 4 | 75.0 / 100.0 |" in text


def test_folders_of_folders(runs, tmp_path):
    found = read_evaluations([runs[1].folder, tmp_path / "runs"])
    assert [each.result.subject.model for each in found] == ["large", "small"], "each once, in the order given"
    assert found[0].result == runs[1].result
    with pytest.raises(DataError, match="is a result of fol evaluate|is .* a result of fol evaluate"):
        read_evaluations([tmp_path / "town"])
    with pytest.raises(ConfigError, match="no result"):
        write_comparison([], tmp_path / "all.html")


def test_odd_names_gone_photos_and_nothing_counted(make_run, tmp_path, read_page):
    names = ["<b>\udcff.jpg", "</script>", "c", "d"]
    both = [make_run(order, names=names, model=f"<i>{n}") for n, order in (("1", WORSE), ("2", BETTER))]
    page = read_page(write_comparison(evaluated(both), tmp_path / "all.html"))
    assert not page.all("b") and not page.all("i") and not page.all("script")
    assert page.shown.count("photo not found") == 9
    nothing = make_run([([0], None)], positives=[[]], rule="drop", model="none", dataset_name="void")
    again = replace(nothing.result, subject=replace(nothing.result.subject, model="again"))
    write_comparison([*evaluated([nothing]), Evaluated(again, nothing.folder)], tmp_path / "void.html")
    assert "No query counts here" in read_page(tmp_path / "void.html").shown
