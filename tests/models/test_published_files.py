"""Files of NetVLAD and its kin as published: exact key lists, every one of them needed, nothing else accepted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from published_states import CONVOLUTIONS, openibl
from scipy.io import savemat

import fol
from fol.errors import CheckpointError
from fol.models.vgg import VGG_INPUT
from fol.models.whitening import PcaWhitening

DIVISOR, CLUSTERS, DIM = 16, 4, 32  # a trunk of width 1/16


def base() -> dict[str, torch.Tensor]:
    return openibl(DIVISOR, CLUSTERS)


def renamed(prefixes: dict[str, str]) -> dict[str, torch.Tensor]:
    state = {}
    for name, tensor in base().items():
        for theirs, new in prefixes.items():
            if name.startswith(theirs):
                state[new + name.removeprefix(theirs)] = tensor
    return state


def whitening(prefix: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {
        f"{prefix}weight": torch.randn(6, CLUSTERS * DIM, 1, 1, generator=generator),
        f"{prefix}bias": torch.randn(6, generator=generator),
    }


NANNE = {"base_model.base.": "encoder.", "net_vlad.": "pool."}
LAYOUTS = {
    "openibl": (lambda: base(), "matconvnet"),
    "openibl_ddp": (lambda: {f"module.{k}": v for k, v in base().items()}, "matconvnet"),
    "openibl_hub": (lambda: base() | whitening("pca_layer."), "matconvnet"),
    "openibl_hub_ddp": (
        lambda: {f"module.{k}": v for k, v in (base() | whitening("pca_layer.")).items()},
        "matconvnet",
    ),
    "nanne": (lambda: renamed(NANNE), "imagenet"),
    "nanne_gpus": (
        lambda: renamed({"base_model.base.": "encoder.module.", "net_vlad.": "pool.module."}),
        "imagenet",
    ),
    "nanne_v2": (lambda: renamed(NANNE) | {"pool.conv.bias": torch.arange(CLUSTERS) / 7}, "imagenet"),
    "patch_netvlad": (lambda: renamed(NANNE) | whitening("WPCA.0."), "imagenet"),
    "benchmark": (lambda: renamed({"base_model.base.": "backbone.", "net_vlad.": "aggregation."}), "imagenet"),
}


def descriptors(model: fol.PlaceModel, images: torch.Tensor) -> torch.Tensor:
    return torch.stack([f.descriptor for f in model.extract(images)])


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 64, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_key_counts():
    assert len(base()) == 28 and len(LAYOUTS["openibl_hub"][0]()) == 30


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "dict"])
def test_every_layout_is_read(layout, wrapped, images, tmp_path):
    state, convention = LAYOUTS[layout][0](), LAYOUTS[layout][1]
    torch.save({"state_dict": state, "epoch": 3, "best_score": 0.8} if wrapped else state, tmp_path / "w.pth.tar")
    model = fol.load_model(tmp_path / "w.pth.tar")
    preprocessing = model.card.preprocessing
    assert (preprocessing.mean, preprocessing.std) == VGG_INPUT[convention]
    assert preprocessing.image_size == (480, 640)
    assert model.card.architecture.backbone.convention == convention
    network = model.network
    for index, *_ in CONVOLUTIONS:
        assert network.backbone[index].weight.equal(base()[f"base_model.base.{index}.weight"])
        assert network.backbone[index].bias.equal(base()[f"base_model.base.{index}.bias"])
    assert network.aggregation.centroids.equal(base()["net_vlad.centroids"])
    assert network.aggregation.conv.weight.equal(base()["net_vlad.conv.weight"])
    assert (network.aggregation.conv.bias is not None) == (layout == "nanne_v2")
    found = descriptors(model, images)
    whitened = layout in ("openibl_hub", "openibl_hub_ddp", "patch_netvlad")
    if whitened:
        plain = descriptors(model.with_whitening(None), images)
        values = whitening("")
        torch.testing.assert_close(found, PcaWhitening(values["weight"].flatten(1), values["bias"])(plain))
    assert model.descriptor_dim == found.shape[1] == (6 if whitened else CLUSTERS * DIM)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_is_needed_and_no_other_is_taken(layout, tmp_path):
    state = LAYOUTS[layout][0]()
    path = tmp_path / "w.pth"
    # Without its bias the assignment is v1, a layout of its own; what marks a layout must be there to know it.
    for name in (n for n in state if n != "pool.conv.bias" and not n.endswith("centroids")):
        torch.save({k: v for k, v in state.items() if k != name}, path)
        with pytest.raises(CheckpointError, match=r"w.pth: (does not fit the architecture: missing|no tensor) .*") as e:
            fol.load_model(path)
        module, kind = name.split(".")[-2:]
        module = "whitening" if name.removeprefix("module.").startswith(("pca_layer", "WPCA")) else module
        assert f"{module}.{kind}" in str(e.value)
    torch.save(state | {"net_vlad.extra": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="unexpected .*extra"):
        fol.load_model(path)
    torch.save({k: v for k, v in state.items() if not k.endswith("centroids")}, path)
    with pytest.raises(
        CheckpointError, match=f"holds {len(state) - 1} tensors .*, so this is not a checkpoint of .* NetVLAD"
    ):
        fol.load_model(path)


def trained(state: dict[str, torch.Tensor], kind: type[torch.optim.Optimizer]) -> dict[str, object]:
    """The state of an optimizer after a step."""
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in state.values()]
    optimizer = kind(parameters, lr=1e-4, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))
    sum(parameter.square().sum() for parameter in parameters).backward()
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_whole_dictionaries(zipped, tmp_path):
    """What pytorch-NetVlad and the benchmark write: numpy's values and the optimizer's state included."""
    nanne = renamed(NANNE)
    ours = renamed({"base_model.base.": "backbone.", "net_vlad.": "aggregation."})
    recalls = {n: np.float64(n / 30) for n in (1, 5, 10, 20)}
    written = {
        "checkpoint.pth.tar": {
            "epoch": 13,
            "state_dict": nanne,
            "recalls": recalls,
            "best_score": recalls[5],
            "optimizer": trained(nanne, torch.optim.SGD),
            "parallel": False,
        },
        "best_model.pth": {
            "epoch_num": 13,
            "model_state_dict": {f"module.{name}": tensor for name, tensor in ours.items()},
            "optimizer_state_dict": trained(ours, torch.optim.Adam),
            "recalls": np.array(list(recalls.values())),
            "best_r5": recalls[5],
            "not_improved_num": 0,
        },
    }
    for name, content in written.items():
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        model = fol.load_model(tmp_path / name)
        assert model.card.architecture.backbone.convention == "imagenet"
        found = model.network.state_dict()
        assert found.keys() == ours.keys() and all(found[key].equal(tensor) for key, tensor in ours.items())


@pytest.mark.parametrize("prefix", ["encoder.", "encoder.module.", "base_model.base.", "backbone."])
@pytest.mark.parametrize(("kernel", "trunk"), [(11, "AlexNet"), (7, "ResNet"), (5, "a trunk other than VGG16")])
def test_other_trunks_are_named(prefix, kernel, trunk, tmp_path):
    layers = {f"{prefix}{i}.weight": torch.zeros(4, 3, kernel, kernel) for i in (0, 3, 6, 8, 10)}
    head = {"base": "net_vlad.", "encoder": "pool.", "module": "pool.module.", "backbone": "aggregation."}
    vlad = head[prefix.split(".")[-2]]
    state = layers | {f"{vlad}centroids": torch.zeros(4, 4), f"{vlad}conv.weight": torch.zeros(4, 4, 1, 1)}
    torch.save({"state_dict": state}, tmp_path / "other.pth.tar")
    with pytest.raises(CheckpointError, match=rf"other.pth.tar: {trunk} is not supported \(.* is {kernel}x{kernel}\)"):
        fol.load_model(tmp_path / "other.pth.tar")


def matconvnet(with_whitening: bool = True) -> tuple[list[dict[str, object]], dict[str, torch.Tensor]]:
    """Layers as hloc's files have them, written by hand from MATLAB's conventions, and the tensors they mean."""
    state = base()
    layers: list[dict[str, object]] = [{"type": "other"} for _ in range(34 if with_whitening else 33)]

    def cells(*arrays: np.ndarray) -> np.ndarray:
        cell = np.empty((1, len(arrays)), object)
        for number, array in enumerate(arrays):
            cell[0, number] = array
        return cell

    for index, *_ in CONVOLUTIONS:
        weight = state[f"base_model.base.{index}.weight"].numpy()
        bias = state[f"base_model.base.{index}.bias"].numpy()
        layers[index]["weights"] = cells(np.transpose(weight, (2, 3, 1, 0)), bias[None])
    layers[30]["weights"] = cells(
        state["net_vlad.conv.weight"].numpy()[:, :, 0, 0].T, -state["net_vlad.centroids"].numpy().T
    )
    if with_whitening:
        values = whitening("")
        theirs = np.zeros((1, 1, CLUSTERS * DIM, 6), np.float32)
        for k in range(CLUSTERS):
            for d in range(DIM):
                theirs[0, 0, d * CLUSTERS + k] = values["weight"][:, k * DIM + d, 0, 0].numpy()
        layers[33]["weights"] = cells(theirs, values["bias"].numpy()[None])
    return layers, state


def write_mat(path, layers):
    cell = np.empty((1, len(layers)), object)
    for number, layer in enumerate(layers):
        cell[0, number] = layer
    image = np.tile(np.float32([123.68, 116.779, 103.939]), (4, 4, 1))
    savemat(path, {"net": {"layers": cell, "meta": {"normalization": {"averageImage": image}}}})


@pytest.mark.parametrize("with_whitening", [True, False])
def test_matconvnet(with_whitening, images, tmp_path):
    layers, state = matconvnet(with_whitening)
    write_mat(tmp_path / "Pitts30K_struct.mat", layers)
    model = fol.load_model(tmp_path / "Pitts30K_struct.mat")
    torch.save(state | (whitening("pca_layer.") if with_whitening else {}), tmp_path / "same.pth")
    same = fol.load_model(tmp_path / "same.pth")
    assert model.card.preprocessing.mean == pytest.approx(same.card.preprocessing.mean, abs=1e-6)
    assert model.card.preprocessing.std == same.card.preprocessing.std
    assert model.card.architecture.backbone.convention == "matconvnet"
    for name, tensor in same.network.state_dict().items():
        assert model.network.state_dict()[name].equal(tensor), name
    torch.testing.assert_close(descriptors(model, images), descriptors(same, images), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers[21].pop("weights"), "missing the weights of layer 21"),
        (lambda layers: layers[30].pop("weights"), "missing the weights of layer 30"),
        (lambda layers: layers[31].update(weights=layers[30]["weights"]), "layer 31 has weights that"),
        (lambda layers: layers[2].update(weights=layers[30]["weights"]), "layer 2 are .* no convolution"),
    ],
)
def test_matconvnet_that_does_not_fit(change, message, tmp_path):
    layers, _ = matconvnet()
    change(layers)
    write_mat(tmp_path / "bad.mat", layers)
    with pytest.raises(CheckpointError, match=f"bad.mat: .*{message}"):
        fol.load_model(tmp_path / "bad.mat")


@pytest.mark.parametrize("content", [b"", b"no", None])
def test_other_mat_files(content, tmp_path):
    path = tmp_path / "other.mat"
    if content is None:
        savemat(path, {"dbStruct": np.zeros(3)})
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="other.mat: not a MatConvNet network of plain structs"):
        fol.load_model(path)


def test_megaloc_is_salad_with_a_last_layer(official_state, tmp_path):
    """Names of gmberton/MegaLoc v1.0: SALAD in ``aggregator.agg``, then ``aggregator.linear`` and a norm."""
    state = {}
    for name, tensor in official_state("tiny").items():
        if not name.startswith("upconv"):
            state[name.replace("aggregator.", "aggregator.agg.")] = tensor
    state["aggregator.agg.dust_bin"] = torch.tensor(1.0)
    state["aggregator.linear.weight"], state["aggregator.linear.bias"] = torch.randn(10, 8448), torch.randn(10)
    torch.save(state, tmp_path / "megaloc.torch")
    model = fol.load_model(tmp_path / "megaloc.torch", heads=4, image_size=224)
    photos = torch.randn(2, 3, 224, 224)
    found, plain = descriptors(model, photos), descriptors(model.with_whitening(None), photos)
    expected = plain @ state["aggregator.linear.weight"].T + state["aggregator.linear.bias"]
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1), atol=1e-5, rtol=1e-4)
