"""Eynsham as Zenodo has it, in small: PPM views, and a KML whose list ends with an entry too many and a blank."""

from __future__ import annotations

from pathlib import Path

from replicas.pictures import write_picture

#: Longitude, latitude of the panoramas after the first, two of each lap; the second lap passes 11.1 m further north.
ROUTE = ((-1.40, 51.7800), (-1.41, 51.7800), (-1.40, 51.7801), (-1.41, 51.7801))


def write_eynsham(root: Path) -> Path:
    base = root / "Eynsham"
    for panorama in range(len(ROUTE) + 1):
        for view in range(5):
            write_picture(base / "Images" / f"grab_{1204200000 + panorama}.{view}.ppm")
    entries = "".join(f"{longitude},{latitude},0 " for longitude, latitude in (*ROUTE, ROUTE[-1]))
    (base / "Route_map").mkdir(parents=True)
    (base / "Route_map" / "Eynsham.kml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<kml><Document><Placemark>\n'
        "<Point><coordinates>-1.4,51.78,0</coordinates></Point>\n"
        f"<LineString><coordinates>{entries}</coordinates></LineString>\n</Placemark></Document></kml>\n"
    )
    return root
