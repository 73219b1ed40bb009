"""Local features that an evaluation kept, as they were extracted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from drawn_town import draw_town, model, places

from fol.data import PlaceDataset
from fol.evaluation.cached_answers import CachedModel
from fol.evaluation.database_features import database_features
from fol.extraction import extract_places
from fol.localizer import Localizer
from fol.retrieval import PlaceMap
from fol.retrieval.feature_cache import FeatureCache, fill, photo_keys

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kept", ["cache", "map"])
def test_features_of_an_answer(kept: str, tmp_path: Path) -> None:
    draw_town(tmp_path / "town")
    database = places(tmp_path / "town", "database")
    dataset = PlaceDataset("town", tmp_path / "town", database, (), (), (), "by hand")
    extractor = model()
    subject: Localizer | CachedModel
    if kept == "map":
        subject = Localizer(extractor, PlaceMap.build(tmp_path / "town.fol", extractor, database).place_map)
    else:
        subject = CachedModel(extractor, tmp_path / "cache")
        some = [*database[:3], database[11]]
        fill(FeatureCache(subject.cache, extractor), extractor, some, photo_keys(some), local=True)
    features = database_features(subject, dataset)
    (batch,) = extract_places(extractor, database[2:3], batch_size=1)
    (_, expected) = batch.features[0]
    found = features(2)
    assert found is not None
    torch.testing.assert_close(found.positions.float(), expected.local.positions)
    torch.testing.assert_close(
        found.descriptors.float(), expected.local.descriptors, atol=0.01, rtol=0
    )  # 8 bits in maps
    assert features(11) is None  # its file is broken
    assert (features(4) is None) == (kept == "cache")  # nobody asked for it
