"""Published centres of NetVLAD, from files that are written by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from fol.errors import CheckpointError, ConfigError
from fol.models.aggregation import NetVlad, NetVladConfig
from fol.models.aggregation.centres_file import read_centres

CENTRES = [[0.5, 0.0], [0.0, 0.25]]
#: Cosines to the centres' directions: 1 and 0; 0.6 and 0.8.
FEATURES = [[1.0, 0.0], [0.6, 0.8]]


def write(path: Path, **tables: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in {"centroids": CENTRES, "descriptors": FEATURES, **tables}.items():
            if values is not None:
                file[name] = values if isinstance(values, str) else np.asarray(values, np.float64)
    return path


def test_weights_by_hand(tmp_path: Path) -> None:
    """alpha is log 100 over the mean of the gaps 1 and 0.2; a direction has no length."""
    net = NetVlad(NetVladConfig(2, 2))
    centres, features = read_centres(write(tmp_path / "vgg16_pitts_2_desc_cen.hdf5"))
    assert centres.dtype == features.dtype == torch.float32
    net.set_centres(centres, features)
    assert net.centroids.tolist() == CENTRES
    torch.testing.assert_close(net.conv.weight[:, :, 0, 0], 7.6752836 * torch.eye(2))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"centroids": None}, "not a file of centres, with centroids and descriptors"),
        ({"descriptors": None}, "not a file of centres"),
        ({"centroids": "text"}, "not a file of centres"),
        ({"centroids": np.eye(3)}, r"centroids \[3, 3\] and descriptors \[2, 2\] are not \[K, D\] and \[N, D\]"),
        ({"centroids": [1.0, 2.0]}, r"centroids \[2\]"),
        ({"descriptors": np.empty((0, 2))}, r"descriptors \[0, 2\]"),
        ({"descriptors": [[2.0, 0.0], [0.0, 1.0]]}, "not of length 1"),
        ({"descriptors": [[np.nan, 0.0], [0.0, 1.0]]}, "not of length 1"),
        ({"centroids": [[np.inf, 0.0], [0.0, 1.0]]}, "centroids are not finite"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, tables: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=rf"x\.hdf5: .*{message}"):
        read_centres(write(tmp_path / "x.hdf5", **tables))


def test_other_files_and_no_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.hdf5"
    with pytest.raises(CheckpointError, match="x.hdf5: not a file of centres"):
        read_centres(path)
    path.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="x.hdf5: not a file of centres"):
        read_centres(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'fol\[h5\]'"):
        read_centres(path)
