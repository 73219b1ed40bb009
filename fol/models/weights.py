"""Finding published weights: a file placed by hand, else a download that is checked and kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

from fol.errors import DownloadError
from fol.models.cards import WeightSource

#: Weights that come with the library.
PACKAGED = Path(__file__).parent / "packaged"


def weights_folder() -> Path:
    """Where weights are kept and looked for first: ``$FOL_HOME/weights``, by default ``~/.cache/fol/weights``."""
    home = os.environ.get("FOL_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "fol") / "weights"


def find_weights(source: WeightSource) -> Path:
    """The local file of ``source``, downloaded if need be.

    Raises ``DownloadError`` that says how to place the file by hand, or that names a checksum that does not fit.
    """
    placed = (PACKAGED if source.packaged else weights_folder()) / source.filename
    path = placed if placed.is_file() else _download(source, placed)
    if source.sha256 is not None and (found := _sha256(path)) != source.sha256:
        raise DownloadError(
            f"{path}: SHA-256 {found[:12]}... is not the published {source.sha256[:12]}...; delete it and try again"
        )
    return path


def _download(source: WeightSource, placed: Path) -> Path:
    try:
        if source.repo is not None:
            from huggingface_hub import hf_hub_download

            # The endpoint is read here, not at import, so that a mirror can be set at any time.
            endpoint = os.environ.get("HF_ENDPOINT")
            return Path(hf_hub_download(source.repo, source.filename, endpoint=endpoint))
        import torch

        placed.parent.mkdir(parents=True, exist_ok=True)
        # Written to a temporary name and moved when complete.
        torch.hub.download_url_to_file(str(source.url), str(placed), progress=False)
        return placed
    except Exception as error:  # every network library has errors of its own
        cause = error.reason if isinstance(error, URLError) else error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        reason = lines[0].split(". ")[0] if lines else type(error).__name__
        raise DownloadError(
            f"cannot download {source.origin} ({reason}); fetch it where there is a network and place it "
            f"at {placed}, or give its path instead of the name"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
