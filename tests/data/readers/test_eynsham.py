"""Eynsham's native download: which panorama is where, and which lap it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from replicas.eynsham import ROUTE, write_eynsham

from fol.data.protocol import Protocol, apply_protocol
from fol.data.readers.eynsham import read_eynsham
from fol.errors import DataError


def test_laps_views_and_positions(tmp_path: Path) -> None:
    root = write_eynsham(tmp_path)
    photos = read_eynsham(root, first_lap=2)
    assert (len(photos.database), len(photos.queries)) == (10, 10)
    first, last = photos.database[0], photos.queries[-1]
    assert first.name == "grab_1204200001.0.ppm"  # the first panorama has no position
    assert first.metadata == {"panorama": "0000", "tile_num": "0", "timestamp": "20080228_120001"}
    assert last.name == "grab_1204200004.4.ppm" and last.metadata["tile_num"] == "4"
    for place, (longitude, latitude) in ((first, ROUTE[0]), (last, ROUTE[-1])):
        assert place.position is not None
        assert (place.position.longitude, place.position.latitude) == (longitude, latitude)
    # 11.1 m along the meridian: each view of the second lap finds the five of its place in the first.
    data = apply_protocol(photos, Protocol("eynsham@test", ""))
    assert data.positives is not None
    assert [row.tolist() for row in data.positives] == [[0, 1, 2, 3, 4]] * 5 + [[5, 6, 7, 8, 9]] * 5
    assert len(read_eynsham(root / "Eynsham", first_lap=2).database) == 10


def test_incomplete_downloads(tmp_path: Path) -> None:
    base = write_eynsham(tmp_path) / "Eynsham"
    with pytest.raises(DataError, match="has 4 panoramas, the first lap alone 4787"):
        read_eynsham(tmp_path)
    (base / "Images" / "grab_1204200004.4.ppm").unlink()
    with pytest.raises(DataError, match=r"has 24 \.ppm photos, but the route 4 panoramas of 5 views"):
        read_eynsham(tmp_path, first_lap=2)
    kml = base / "Route_map" / "Eynsham.kml"
    kml.write_text(kml.read_text().replace("-1.41,51.78,0", "north,51.78,0"))
    with pytest.raises(DataError, match="coordinates 1 are 'north,51.78,0', not longitude,latitude"):
        read_eynsham(tmp_path, first_lap=2)
    kml.write_text("<kml/>")
    with pytest.raises(DataError, match="has no list of <coordinates>"):
        read_eynsham(tmp_path, first_lap=2)
    kml.unlink()
    with pytest.raises(DataError, match="Eynsham.kml: cannot be read"):
        read_eynsham(tmp_path, first_lap=2)


def test_a_name_without_a_time(tmp_path: Path) -> None:
    base = write_eynsham(tmp_path) / "Eynsham" / "Images"
    (base / "grab_1204200004.4.ppm").rename(base / "grab_x.ppm")
    with pytest.raises(DataError, match=r"grab_x\.ppm: the name has no time"):
        read_eynsham(tmp_path, first_lap=2)
