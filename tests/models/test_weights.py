"""Downloads, against a local HTTP server that plays the hub."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fol.errors import DownloadError
from fol.models.cards import WeightSource
from fol.models.weights import find_weights

LOAD = """
import fol
from dataclasses import replace
from fol.models.cards import CARDS, WeightSource
card = CARDS["fol_tiny_untrained"]
CARDS["fol_tiny"] = replace(card, name="fol_tiny", preset="official", weights=WeightSource("FoL_tiny.pth", **SOURCE))
try:
    model = fol.load_model("fol_tiny")
    print(model.name, model.fingerprint)
except fol.FolError as error:
    print(type(error).__name__, error)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file the way a hub does: metadata headers on HEAD, bytes on GET."""

    content: bytes = b""
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.requests.append(f"{self.command} {self.path}")
        if not self.path.endswith("FoL_tiny.pth"):
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if body:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(official_tiny: Path) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []
    handler = type("Handler", (Hub,), {"content": official_tiny.read_bytes(), "requests": requests})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()


def load(source: dict[str, object], home: Path, endpoint: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN")}
    environment |= {
        "FOL_HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": endpoint,
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD.replace("SOURCE", repr(source))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def test_hub_download_then_cache(hub, tmp_path):
    endpoint, requests = hub
    first = load({"repo": "shunpeng/FoL"}, tmp_path, endpoint)
    assert first.startswith("fol_tiny ")
    assert "GET /shunpeng/FoL/resolve/main/FoL_tiny.pth" in requests
    requests.clear()
    assert load({"repo": "shunpeng/FoL"}, tmp_path, endpoint) == first
    assert "GET /shunpeng/FoL/resolve/main/FoL_tiny.pth" not in requests, "the second load must come from the cache"


def test_plain_url(hub, tmp_path):
    endpoint, _ = hub
    assert load({"url": f"{endpoint}/v1/FoL_tiny.pth"}, tmp_path, endpoint).startswith("fol_tiny ")
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["FoL_tiny.pth"]


def test_a_file_placed_by_hand_comes_first(official_tiny, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "FoL_tiny.pth").write_bytes(official_tiny.read_bytes())
    assert load({"repo": "shunpeng/FoL"}, tmp_path, "http://127.0.0.1:9").startswith("fol_tiny ")


@pytest.mark.parametrize("source", [{"repo": "shunpeng/FoL"}, {"url": "http://127.0.0.1:9/FoL_tiny.pth"}])
def test_failure_says_how_to_place_the_file(source, tmp_path):
    message = load(source, tmp_path, "http://127.0.0.1:9")
    assert message.startswith("DownloadError cannot download ")
    assert str(tmp_path / "weights" / "FoL_tiny.pth") in message


def test_missing_file_on_the_hub(hub, tmp_path):
    endpoint, _ = hub
    message = load({"url": f"{endpoint}/absent.pth"}, tmp_path, endpoint)
    assert message.startswith("DownloadError") and "(Not Found)" in message
    assert not list((tmp_path / "weights").glob("*"))


def test_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("FOL_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "w.pth"
    path.write_bytes(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()
    assert find_weights(WeightSource("w.pth", repo="a/b", sha256=good)) == path
    with pytest.raises(DownloadError, match=r"SHA-256 .* is not the published aaaa"):
        find_weights(WeightSource("w.pth", repo="a/b", sha256="a" * 64))
