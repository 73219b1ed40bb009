"""What is written beside a number about where it was measured."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import torch

from fol.evaluation.environment import code_digest, environment, git_revision, peak_memory


def test_it_is_plain_json_without_paths() -> None:
    text = json.dumps(environment(torch.device("cpu")), allow_nan=False)
    assert str(Path.home()) not in text
    assert json.loads(text)["threads"] == torch.get_num_threads()


def test_revision_of_a_checkout_and_of_none(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert git_revision(package) is None  # lies inside a repository that does not track it
    git("add", ".")
    git("commit", "-q", "-m", "second")
    revision = git("rev-parse", "HEAD")
    assert git_revision(package) == revision
    (package / "__init__.py").write_text("changed = True\n")
    assert git_revision(package) == revision + "+changes"


def test_digest_is_stable() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 64


def test_memory_in_bytes() -> None:
    peak = peak_memory(torch.device("cpu"))
    assert set(peak) == {"rss"}
    assert 50 * 2**20 < peak["rss"] < 2**40  # a process with torch in it
