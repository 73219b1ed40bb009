"""What a reader of a benchmark's own files finds: all photos with all that the files say, before a protocol chooses.

``Place.metadata`` is how readers hand on what protocols need. These keys mean the same for every format:

=============  ======================================================================================================
``city``       the part of the benchmark that a photo belongs to; some protocols search each part for itself
``panorama``   name of the panorama that the photo was cut out of
``pano``       ``True`` where the photo is a whole panorama, else ``False``
``frame``      number of the photo in a traverse, a decimal integer
``subtasks``   names of the subtasks that the photo is in, separated by blanks
``key``        the benchmark's own name of the photo, as its result files want it
``timestamp``  ``YYYYMMDD_hhmmss`` or the beginning of it
``note``       the condition of the photo; recall is reported for each
=============  ======================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fol.types import Place


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """Photos of one benchmark (one split of it).

    ``Place.name`` is unique on each side, ``Place.image`` the file (which need not exist: ``fol data verify`` looks).
    ``listed``: per query the database photos that the benchmark's own files call right, ascending int64 indices; None
    where they leave that to coordinates or frame numbers.
    """

    root: Path
    database: tuple[Place, ...]
    queries: tuple[Place, ...]
    listed: tuple[NDArray[np.int64], ...] | None = None
