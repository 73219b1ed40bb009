from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import fol
from fol.errors import ConfigError, MapError
from fol.models import PlaceModel
from fol.models.precision import at_least_float32, resolve_precision
from fol.types import Features, Place

SIZE = (140, 154)
HALVES = ["bfloat16", "float16"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1).mul(255).round().to(torch.uint8)


def load(precision: str = "float32", **options: object) -> PlaceModel:
    return fol.load_model("fol_tiny_untrained", image_size=SIZE, precision=precision, **options)


def cells(features: Features) -> dict[tuple[float, ...], Tensor]:
    """Local descriptors by their position."""
    return dict(zip(map(tuple, features.local.positions.tolist()), features.local.descriptors, strict=True))


@pytest.mark.parametrize("name", ["fol_tiny_untrained", "fol_nano_untrained"])
@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_is_near_and_gives_float32_unit_vectors(name: str, precision: str, images: Tensor) -> None:
    exact = fol.load_model(name, image_size=SIZE).extract(images)
    half = fol.load_model(name, image_size=SIZE, precision=precision).extract(images)
    for a, b in zip(exact, half, strict=True):
        assert not a.descriptor.equal(b.descriptor)  # it really computed otherwise
        assert float(a.descriptor @ b.descriptor) > 0.999
        assert a.local.descriptors.dtype == b.local.descriptors.dtype == b.descriptor.dtype == torch.float32
        assert b.region_map.dtype == b.local.weights.dtype == b.local.positions.dtype == torch.float32
        # Normalised in float32: bfloat16 would be off by up to 4e-3.
        assert (b.local.descriptors.norm(dim=1) - 1).abs().max() < 1e-5 and abs(b.descriptor.norm() - 1) < 1e-5
        ours, theirs = cells(a), cells(b)
        shared = ours.keys() & theirs.keys()
        assert len(shared) > 0.9 * len(ours)
        assert min(float(ours[cell] @ theirs[cell]) for cell in shared) > 0.995


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_does_not_depend_on_the_batch_beyond_its_rounding(precision: str, images: Tensor) -> None:
    model = load(precision)
    for image, together in zip(images, model.extract(images), strict=True):
        alone = model.extract(image[None])[0]
        assert float(alone.descriptor @ together.descriptor) > 0.9999


def test_pixels_and_the_transformed_photo_give_the_same_bits(images: Tensor) -> None:
    model = load()
    transformed = model.card.preprocessing.normalise(images.float().div(255))
    for a, b in zip(model.extract(images), model.extract(transformed), strict=True):
        assert a.descriptor.equal(b.descriptor) and a.local.descriptors.equal(b.local.descriptors)


def test_precision_is_in_the_fingerprint_and_in_the_recipe() -> None:
    models = [load(), *map(load, HALVES)]
    assert len({model.fingerprint for model in models}) == 3
    for model in models:
        again = fol.load_model(**model.recipe)
        assert (again.precision, again.fingerprint) == (model.precision, model.fingerprint)
    assert load("bfloat16").with_trainable_blocks(2).precision == "bfloat16"


def test_the_fingerprint_of_float32_is_the_one_from_before_there_was_a_choice() -> None:
    old = dict(load().recipe)
    del old["precision"]
    assert fol.load_model(**old).fingerprint == load().fingerprint


def test_a_map_refuses_the_features_of_another_precision(tmp_path: Path) -> None:
    exact, half = load(), load("bfloat16")
    items = [(Place("a", tmp_path / "a.png"), half.extract(torch.zeros(1, 3, *SIZE))[0])]
    place_map = fol.PlaceMap.from_features(tmp_path / "m.fol", half, items).place_map
    place_map.check_model(half)
    with pytest.raises(MapError, match="was built with"):
        place_map.check_model(exact)


def test_auto_and_unknown_names() -> None:
    assert resolve_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")
    assert resolve_precision("auto", torch.device("meta")) == "float32"
    assert load("auto").precision == resolve_precision("auto", torch.device("cpu"))
    with pytest.raises(ConfigError, match="'fp8' is unknown; choose float32, bfloat16, float16 or auto"):
        load("fp8")


def test_auto_follows_what_the_cpu_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in [({"avx2": True}, "float32"), ({"amx_bf16": True}, "bfloat16")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert resolve_precision("auto", torch.device("cpu")) == expected


def test_halves_are_widened_and_others_kept() -> None:
    for dtype, expected in [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)]:
        assert at_least_float32(torch.ones(2, dtype=dtype)).dtype == expected


def test_a_compiled_network_gives_the_same_features_for_any_batch(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Traced as for any compiler, and then run as it is: generating code takes a minute, see the slow test.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model, compiled = load(), load(compile=True)
    assert compiled.fingerprint == model.fingerprint and compiled.recipe == model.recipe
    assert compiled.state_dict().keys() == model.state_dict().keys()
    for batch in (images, images[:1]):
        for a, b in zip(model.extract(batch), compiled.extract(batch), strict=True):
            torch.testing.assert_close(a.descriptor, b.descriptor, atol=1e-5, rtol=0)
            torch.testing.assert_close(a.local.descriptors, b.local.descriptors, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_code_that_torch_generates(precision: str, images: Tensor) -> None:
    for a, b in zip(load(precision).extract(images), load(precision, compile=True).extract(images), strict=True):
        assert float(a.descriptor @ b.descriptor) > (1 - 1e-5 if precision == "float32" else 0.9999)


def test_a_network_that_cannot_be_compiled_says_so(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler\nis here")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    with pytest.raises(ConfigError, match=r"compile=True: torch cannot compile fol_tiny_untrained here .*no compiler"):
        load(compile=True).extract(images)
