"""The places of a map as a Parquet table: readable by anything, one row per place that is in the map.

Columns: ``place_id`` and ``row`` int64, ``name``, ``image`` (relative to the map's images root where it lies
below it, else absolute), ``easting``, ``northing``, ``zone``, ``latitude``, ``longitude``, ``heading``,
``sequence``, ``metadata`` (a JSON object). Everything after ``image`` may be null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fol.errors import MapError
from fol.types import Place, Position

_SCHEMA = pa.schema(
    [
        pa.field("place_id", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        ("easting", pa.float64()),
        ("northing", pa.float64()),
        ("zone", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("heading", pa.float64()),
        ("sequence", pa.string()),
        ("metadata", pa.string()),
    ]
)


class PlacesTable:
    """Places with their ids and rows, in ascending order of both. Immutable."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.ids: NDArray[np.int64] = table["place_id"].to_numpy()
        self.rows: NDArray[np.int64] = table["row"].to_numpy()

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def of(ids: Sequence[int], rows: Sequence[int], places: Sequence[Place], root: Path) -> PlacesTable:
        """Table of some places; image paths below ``root`` are kept relative to it."""
        positions = [p.position for p in places]
        below = str(root / "_")[:-1]  # strings, as pathlib takes longer than all the rest
        images = [str(p.image.absolute()) for p in places]
        columns = [
            list(ids),
            list(rows),
            [p.name for p in places],
            [image.removeprefix(below) for image in images],
            [None if p is None else p.easting for p in positions],
            [None if p is None else p.northing for p in positions],
            [None if p is None else p.zone for p in positions],
            [None if p is None else p.latitude for p in positions],
            [None if p is None else p.longitude for p in positions],
            [p.heading for p in places],
            [p.sequence for p in places],
            [json.dumps(dict(p.metadata), ensure_ascii=False) if p.metadata else None for p in places],
        ]
        return PlacesTable(
            pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
        )

    @staticmethod
    def read(data: bytes, path: Path) -> PlacesTable:
        """Table from the bytes of a Parquet file; ``path`` is for the message of ``MapError`` when they make none."""
        try:
            # Neither Arrow's threads nor Python file objects: together they make a fork right after this hang.
            file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
            table = file.read(columns=_SCHEMA.names, use_threads=False).combine_chunks()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise MapError(f"{path} is damaged: build the map again") from error
        if table.schema.types != _SCHEMA.types:
            raise MapError(f"{path} has other columns than a map's places: build the map again")
        return PlacesTable(table)

    def to_bytes(self) -> bytes:
        """The Parquet file; the same table gives the same bytes."""
        sink = pa.BufferOutputStream()
        pq.write_table(self._table, sink, compression="zstd")
        return bytes(sink.getvalue())

    @staticmethod
    def concatenated(tables: Sequence[PlacesTable]) -> PlacesTable:
        """One table of several, each with larger ids and rows than the one before."""
        return PlacesTable(pa.concat_tables([t._table for t in tables]).combine_chunks())

    def without(self, ids: NDArray[np.int64]) -> PlacesTable:
        """This table less some ids."""
        return PlacesTable(self._table.filter(pa.array(~np.isin(self.ids, ids))))

    def renumbered(self) -> PlacesTable:
        """This table with rows that start at 0 and leave no gaps."""
        column = self._table.schema.get_field_index("row")
        return PlacesTable(self._table.set_column(column, _SCHEMA.field("row"), pa.array(np.arange(len(self)))))

    def at(self, indices: NDArray[np.int64], root: Path) -> list[Place]:
        """Places at some positions of the table, which are not ids; image paths start from ``root``."""
        return [_place(entry, root) for entry in self._table.take(pa.array(indices)).to_pylist()]

    def positions(self) -> NDArray[np.float64]:
        """``[N, 2]`` easting and northing in metres, NaN where unknown."""
        columns = [self._table[c].to_numpy(zero_copy_only=False) for c in ("easting", "northing")]
        return np.stack(columns, axis=1).astype(np.float64)


def _place(entry: dict[str, Any], root: Path) -> Place:
    position = None
    if entry["easting"] is not None:
        position = Position(entry["easting"], entry["northing"], entry["zone"], entry["latitude"], entry["longitude"])
    metadata = json.loads(entry["metadata"]) if entry["metadata"] else {}
    # An absolute image path replaces the root.
    return Place(entry["name"], root / entry["image"], position, entry["heading"], entry["sequence"], metadata)


def root_of(place: Place) -> Path:
    """The folder that the place's name is relative to; the image's own folder where the name says nothing."""
    image = place.image.absolute()
    inside = str(image).endswith("/" + place.name)
    return image.parents[len(Path(place.name).parts) - 1] if inside else image.parent
