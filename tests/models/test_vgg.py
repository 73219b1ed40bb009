from __future__ import annotations

import pytest
import torch

from fol.errors import ConfigError
from fol.models.architecture import initialise
from fol.models.vgg import VGG_INPUT, Vgg16, VggConfig


def test_layers_are_torchvisions():
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs, ours = torchvision.models.vgg16().features[:-2], Vgg16(VggConfig())
    assert {n: p.shape for n, p in theirs.named_parameters()} == {n: p.shape for n, p in ours.named_parameters()}
    assert [type(layer) for layer in theirs] == [type(layer) for layer in ours]


@pytest.mark.parametrize(
    ("convention", "name"), [("caffe_features", "IMAGENET1K_FEATURES"), ("imagenet", "IMAGENET1K_V1")]
)
def test_inputs_are_torchvisions(convention, name):
    transforms = pytest.importorskip("torchvision").models.VGG16_Weights[name].transforms()
    assert VGG_INPUT[convention] == (pytest.approx(transforms.mean), pytest.approx(transforms.std))


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
