"""A cluster asked: by its address, its dashboard, its token, its nodes."""

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray._raylet import AuthenticationTokenLoader, Config

from cifake_ray.doctor import Check
from cifake_ray.doctor.cluster import cluster_checks


@contextmanager
def web_server(token: str | None, body: bytes = b'{"ray_version": "2.60.0"}') -> Iterator[str]:
    """A web server that answers as Ray's dashboard does: 401 without a token, 403 for a wrong one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization")
            status = 200 if token is None or given == f"Bearer {token}" else 403 if given else 401
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if status == 200 else b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


GiveToken = Callable[[str], None]
_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_API_SERVER_ADDRESS")


@pytest.fixture(autouse=True)
def give_token() -> Iterator[GiveToken]:
    """give_token(text) for this machine; afterwards Ray finds its own again."""
    before = {name: os.environ.get(name) for name in _VARIABLES}

    def take(values: dict[str, str | None]) -> None:
        for name, value in values.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()

    yield lambda text: take({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": text})
    take(before)


def checks(address: str, folder: Path) -> dict[str, Check]:
    return {check.name: check for check in cluster_checks(address, str(folder / "runs"), str(folder / "none"))}


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_the_dashboard_that_answers_is_a_line_and_so_is_the_token_that_it_takes(
    form: str, give_token: GiveToken, tmp_path: Path
) -> None:
    give_token("right")
    with web_server("right") as url:
        found = checks(form.format(url.rpartition(":")[2]), tmp_path)
        assert (found["dashboard"].level, found["dashboard"].found) == ("green", f"{url} answers")
        assert (found["token"].level, found["token"].found) == ("green", f"{url} takes ours")
        assert found["nodes"].level == "red"  # this one runs no jobs


def test_a_dashboard_that_asks_for_no_token_is_amber(give_token: GiveToken, tmp_path: Path) -> None:
    give_token("any")
    with web_server(None) as url:
        assert checks(url, tmp_path)["token"].level == "amber"


def test_a_refused_token_is_one_red_line_with_the_places_for_it_and_never_shown(
    give_token: GiveToken, tmp_path: Path
) -> None:
    give_token("wrongwrongwrong")
    with web_server("right") as url:
        (check,) = checks(url, tmp_path).values()
        assert (check.name, check.level, check.found) == (
            "token",
            "red",
            f"{url}: it refused the token in RAY_AUTH_TOKEN",
        )
        assert "unset it and name a file" in check.cure
        assert "wrongwrong" not in str(check)


def test_a_web_server_that_is_no_dashboard_is_red(give_token: GiveToken, tmp_path: Path) -> None:
    give_token("any")
    with web_server(None, b"<html>") as url:
        (check,) = checks(url, tmp_path).values()
        assert (check.name, check.found) == ("address", f"{url}: what answers there is no Ray dashboard")


def test_an_address_where_nothing_answers_is_one_red_line(tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", "http://127.0.0.1:1", "not an address"):
        (check,) = cluster_checks(address, str(tmp_path), None)
        assert (check.name, check.level) == ("address", "red")
        assert check.cure


@pytest.mark.usefixtures("ray_session")
def test_a_running_cluster_is_asked_node_by_node(tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    found = checks(address, tmp_path)
    assert found["address"].found == f"{address}: 1 node"
    assert found["dashboard"].level == "amber"  # the session's Ray has none
    assert found["versions"].level == "green"
    assert found["shared storage"].level == "green"
    assert found["data on the nodes"].level == "red"
    assert list((tmp_path / "runs").iterdir()) == []  # no marker is left
