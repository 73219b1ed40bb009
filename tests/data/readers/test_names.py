"""How images are named and found by name."""

from __future__ import annotations

import os
from pathlib import Path

from fol.data.readers.names import NameIndex, place_name


def test_place_name() -> None:
    root = Path("/data/set")
    assert place_name(root / "a" / "b c é.jpg", root) == "a/b c é.jpg"
    assert place_name(Path(os.fsdecode(b"/data/set/caf\xe9.jpg")), root) == "caf\\xe9.jpg"


def test_find() -> None:
    index = NameIndex(["a.jpg", "sub/b.jpg", "database/c.jpg", "e\u0301.jpg"], ["database"])
    assert index.find("a.jpg") == index.find("./a.jpg") == index.find("database/a.jpg") == 0
    assert index.find("sub\\b.jpg") == 1
    assert index.find("database/c.jpg") == index.find("database/database/c.jpg") == 2
    assert index.find("\u00e9.jpg") == 3
    assert index.find("b.jpg") is None and index.find("") is None and index.find("A.jpg") is None


def test_names_that_differ_in_normalisation_only() -> None:
    index = NameIndex(["e\u0301.jpg", "\u00e9.jpg"])
    assert (index.find("e\u0301.jpg"), index.find("\u00e9.jpg")) == (0, 1)
    assert index.find("./\u00e9.jpg") is None  # either could be meant
