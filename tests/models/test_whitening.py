from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest
import torch

import fol
from fol.errors import CheckpointError, ConfigError
from fol.models import save_safetensors
from fol.models.whitening import PcaWhitening, cluster_major, fit_whitening, read_pca_params, value_major


def descriptors(count: int, length: int, rank: int | None = None) -> np.ndarray:
    """Unit rows whose directions differ in weight, around a mean that is not zero."""
    random = np.random.default_rng(5)
    rank = rank or min(count, length)
    rows = random.normal(size=(count, rank)) * np.geomspace(1, 0.05, rank) @ random.normal(size=(rank, length))
    rows += 2 * random.normal(size=length)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_svd(rows: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, directions and mean from the singular values of the centred rows, in float64."""
    mean = rows.astype(np.float64).mean(0)
    _, singular, directions = np.linalg.svd(rows - mean, full_matrices=False)
    return singular[:dim] ** 2 / (len(rows) - 1), directions[:dim], mean


@pytest.mark.parametrize(("count", "length"), [(300, 2048), (500, 96)], ids=["dual", "primal"])
def test_the_fit_is_the_singular_value_decomposition(count, length):
    rows = descriptors(count, length)
    fitted = fit_whitening(rows, 64)
    values, directions, mean = by_svd(rows, 64)
    expected = (rows - mean) @ directions.T / np.sqrt(values)
    signs = np.sign((fitted.weight.numpy() * directions).sum(1))
    whitened = rows @ fitted.weight.numpy().T + fitted.bias.numpy()
    np.testing.assert_allclose(whitened * signs, expected, atol=2e-4)
    unit = fitted.weight.numpy().astype(np.float64) * np.sqrt(values)[:, None]
    np.testing.assert_allclose(unit @ unit.T, np.eye(64), atol=1e-6)
    output = fitted(torch.from_numpy(rows))
    torch.testing.assert_close(output.norm(dim=1), torch.ones(count))
    # What whitening is: before the norm, every direction has variance 1.
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(64), atol=1e-3)


def test_a_memory_map_in_small_blocks_gives_the_same(tmp_path, monkeypatch):
    rows = descriptors(80, 300)
    np.save(tmp_path / "rows.npy", rows)
    whole = fit_whitening(rows, 20)
    monkeypatch.setattr("fol.models.whitening._BLOCK_BYTES", 8 * 80 * 7)
    steps: list[tuple[int, int]] = []
    again = fit_whitening(
        np.load(tmp_path / "rows.npy", mmap_mode="r"), 20, progress=lambda done, total: steps.append((done, total))
    )
    # Sums in another order: eigenvectors may come out with the other sign.
    products = (whole(torch.from_numpy(rows)), again(torch.from_numpy(rows)))
    torch.testing.assert_close(products[0] @ products[0].T, products[1] @ products[1].T, atol=1e-5, rtol=0)
    assert steps[0] == (1, 86) and steps[-1] == (86, 86)


def test_fewer_values_are_the_first_ones():
    rows = torch.from_numpy(descriptors(100, 60))
    fitted = fit_whitening(rows.numpy(), 40)
    cut = torch.nn.functional.normalize(fitted(rows)[:, :10], dim=1)
    torch.testing.assert_close(fitted.truncated(10)(rows), cut)
    with pytest.raises(ConfigError, match="41 values: this one has 40"):
        fitted.truncated(41)


def test_directions_without_variance_are_not_blown_up():
    rows = descriptors(100, 200, rank=10)
    fitted = fit_whitening(rows, 50)
    assert torch.isfinite(fitted.weight).all()
    whitened = torch.from_numpy(rows) @ fitted.weight.T + fitted.bias
    assert whitened[:, 15:].abs().max() < 1e-1 and whitened[:, :5].std(0).min() > 0.9


def test_too_few_images():
    with pytest.raises(ConfigError, match="64 values needs at least 65 images, there are 64; give a smaller dim"):
        fit_whitening(descriptors(64, 100), 64)
    with pytest.raises(ConfigError, match="101 values: the descriptor has 100"):
        fit_whitening(descriptors(200, 100), 101)
    fit_whitening(descriptors(65, 100), 64)


def test_matlab_order_there_and_back():
    """Value d of cluster k is at d * K + k in MATLAB's files, and at k * D + d here."""
    clusters, dim = 3, 5
    ours = torch.randn(4, clusters * dim)
    theirs = torch.empty_like(ours)
    for k in range(clusters):
        for d in range(dim):
            theirs[:, d * clusters + k] = ours[:, k * dim + d]
    assert cluster_major(theirs, clusters).equal(ours)
    assert value_major(ours, clusters).equal(theirs)


def write_h5(path, rows, dim, **changes):
    values, directions, mean = by_svd(rows, dim)
    content = {"U": directions.T, "lams": values, "mu": mean[:, None], "Utmu": (directions @ mean)[:, None]} | changes
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            if array is not None:
                file[name] = array


def test_openibl_parameters(tmp_path):
    rows = descriptors(100, 60)
    write_h5(tmp_path / "pca_params_model_best.h5", rows, 20)
    read = read_pca_params(tmp_path / "pca_params_model_best.h5")(torch.from_numpy(rows))
    fitted = fit_whitening(rows, 20)(torch.from_numpy(rows))
    torch.testing.assert_close(read @ read.T, fitted @ fitted.T, atol=1e-5, rtol=0)


def test_bad_parameter_files(tmp_path, monkeypatch):
    path = tmp_path / "pca_params_x.h5"
    write_h5(path, descriptors(100, 60), 20, lams=None)
    with pytest.raises(CheckpointError, match="pca_params_x.h5: not a pca_params file with U, lams and mu"):
        read_pca_params(path)
    write_h5(path, descriptors(100, 60), 20, mu=np.zeros((59, 1)))
    with pytest.raises(CheckpointError, match=r"U is \[60, 20\], but mu has 59"):
        read_pca_params(path)
    path.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="pca_params_x.h5"):
        read_pca_params(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'fol\[h5\]'"):
        read_pca_params(path)


@pytest.mark.parametrize(
    "name", ["netvlad_vgg_small_untrained", "salad_tiny_untrained", "fol_tiny_untrained", "densernet_tiny_untrained"]
)
def test_a_model_of_any_aggregation_takes_a_whitening_and_keeps_it(name, tmp_path):
    model = fol.load_model(name, image_size=126)
    images = torch.randn(3, 3, 126, 126)
    plain = torch.stack([f.descriptor for f in model.extract(images)])
    whitening = PcaWhitening(torch.randn(7, plain.shape[1]), torch.randn(7))
    whitened = model.with_whitening(whitening)
    assert whitened.descriptor_dim == 7 and whitened.fingerprint != model.fingerprint
    save_safetensors(whitened.card, whitened.network, tmp_path / "w.safetensors")
    again = fol.load_model(tmp_path / "w.safetensors")
    assert again.fingerprint == whitened.fingerprint
    for loaded in (whitened, again):
        found = torch.stack([f.descriptor for f in loaded.extract(images)])
        torch.testing.assert_close(found, whitening(plain), atol=1e-5, rtol=0)
        with torch.inference_mode():  # what is trained comes before it
            torch.testing.assert_close(loaded.network(images).descriptor, plain, atol=1e-5, rtol=0)
            torch.testing.assert_close(loaded.network.regions(images)[:, 0], plain, atol=1e-5, rtol=0)
    bare = again.with_whitening(None)
    assert bare.descriptor_dim == plain.shape[1]
    with pytest.raises(ConfigError, match="takes 9 values"):
        model.with_whitening(PcaWhitening(torch.eye(9), torch.zeros(9)))
