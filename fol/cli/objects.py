"""From plain configuration values to the frozen dataclasses that the library takes."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fol.errors import ConfigError

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], path: str) -> T:
    """An instance of the dataclass ``cls``; nested dataclasses from nested mappings, tuples from lists.

    ``path`` is where ``values`` stand in the configuration; ``ConfigError`` names it with the key that is unknown,
    missing or of a wrong type.
    """
    assert is_dataclass(cls)
    prefix = f"{path}." if path else ""
    hints = get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"no option is called {prefix}{key}; {hint}")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{prefix}{name} is missing: give it a value")
    return cls(**{key: _convert(value, hints[key], f"{prefix}{key}") for key, value in values.items()})


def _convert(value: Any, kind: Any, path: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return build(kind, value, path)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{path}={value!r} is unknown; choose one of {', '.join(map(str, arguments))}")
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for argument in arguments:
            try:
                return _convert(value, argument, path)
            except ConfigError:
                continue
        raise ConfigError(f"{path}={value!r}: that is not {_shown(kind)}")
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path}={value!r}: that is not a list; write {path}=[...]")
        if arguments[-1] is not Ellipsis and len(arguments) != len(value):
            raise ConfigError(f"{path}={value!r}: give {len(arguments)} values")
        inner = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_convert(v, a, path) for v, a in zip(value, inner, strict=True))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise ConfigError(f"{path}={value!r}: that is not {_shown(kind)}")
    return value


def _shown(kind: Any) -> str:
    names = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "tuple": "a list",
        "NoneType": "null",
    }
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_shown(argument) for argument in get_args(kind))
    if get_origin(kind) is tuple and get_args(kind)[-1] is not Ellipsis:
        return f"a list of {len(get_args(kind))}"
    return names.get(getattr(kind, "__name__", ""), str(kind))
