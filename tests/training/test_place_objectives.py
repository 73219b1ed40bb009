"""Objectives over batches of places: SARE of all pairs against a loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fol.data.training import TrainingPlaces
from fol.losses.weak_options import InBatchLossOptions
from fol.training import TrainingSetup, ValidationOptions, train
from fol.training.batches import TrainingBatch
from fol.training.objectives import place_objective


class Descriptors(nn.Module):
    """The photos' values as unit vectors."""

    def forward(self, photos: Tensor) -> Any:
        return SimpleNamespace(descriptor=nn.functional.normalize(photos.flatten(1), dim=1))


def test_sare_in_batches_is_the_loop_over_pairs() -> None:
    """Places of 2, 2 and 1 photos, the first and the last of which are never negatives of each other."""
    images = tuple(Path(str(number)) for number in range(5))
    names, pairs = ("a", "b", "c"), np.array([[0, 2]])
    places = TrainingPlaces("drawn", images, np.array([0, 0, 1, 1, 2]), names, ("",) * 3, None, pairs)
    numbers = [3, 0, 4, 2, 1]
    photos = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    batch = TrainingBatch(photos, torch.tensor(numbers), torch.zeros(5, dtype=torch.long))
    step = place_objective(InBatchLossOptions(), places)(Descriptors(), photos, batch, 0)
    cosine = (step.descriptors @ step.descriptors.T).tolist()
    row = {number: numbers.index(number) for number in range(5)}
    # query, positive, negatives: photo 4 counts as a negative of the second place alone
    tuples = [(0, 1, [2, 3]), (1, 0, [2, 3]), (2, 3, [0, 1, 4]), (3, 2, [0, 1, 4])]
    terms = [
        math.log1p(math.exp((cosine[row[query]][row[other]] - cosine[row[query]][row[positive]]) / 0.07))
        for query, positive, negatives in tuples
        for other in negatives
    ]
    assert step.losses.total.item() == pytest.approx(sum(terms) / 10, rel=1e-5)
    assert list(step.losses.terms) == ["sare_ind"]


def test_a_run_of_it(make_setup: Callable[..., TrainingSetup], make_weak: Any, tmp_path: Path) -> None:
    model, options = make_weak().model, {"validation": ValidationOptions(monitor="global")}
    setup = make_setup(setup={"model": model, "losses": InBatchLossOptions()}, options=options, steps=2)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    result = train(setup, tmp_path / "run")
    assert result.last is not None
    assert any(not tensor.equal(before[name]) for name, tensor in model.network.state_dict().items())
