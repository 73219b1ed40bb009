"""``fol whiten`` against principal components computed by singular values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from replicas.pittsburgh import write_pittsburgh

import fol
from fol.cli import main
from fol.cli.whiten import _drawn
from fol.data import load_image, read_dataset

MODEL, SIZE = "netvlad_vgg_small_untrained", "model.image_size=64"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 photos of a database, 4 of queries, one of which is no photo."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(18):
        side = "database" if number < 14 else "queries"
        (root / side).mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        path = root / side / f"@{500000 + number * 50}@4000000@17@T@@@@@@@@@@@.png"
        Image.fromarray(pixels).resize((64, 64)).save(path)
    path.write_bytes(b"no photo")
    return root


def test_descriptors_are_those_of_the_principal_components(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    target = tmp_path / "white è" / "whitened.safetensors"
    assert main(["whiten", MODEL, str(target), f"data={photos}", SIZE, "dim=5"]) == 0
    printed = capsys.readouterr()
    assert "1024 to 5 values, fitted to 17 photos" in printed.out and "skipped" in printed.err
    model, before = fol.load_model(target), fol.load_model(MODEL, image_size=(64, 64))
    assert [path.name for path in target.parent.iterdir()] == ["whitened.safetensors"]

    files = [path for path in sorted(photos.rglob("*.png")) if path.read_bytes() != b"no photo"]
    images = torch.stack([before.prepare(load_image(path)) for path in files])
    rows = np.stack([f.descriptor.numpy() for f in before.extract(images)]).astype(np.float64)
    centred = rows - rows.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:5].T / (singular[:5] / np.sqrt(len(rows) - 1))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = np.stack([f.descriptor.numpy() for f in model.extract(images)])
    signs = np.sign((found * expected).sum(0))  # a direction may point either way
    np.testing.assert_allclose(found * signs, expected, atol=1e-3)

    # what is whitened already is fitted anew, to the descriptors before
    again = tmp_path / "again.safetensors"
    assert main(["whiten", str(target), str(again), f"data={photos}", "dim=3", "images=10"]) == 0
    assert fol.load_model(again).descriptor_dim == 3


def test_the_draw_is_of_both_sides_and_decided_by_the_seed(photos: Path) -> None:
    """9 of 18: 50 draws leave none out, and have each about 25 times."""
    dataset = read_dataset(photos)
    order = [place.image for place in (*dataset.database, *dataset.queries)]
    counts = dict.fromkeys(order, 0)
    for seed in range(50):
        drawn = [place.image for place in _drawn(dataset, 9, seed)]
        assert drawn == [place.image for place in _drawn(dataset, 9, seed)] == [x for x in order if x in drawn]
        assert len(drawn) == 9
        for image in drawn:
            counts[image] += 1
    assert len(counts) == 18 and all(10 < count < 40 for count in counts.values())
    assert [place.image for place in _drawn(dataset, 10_000, 0)] == order


def test_photos_of_a_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None) -> None:
    """Pittsburgh 30k as its authors give it, in small: 25 photos of the database, 3 queries."""
    write_pittsburgh(tmp_path / "pitts30k")
    target = tmp_path / "whitened.safetensors"
    words = [f"data={tmp_path / 'pitts30k'}", "protocol=pitts30k_test@25m", "dim=4", SIZE]
    assert main(["whiten", MODEL, str(target), *words]) == 0
    assert "1024 to 4 values, fitted to 28 photos" in capsys.readouterr().out
    model = fol.load_model(target)
    assert model.descriptor_dim == 4 and model.card.preprocessing.image_size == (64, 64)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dim=18"], "dim=18 needs at least 19 photos, there are 18"),
        (["dim=2000"], "dim=2000: the descriptor of netvlad_vgg_small_untrained has 1024 values"),
        (["dim=5", "images=5"], "dim=5 needs at least 6 photos, there are 5"),
        (["dim=0"], "dim=0: it must be at least 1"),
        (["data.root=null"], "fol whiten needs a data set"),
        (["data=nowhere"], "nowhere"),
        (["out=x.pth"], "x.pth: the file to write must end in .safetensors"),
        (["protocol=pitts30k_trian@25m"], "pitts30k_train@25m"),
    ],
)
def test_mistakes_get_one_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    target = tmp_path / "out.safetensors"
    assert main(["whiten", f"model={MODEL}", f"out={target}", f"data={photos}", SIZE, *words]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1 and message in error[0], error
    assert not target.exists()
