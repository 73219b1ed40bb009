"""DenserNet's files: a trained network with three copies of its trunk, and stage 1's file for each branch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from published_states import CONVOLUTIONS, densernet, trunk_shapes, weight

import fol
from fol.errors import CheckpointError, ConfigError
from fol.models.densernet import DenserNet, DenserNetConfig
from fol.models.vgg import Vgg16, VggConfig
from fol.models.vgg_weights import load_vgg

DIVISOR, CLUSTERS = 16, 4  # a trunk of width 1/16
DIMS = {"1": 8, "m": 12, "h": 20}
CONFIG = DenserNetConfig(8, 12, 20, width=1 / DIVISOR)


def test_densernet_is_one_trunk(tmp_path):
    """Against the published order of work: each branch by itself, upsampled first; [H, M, L]."""
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    state = densernet(DIVISOR, DIMS, CLUSTERS)
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, tmp_path / "dn.pth.tar")
    model = fol.load_model(tmp_path / "dn.pth.tar")
    assert model.card.architecture.backbone == DenserNetConfig(8, 12, 20, width=1 / 16)
    assert len(model.network.state_dict()) == 34
    with torch.inference_mode():
        x = model.card.preprocessing.finish(images)
        feature_map = model.network.feature_map(x)
        expected = []
        for branch, layers, factor in (("h", 31, 8), ("m", 24, 4), ("1", 17, 2)):
            values, convolutions = x, {index for index, *_ in CONVOLUTIONS}
            for index in range(layers):
                prefix = f"base_model.conv_{branch}.0.{index}."
                if index in convolutions:
                    values = torch.conv2d(values, state[prefix + "weight"], state[prefix + "bias"], padding=1)
                elif index in (4, 9, 16, 23, 30):
                    values = torch.max_pool2d(values, 2)
                else:
                    values = values.relu()
            values = values.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
            prefix = f"base_model.conv_{branch}.2."
            expected.append(torch.conv2d(values, state[prefix + "weight"], state[prefix + "bias"]))
    assert feature_map.shape == (2, 40, 16, 24)
    torch.testing.assert_close(feature_map, torch.cat(expected, dim=1), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.update({"base_model.conv_m.0.5.bias": torch.ones(8)}),
            "base_model.conv_[mh].0.5.bias differs from its copy in another branch",
        ),
        (lambda s: s.pop("base_model.conv_m.0.21.bias"), "missing base_model.conv_m.0.21.bias"),
        (lambda s: s.pop("base_model.conv_h.0.28.weight"), "missing base_model.conv_h.0.28.weight"),
        (lambda s: s.pop("base_model.conv_1.2.weight"), "missing base_model.conv_1.2.weight"),
        (lambda s: s.pop("net_vlad.conv.weight"), "missing aggregation.conv.weight"),
        (lambda s: s.update({"base_model.conv_1.3.weight": torch.zeros(1)}), "unexpected base_model.conv_1.3.weight"),
        (
            lambda s: s.update({"base_model.conv_1.0.17.bias": s["base_model.conv_m.0.17.bias"]}),
            "unexpected .*1.0.17.bias",
        ),
        (
            lambda s: s.update({"base_model.conv_m.0.5.bias": s["base_model.conv_m.0.5.bias"].half()}),
            "differs from its copy",
        ),
    ],
)
def test_densernet_that_does_not_fit(change, message, tmp_path):
    state = densernet(DIVISOR, DIMS, CLUSTERS)
    change(state)
    torch.save(state, tmp_path / "dn.pth")
    with pytest.raises(CheckpointError, match=message):
        fol.load_model(tmp_path / "dn.pth")


def test_every_tensor_is_needed(tmp_path):
    state = densernet(DIVISOR, DIMS, CLUSTERS)
    assert len(state) == 68
    for name in state:
        torch.save({k: v for k, v in state.items() if k != name}, tmp_path / "dn.pth")
        # Without its centres nothing tells that it is NetVLAD.
        message = "missing aggregation.conv.weight" if name == "net_vlad.conv.weight" else f"missing {name}$"
        message = "holds 67 tensors .*, so this is not a checkpoint of" if name == "net_vlad.centroids" else message
        with pytest.raises(CheckpointError, match=f"dn.pth: .*{message}"):
            fol.load_model(tmp_path / "dn.pth")


@pytest.fixture
def branches(tmp_path) -> dict[str, Path]:
    """Stage 1's three files: the names of the trained network without their beginning."""
    files = {}
    for letter, dim in DIMS.items():
        prefix = f"base_model.conv_{letter}."
        state = densernet(DIVISOR, DIMS).items()
        files[letter] = tmp_path / f"DN_vgg16_conv_{letter}_dim-{dim}.pth"
        torch.save({k.removeprefix(prefix): v for k, v in state if k.startswith(prefix)}, files[letter])
    return files


def check_branches(net: DenserNet, letters: str) -> None:
    state, taps = densernet(DIVISOR, DIMS), {"1": "low", "m": "middle", "h": "high"}
    deepest = f"base_model.conv_{letters[-1]}.0."
    expected = {k.replace(deepest, "trunk."): v for k, v in state.items() if k.startswith(deepest)}
    for letter in letters:
        for kind in ("weight", "bias"):
            expected[f"reduce.{taps[letter]}.{kind}"] = state[f"base_model.conv_{letter}.2.{kind}"]
    found = net.state_dict()
    assert found.keys() == expected.keys() and all(found[k].equal(v) for k, v in expected.items())


def test_branch_files_fill_the_backbone(branches):
    for files in (
        [branches["h"], branches["1"], branches["m"]],
        [str(path) for path in branches.values()],
        ",".join(str(path) for path in branches.values()),
        f"{branches['m']}, {branches['h']}, {branches['1']}",
    ):
        net = DenserNet(CONFIG)
        load_vgg(net, files)
        check_branches(net, "1mh")
    some = DenserNet(DenserNetConfig(8, 12, 20, width=1 / DIVISOR, taps=("middle", "low")))
    load_vgg(some, [branches["m"], branches["1"]])
    check_branches(some, "1m")
    one = DenserNet(DenserNetConfig(low=8, width=1 / DIVISOR, taps=("low",)))
    load_vgg(one, branches["1"])
    check_branches(one, "1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.19.weight"), r"conv_m_dim-12.pth: does not fit the architecture: missing 0.19.weight"),
        (lambda s: s.pop("0.21.bias"), r"conv_m_dim-12.pth: does not fit the architecture: missing 0.21.bias"),
        (lambda s: s.pop("2.bias"), r"conv_m_dim-12.pth: does not fit the architecture: missing 2.bias"),
        (lambda s: s.update({"3.bias": s["2.bias"]}), r"conv_m_dim-12.pth: .* unexpected 3.bias"),
        (lambda s: s.update({"0.0.bias": s["0.0.bias"] + 1}), r"0.0.bias differs from its copy in another branch"),
        (lambda s: s.update({"2.weight": s["2.weight"][:7]}), r"reduce.middle.weight is \[7, 32, 1, 1\], not \[12, 32"),
        (lambda s: s.update({"2.bias": s["2.bias"] / 0}), r"reduce.middle.bias has values that are not finite"),
        (lambda s: s.update({"0.40.bias": s["2.bias"]}), r"conv_m_dim-12.pth: .* its trunk has a layer 40"),
    ],
)
def test_branch_files_that_do_not_fit(change, message, branches):
    state = torch.load(branches["m"])
    change(state)
    torch.save(state, branches["m"])
    net = DenserNet(CONFIG)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as error:
        load_vgg(net, list(branches.values()))
    assert "\n" not in str(error.value)
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())


def test_branch_files_that_are_missing_or_too_many(branches, tmp_path):
    plain = {name: weight(f"vgg.{name}", shape) for name, shape in trunk_shapes(DIVISOR)}
    torch.save(plain, tmp_path / "vd16.pth")
    net = DenserNet(CONFIG)
    for files, message in (
        ([branches["h"], branches["1"]], r"branch file of tap middle \(DN_vgg16_conv_m_dim-\*.pth\) is missing"),
        (branches["h"], r"branch file of tap low .* separated by commas"),
        ([*branches.values(), branches["h"]], r"conv_h_dim-20.pth and .*conv_h_dim-20.pth are the same branch, conv_h"),
        ([tmp_path / "vd16.pth"] * 2, "2 files; only the branches of a DenserNet are given as several"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_vgg(net, files)
    with pytest.raises(CheckpointError, match=r"vd16.pth: not a branch of DenserNet: no tensor such as '0.0.weight'"):
        load_vgg(net, [branches["h"], branches["1"], tmp_path / "vd16.pth"])
    with pytest.raises(ConfigError, match="conv_h_dim-20.pth: the branch of tap high, which the model does not have"):
        load_vgg(DenserNet(DenserNetConfig(8, 12, width=1 / DIVISOR, taps=("middle", "low"))), list(branches.values()))
    with pytest.raises(ConfigError, match="3 files; only the branches of a DenserNet"):
        load_vgg(Vgg16(VggConfig(width=1 / DIVISOR)), list(branches.values()))
    with pytest.raises(CheckpointError, match="missing refine.high.bias"):  # which stage 1 does not have
        load_vgg(DenserNet(DenserNetConfig(8, 12, 20, form="paper", width=1 / DIVISOR)), list(branches.values()))
