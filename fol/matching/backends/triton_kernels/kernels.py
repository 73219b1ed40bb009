"""The kernels: nearest tokens of ragged pairs of sets, the list of tokens that were somebody's nearest, mutual matches.

A *pair* is one query set ``x`` and one candidate set ``y``; both lie in packed arrays ``[sum of lengths, D]`` from row
``start`` on, for ``length`` rows. One launch does all pairs: program ``p`` takes rows ``p % blocks`` of pair
``p // blocks``. Results lie in rectangles ``[pairs, width]``, so nothing about a launch depends on what is in it.

No kernel uses atomics, and every reduction has one order: results are the same, bit for bit, in any company.
"""

# The language inside @triton.jit is Triton's, not Python's; its types are known when a launch is compiled.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

LOWEST = tl.constexpr(-(2**31))

# Adding and subtracting it rounds a float64 below 2^51 to a whole number, half to even, as torch.round does.
WHOLE = tl.constexpr(1.5 * 2.0**52)

# Nothing that varies from call to call may be baked into the code, or a new length would wait for the compiler.
UNALIGNED = ("x_start", "x_length", "y_start", "y_length", "start", "length", "bias", "x_bias", "y_bias")
_kernel = triton.jit(
    do_not_specialize=["blocks", "x_width", "y_width", "width", "mark_above"],
    do_not_specialize_on_alignment=UNALIGNED,
)


@triton.jit
def _place(blocks, BLOCK: tl.constexpr):
    """The pair and the first row that are this program's."""
    program = tl.program_id(0)
    return (program // blocks).to(tl.int64), (program % blocks) * BLOCK


@triton.jit
def _tokens(listed, first, rows, BLOCK: tl.constexpr, LISTED: tl.constexpr):
    """Rows from ``first`` on, or what stands there in the list, and which of them there are."""
    token = first + tl.arange(0, BLOCK)
    present = token < rows
    if LISTED:
        token = tl.load(listed + token, mask=present, other=0)
    return token, present


@_kernel
def nearest_float32(
    x,
    y,
    x_start,
    x_length,
    y_start,
    y_length,
    listed,
    value,
    index,
    marks,
    mark_above,
    blocks,
    x_width,
    y_width,
    D: tl.constexpr,
    BLOCK_X: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_D: tl.constexpr,
    LISTED: tl.constexpr,
):
    """Of every row of x the nearest row of y, by float32 products in the order of the dimensions.

    The product of two rows has the same bits whichever of them is in ``x``, and wherever they stand.

    LISTED False: all ``x_length[pair]`` rows; writes ``value`` and ``index [pairs, x_width]`` and sets
    ``marks [pairs, y_width]`` of the nearest rows whose product is above ``mark_above``.
    LISTED True: the ``x_length[pair]`` rows in ``listed [pairs, x_width]``; writes ``index`` at those rows alone.
    """
    pair, first = _place(blocks, BLOCK_X)
    rows = tl.load(x_length + pair).to(tl.int32)
    if first >= rows:
        return
    columns = tl.load(y_length + pair).to(tl.int32)
    token, present = _tokens(listed + pair * x_width, first, rows, BLOCK_X, LISTED)
    within = tl.arange(0, BLOCK_D)
    x_rows = x + (tl.load(x_start + pair) + tl.where(present, token, 0))[:, None] * D + within[None, :]
    y_rows = y + tl.load(y_start + pair) * D + within[:, None]
    best = tl.full([BLOCK_X], float("-inf"), tl.float32)
    nearest = tl.zeros([BLOCK_X], tl.int32)
    for start in range(0, columns, BLOCK_Y):
        column = start + tl.arange(0, BLOCK_Y)
        # Beyond the end the last row again: its copies come after it, so they never win.
        b_rows = y_rows + tl.minimum(column, columns - 1)[None, :] * D
        product = tl.zeros([BLOCK_X, BLOCK_Y], tl.float32)
        for k in range(0, D, BLOCK_D):
            product = tl.dot(tl.load(x_rows + k), tl.load(b_rows + k), product, input_precision="ieee")
        tile_best, tile_nearest = tl.max(product, axis=1, return_indices=True)
        better = tile_best > best  # strictly: among equals the earlier tile holds the lower index
        best = tl.where(better, tile_best, best)
        nearest = tl.where(better, tile_nearest + start, nearest)
    tl.store(index + pair * x_width + token, nearest, mask=present)
    if not LISTED:
        tl.store(value + pair * x_width + token, best, mask=present)
        tl.store(marks + pair * y_width + nearest, tl.full([BLOCK_X], 1, tl.int8), mask=present & (best > mark_above))


@triton.jit
def _addend_row(pair, width, TILE: tl.constexpr):
    return pair * (tl.cdiv(width, TILE) * TILE)


@_kernel
def nearest_int8(
    x,
    y,
    x_addend,
    y_addend,
    x_start,
    x_length,
    y_start,
    y_length,
    listed,
    value,
    index,
    marks,
    mark_above,
    blocks,
    x_width,
    y_width,
    D: tl.constexpr,
    BLOCK_X: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BITS: tl.constexpr,
    LISTED: tl.constexpr,
):
    """As ``nearest_float32`` for codes: the largest ``x . y + y_bias``, in integers; ``value`` is that sum.

    ``mark_above`` is an integer that ``value + x_bias`` must exceed. A cell's sum and the number of its tile share one
    integer, ``sum * 2^BITS + (2^BITS - 1 - tile)``: one multiplication with addition and one maximum per cell, and
    among equals the lowest tile wins. What is added stands ready in ``y_addend``, made by ``addends`` as ``x_addend``.
    """
    pair, first = _place(blocks, BLOCK_X)
    rows = tl.load(x_length + pair).to(tl.int32)
    if first >= rows:
        return
    columns = tl.load(y_length + pair).to(tl.int32)
    token, present = _tokens(listed + pair * x_width, first, rows, BLOCK_X, LISTED)
    within = tl.arange(0, D)
    x_row = tl.load(x_start + pair) + tl.where(present, token, 0)
    y_row = tl.load(y_start + pair)
    a = tl.load(x + x_row[:, None] * D + within[None, :])
    y_rows = y + y_row * D + within[:, None]
    addend_row = y_addend + _addend_row(pair, y_width, BLOCK_Y)
    best = tl.full([BLOCK_X, BLOCK_Y], LOWEST, tl.int32)
    for start in range(0, columns, BLOCK_Y):
        column = start + tl.arange(0, BLOCK_Y)
        b = tl.load(y_rows + column[None, :] * D, mask=(column < columns)[None, :], other=0)
        product = tl.dot(a, b, out_dtype=tl.int32)
        best = tl.maximum(best, product * 2**BITS + tl.load(addend_row + column)[None, :])
    key, column = tl.max(best, axis=1, return_indices=True)
    nearest = (2**BITS - 1 - (key & (2**BITS - 1))) * BLOCK_Y + column
    tl.store(index + pair * x_width + token, nearest, mask=present)
    if not LISTED:
        found = key >> BITS
        tl.store(value + pair * x_width + token, found, mask=present)
        x_bias = tl.load(x_addend + _addend_row(pair, x_width, BLOCK_Y) + token, mask=present, other=0) >> BITS
        above = found + x_bias > mark_above
        tl.store(
            marks + pair * y_width + nearest,
            tl.full([BLOCK_X], 1, tl.int8),
            mask=present & above & (columns > 0),
        )


@_kernel
def addends(
    bias, start, length, out, numbers, blocks, x_width, BLOCK: tl.constexpr, TILE: tl.constexpr, BITS: tl.constexpr
):
    """What ``nearest_int8`` adds to the products of each pair's tokens, lowest where there is none.

    ``out [pairs, x_width up to a multiple of TILE]``: ``whole * 2^BITS + 2^BITS - 1 - tile`` with the bias as
    ``coded.whole_bias`` rounds it, so ``whole`` is ``out >> BITS``. Limited to what leaves room for any product, which
    the biases of unit rows never come near.
    ``numbers [3]`` is a float64 array, as numbers would be passed in float32: squared scale, squared mean, that limit.
    """
    pair, first = _place(blocks, BLOCK)
    token = first + tl.arange(0, BLOCK)
    present = token < tl.load(length + pair)
    value = tl.load(bias + tl.load(start + pair) + token, mask=present, other=0.0)
    units = value.to(tl.float64) * tl.load(numbers)
    limit = tl.load(numbers + 2)
    units = tl.minimum(tl.maximum(units, -limit), limit)
    whole = ((units + WHOLE) - WHOLE).to(tl.int32)
    addend = tl.where(present, whole * 2**BITS, LOWEST) + (2**BITS - 1 - token // TILE)
    tl.store(out + _addend_row(pair, x_width, TILE) + token, addend, mask=token < tl.cdiv(x_width, TILE) * TILE)


@_kernel
def list_marked(marks, y_length, listed, count, width, BLOCK: tl.constexpr):
    """Of every pair the marked tokens in ascending order: ``listed [pairs, width]``, ``count [pairs]``."""
    pair = tl.program_id(0).to(tl.int64)
    columns = tl.load(y_length + pair).to(tl.int32)
    before = tl.zeros([1], tl.int32)
    for start in range(0, columns, BLOCK):
        token = start + tl.arange(0, BLOCK)
        marked = tl.load(marks + pair * width + token, mask=token < columns, other=0).to(tl.int32)
        place = before + tl.cumsum(marked, axis=0) - 1
        tl.store(listed + pair * width + place, token, mask=marked > 0)
        before += tl.sum(marked, axis=0)
    tl.store(count + pair + tl.arange(0, 1), before.to(tl.int64))


@triton.jit
def _mutual(x_length, y_length, index, back, blocks, x_width, y_width, BLOCK: tl.constexpr):
    """This program's pair and rows, the nearest of each, and whether that holds the other way round."""
    pair, first = _place(blocks, BLOCK)
    row = first + tl.arange(0, BLOCK)
    known = (row < tl.load(x_length + pair)) & (tl.load(y_length + pair) > 0)
    nearest = tl.load(index + pair * x_width + row, mask=known, other=0)
    match = known & (tl.load(back + pair * y_width + nearest, mask=known, other=-1) == row)
    return pair, row, nearest, match


@triton.jit
def _store_matches(partner, similarity, pair, row, nearest, match, cosine, x_width):
    place = pair * x_width + row
    tl.store(partner + place, tl.where(match, nearest, -1).to(tl.int64), mask=row < x_width)
    tl.store(similarity + place, tl.where(match, cosine, 0.0), mask=row < x_width)


@_kernel
def mutual_float32(
    x_length,
    y_length,
    value,
    index,
    back,
    partner,
    similarity,
    threshold,
    blocks,
    x_width,
    y_width,
    BLOCK: tl.constexpr,
):
    """Pairs of tokens that are each other's nearest, with ``value > threshold``: rows of ``BatchMatches``."""
    pair, row, nearest, match = _mutual(x_length, y_length, index, back, blocks, x_width, y_width, BLOCK)
    cosine = tl.load(value + pair * x_width + row, mask=match, other=0.0)
    _store_matches(partner, similarity, pair, row, nearest, match & (cosine > threshold), cosine, x_width)


@_kernel
def mutual_int8(
    x_bias,
    y_bias,
    y_addend,
    x_start,
    x_length,
    y_start,
    y_length,
    value,
    index,
    back,
    partner,
    similarity,
    numbers,
    threshold,
    blocks,
    x_width,
    y_width,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    BITS: tl.constexpr,
):
    """As ``mutual_float32``; the cosine is that of ``coded.int8_similarity``, in float64 and in the same order.

    ``numbers``: see ``addends``.
    """
    pair, row, nearest, match = _mutual(x_length, y_length, index, back, blocks, x_width, y_width, BLOCK)
    column = tl.load(y_start + pair) + nearest
    addend = tl.load(y_addend + _addend_row(pair, y_width, TILE) + nearest, mask=match, other=0)
    dot = tl.load(value + pair * x_width + row, mask=match, other=0) - (addend >> BITS)
    x_row = tl.load(x_start + pair) + row
    wide = dot.to(tl.float64) / tl.load(numbers)
    wide += tl.load(x_bias + x_row, mask=match, other=0.0).to(tl.float64)
    wide += tl.load(y_bias + column, mask=match, other=0.0).to(tl.float64)
    cosine = (wide - tl.load(numbers + 1)).to(tl.float32)
    _store_matches(partner, similarity, pair, row, nearest, match & (cosine > threshold), cosine, x_width)
