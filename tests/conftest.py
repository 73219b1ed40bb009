"""Fixtures that several rooms share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import formula
import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The small real image sets beside the checkout; tests that need them skip where they are not."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the real image sets are not here (looked for {path})")
    return path


def _official_state(architecture: str) -> dict[str, torch.Tensor]:
    keys = json.loads((REPOSITORY / "tests" / "reference" / f"official_keys_{architecture}.json").read_text())
    return {key: torch.from_numpy(formula.weight(key, tuple(shape))) for key, shape in keys.items()}


@pytest.fixture(scope="session")
def official_state() -> Callable[[str], dict[str, torch.Tensor]]:
    """State dict with the official names (``tiny``, ``dinov2_vits14``, ...) and the reference weights."""
    return _official_state


@pytest.fixture(scope="session")
def official_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the authors publish theirs: DataParallel prefix, optimiser state, numpy recalls."""
    path = tmp_path_factory.mktemp("weights") / "FoL_tiny.pth"
    torch.save(
        {
            "epoch_num": 3,
            "model_state_dict": {f"module.{k}": v for k, v in _official_state("tiny").items()},
            "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 6e-5}]},
            "recalls": np.array([93.5, 96.9]),
            "best_r5": np.float64(96.9),
            "not_improved_num": 0,
        },
        path,
    )
    return path


@pytest.fixture(scope="session")
def reference_photos() -> Callable[..., torch.Tensor]:
    """Normalised reference photos ``[B, 3, size, size]`` of (place, view) pairs."""

    def photos(pairs: Sequence[tuple[int, int]], size: int) -> torch.Tensor:
        images = np.stack([formula.photo(place, view, size) for place, view in pairs])
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        return torch.from_numpy(((images / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))

    return photos


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on a single thread, for modules that run beside others on few cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, they would go on alone on one of the processes when the others are done."""
    longest = ("test_documentation.py", "test_published_weights_commands.py")
    items.sort(key=lambda item: item.path.name not in longest)
