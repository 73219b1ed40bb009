"""Every command and every Python example of the README and of docs/ runs, in the order in which they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from replicas.catalogue import write_native

REPOSITORY = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Commands that fetch published weights; a stand-in in the official layout is put where the download would be.
PUBLISHED = re.compile(r"model=fol_vit[bl]14\b")
#: Benchmarks that the documents have in downloads/: replicas of them.
DOWNLOADS = {"msls": "msls_val", "tokyo247": "tokyo247", "nordland": "nordland_vprbench"}


def blocks(document: Path) -> list[tuple[str, str]]:
    return [(kind, body) for kind, body in BLOCK.findall(document.read_text())]


def commands(body: str) -> list[str]:
    """Command lines without comments; a backslash joins the next line."""
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    return [
        line for line in (re.sub(r"\s+#.*$", "", raw).strip() for raw in lines) if line and not line.startswith("#")
    ]


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the state after ``make demo``, where the README goes on."""
    folder = tmp_path_factory.mktemp("readme")
    recipe = subprocess.run(["make", "-n", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert "fol demo out=demo" in recipe
    done = run("fol demo out=demo", folder)
    for name in (
        "located.png",
        "missed.png",
        "recall.png",
        "evaluation/results.json",
        "evaluation/queries.csv",
        "city.fol/manifest.json",
    ):
        assert (folder / "demo" / name).stat().st_size, done.stdout
    for name, benchmark in DOWNLOADS.items():
        write_native(benchmark, folder / "downloads" / name)
    return folder


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_make_targets_of_the_readme_exist():
    used = {
        line.split()[1]
        for _, body in blocks(REPOSITORY / "README.md")
        for line in commands(body)
        if line.startswith("make ")
    }
    assert used == {"demo", "test"}
    for target in used:
        subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=True)


def test_the_readme_runs_as_it_stands(after_demo: Path):
    ran = 0
    for kind, body in blocks(REPOSITORY / "README.md"):
        if kind == "python":
            run(f"{sys.executable} - <<'EOF'\n{body}\nEOF", after_demo)
            ran += 1
        for command in commands(body) if kind == "bash" else []:
            if not command.startswith("make ") and not PUBLISHED.search(command):
                run(command, after_demo)
                ran += 1
    assert ran >= 8
    for folder in ("nano", "untrained", "smoke-on-city"):
        assert (after_demo / "runs" / folder / "results.json").is_file()


@pytest.mark.parametrize("document", sorted((REPOSITORY / "docs").glob("*.md")), ids=lambda p: p.stem)
def test_examples_of_the_documents_run(document: Path, after_demo: Path):
    for kind, body in blocks(document):
        if kind == "python":
            run(f"{sys.executable} - <<'EOF'\n{body}\nEOF", after_demo)
        for command in commands(body) if kind == "bash" else []:
            run(command, after_demo)


@pytest.mark.parametrize(
    "document", [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))], ids=lambda p: p.stem
)
def test_links_and_pictures_are_there(document: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target
