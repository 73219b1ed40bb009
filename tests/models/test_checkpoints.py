from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import fol
from fol.errors import CheckpointError
from fol.models.architecture import Architecture
from fol.models.cards import dinov2, fol_architecture
from fol.models.checkpoints import Checkpoint, infer_architecture, load_strict, read_checkpoint, save_safetensors
from fol.models.published import our_names

KEYS = sorted((Path(__file__).parents[1] / "reference").glob("official_keys_*.json"))


def write(path: Path, state: dict[str, torch.Tensor], **extra: object) -> Path:
    torch.save({"model_state_dict": state, **extra}, path)
    return path


@pytest.mark.parametrize("keys", KEYS, ids=lambda p: p.stem)
def test_every_official_key_fits_the_architecture_read_off_the_shapes(keys, tmp_path):
    """The official layouts at full size, on the meta device."""
    shapes = json.loads(keys.read_text())
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    checkpoint = Checkpoint(keys, our_names(keys, state)[0])
    name = keys.stem.removeprefix("official_keys_").removeprefix("dinov2_")
    architecture = infer_architecture(checkpoint, heads=4 if name == "tiny" else None)
    assert architecture == fol_architecture(dinov2(name))
    with torch.device("meta"):
        wanted = architecture.build("official").state_dict()
    assert {n: t.shape for n, t in checkpoint.tensors.items() if n != "backbone.mask_token"} == {
        n: t.shape for n, t in wanted.items()
    }


def test_swiglu_names_of_the_giant_are_translated(tmp_path):
    """DINOv2's giant calls its gated layers w12 and w3; a narrow one in that layout loads strictly."""
    narrow = replace(
        fol_architecture(dinov2("tiny")), backbone=replace(dinov2("tiny"), ffn="swiglu", mlp_hidden=96, depth=5)
    )
    ours = narrow.build("official").state_dict()
    official = {}
    for name, tensor in ours.items():
        for a, b in (
            ("backbone.", "backbone.model."),
            ("aggregation.", "aggregator."),
            ("local_head.upconv1.", "upconv."),
            ("local_head.upconv2.", "upconv2."),
        ):
            if name.startswith(a):
                name = b + name.removeprefix(a)
                break
        official[name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")] = tensor
    model = fol.load_model(write(tmp_path / "giant.pth", official), heads=4)
    assert model.card.architecture == narrow
    assert all(model.network.state_dict()[n].equal(t) for n, t in ours.items())


def test_official_file_with_numpy_recalls_is_read_with_weights_only(official_tiny, official_state):
    checkpoint = read_checkpoint(official_tiny)
    assert checkpoint.tensors["local_head.upconv1.weight"].equal(official_state("tiny")["upconv.weight"])
    assert not checkpoint.header


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"model_state_dict": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="evil.pth"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("upconv.bias"), "missing local_head.upconv1.bias"),
        (lambda s: s.pop("backbone.model.blocks.3.ls1.gamma"), "missing backbone.blocks.3.ls1.gamma"),
        (lambda s: s.update({"head.weight": torch.zeros(2)}), "unexpected head.weight"),
        (lambda s: s.update({"upconv2.bias": torch.zeros(64)}), r"local_head.upconv2.bias is \[64\], not \[128\]"),
        (lambda s: s["backbone.model.norm.bias"].fill_(torch.nan), "backbone.norm.bias has values that are not finite"),
        (lambda s: s.pop("backbone.model.cls_token"), "no tensor 'backbone.cls_token'"),
        (lambda s: s.update({"module.upconv.bias": s["upconv.bias"]}), "two tensors mean 'upconv.bias'"),
    ],
)
def test_what_does_not_fit_is_named(change, message, official_state, tmp_path):
    state = official_state("tiny")
    change(state)
    with pytest.raises(CheckpointError, match=message) as error:
        fol.load_model(write(tmp_path / "bad.pth", state), heads=4)
    assert "bad.pth" in str(error.value) and "\n" not in str(error.value)


def test_mask_token_may_be_absent(official_state, tmp_path):
    state = official_state("tiny")
    state.pop("backbone.model.mask_token")
    fol.load_model(write(tmp_path / "w.pth", state), heads=4)


def test_only_a_leading_module_prefix_is_dropped(official_state, tmp_path):
    state = {f"aggregator.module.{k}" if k == "upconv.bias" else k: v for k, v in official_state("tiny").items()}
    with pytest.raises(CheckpointError, match=r"unexpected aggregation.module.upconv.bias"):
        fol.load_model(write(tmp_path / "w.pth", state), heads=4)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated", None], ids=["empty", "text", "zip", "cut"]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files(content, suffix, official_tiny, tmp_path):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(official_tiny.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(CheckpointError, match="damaged"):
        fol.load_model(path, heads=4)


@pytest.mark.parametrize("content", [{}, {"model_state_dict": {"a": 1}}, [torch.zeros(1)]])
def test_files_without_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        fol.load_model(tmp_path / "w.pth")


def test_heads_that_do_not_fit(official_tiny):
    with pytest.raises(CheckpointError, match="heads=5"):
        fol.load_model(official_tiny, heads=5)


def test_conversion_keeps_every_number_and_the_card(official_tiny, tmp_path, reference_photos):
    model = fol.load_model(official_tiny, heads=4, image_size=224, preset="fol")
    save_safetensors(model.card, model.network, tmp_path / "deep" / "ours.safetensors")
    again = fol.load_model(tmp_path / "deep" / "ours.safetensors")
    assert again.card == replace(model.card, name="ours")
    assert again.fingerprint == model.fingerprint
    images = reference_photos([(0, 0)], 224)
    assert again.extract(images)[0].descriptor.equal(model.extract(images)[0].descriptor)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["ours.safetensors"]


def test_another_architecture_in_our_header_is_named(official_tiny, tmp_path):
    model = fol.load_model(official_tiny, heads=4)
    save_safetensors(model.card, model.network, tmp_path / "ours.safetensors")
    card = replace(model.card, architecture=fol_architecture(dinov2("vits14")))
    with torch.device("meta"):
        network = card.architecture.build("official")
    with pytest.raises(CheckpointError, match="does not fit the architecture"):
        load_strict(network, read_checkpoint(tmp_path / "ours.safetensors"))
    save_file(
        load_file(tmp_path / "ours.safetensors"), tmp_path / "x.safetensors", metadata={"fol": '{"preset": "fol"}'}
    )
    with pytest.raises(CheckpointError, match="preprocessing"):
        fol.load_model(tmp_path / "x.safetensors")


def test_architecture_survives_the_header():
    architecture = fol_architecture(dinov2("vitg14"))
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
    with pytest.raises(CheckpointError):
        Architecture.from_dict({"kind": "fol"})


def test_numpy_values_of_both_numpy_generations_are_allowed(tmp_path):
    """Files written before numpy 2 name numpy.core, newer ones numpy._core."""
    path = tmp_path / "w.pth"
    torch.save({"model_state_dict": {"a": torch.zeros(1)}, "recalls": np.ones(2), "best": np.float32(1)}, path)
    assert "a" in read_checkpoint(path).tensors
    import zipfile

    old = tmp_path / "old.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as target:
        for item in source.namelist():
            target.writestr(item, source.read(item).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert "a" in read_checkpoint(old).tensors
