"""The stored cases of the published code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="session")
def published():
    """Query, candidates and the official counts of the stored case of that many tokens."""
    spec = importlib.util.spec_from_file_location("reference_formula", REFERENCE / "formula.py")
    formula = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formula)

    def read(length):
        case = np.load(REFERENCE / f"matching_{length}.npz")
        query, candidates = formula.local_sets(
            str(case["tag"]), int(case["n"]), int(case["length"]), pad=int(case["pad"])
        )
        return torch.from_numpy(query), torch.from_numpy(candidates), case["scores"].astype(int).tolist()

    return read
