"""Weights from the hub: real downloads from a server on this host that answers as the hub does."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.models.download import downloads
from cifake_ray.models.timm.library import configuration
from cifake_ray.models.timm.weights import TimmWeights, find_timm, resolve_timm

pytest.importorskip("timm")
ADDRESS = "/timm/test_vit.r160_in1k/resolve/main/model.safetensors"
FILE = "timm--test_vit.r160_in1k--model.safetensors"


class Hub(ThreadingHTTPServer):
    """Answers with a redirect to a storage, as the hub does for large files, and counts the requests."""

    data: bytes
    digest: str | None
    asked: list[tuple[str, str]]

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.digest, self.asked = data, hashlib.sha256(data).hexdigest(), []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path))
        if self.path == ADDRESS:
            self.send_response(302)
            self.send_header("Location", "/storage/file")
            if self.server.digest:
                self.send_header("X-Linked-Etag", f'"{self.server.digest}"')
                self.send_header("X-Repo-Commit", "0123abc")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path in ("/storage/file", f"/mirror/{FILE}"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(self.server.data)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def hub(save_network: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A mirror of the hub with random weights of a small transformer."""
    with Hub(save_network("test_vit").read_bytes()) as running:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}/")
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def test_the_default_weights_come_from_the_hub_once_and_are_checked(hub: Hub) -> None:
    assert find_timm("test_vit", "default") is None
    seen: list[tuple[int, int]] = []
    found = resolve_timm("test_vit", "default", lambda done, total: seen.append((done, total)))
    assert found.path == downloads() / FILE
    assert found.path.read_bytes() == hub.data
    assert (found.name, found.sha256) == ("r160_in1k", hub.digest)
    own = configuration("test_vit.r160_in1k")
    assert (found.mean, found.std, found.licence) == (own.mean, own.std, own.license)
    assert seen[-1] == (len(hub.data), len(hub.data))
    before = list(hub.asked)
    for name, spec in (("test_vit", "default"), ("test_vit", "r160_in1k"), ("test_vit.r160_in1k", "default")):
        again = resolve_timm(name, spec)
        assert isinstance(again, TimmWeights)
        assert (again.sha256, again.path) == (found.sha256, found.path)
    assert hub.asked == before


def test_another_file_than_the_hub_states_is_refused_and_not_kept(hub: Hub) -> None:
    hub.digest = "0" * 64
    with pytest.raises(InputError, match="wrong checksum"):
        resolve_timm("test_vit", "default")
    assert [path for path in downloads().iterdir() if path.suffix != ".lock"] == []


def test_a_fetched_file_that_was_damaged_since_is_fetched_again(hub: Hub) -> None:
    path = resolve_timm("test_vit", "default").path
    assert path is not None
    path.write_bytes(hub.data[:-3])
    assert find_timm("test_vit", "default") is None
    assert resolve_timm("test_vit", "default").path == path
    assert path.read_bytes() == hub.data


def test_a_hub_that_states_no_hash_is_believed_and_the_hash_is_kept(hub: Hub) -> None:
    expected, hub.digest = hub.digest, None
    assert resolve_timm("test_vit", "default").sha256 == expected
    found = find_timm("test_vit", "default")
    assert found is not None
    assert found.sha256 == expected


def test_a_folder_of_files_can_stand_in_for_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS_URL", f"http://127.0.0.1:{hub.server_port}/mirror")
    assert resolve_timm("test_vit", "default").sha256 == hub.digest
    assert hub.asked == [("GET", f"/mirror/{FILE}")]


@pytest.mark.usefixtures("hub")
def test_what_the_hub_has_not_names_the_address_and_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        resolve_timm("test_convnext", "default")
    message = str(refused.value)
    for part in ("404", "/timm/test_convnext.r160_in1k/resolve/main/model.safetensors", "CIFAKE_RAY_WEIGHTS"):
        assert part in message
    assert "\n" not in message
    assert not (tmp_path / "cache" / "weights" / "timm--test_convnext.r160_in1k--model.safetensors").exists()


def test_networks_that_timm_has_no_weights_of_are_told() -> None:
    import timm

    name = next(name for name in timm.list_models("vit_*") if not configuration(name).has_weights)
    with pytest.raises(InputError, match="timm has none that can be downloaded; give a file, or `random`"):
        resolve_timm(name, "default")
