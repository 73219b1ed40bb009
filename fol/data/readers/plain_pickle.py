"""Pickled arrays of lists of numbers, opened without running what a pickle asks for.

Ground truth of uneven length is published as ``.npy`` of dtype object, which holds a pickle: a program that may do
anything when it is loaded. Here every name that such a file asks for is replaced by a class that only keeps the data,
and all other names are refused, so nothing of numpy and nothing of the system is called by the file.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from fol.errors import DataError

#: Most items that such a file may hold, counted where they are repeated: a small file cannot ask for all memory.
MOST_ITEMS = 100_000_000


def load_plain(data: bytes, shown: str) -> Any:
    """What a pickle holds: numbers, texts, and lists (also for arrays and tuples), nested.

    Raises ``DataError``, one line beginning with ``shown``, for a pickle that names anything beyond arrays of
    numbers and objects, and for one that is damaged.
    """
    try:
        value = _Unpickler(io.BytesIO(data), encoding="latin1").load()  # Python 2 kept numbers in texts
        return _plain(value, [MOST_ITEMS])
    except DataError as error:
        raise DataError(f"{shown}: {error}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{shown}: is damaged ({type(error).__name__}): download it again") from error


class _Kept:
    """What a pickle makes of a name: its arguments and its state, nothing done with either."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Kept):
    """``_reconstruct`` with (version, shape, dtype, Fortran order, data) as state; also the class ``ndarray``."""

    def plain(self) -> list[Any]:
        _, shape, dtype, fortran, data = self.state
        return _nested(shape, dtype, fortran, data)


class _Buffer(_Kept):
    """``_frombuffer(data, dtype, shape, order)``."""

    def plain(self) -> list[Any]:
        data, dtype, shape, order = self.arguments
        return _nested(shape, dtype, order == "F", data)


class _Scalar(_Kept):
    def plain(self) -> Any:
        dtype, data = self.arguments
        return _nested((1,), dtype, False, data)[0]


class _Range(_Kept):
    def plain(self) -> list[int]:
        numbers = range(*self.arguments)
        if len(numbers) > MOST_ITEMS:
            raise DataError(f"holds a list of {len(numbers)} items")
        return list(numbers)


class _Dtype(_Kept):
    """``dtype(code, ...)`` with (version, byte order, ...) as state."""

    @property
    def code(self) -> str:
        order = self.state[1] if self.state else "|"
        return f"{order if order in '<>' else ''}{self.arguments[0]}"


class _Encoded(_Kept):
    """``_codecs.encode(text, "latin1")``: how bytes were written for Python 2."""

    def plain(self) -> bytes:
        return str(self.arguments[0]).encode("latin1")


_KNOWN: dict[str, type[_Kept]] = {
    "multiarray _reconstruct": _Array,
    "multiarray scalar": _Scalar,
    "numeric _frombuffer": _Buffer,
    "numpy ndarray": _Array,
    "numpy dtype": _Dtype,
    "builtins range": _Range,
    "__builtin__ xrange": _Range,
    "_codecs encode": _Encoded,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Kept]:
        short = module
        for package in ("numpy.core.", "numpy._core."):
            short = short.removeprefix(package)
        known = _KNOWN.get(f"{short} {name}")
        if known is None or (short in ("multiarray", "numeric") and short == module):
            raise DataError(
                f"asks for {f'{module}.{name}'!r} while it is loaded, which no list of positives needs: "
                f"do not use it, it may be an attack"
            )
        return known


def _plain(value: Any, left: list[int]) -> Any:
    """``value`` as numbers, texts and lists; ``left[0]`` is how many more items it may have."""
    if isinstance(value, _Array | _Buffer | _Scalar | _Range | _Encoded):
        return _plain(value.plain(), left)
    if isinstance(value, list | tuple):
        left[0] -= len(value)
        if left[0] < 0:
            raise DataError(f"holds more than {MOST_ITEMS} items")
        return [_plain(item, left) for item in value]
    if isinstance(value, int | float | str | bytes):
        return value
    raise DataError(f"holds {type(value).__name__}, not lists of numbers")


def _nested(shape: Any, dtype: _Dtype, fortran: bool, data: Any) -> list[Any]:
    """An array as nested lists, its objects as they are."""
    count = 1
    for size in shape:
        count *= int(size)
    if count > MOST_ITEMS:
        raise DataError(f"holds an array of {count} items")
    if dtype.code.lstrip("<>").startswith("O"):
        flat = np.empty(count, object)
        items = data if isinstance(data, list) else [data]
        if len(items) != count:
            raise DataError(f"holds an array of {count} items with {len(items)} values")
        for index, item in enumerate(items):
            flat[index] = item
    else:
        kind = np.dtype(dtype.code)
        if kind.kind not in "iuf":
            raise DataError(f"holds an array of {kind}, not of numbers")
        raw = data.plain() if isinstance(data, _Encoded) else data
        flat = np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else bytes(raw), kind)
    nested: list[Any] = flat.reshape(tuple(shape), order="F" if fortran else "C").tolist()
    return nested
