"""Starting weights of VGG16: from whose file, of which convention, and what of it is taken."""

from __future__ import annotations

import pytest
import torch

import fol
from fol.errors import CheckpointError, ConfigError, DownloadError
from fol.models import save_safetensors
from fol.models.architecture import initialise
from fol.models.densernet import DenserNet, DenserNetConfig
from fol.models.vgg import Vgg16, VggConfig
from fol.models.vgg_weights import load_vgg


def test_imagenet_weights_of_both_namings(tmp_path):
    full = torch.nn.Sequential(*Vgg16(VggConfig(width=0.0625)), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    initialise(full, 7)
    plain = dict(full.state_dict())
    torch.save(plain, tmp_path / "vd16.pth")
    classifier = {"classifier.0.weight": torch.full((3, 3), torch.nan)}  # as in torchvision's feature weights
    torch.save({f"features.{n}": t for n, t in plain.items()} | classifier, tmp_path / "torchvision.pth")
    for file in ("vd16.pth", "torchvision.pth"):
        trunk, low = Vgg16(VggConfig(width=0.0625)), DenserNet(DenserNetConfig(width=0.0625, taps=("low",)))
        load_vgg(trunk, tmp_path / file)
        load_vgg(low, tmp_path / file)  # which stops at pool3
        assert all(trunk.state_dict()[n].equal(t) for n, t in plain.items())
        assert all(t.equal(plain[n]) for n, t in low.trunk.state_dict().items())
    with pytest.raises(CheckpointError, match="missing 28.bias"):
        torch.save({n: t for n, t in plain.items() if n != "28.bias"}, tmp_path / "cut.pth")
        load_vgg(trunk, tmp_path / "cut.pth")


def test_weights_by_convention(monkeypatch, tmp_path):
    monkeypatch.setenv("FOL_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="such as netvlad_vgg16_caffe_untrained"):
        load_vgg(Vgg16(VggConfig(width=0.0625)))
    with pytest.raises(
        ConfigError, match="torchvision's VGG16, .* https://.*/vgg16-397923af.pth and give backbone_w"
    ) as e:
        load_vgg(DenserNet(DenserNetConfig(width=0.0625)))
    assert "caffe" not in str(e.value)
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(DownloadError, match=r"vgg16_features-amdegroot-88682ab5.pth \(no network\)"):
        load_vgg(Vgg16(VggConfig(width=0.0625, convention="caffe_features")))


@pytest.mark.parametrize(
    ("convention", "name"), [("caffe_features", "IMAGENET1K_FEATURES"), ("imagenet", "IMAGENET1K_V1")]
)
def test_what_is_fetched_is_torchvisions(convention, name, monkeypatch, tmp_path):
    published = pytest.importorskip("torchvision").models.VGG16_Weights[name]
    monkeypatch.setenv("FOL_HOME", str(tmp_path))
    asked = []

    def download(url: str, *_: object, **__: object) -> None:
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    for trunk in (
        Vgg16(VggConfig(width=0.0625, convention=convention)),
        DenserNet(DenserNetConfig(width=0.0625, convention=convention)),
    ):
        with pytest.raises(DownloadError):
            load_vgg(trunk)
    assert asked == [published.url] * 2


@pytest.mark.parametrize("given", ["netvlad_vgg_small_untrained", "densernet_tiny_untrained"])
@pytest.mark.parametrize("taker", [Vgg16(VggConfig(width=0.125)), DenserNet(DenserNetConfig(16, 16, 16, width=0.125))])
def test_the_trunk_of_our_own_files(given, taker, tmp_path):
    model = fol.load_model(given)
    save_safetensors(model.card, model.network, tmp_path / "own.safetensors")
    initialise(taker, 99)
    before = {name: tensor.clone() for name, tensor in taker.state_dict().items()}
    load_vgg(taker, tmp_path / "own.safetensors")
    theirs = model.network.backbone
    expected = (theirs.trunk if isinstance(theirs, DenserNet) else theirs).state_dict()
    assert len(expected) == 26
    found = taker.state_dict()
    trunk = {name: name.removeprefix("trunk.") for name in found if name.removeprefix("trunk.") in expected}
    assert len(trunk) == 26 and all(found[name].equal(expected[key]) for name, key in trunk.items())
    assert all(found[name].equal(before[name]) for name in found.keys() - trunk.keys()), "the rest stays as it was"


def test_alexnet_is_named(tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "alexnet.pth")
    for trunk in (Vgg16(VggConfig(width=0.0625)), DenserNet(DenserNetConfig(width=0.0625))):
        with pytest.raises(CheckpointError, match="alexnet.pth: AlexNet is not supported"):
            load_vgg(trunk, tmp_path / "alexnet.pth")
