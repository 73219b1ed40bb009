"""One image's local features as bytes: what the store writes per image, whatever the number of bits.

A record is a head (layout of the tokens, bias, scales) followed by the descriptors' rows, both without padding. The
head is small and checked whenever it is read; the rows can be read straight to where they are used.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fol.errors import MapError
from fol.matching.quantisation import Quantiser
from fol.retrieval import low_bits
from fol.retrieval.local_options import Bits
from fol.retrieval.token_layout import decode_layout, encode_layout
from fol.types import LocalFeatures

#: One line of the table of images: where the record starts, tokens, bytes of the head, CRC-32 of the head and of all.
TABLE_ROW = np.dtype([("start", "<u8"), ("tokens", "<u4"), ("head", "<u4"), ("head_crc", "<u4"), ("crc", "<u4")])
_HEAD = struct.Struct("<Idd")  # bytes of the layout; least bias and its step
#: Bytes of a head beside its tokens, at most: for estimates.
HEAD_BYTES = 1400


@dataclass(frozen=True, eq=False)
class Head:
    """What a record says beside its rows: ``bias [L]`` and ``scales [L]`` where its number of bits has them."""

    positions: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    scales: NDArray[np.uint8] | None


def row_bytes(dim: int, bits: Bits) -> int:
    """Bytes of one descriptor."""
    return 2 * dim if bits == 16 else low_bits.row_bytes(dim, bits)


def token_bytes(dim: int, bits: Bits) -> int:
    """Bytes of one token, less its share of position and weight."""
    return row_bytes(dim, bits) + 2  # a float16 weight; a bias of 16 bits; or bias and scale of 8 bits each


def encode_record(features: LocalFeatures, bits: Bits, quantiser: Quantiser | None) -> tuple[bytes, bytes]:
    """Head and rows of one image; both empty without tokens. ``quantiser`` is needed for 8 bits and fewer."""
    if not len(features):
        return b"", b""
    descriptors = features.descriptors.detach().to("cpu", torch.float32)
    layout = encode_layout(_array(features.positions), _array(features.weights), halves=bits == 16)
    if bits == 16:
        return _HEAD.pack(len(layout), 0.0, 0.0) + layout, descriptors.numpy().astype("<f2").tobytes()
    assert quantiser is not None
    bias = quantiser.bias(descriptors).numpy().astype(np.float64)
    low, step, steps = _in_steps(bias, "<u2" if bits == 8 else "<u1")
    head = _HEAD.pack(len(layout), low, step) + layout + steps
    if bits == 8:
        return head, quantiser.encode(descriptors)[0].numpy().tobytes()
    rows, scales = low_bits.pack(_array(quantiser.rotated(descriptors, quantiser.scale)), bits)
    return head + scales.tobytes(), rows.tobytes()


def decode_head(data: memoryview, length: int, bits: Bits) -> Head:
    """The head of a record of ``length`` >= 1 tokens; raises ``ValueError`` or ``zlib.error`` when it is no such."""
    size, low, step = _HEAD.unpack_from(data)
    start = _HEAD.size + size
    positions, weights = decode_layout(data[_HEAD.size : start], length)
    if bits == 16:
        return Head(positions, weights, None, None)
    kind = np.dtype("<u2" if bits == 8 else "<u1")
    steps = np.frombuffer(data, kind, length, start)
    bias = (steps * step + low).astype(np.float32)
    scales = None if bits == 8 else np.frombuffer(data, np.uint8, length, start + kind.itemsize * length)
    return Head(positions, weights, bias, scales)


def table_rows(start: int, records: list[tuple[int, bytes, bytes]]) -> NDArray[np.void]:
    """Lines for records (tokens, head, rows) that are written one after the other from byte ``start`` on."""
    table = np.zeros(len(records), TABLE_ROW)
    for line, (tokens, head, rows) in zip(table, records, strict=True):
        crc = zlib.crc32(head)
        line["start"], line["tokens"], line["head"], line["head_crc"] = start, tokens, len(head), crc
        line["crc"] = zlib.crc32(rows, crc)
        start += len(head) + len(rows)
    return table


def checked(features: LocalFeatures, max_tokens: int, dim: int) -> LocalFeatures:
    """``features``; raises ``MapError`` when they do not fit the map or each other."""
    length = len(features)
    if length > max_tokens:
        raise MapError(f"{length} local features in one image, but the model states at most {max_tokens}")
    shapes = tuple(features.descriptors.shape), tuple(features.positions.shape), tuple(features.weights.shape)
    if shapes != ((length, dim), (length, 2), (length,)):
        raise MapError(
            f"local features of shapes {shapes} do not fit a map of {dim}-dimensional ones: "
            "use the model that built the map"
        )
    return features


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _in_steps(values: NDArray[np.float64], kind: str) -> tuple[float, float, bytes]:
    """Least value, step and the number of steps of each, the range being as many as ``kind`` can count."""
    low = float(values.min())
    step = (float(values.max()) - low) / float(np.iinfo(kind).max)
    return low, step, np.rint((values - low) / (step or 1.0)).astype(kind).tobytes()
