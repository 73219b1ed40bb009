"""A city's folder: written whole or not at all, continued after an interruption, and described by ``city.json``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fol.data.images import printable
from fol.errors import DataError
from fol.files import remove_leftovers, sync_file, write_atomically
from fol.types import ProgressCallback

#: Raised whenever the same parameters give other pictures than before, so that no stale city passes for a new one.
GENERATOR = 2
DESCRIPTION = "city.json"

Parameters = Mapping[str, object]


def write_city(
    out: Path,
    parameters: Parameters,
    description: Callable[[], Mapping[str, object]],
    pictures: Callable[[], Mapping[str, Callable[[], bytes]]],
    tables: Callable[[], Mapping[str, str]],
    progress: ProgressCallback | None,
) -> Path:
    """Write a city to the folder ``out`` unless it is there already, and give the folder.

    ``parameters`` decide everything; the rest is only asked for when there is something to write: ``description`` for
    ``city.json`` besides generator and parameters, ``pictures`` how to make each JPEG file by name, ``tables`` other
    files. ``out`` appears when it is complete: until then the work lies beside it in ``.NAME.partial`` and is
    continued there after an interruption.

    Raises ``DataError`` when ``out`` already holds something else or cannot be written.
    """
    partial = out.parent / f".{out.name}.partial"
    try:
        if _is_complete(out, parameters):
            return out
        if partial.is_dir() and _parameters_of(partial) not in (None, _written(parameters)):
            shutil.rmtree(partial)  # left by an interrupted run for another city
        work = pictures()
        folders = {partial, *((partial / name).parent for name in work)}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        described = {"generator": GENERATOR, "parameters": parameters, **description()}
        # before any image: it says what they belong to
        write_atomically(partial / DESCRIPTION, json.dumps(described, indent=1).encode())
        for done, (name, make) in enumerate(work.items()):
            if not _is_whole(partial / name):
                write_atomically(partial / name, make(), durable=False)
            if progress is not None:
                progress(done + 1, len(work))
        others = tables()
        for name, content in others.items():
            write_atomically(partial / name, content.encode(), durable=False)
        for folder in folders:
            remove_leftovers(folder)
        for name in (*work, *others):  # all at the end, which is much faster than one by one
            sync_file(partial / name)
        partial.replace(out)
    except FileNotFoundError:
        # another process that made the same city was faster and has renamed the folder under our feet
        if not _is_complete(out, parameters):
            raise
    except OSError as error:
        raise DataError(f"{printable(out)} cannot be written ({error.strerror}): choose another folder") from error
    return out


def read_description(folder: Path | str) -> dict[str, Any]:
    """What ``city.json`` says of a city's folder.

    Raises ``DataError`` for a folder that is none, or was written by another version of the generator.
    """
    path = Path(folder) / DESCRIPTION
    shown = printable(path)
    try:
        described: dict[str, Any] = json.loads(path.read_text())
        version = described["generator"]
    except FileNotFoundError as error:
        raise DataError(f"{shown} does not exist: this is no folder that make_city wrote") from error
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, error) from error
    if version != GENERATOR:
        raise DataError(
            f"{shown}: made by generator {version}, this fol has {GENERATOR}: delete the folder, make it anew"
        )
    return described


def damaged(folder: Path | str, error: Exception) -> DataError:
    """The error for a description that cannot be understood."""
    shown = printable(Path(folder) / DESCRIPTION)
    return DataError(f"{shown} is damaged ({error!r}): delete the folder and make it anew")


def _written(parameters: Parameters) -> dict[str, object]:
    plain: dict[str, object] = json.loads(json.dumps(parameters))  # as it reads back from the file
    return {"generator": GENERATOR, **plain}


def _parameters_of(folder: Path) -> dict[str, object] | None:
    """What the description in a folder says of it; None where there is no readable one."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        return {"generator": described["generator"], **described["parameters"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_complete(out: Path, parameters: Parameters) -> bool:
    """Whether ``out`` is this city already; ``DataError`` when it is something else."""
    if not out.exists() or (out.is_dir() and next(out.iterdir(), None) is None):
        return False
    found, wanted = _parameters_of(out), _written(parameters)
    if found == wanted:
        return True
    if found is None:
        raise DataError(f"{printable(out)} exists and is not a synthetic city: choose another folder")
    names = dict.fromkeys([*wanted, *found])
    other = ", ".join(f"{k} {found.get(k)} instead of {wanted.get(k)}" for k in names if found.get(k) != wanted.get(k))
    raise DataError(f"{printable(out)} holds another synthetic city ({other}): delete it or choose another folder")


def _is_whole(path: Path) -> bool:
    """Whether an interrupted run left the whole image: a power cut can leave a file that is too short."""
    return path.exists() and path.read_bytes().endswith(b"\xff\xd9")
