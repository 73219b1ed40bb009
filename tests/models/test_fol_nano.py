"""The weights that come with the library."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

import fol
from fol.data import read_dataset
from fol.data.synthetic import make_city_level
from fol.extraction import extract_places
from fol.models import PlaceModel
from fol.models.checkpoints import card_of_file, read_checkpoint
from fol.models.weights import PACKAGED
from fol.models.zoo import model_card

FILE = PACKAGED / "fol_nano.safetensors"


def test_the_file_is_small_and_is_what_its_card_says() -> None:
    card, checkpoint = model_card("fol_nano"), read_checkpoint(FILE)
    assert FILE.stat().st_size <= 12e6
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float16}
    assert 3e6 <= sum(tensor.numel() for tensor in checkpoint.tensors.values()) <= 8e6
    header = card_of_file(checkpoint)
    assert (header.architecture, header.preprocessing, header.preset) == (
        card.architecture,
        card.preprocessing,
        card.preset,
    )
    assert card.weights is not None and card.weights.sha256 == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert "training" not in checkpoint.header  # the configuration of the run names folders of the machine


def recall_at_1(model: PlaceModel, root: Path) -> float:
    dataset = read_dataset(root)
    assert dataset.positives is not None

    def descriptors(places: tuple[fol.types.Place, ...]) -> np.ndarray:
        batches = extract_places(model, places, batch_size=12)
        return np.stack([features.descriptor.numpy() for batch in batches for _, features in batch.features])

    best = (descriptors(dataset.queries) @ descriptors(dataset.database).T).argmax(1)
    return float(np.mean([place in right for place, right in zip(best.tolist(), dataset.positives, strict=True)]))


@pytest.mark.usefixtures("one_thread")
def test_it_has_learned_something(tmp_path: Path) -> None:
    """Streets of the validation split, which it was not trained on; by retrieval alone."""
    city = make_city_level(tmp_path / "city", level="easy", split="val", places=20, size=140)
    trained = recall_at_1(fol.load_model("fol_nano", image_size=140), city)
    untrained = recall_at_1(fol.load_model("fol_nano_untrained", image_size=140), city)
    assert trained >= untrained + 0.2
