"""Local features of a map: records of any length in one file, of which only those asked for are read."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from fol.errors import MapError
from fol.files import write_atomically
from fol.matching.budget import select_tokens
from fol.matching.quantisation import MAX_SCALE, QuantisedLocalFeatures, Quantiser, random_rotation
from fol.retrieval import low_bits
from fol.retrieval.local_options import Bits, LocalStoreOptions
from fol.retrieval.local_records import TABLE_ROW, Head, checked, decode_head, encode_record, row_bytes, table_rows
from fol.types import LocalFeatures, LocalFeaturesBatch

_ROTATION_SEED = 0
_REQUEST = 1 << 17  # the kernel may read no more than its read-ahead for one request


class LocalStore:
    """Read-only access to the records of a file. Opening it reads nothing.

    ``size`` is the number of bytes that count; ``quantiser`` is None for 16 bits and where no image has tokens.
    Threads may share one.
    """

    def __init__(
        self, path: Path, table: Path, size: int, rows: int, dim: int, bits: Bits, quantiser: Quantiser | None
    ) -> None:
        self.path, self.size, self.rows = path, size, rows
        self.dim, self.bits = dim, bits
        self.quantiser = quantiser or Quantiser(torch.zeros(dim), MAX_SCALE)
        # Closed with this object; unbuffered, because only whole records are read, at given offsets.
        self._file = path.open("rb", buffering=0)
        self._table = table.open("rb", buffering=0)
        self._scratch = threading.local()

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> LocalFeaturesBatch | QuantisedLocalFeatures:
        """Features of some rows, in the order asked for: float32 for 16 bits, else codes. Only their records are read.

        All records are requested from the disk at once, in the order they lie there, before the first is used:
        100 cold records take what the disk needs to deliver them and not 100 times its latency. Codes of 8 bits go
        from the file to where they are used. Raises ``MapError`` for a damaged record.
        """
        table = self.table(rows)
        order = np.argsort(table["start"], kind="stable").tolist()
        lengths = table["tokens"].astype(np.int64)
        width = row_bytes(self.dim, self.bits)
        starts, heads = table["start"].tolist(), table["head"].tolist()
        for i in order:
            _request(self._file.fileno(), starts[i], heads[i] + int(lengths[i]) * width)
        ends = np.cumsum(lengths).tolist()
        total = ends[-1] if ends else 0
        positions, weights = np.empty((total, 2), np.float32), np.empty(total, np.float32)
        bias = np.empty(total, np.float32)
        values = np.empty((total, self.dim), np.float32 if self.bits == 16 else np.int8)
        for i in order:
            if length := int(lengths[i]):
                into = slice(ends[i] - length, ends[i])
                head = self._fill(table[i], values[into])
                positions[into], weights[into] = head.positions, head.weights
                if head.bias is not None:
                    bias[into] = head.bias
        first, where, weight = (torch.from_numpy(array) for array in (values, positions, weights))
        sizes = tuple(lengths.tolist())
        if self.bits == 16:
            return LocalFeaturesBatch(first, where, weight, sizes)
        return QuantisedLocalFeatures(first, torch.from_numpy(bias), where, weight, sizes, self.quantiser)

    def table(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.void]:
        """Lines of the table of images, checked: where the records of ``rows`` are."""
        wanted = np.asarray(rows, np.int64).reshape(-1)
        size, file = TABLE_ROW.itemsize, self._table.fileno()
        lines = np.zeros(len(wanted), TABLE_ROW)
        for row in wanted.tolist():
            os.posix_fadvise(file, row * size, size, os.POSIX_FADV_WILLNEED)
        for i, row in enumerate(wanted.tolist()):
            if os.preadv(file, [lines[i : i + 1].view(np.uint8).data], row * size) != size:
                raise MapError(f"{self._table.name} is truncated at record {row}: build the map again")
        ends = lines["start"] + lines["head"] + lines["tokens"].astype(np.uint64) * row_bytes(self.dim, self.bits)
        odd = np.flatnonzero((ends > self.size) | (lines["start"] > self.size))
        if len(odd):
            raise MapError(f"{self._table.name} is damaged at record {wanted[odd[0]]}: build the map again")
        return lines

    def raw(self, line: np.void) -> bytes:
        """One whole record, of a line of the table; ``MapError`` unless its checksum is right."""
        size = int(line["head"]) + int(line["tokens"]) * row_bytes(self.dim, self.bits)
        data = os.pread(self._file.fileno(), size, int(line["start"]))
        if len(data) != size or zlib.crc32(data) != line["crc"]:
            raise self._damaged(line)
        return data

    def _fill(self, line: np.void, values: NDArray[np.generic]) -> Head:
        """Read one record: its rows into ``values [L, D]``, the rest into what is returned."""
        length, size = len(values), int(line["head"])
        width = row_bytes(self.dim, self.bits)
        own = 0 if self.bits == 8 else length * width  # codes of 8 bits are read to where they stay
        scratch = self._buffer(own + size)
        head = scratch[own : own + size]
        packed = (scratch[:own] if own else values.view(np.uint8)).reshape(length, width)
        found = os.preadv(self._file.fileno(), [head.data, packed.reshape(-1).data], int(line["start"]))
        if found != size + length * width or zlib.crc32(head.data) != line["head_crc"]:
            raise self._damaged(line)
        try:
            parts = decode_head(head.data, length, self.bits)
        except (ValueError, zlib.error) as error:
            raise self._damaged(line) from error
        if self.bits == 16:
            torch.from_numpy(values).copy_(torch.from_numpy(packed.view(np.float16)))  # numpy takes three times as long
        elif self.bits != 8:
            assert parts.scales is not None
            low_bits.unpack(packed, parts.scales, self.bits, values.view(np.int8))
        return parts

    def _damaged(self, line: np.void) -> MapError:
        return MapError(
            f"{self.path} is damaged at byte {line['start']}: restore it from a copy, or build the map again"
        )

    def _buffer(self, size: int) -> NDArray[np.uint8]:
        """Memory of this thread that every record is read into: fresh memory costs as much as the reading."""
        found: NDArray[np.uint8] | None = getattr(self._scratch, "buffer", None)
        if found is None or len(found) < size:
            found = self._scratch.buffer = np.empty(2 * size, np.uint8)
        return found


class LocalEncoder:
    """Local features to records. The first batch with tokens fits the quantiser, which stays the map's for good."""

    def __init__(
        self, quantiser_path: Path, max_tokens: int, dim: int, options: LocalStoreOptions, known: bool
    ) -> None:
        self.path, self.max_tokens, self.dim = quantiser_path, max_tokens, dim
        self.bits, self.budget = options.bits, options.max_tokens
        self.quantiser = read_quantiser(quantiser_path) if known and quantiser_path.exists() else None

    def encode(self, features: Sequence[LocalFeatures], start: int) -> tuple[bytes, bytes]:
        """Records and their lines in the table, for appending at byte ``start``. ``MapError`` when they do not fit."""
        features = [checked(local, self.max_tokens, self.dim) for local in features]
        if self.budget:
            features = [select_tokens(local, self.budget) for local in features]
        if self.bits != 16 and self.quantiser is None and any(map(len, features)):
            every = torch.cat([local.descriptors.detach().to("cpu", torch.float32) for local in features])
            self.quantiser = Quantiser.fit(every, random_rotation(self.dim, _ROTATION_SEED))
            write_quantiser(self.path, self.quantiser)
        records = [(len(local), *encode_record(local, self.bits, self.quantiser)) for local in features]
        return b"".join(part for _, *parts in records for part in parts), table_rows(start, records).tobytes()


def write_quantiser(path: Path, quantiser: Quantiser) -> None:
    """Write it for ``read_quantiser``, durably."""
    rotation = quantiser.rotation if quantiser.rotation is not None else torch.eye(quantiser.dim)
    tensors = {
        "mean": quantiser.mean.contiguous(),
        "rotation": rotation.contiguous(),
        "scale": torch.tensor(quantiser.scale, dtype=torch.float64),
    }
    write_atomically(path, safetensors.torch.save(tensors))


def read_quantiser(path: Path) -> Quantiser:
    """The quantiser in a file; ``MapError`` when there is none in it."""
    try:
        found = safetensors.torch.load(path.read_bytes())
        return Quantiser(found["mean"], float(found["scale"]), found["rotation"])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise MapError(f"{path} is damaged: build the map again") from error


def _request(file: int, start: int, size: int) -> None:
    for offset in range(start, start + size, _REQUEST):
        os.posix_fadvise(file, offset, min(_REQUEST, start + size - offset), os.POSIX_FADV_WILLNEED)
