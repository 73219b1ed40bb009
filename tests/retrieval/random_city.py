"""A city of random features: what maps are filled with where no photo is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fol.matching.quantisation import QuantisedLocalFeatures
from fol.retrieval import ModelIdentity, PlaceMap
from fol.types import Features, LocalFeatures, LocalFeaturesBatch, Place, Position

IDENTITY = ModelIdentity("random", "ab12" * 16, "fol", descriptor_dim=16, local_dim=8, max_tokens=5)


@dataclass(frozen=True)
class RandomCity:
    """Places 100 m apart along a street; the features of place ``i`` depend on ``i`` and ``seed`` alone."""

    identity: ModelIdentity = IDENTITY
    root: Path = field(default_factory=lambda: Path("/photos/of/nowhere"))
    seed: int = 0

    def place(self, i: int) -> Place:
        name = f"street/photo {i:04d} é.jpg"
        position = Position(400_000 + 100.0 * i, 5_000_000.0, "31N", 45.0, 2.0) if i % 7 else None
        return Place(name, self.root / name, position, heading=float(i % 360), metadata={"n": str(i)})

    def descriptor(self, i: int) -> Tensor:
        return self.features(i).descriptor

    def features(self, i: int) -> Features:
        generator = torch.Generator().manual_seed(1_000_000 * self.seed + i)
        model = self.identity
        length = i % (model.max_tokens + 1)  # zero tokens and as many as fit are among them
        return Features(
            normalize(torch.randn(model.descriptor_dim, generator=generator), dim=0),
            LocalFeatures(
                normalize(torch.randn(length, model.local_dim, generator=generator), dim=1),
                640 * torch.rand(length, 2, generator=generator),
                torch.rand(length, generator=generator),
            ),
        )

    def items(self, indices: Iterable[int]) -> list[tuple[Place, Features]]:
        return [(self.place(i), self.features(i)) for i in indices]


def build_map(path: Path, city: RandomCity, count: int = 20, **options: object) -> PlaceMap:
    report = PlaceMap.from_features(
        path, city.identity, city.items(range(count)), batch_size=6, calibrate=False, **options
    )
    return report.place_map


def assert_holds(place_map: PlaceMap, city: RandomCity, ids: list[int]) -> None:
    """Everything about the places with these ids is as the city says, and there are no others."""
    assert place_map.ids.tolist() == ids
    assert len(place_map) == len(ids)
    assert place_map.places(ids) == [city.place(i) for i in ids]
    stored = place_map.local_features(ids)
    for place_id, local in zip(ids, stored, strict=True):
        expected = city.features(place_id)
        found = place_map.search(expected.descriptor, 1)
        assert found.ids.tolist() == [place_id]
        assert found.similarities[0] == pytest.approx(1, abs=1e-6)
        assert torch.equal(place_map.descriptors([place_id])[0], expected.descriptor)
        assert torch.equal(local.descriptors, _kept(stored, expected.local.descriptors))
        assert torch.allclose(local.positions, expected.local.positions, atol=0.01)  # 640 pixels in 65,535 steps
        assert torch.allclose(local.weights, expected.local.weights, atol=0.5001 / 255)
    place_map.verify()


def _kept(stored: LocalFeaturesBatch | QuantisedLocalFeatures, descriptors: Tensor) -> Tensor:
    if isinstance(stored, LocalFeaturesBatch):
        return descriptors.half().float()
    return stored.quantiser.decode(stored.quantiser.encode(descriptors)[0])
