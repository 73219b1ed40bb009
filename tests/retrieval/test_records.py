from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from fol.errors import MapError
from fol.retrieval.records import RecordFile, checksum


def test_checksum_of_a_part_continues_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = bytes(range(256)) * 10
    path.write_bytes(data)
    first = checksum(path, 100)
    assert first == zlib.crc32(data[:100])
    assert checksum(path, len(data), 100, first) == zlib.crc32(data)
    with pytest.raises(MapError, match=r"a is truncated: 2560 bytes instead of 2561"):
        checksum(path, len(data) + 1)


def test_records_continue_where_the_good_ones_end(tmp_path: Path) -> None:
    path = tmp_path / "records"
    file = RecordFile(path)
    file.append(memoryview(b"aaabbbbb"))
    size, crc = file.size, file.crc
    file.append(memoryview(b"cccc"))
    file.close()
    path.write_bytes(path.read_bytes() + b"dd")  # a batch that never got finished
    file = RecordFile(path, size, crc)
    assert path.read_bytes() == b"aaabbbbb"
    file.append(memoryview(b"eeee"))
    file.close()
    assert path.read_bytes() == b"aaabbbbbeeee"
    assert file.crc == zlib.crc32(b"aaabbbbbeeee")
    with pytest.raises(MapError, match="records is truncated"):
        RecordFile(path, 13)
