"""The package as people install it, and the scripts beside it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def test_tools_are_the_same_commands():
    listed = subprocess.run(
        [sys.executable, REPOSITORY / "tools" / "models.py"], capture_output=True, text=True, check=True
    )
    assert "fol_vitl14" in listed.stdout
    wrong = subprocess.run([sys.executable, REPOSITORY / "tools" / "locate.py"], capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith("error: fol locate needs map")


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="the build backend is not installed")
def test_the_wheel_holds_the_configuration_and_works_alone(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    assert (tmp_path / "site" / "fol" / "py.typed").exists()
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import fol.cli; print(fol.__file__)"
    code += "; sys.exit(fol.cli.main(['models', 'fol_vitb14']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout and "FoL_base.pth" in done.stdout


def test_constraints_are_versions_only_and_hold_a_matching_pair():
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+-]+", line) for line in lines)
    pinned = dict(line.lower().split("==") for line in lines)
    assert (pinned["torch"], pinned["torchvision"]) == ("2.14.0", "0.29.2")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert "fol[train,baselines,h5]" in extras["dev"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["train"], *extras["baselines"], *extras["h5"]]
    wanted.remove("fol[train,baselines,h5]")
    names = {re.match(r"[A-Za-z0-9_-]+", requirement)[0].lower().replace("-", "_") for requirement in wanted}
    assert names <= {name.replace("-", "_") for name in pinned}
    assert {"gpu", "serve", "train", "dev"} <= set(project["optional-dependencies"])


def test_files_stay_short():
    for path in [*REPOSITORY.glob("fol/**/*.py"), *REPOSITORY.glob("tools/*.py")]:
        assert len(path.read_text().splitlines()) <= 400, path
