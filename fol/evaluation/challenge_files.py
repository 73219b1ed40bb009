"""Prediction files of the Mapillary Street-Level Sequences challenge.

One line per query: its key and the keys of its answers, best first, separated by blanks; what follows a ``#`` is a
comment. A key is a file's name without folder and extension; a sequence is the keys of its frames, joined by commas.
Every line has the same number of answers, none twice (mapillary_sls, ``evaluate.py`` and ``files/example_msls_*.csv``,
which reads them with ``numpy.loadtxt``). The server took a zip that holds one csv; such a zip is written and read too.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fol.data import PlaceDataset, printable
from fol.errors import DataError
from fol.evaluation.journal import QueryRanking
from fol.evaluation.result import Stage
from fol.files import write_atomically
from fol.types import Place

_INSIDE = "predictions.csv"
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the same predictions give the same zip
_MACOS = "__MACOSX/"  # what macOS adds to a zip
_LARGEST = 2**31  # bytes of a table inside a zip: one that is larger was made to do harm


def prediction_rows(
    dataset: PlaceDataset, rankings: Mapping[str, QueryRanking], *, top: int = 25, stage: Stage = "reranked"
) -> list[tuple[str, tuple[str, ...]]]:
    """The rows of a prediction file from an evaluation: the best ``top`` places of one stage for every query.

    ``rankings`` by query name hold indices into the data set's database. Where there are fewer answers than the file
    needs (a query that could not be read has none), made-up keys ``unanswered-1`` ... fill up the row, which are no
    photo of the benchmark and so never right. Raises ``DataError`` when rankings and data set do not belong together,
    and for rankings without the stage.
    """
    if top < 1:
        raise DataError(f"top={top}: at least one answer per query is needed")
    keys = [challenge_key(place) for place in dataset.database]
    answers: list[tuple[str, Sequence[int]]] = []
    for query in dataset.queries:
        ranking = rankings.get(query.name)
        if ranking is None:
            raise DataError(f"{printable(query.name)} has no ranking: was another data set evaluated?")
        if stage == "reranked" and ranking.reranked is None and ranking.skipped is None:
            raise DataError(f"{printable(query.name)} was not re-ranked: give stage=global")
        found = ranking.retrieved if stage == "global" else ranking.reranked or ()
        if found and max(found) >= len(keys):
            raise DataError(
                f"{printable(query.name)} was answered with image {max(found)} of a database that has {len(keys)}: "
                "was another data set evaluated?"
            )
        answers.append((challenge_key(query), found[:top]))
    length = max((len(found) for _, found in answers), default=0)
    filling = [f"unanswered-{number}" for number in range(1, length + 1)]
    return [(key, (*(keys[i] for i in found), *filling[: length - len(found)])) for key, found in answers]


def challenge_key(place: Place) -> str:
    """The benchmark's own name of a photo; where the reader gave none, what its file's name says.

    Names of VPR-datasets-downloader carry it as ``pano_id``, others are the key and an extension.
    """
    return place.metadata.get("key") or place.metadata.get("pano_id") or PurePosixPath(place.name).stem


def write_predictions(path: Path, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Write (query key, ranked database keys) rows; as a zip when ``path`` ends in ``.zip``. Atomic.

    Raises ``DataError`` for what ``read_predictions`` would not take.
    """
    lines = [f"{query} {' '.join(answers)}\n" for query, answers in rows]
    for number, (query, answers) in enumerate(rows, start=1):
        for key in (query, *answers):
            if not key or "#" in key or "/" in key or key.split() != [key]:
                raise DataError(
                    f"{printable(path)}: row {number}, {printable(key)!r} cannot be a key: blanks, # and / are no part "
                    "of the keys of a prediction file"
                )
    text = "".join(lines)
    _parse(path, text)
    data = text.encode(errors="surrogateescape")
    if path.suffix.lower() == ".zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo(_INSIDE, _NO_DATE), data, zipfile.ZIP_DEFLATED)
        data = packed.getvalue()
    write_atomically(path, data)


def read_predictions(path: Path) -> dict[str, tuple[str, ...]]:
    """Query key -> ranked database keys, in the order of the file, which may be a zip that holds one table.

    Raises ``DataError`` naming file and line: rows of different lengths, an answer or a query that comes twice.
    """
    try:
        data = _unpacked(path) if zipfile.is_zipfile(path) else path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not UTF-8 ({error.reason}): save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    return _parse(path, text)


def _unpacked(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            files = [
                entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith(_MACOS)
            ]
            if len(files) != 1 or files[0].file_size > _LARGEST:
                raise DataError(f"{printable(path)}: holds {len(files)} files, but one table of predictions is needed")
            return archive.read(files[0])
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{printable(path)}: is no zip that can be read ({error}): unpack it, give its table"
        ) from error


def _parse(path: Path, text: str) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    shown = printable(path)
    for number, line in enumerate(text.split("\n"), start=1):
        query, *answers = line.partition("#")[0].split() or [""]
        if not query:
            continue
        where = f"{shown} line {number}"
        if not answers:
            raise DataError(f"{where}: has a query without answers: separate keys by blanks (commas join frames)")
        first = next(iter(rows), None)
        if first is not None and len(answers) != len(rows[first]):
            raise DataError(
                f"{where}: has {len(answers)} answers, line {lines[first]} has {len(rows[first])}: give equally many"
            )
        if query in rows:
            raise DataError(f"{where}: the query {printable(query)} is in line {lines[query]} already")
        if len(set(answers)) < len(answers):
            twice = next(key for i, key in enumerate(answers) if key in answers[:i])
            raise DataError(f"{where}: the answer {printable(twice)} comes twice")
        if unnamed := next((key for key in (query, *answers) if "" in key.split(",")), None):
            raise DataError(f"{where}: {printable(unnamed)!r} has a frame without a key: commas join frames' keys")
        rows[query], lines[query] = tuple(answers), number
    if not rows:
        raise DataError(f"{shown}: holds no predictions")
    return rows
