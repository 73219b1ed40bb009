"""The published extraction loop that ours is timed against is the same computation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import fol
from fol.benchmarks.extraction import ExtractionSize, measure, published_loop, whole_attention, write_photos
from fol.benchmarks.peaks import Peaks
from fol.errors import ConfigError
from fol.extraction import extract_places
from fol.models import PlaceModel

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_whole_matrix_holds_the_row_that_ours_computes_alone() -> None:
    network = fol.load_model("fol_tiny_untrained").network
    images = torch.randn(2, 3, 126, 140)
    with torch.inference_mode(), whole_attention(network) as rows:
        tokens = network.backbone(images)
    torch.testing.assert_close(rows[0], tokens.class_attention, atol=1e-5, rtol=1e-4)
    with torch.inference_mode():
        network.backbone(images)
    assert len(rows) == 1  # only inside the context


def test_the_loop_gives_the_descriptors_of_a_model_that_resizes_as_published(tmp_path: Path) -> None:
    model = fol.load_model("fol_tiny_untrained", image_size=126)
    places = write_photos(tmp_path, 18)
    assert Image.open(places[17].image).size == (640, 480)
    found, local = published_loop(model, model.network, places)
    card = replace(model.card, preprocessing=replace(model.card.preprocessing, antialias=False))
    batches = extract_places(PlaceModel(card, model.network), places)
    ours = [f.descriptor for batch in batches for _, f in batch.features]
    torch.testing.assert_close(found, torch.stack(ours), atol=1e-4, rtol=0)
    assert [tuple(rows.shape) for rows in local] == [(3600, model.local_dim)] * 18


def test_a_model_of_one_stage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    salad = fol.load_model("fol_tiny_untrained")
    monkeypatch.setattr(salad, "network", torch.nn.Identity())
    monkeypatch.setattr("fol.benchmarks.extraction.load_model", lambda *_, **__: salad)
    with pytest.raises(ConfigError, match="give such a model"):
        measure(ExtractionSize(model="dinov2_salad"), Peaks(1.0, None, 1.0))
