from __future__ import annotations

import pytest
import torch

from fol.errors import ConfigError
from fol.models import CARDS
from fol.models.architecture import initialise
from fol.models.densernet import DenserNet, DenserNetConfig


@pytest.mark.parametrize(
    ("card", "channels", "stride"), [("small", 192, 4), ("middle", 384, 4), ("large", 1152, 4), ("paper", 1152, 2)]
)
@pytest.mark.parametrize("size", [(128, 128), (480, 640)])
def test_published_shapes(card, channels, stride, size):
    card = CARDS[f"densernet_{card}_untrained"]
    with torch.device("meta"):
        network = card.architecture.build()
        feature_map = network.feature_map(torch.empty(2, 3, *size))
    assert feature_map.shape == (2, channels, size[0] // stride, size[1] // stride)
    assert card.architecture.descriptor_dim == 64 * channels


def test_only_reductions_and_aggregation_are_trained():
    network = CARDS["densernet_small_untrained"].architecture.build()
    frozen = set(network.backbone.frozen_parameters())
    assert sum(p.numel() for p in network.parameters() if p not in frozen) == 106_688
    network(torch.randn(1, 3, 32, 32)).descriptor.sum().backward()
    assert {p for p in network.parameters() if p.grad is None} == frozen


def test_paper_form_by_hand():
    """Before the pools and after the ReLU; 1x1, nearest, 3x3; [H, M, L]. Exactly the trunk is frozen."""
    net = DenserNet(DenserNetConfig(4, 5, 6, form="paper", width=0.0625))
    initialise(net, 0)
    generator = torch.Generator().manual_seed(4)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    state = net.state_dict()
    images = torch.randn(2, 3, 64, 96, generator=generator)
    values, tapped = images, {}
    for index in range(30):
        if f"trunk.{index}.weight" in state:
            values = torch.conv2d(values, state[f"trunk.{index}.weight"], state[f"trunk.{index}.bias"], padding=1)
        elif index in (4, 9, 16, 23):
            values = torch.max_pool2d(values, 2)
        else:
            values = values.relu()
        tapped[index] = values
    expected = []
    for tap, layer, factor in (("high", 29, 8), ("middle", 22, 4), ("low", 15, 2)):
        values = torch.conv2d(tapped[layer], state[f"reduce.{tap}.weight"], state[f"reduce.{tap}.bias"])
        values = values.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        expected.append(torch.conv2d(values, state[f"refine.{tap}.weight"], state[f"refine.{tap}.bias"], padding=1))
    found = net(images)
    assert found.shape == (2, 15, 32, 48)
    torch.testing.assert_close(found, torch.cat(expected, dim=1), atol=1e-5, rtol=1e-4)
    found.square().sum().backward()
    trunk = {name for name, _ in net.named_parameters() if name.startswith("trunk.")}
    assert {name for name, p in net.named_parameters() if p.grad is None} == trunk
    assert set(net.frozen_parameters()) == set(net.trunk.parameters())


@pytest.mark.parametrize("form", ["release", "paper"])
@pytest.mark.parametrize("size", [(33, 47), (100, 60), (64, 32)])
def test_any_size_from_32(form, size):
    net = DenserNet(DenserNetConfig(4, 5, 6, form=form, width=0.0625))
    initialise(net, 0)
    stride = 4 if form == "release" else 2
    with torch.no_grad():
        assert net(torch.randn(1, 3, *size)).shape == (1, 15, size[0] // stride, size[1] // stride)


@pytest.mark.parametrize("taps", [("high",), ("middle",), ("low",), ("high", "low")])
def test_fewer_taps_are_a_part_of_all(taps):
    images = torch.randn(1, 3, 64, 64)
    whole = DenserNet(DenserNetConfig(4, 5, 6, width=0.0625))
    initialise(whole, 0)
    some = DenserNet(DenserNetConfig(4, 5, 6, width=0.0625, taps=taps))
    some.load_state_dict({name: tensor for name, tensor in whole.state_dict().items() if name in some.state_dict()})
    with torch.no_grad():
        parts = dict(zip(("high", "middle", "low"), whole(images).split([6, 5, 4], dim=1), strict=True))
        torch.testing.assert_close(some(images), torch.cat([parts[tap] for tap in taps], dim=1))


def test_bad_taps_are_named():
    for taps in ((), ("low", "high"), ("top",)):
        with pytest.raises(ConfigError, match="choose some of high, middle, low, in this order"):
            DenserNetConfig(taps=taps)
    with pytest.raises(ConfigError, match="form='draft'"):
        DenserNetConfig(form="draft")
