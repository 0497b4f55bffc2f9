"""Downloads against a real HTTP server on this host."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.models import download, weights
from cifake_ray.models.weights import PublishedWeights, resolve_weights


class Server(ThreadingHTTPServer):
    """Serves `files` by name; honours ranges; announces more than it sends while `cut` is set."""

    files: dict[str, bytes]
    cut: int | None = None
    ranges = True
    sent: list[int]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.sent = {}, []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        data = self.server.files.get(self.path.rpartition("/")[2])
        if data is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start : self.server.cut]
        self.server.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path, save_weights: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror that serves a stand-in for imagenet-v1: the stem only, named by its SHA-256 as torchvision does."""
    data = save_weights(tmp_path / "stand-in.pth", "stem").read_bytes()
    name = f"resnet50-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    monkeypatch.setitem(
        weights.KNOWN["resnet50"],
        "imagenet-v1",
        PublishedWeights("a licence", url=f"http://nowhere.invalid/models/{name}"),
    )
    with Server() as mirror:
        mirror.files[name] = data
        monkeypatch.setenv("CIFAKE_RAY_WEIGHTS_URL", f"http://127.0.0.1:{mirror.server_port}/models/")
        threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield mirror
        mirror.shutdown()


def only_file(server: Server) -> tuple[str, bytes]:
    return next(iter(server.files.items()))


def test_weights_are_downloaded_once_and_then_found_in_the_cache(server: Server) -> None:
    name, data = only_file(server)
    seen: list[tuple[int, int]] = []
    first = resolve_weights(
        "resnet50", "imagenet-v1", ["stem"], progress=lambda done, total: seen.append((done, total))
    )
    assert first.name == "imagenet-v1"
    assert first.path == download.downloads() / name
    assert first.path.read_bytes() == data
    assert seen[-1] == (len(data), len(data))
    assert resolve_weights("resnet50", "imagenet-v1", ["stem"]) == first
    assert server.sent == [len(data)]


def test_interrupted_download_goes_on_where_it_ended(server: Server) -> None:
    _, data = only_file(server)
    server.cut = 10_000
    with pytest.raises(InputError, match="only 10,000 of"):
        resolve_weights("resnet50", "imagenet-v1", ["stem"])
    server.cut = None
    assert resolve_weights("resnet50", "imagenet-v1", ["stem"]).path is not None
    assert server.sent == [10_000, len(data) - 10_000]


def test_interrupted_download_begins_anew_when_the_server_knows_no_ranges(server: Server) -> None:
    server.cut, server.ranges = 10_000, False
    with pytest.raises(InputError):
        resolve_weights("resnet50", "imagenet-v1", ["stem"])
    server.cut = None
    found = resolve_weights("resnet50", "imagenet-v1", ["stem"])
    assert found.path is not None
    assert found.path.read_bytes() == only_file(server)[1]


def test_corrupted_file_is_refused_and_not_kept(server: Server) -> None:
    name, data = only_file(server)
    server.files[name] = data[:-1] + b"?"
    with pytest.raises(InputError, match="wrong checksum"):
        resolve_weights("resnet50", "imagenet-v1", ["stem"])
    assert [path for path in download.downloads().iterdir() if path.suffix != ".lock"] == []
    server.files[name] = data
    assert resolve_weights("resnet50", "imagenet-v1", ["stem"]).path == download.downloads() / name


def test_missing_file_names_the_address_the_folder_and_the_variable(server: Server) -> None:
    name, _ = only_file(server)
    server.files.clear()
    with pytest.raises(InputError) as refused:
        resolve_weights("resnet50", "imagenet-v1", ["stem"])
    message = str(refused.value)
    for part in ("404", f"/models/{name}", str(download.downloads()), "CIFAKE_RAY_WEIGHTS", "CIFAKE_RAY_WEIGHTS_URL"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:9", "not an address", "http://127.0.0.1:x"])
def test_unreachable_or_malformed_mirror_is_one_line(monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS_URL", mirror)
    with pytest.raises(InputError, match="cannot be downloaded"):
        resolve_weights("resnet50", "imagenet-v2", ["stem"])


def test_downloaded_file_that_was_damaged_since_is_fetched_again(server: Server) -> None:
    name, data = only_file(server)
    path = resolve_weights("resnet50", "imagenet-v1", ["stem"]).path
    assert path is not None
    path.write_bytes(data[:-2])
    assert resolve_weights("resnet50", "imagenet-v1", ["stem"]).path == path
    assert path.read_bytes() == data
    assert path.name == name
