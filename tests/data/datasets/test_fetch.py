"""`data fetch` against a server on this host that answers as the Hugging Face hub and Kaggle do."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.console import Progress
from cifake_ray.data import load_images
from cifake_ray.data.datasets import CARDS, cifake
from cifake_ray.data.datasets import fetch as fetch_module
from cifake_ray.data.datasets.fetch import Fetched, fetch_copy
from cifake_ray.data.table import content_digest
from cifake_ray.errors import InputError, Interrupted, WorkError

from ..conftest import Files
from ..sources.test_parquet import write_hub

Write = Callable[..., Path]
HUB, KAGGLE = cifake.CARD.downloads["huggingface"], cifake.CARD.downloads["kaggle"]


class Server(ThreadingHTTPServer):
    """Redirects like the hub and Kaggle to a storage by SHA-256, which sends `cut` bytes and then hangs up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: dict[str, bytes] = {}
        self.commit: str | None = HUB.revision
        self.cut: int | None = None
        self.page = False
        self.asked: list[tuple[str, str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if self.server.page:
            self.reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Sign in</html>")
        elif self.path.startswith("/storage/"):
            self.send_blob(next(d for d in self.server.paths.values() if self.path.endswith(digest(d))))
        elif self.path.startswith("/datasets/moved/"):
            self.reply(307, {"Location": self.path.replace("/moved/", f"/{HUB.repository.split('/')[0]}/")})
        elif self.path in self.server.paths:
            data = self.server.paths[self.path]
            linked = {"X-Repo-Commit": self.server.commit, "X-Linked-Etag": f'"{digest(data)}"'}
            linked |= {"X-Linked-Size": str(len(data))}
            self.reply(302, {"Location": f"/storage/{digest(data)}"} | (linked if "resolve" in self.path else {}))
        else:
            self.reply(404, {})

    def send_blob(self, data: bytes) -> None:
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(data):
            self.reply(416, {})
            return
        body = data[start:]
        self.reply(206 if start else 200, {"Content-Length": str(len(body))}, body[: self.server.cut])

    def reply(self, code: int, headers: dict[str, Any], body: bytes = b"") -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def quiet(_label: str, _unit: str) -> Iterator[Progress]:
    yield lambda _done, _total: None


def fetch(name: str, folder: Path) -> Fetched:
    return fetch_copy(name, folder, quiet)


def change_card(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setitem(CARDS, "cifake", replace(CARDS["cifake"], **changes))


@pytest.fixture
def server(
    files: Files, write_zip: Write, write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Both copies, of the small set, which here counts as CIFAKE."""
    zipped = write_zip(files).read_bytes()
    hub = write_hub(tmp_path / "hub", files, ["REAL", "FAKE"])
    whole = load_images(str(write_folder(files)))
    parts = {"train": whole.train, "test": whole.test}
    content = {part: content_digest(images.table) for part, images in parts.items()}
    file = replace(KAGGLE.files[0], size=len(zipped), sha256=digest(zipped))
    change_card(
        monkeypatch,
        content=content,
        images={part: len(images) for part, images in parts.items()},
        downloads=dict(cifake.CARD.downloads) | {"kaggle": replace(KAGGLE, files=(file,))},
    )
    with Server() as running:
        running.paths[f"/api/v1/datasets/download/{KAGGLE.repository}"] = zipped
        for remote in HUB.files:
            path = f"/datasets/{HUB.repository}/resolve/{HUB.revision}/{remote.name}"
            running.paths[path] = (hub / remote.name).read_bytes()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", f"http://127.0.0.1:{running.server_port}/")
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def refused(name: str, folder: Path) -> str:
    with pytest.raises(WorkError) as caught:
        fetch(name, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("server")
def test_fetched_copy_is_checked_against_the_hub_and_noted(tmp_path: Path) -> None:
    fetched = fetch("huggingface", tmp_path / "to")
    assert fetched.images.kind == "parquet"
    assert load_images(fetched.source).fingerprint == fetched.images.fingerprint
    noted = json.loads((tmp_path / "to" / "fetched-huggingface.json").read_text())
    assert noted["revision"] == HUB.revision
    assert noted["card"] == "cifake"
    data = (tmp_path / "to" / HUB.files[0].name).read_bytes()
    assert noted["files"][0] == {
        "name": HUB.files[0].name, "bytes": len(data), "sha256": digest(data), "checked_against": "the hub's"
    }  # fmt: skip


@pytest.mark.usefixtures("server")
def test_kaggle_zip_is_fetched_without_an_account_and_read_in_place(tmp_path: Path) -> None:
    fetched = fetch("kaggle", tmp_path / "to")
    assert fetched.source == str(tmp_path / "to" / "cifake.zip")
    assert (fetched.images.kind, len(fetched.images.train)) == ("zip", 120)
    assert fetched.files[0]["checked_against"] == "known"


@pytest.mark.parametrize("name", ["kaggle", "huggingface"])
def test_second_fetch_asks_the_network_for_nothing(name: str, server: Server, tmp_path: Path) -> None:
    first = fetch(name, tmp_path / "to")
    server.asked.clear()
    assert fetch(name, tmp_path / "to").images.fingerprint == first.images.fingerprint
    assert server.asked == []


@pytest.mark.parametrize("name", ["kaggle", "huggingface"])
def test_interrupted_fetch_goes_on_where_it_ended(name: str, server: Server, tmp_path: Path) -> None:
    server.cut = 10_000
    assert "only 10,000 of" in refused(name, tmp_path / "to")
    server.cut, server.asked = None, []
    fetch(name, tmp_path / "to")
    assert next(asked[2] for asked in server.asked if asked[0] == "GET") == "bytes=10000-"


def test_download_that_ended_before_it_was_put_in_place_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    data = server.paths[f"/api/v1/datasets/download/{KAGGLE.repository}"]
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "cifake.zip.part").write_bytes(data)
    assert fetch("kaggle", tmp_path / "to").files[0]["sha256"] == digest(data)


def test_wrong_checksum_is_refused_and_the_next_fetch_begins_anew(server: Server, tmp_path: Path) -> None:
    path = f"/api/v1/datasets/download/{KAGGLE.repository}"
    right, server.paths[path] = server.paths[path], b"PK another"
    assert "wrong checksum" in refused("kaggle", tmp_path / "to")
    assert not list((tmp_path / "to").glob("cifake.zip*"))
    server.paths[path] = right
    fetch("kaggle", tmp_path / "to")


@pytest.mark.usefixtures("server")
def test_file_that_was_damaged_since_is_fetched_again(tmp_path: Path) -> None:
    fetched = fetch("huggingface", tmp_path / "to")
    file = tmp_path / "to" / HUB.files[0].name
    data = file.read_bytes()
    file.write_bytes(data[:-3] + b"???")
    assert fetch("huggingface", tmp_path / "to").files == fetched.files
    assert file.read_bytes() == data


def test_another_revision_than_the_pinned_one_is_refused(server: Server, tmp_path: Path) -> None:
    server.commit = "0" * 40
    assert f"answers with revision {'0' * 40}, not {HUB.revision}" in refused("huggingface", tmp_path / "to")


@pytest.mark.usefixtures("server")
def test_repository_that_has_moved_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = replace(HUB, repository=f"moved/{HUB.repository.split('/')[1]}")
    change_card(monkeypatch, downloads=dict(CARDS["cifake"].downloads) | {"huggingface": moved})
    assert fetch("huggingface", tmp_path / "to").files[0]["checked_against"] == "the hub's"


@pytest.mark.usefixtures("server")
def test_other_images_than_cifakes_are_kept_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_card(monkeypatch, content=dict(CARDS["cifake"].content) | {"test": "f" * 64})
    message = refused("kaggle", tmp_path / "to")
    assert "not those of CIFAKE" in message
    assert "data audit" in message
    assert json.loads((tmp_path / "to" / "fetched-kaggle.json").read_text())["card"] == "generic"


def test_login_page_missing_file_and_no_network_say_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.page = True
    assert "a web page came instead of the file" in refused("kaggle", tmp_path / "to")
    server.page, server.paths = False, {}
    assert "404" in refused("huggingface", tmp_path / "to")
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", "http://127.0.0.1:9")
    message = refused("kaggle", tmp_path / "to")
    assert "refused" in message
    assert "run the command again to resume, or download the zip in a browser from https://www.kaggle.com/" in message


def test_full_disk_is_said_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert "0 MB free; make room" in refused("kaggle", tmp_path / "to")
    assert [asked for asked in server.asked if asked[0] == "GET"] == []


@pytest.mark.usefixtures("server")
def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    @contextmanager
    def interrupting(_label: str, _unit: str) -> Iterator[Progress]:
        def stop(_done: int, _total: int) -> None:
            raise Interrupted("interrupted")

        yield stop

    with pytest.raises(Interrupted, match="the same command resumes the download"):
        fetch_copy("kaggle", tmp_path / "to", interrupting)
    assert (tmp_path / "to" / "cifake.zip.part").stat().st_size > 0
    fetch("kaggle", tmp_path / "to")


def test_unknown_name_and_folder_that_cannot_be_made_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such copy; did you mean kaggle\?"):
        fetch("kagle", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="give another --to"):
        fetch("kaggle", tmp_path / "file")


@pytest.mark.usefixtures("server")
def test_command_says_what_was_fetched_and_how_to_use_it(command: Callable[..., Any], tmp_path: Path) -> None:
    code, out, _ = command("data", "fetch", "--to", tmp_path / "to")
    assert code == 0
    assert "train 60 FAKE + 60 REAL, test 20 FAKE + 20 REAL; these are CIFAKE's images and labels" in out
    assert f"--data {tmp_path / 'to' / 'cifake.zip'}" in out
    assert load_images(str(tmp_path / "to")).kind == "zip"
    code, out, _ = command("data", "fetch", "huggingface", "--to", tmp_path / "hf", "--json")
    assert (code, json.loads(out)["revision"]) == (0, HUB.revision)


def test_failed_command_is_one_line_with_code_1(server: Server, command: Callable[..., Any], tmp_path: Path) -> None:
    server.paths = {}
    code, out, err = command("data", "fetch", "kaggle", "--to", tmp_path / "to")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"cifake-ray: http://127.0.0.1:{server.server_port}/api/v1/datasets/download/birdy654/")
    assert command("data", "fetch", "other")[0] == 2
