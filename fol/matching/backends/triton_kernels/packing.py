"""Checked token sets to packed sets, without a copy where they already lie end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from fol.matching.backends.triton_kernels.launch import PackedSets, padded_dim, to_device
from fol.matching.inputs import TokenSet
from fol.matching.quantisation import Quantiser


@dataclass(frozen=True, eq=False)
class Packed:
    """The valid rows of some sets.

    ``starts``, ``counts``: where each set lies in ``sets``. ``row_numbers [R]`` int64: of which row of its own set each
    packed row is, None where no set has padding.
    """

    sets: PackedSets
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    row_numbers: Tensor | None


def pack(sets: Sequence[TokenSet], quantiser: Quantiser | None) -> Packed:
    """All valid rows of ``sets`` (at least one), in float32 or, with ``quantiser``, as its codes."""
    counts = tuple(item.count for item in sets)
    starts = tuple(accumulate(counts, initial=0))[:-1]
    kept, row_numbers = _kept_rows(sets, starts, counts)
    if quantiser is not None:
        coded = [item.encoded(quantiser) for item in sets if item.count]
        rows = _filled_up(_joined([codes for codes, _ in coded]))
        return Packed(PackedSets(rows, _joined([bias for _, bias in coded])), starts, counts, row_numbers)
    rows = _joined([item.descriptors.detach() for item in sets if item.count]).float()
    if kept is not None:
        rows = rows[kept]
    return Packed(PackedSets(_filled_up(rows)), starts, counts, row_numbers)


def _kept_rows(
    sets: Sequence[TokenSet], starts: Sequence[int], counts: Sequence[int]
) -> tuple[Tensor | None, Tensor | None]:
    """Of all rows of the sets that have any valid one, the valid ones; and their row numbers in their own sets."""
    filled = [k for k, item in enumerate(sets) if item.count]
    if all(len(sets[k]) == counts[k] for k in filled):
        return None, None
    total = sum(counts)
    absent = ~torch.cat([sets[k].valid for k in filled])
    # A stable sort with a known cut gives the same as nonzero(), which would wait for the device.
    kept = torch.argsort(absent.to(torch.uint8), stable=True)[:total]
    before = accumulate((len(sets[k]) for k in filled), initial=0)
    offsets, repeats = to_device([[*before][:-1], [counts[k] for k in filled]], kept.device)
    return kept, kept - torch.repeat_interleave(offsets, repeats, output_size=total)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors after one another: a view where they lie so already, else a copy."""
    first = parts[0]
    start = end = first.data_ptr()
    step = first.element_size()
    for part in parts:
        if part.data_ptr() != end or part.dtype != first.dtype or not part.is_contiguous():
            return torch.cat(list(parts))
        end += part.numel() * step
    if parts[-1].untyped_storage().data_ptr() != first.untyped_storage().data_ptr():  # neighbours by chance
        return torch.cat(list(parts))
    return first.as_strided(((end - start) // (first.stride(0) * step), *first.shape[1:]), first.stride())


def _filled_up(rows: Tensor) -> Tensor:
    """Zeros in more dimensions where the kernels want more; they change no product."""
    missing = padded_dim(rows.dtype, rows.shape[1]) - rows.shape[1]
    return torch.nn.functional.pad(rows, (0, missing)) if missing else rows.contiguous()
