"""One photo under a second name, without a copy of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from fol.data.images import printable
from fol.errors import DataError


def link_photo(source: Path, folder: Path, name: str, *, exists: bool) -> bool:
    """Make ``folder/name`` a hard link to ``source``; False when there is no such photo.

    ``exists`` says that the name is there already: it must be the same file, or the only one that is left of it.
    A ``source`` that is a symbolic link stands for the file it leads to. Raises ``DataError`` for another file of that
    name, a source that is no file, and where the file system cannot link, which names both when there are two.
    """
    target = f"{folder}/{name}"
    try:
        status = os.lstat(source)
        origin = str(source)
        if stat.S_ISLNK(status.st_mode):
            origin = os.path.realpath(source)
            status = os.stat(origin)  # noqa: PTH116 (millions of photos: no need of a Path each)
    except (FileNotFoundError, NotADirectoryError):
        return exists
    except OSError as error:
        raise DataError(f"{printable(source)}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{printable(source)}: is no file, but a photo is needed")
    try:
        if not exists:
            os.link(origin, target)
            return True
    except FileExistsError:
        pass
    except OSError as error:
        raise _cannot_link(error, Path(origin), folder) from error
    if not os.path.samestat(os.stat(target), status):  # noqa: PTH116
        raise DataError(
            f"{printable(target)}: is another file than {printable(source)}: move it away, or choose another out"
        )
    return True


def _cannot_link(error: OSError, source: Path, folder: Path) -> DataError:
    if error.errno == errno.EXDEV:
        return DataError(
            f"{printable(source)} is on the file system {_mount(source)}, but {printable(folder)} on {_mount(folder)}: "
            f"hard links need one for both, choose out= on {_mount(source)}"
        )
    return DataError(
        f"{printable(folder)}: no hard link to {printable(source)} can be made there ({error.strerror}): "
        f"choose out= where links are allowed"
    )


def _mount(path: Path) -> str:
    path = path.absolute()
    return printable(next(above for above in (path, *path.parents) if os.path.ismount(above)))
