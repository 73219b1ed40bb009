"""Where and with what a number was measured: what a result needs beside it to be reproduced."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from fol.files import source_digest

_PACKAGES = (
    "fol",
    "torch",
    "torchvision",
    "timm",
    "faiss-cpu",
    "faiss-gpu",
    "numpy",
    "pillow",
    "kornia",
    "xformers",
    "scikit-image",
)
_SOURCE = Path(__file__).parents[1]
_NO_PART_IN_RANKINGS = {"benchmarks", "cli", "losses", "reporting", "training", "visualization"}


def environment(device: torch.device) -> dict[str, object]:
    """Versions, processor, threads, accelerator and, in a git checkout, the revision (``+changes`` when edited)."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "git_revision": git_revision(),
    }


def git_revision(folder: Path = _SOURCE) -> str | None:
    """Commit of the checkout that this package lies in, with ``+changes`` when files differ; None outside of one."""
    revision = _git(folder, "rev-parse", "HEAD")
    # An installed package inside somebody else's repository is not that repository's revision.
    if revision is None or _git(folder, "ls-files", "__init__.py") != "__init__.py":
        return None
    return revision + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no", ".") else "")


def code_digest() -> str:
    """Of the sources that rankings come from."""
    files = [file for file in _SOURCE.rglob("*.py") if file.relative_to(_SOURCE).parts[0] not in _NO_PART_IN_RANKINGS]
    return source_digest(files, _SOURCE)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Bytes: ``rss`` highest resident memory of this process since its start, ``cuda`` highest allocation there."""
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cuda = {"cuda": int(torch.cuda.max_memory_allocated(device))} if device.type == "cuda" else {}
    return {"rss": rss} | cuda


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
