from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import fol
from fol.data.readers.local_features_h5 import local_feature_names, read_local_features
from fol.errors import ConfigError, DataError


def write(path: Path, images: dict[str, dict[str, np.ndarray]]) -> Path:
    """As hloc writes: float16 descriptors with one feature per column, groups by the image's path."""
    with h5py.File(path, "w") as file:
        for name, arrays in images.items():
            group = file.create_group(name)
            for key, values in arrays.items():
                group.create_dataset(key, data=values)
    return path


def image(count: int, seed: int = 0, dim: int = 128) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "keypoints": random.uniform(0, 600, (count, 2)).astype(np.float32),
        "descriptors": (3 * random.normal(size=(dim, count))).astype(np.float16),
        "scores": random.uniform(0, 1, count).astype(np.float16),
        "image_size": np.array([640, 480]),
    }


def test_features_as_the_reranker_takes_them(tmp_path):
    query = image(300)
    near = {key: values.copy() for key, values in query.items()}
    near["keypoints"] += 5
    path = write(
        tmp_path / "feats-aslfeat.h5",
        {"query/q.jpg": query, "db/a/far.jpg": image(200, seed=1), "db/near.jpg": near, "db/none.jpg": image(0)},
    )
    assert local_feature_names(path) == ["db/a/far.jpg", "db/near.jpg", "db/none.jpg", "query/q.jpg"]
    features = dict(read_local_features(path))
    own = features["query/q.jpg"]
    assert own.descriptors.shape == (300, 128) and own.descriptors.dtype == torch.float32
    torch.testing.assert_close(own.descriptors.norm(dim=1), torch.ones(300))
    column = query["descriptors"][:, 7].astype(np.float64)
    np.testing.assert_allclose(own.descriptors[7].numpy(), column / np.linalg.norm(column), atol=1e-6)
    np.testing.assert_array_equal(own.positions.numpy(), query["keypoints"] + np.float32(0.5))
    np.testing.assert_array_equal(own.weights.numpy(), query["scores"].astype(np.float32))
    ranking = fol.rerank(own, [features[n] for n in ("db/a/far.jpg", "db/near.jpg", "db/none.jpg")])
    assert ranking.ids[0] == 1 and ranking.num_matches[0] == 300
    assert [name for name, _ in read_local_features(path, ["query/q.jpg", "db/near.jpg"])] == [
        "query/q.jpg",
        "db/near.jpg",
    ]


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [("clipped", [0, 0.5, 1, 1]), ("relative", [0, 0.125, 0.25, 1]), ("equal", [1, 1, 1, 1])],
)
def test_weights_by_rule(weighting, expected, tmp_path):
    content = image(4) | {"scores": np.array([-2, 0.5, 1, 4], np.float32)}
    path = write(tmp_path / "f.h5", {"a.jpg": content})
    [(_, features)] = read_local_features(path, weighting=weighting)
    assert features.weights.tolist() == expected


def test_a_file_without_scores(tmp_path):
    content = image(3)
    del content["scores"], content["image_size"]
    [(_, features)] = read_local_features(write(tmp_path / "f.h5", {"a.jpg": content}))
    assert features.weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"descriptors": np.zeros((3, 128))}, r"keypoints \[3, 2\] and descriptors \[3, 128\] are not \[N, 2\] and"),
        ({"scores": np.zeros(2)}, r"scores are \[2\], not \[3\]"),
        ({"descriptors": np.full((128, 3), np.nan)}, "descriptors has values that are not finite"),
        ({"keypoints": np.zeros((3, 4))}, r"keypoints \[3, 4\]"),
        ({"descriptors": None}, "no descriptors"),
    ],
)
def test_bad_images_are_named(change, message, tmp_path):
    content = {key: values for key, values in (image(3) | change).items() if values is not None}
    path = write(tmp_path / "f.h5", {"a.jpg": content})
    with pytest.raises(DataError, match=f"f.h5: a.jpg: {message}"):
        list(read_local_features(path))


def test_bad_files_are_named(tmp_path, monkeypatch):
    path = write(tmp_path / "f.h5", {"a.jpg": image(3)})
    with pytest.raises(DataError, match="f.h5: no local features of 'b.jpg'"):
        list(read_local_features(path, ["a.jpg", "b.jpg"]))
    with pytest.raises(ConfigError, match="weighting 'softmax' is unknown; choose clipped, relative, equal"):
        list(read_local_features(path, weighting="softmax"))
    (tmp_path / "no.h5").write_bytes(b"no")
    for name in ("no.h5", "absent.h5"):
        with pytest.raises(DataError, match=f"{name}: not a readable HDF5 file"):
            local_feature_names(tmp_path / name)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'fol\[h5\]'"):
        local_feature_names(path)
