"""OpenIBL's meta and splits of Pittsburgh in small: three panoramas of the database, one of the queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from replicas.pictures import write_picture

META: dict[str, Any] = {
    "name": "Pittsburgh_30k",
    "identities": [
        ["Pittsburgh/queries/000/000097_pitch1_yaw1.jpg", "Pittsburgh/queries/000/000097_pitch1_yaw2.jpg"],
        ["Pittsburgh/images/000/000829_pitch1_yaw2.jpg", "Pittsburgh/images/000/000829_pitch1_yaw1.jpg"],
        ["Pittsburgh/images/000/000300_pitch1_yaw1.jpg"],
        ["Pittsburgh/images/001/001000_pitch2_yaw12.jpg"],
    ],
    # The query is 24.9 m from identity 1, 25.1 m from identity 2.
    "utm": [[584600.0, 4477100.0], [584624.9, 4477100.0], [584600.0, 4477125.1], [590000.0, 4480000.0]],
}
SPLITS = {"q_train": [0], "db_train": [3], "q_val": [0], "db_val": [1], "q_test": [0], "db_test": [1, 2, 3]}


def write_openibl(root: Path, suffix: str = "_30k") -> Path:
    for files in META["identities"]:
        for file in files:
            write_picture(root / "raw" / file)
    (root / f"meta{suffix}.json").write_text(json.dumps(META))
    (root / f"splits{suffix}.json").write_text(json.dumps(SPLITS))
    return root
