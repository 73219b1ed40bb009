from __future__ import annotations

import pytest
import torch

from fol.errors import CheckpointError, ConfigError, DownloadError
from fol.models.architecture import initialise
from fol.models.densernet import DenserNet, DenserNetConfig
from fol.models.vgg import Vgg16, VggConfig
from fol.models.vgg_weights import load_vgg


def test_layers_are_torchvisions():
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs, ours = torchvision.models.vgg16().features[:-2], Vgg16(VggConfig())
    assert {n: p.shape for n, p in theirs.named_parameters()} == {n: p.shape for n, p in ours.named_parameters()}
    assert [type(layer) for layer in theirs] == [type(layer) for layer in ours]


def test_it_is_cut_before_the_last_relu():
    trunk = Vgg16(VggConfig(width=0.125))
    initialise(trunk, 0)
    with torch.no_grad():
        values = trunk(torch.randn(1, 3, 64, 64))
    assert values.shape == (1, 64, 4, 4) and values.min() < 0 < values.max()
    assert 0.1 < values.std() < 10, "the initial weights keep the scale of their input"


@pytest.mark.parametrize(("first", "frozen"), [("conv5", 10), ("conv4", 7), ("conv3", 4), ("conv2", 2), ("full", 0)])
def test_what_is_frozen_gets_no_gradient(first, frozen):
    trunk = Vgg16(VggConfig(width=0.0625, train_from=first))
    trunk(torch.randn(1, 3, 32, 32)).square().sum().backward()
    without = {name for name, p in trunk.named_parameters() if p.grad is None}
    convolutions = [layer for layer in trunk if isinstance(layer, torch.nn.Conv2d)]
    assert set(trunk.frozen_parameters()) == {p for layer in convolutions[:frozen] for p in layer.parameters()}
    names = {id(p): name for name, p in trunk.named_parameters()}
    assert without == {names[id(p)] for p in trunk.frozen_parameters()}


def test_bad_options_are_named():
    with pytest.raises(ConfigError, match="train_from='conv1' is unknown; choose conv5, conv4"):
        VggConfig(train_from="conv1")
    with pytest.raises(ConfigError, match="convention='keras'"):
        VggConfig(convention="keras")
    with pytest.raises(ConfigError, match="width=0"):
        VggConfig(width=0)
    with pytest.raises(ConfigError, match="31x40: both sides must be at least 32"):
        Vgg16(VggConfig(width=0.0625))(torch.zeros(1, 3, 31, 40))


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
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(DownloadError, match=r"vgg16_features-amdegroot-88682ab5.pth \(no network\)"):
        load_vgg(Vgg16(VggConfig(width=0.0625, convention="caffe_features")))
