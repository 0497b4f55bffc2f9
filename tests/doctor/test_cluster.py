"""A cluster asked: by its address, its token, its nodes."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray

from cifake_ray.doctor.cluster import cluster_checks, token_check


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


@pytest.fixture(autouse=True)
def _no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))


def test_a_token_that_is_taken_is_green_a_wrong_or_missing_one_red_and_none_asked_for_amber(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with web_server("right") as url:
        assert token_check(url).level == "red"
        assert "none was found" in token_check(url).found
        monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
        assert (token_check(url).level, token_check(url).found) == ("red", f"{url} refuses ours")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
        assert token_check(url).level == "green"
        assert "right" not in token_check(url).found
    with web_server(None) as url:
        assert token_check(url).level == "amber"


def test_a_web_server_that_is_no_dashboard_is_red() -> None:
    with web_server(None, b"<html>") as url:
        assert (token_check(url).level, token_check(url).found) == ("red", f"{url} is no Ray dashboard")


def test_an_address_where_nothing_answers_is_one_red_line(tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", "http://127.0.0.1:1", "not an address"):
        (check,) = cluster_checks(address, str(tmp_path), None)
        assert (check.name, check.level) == ("address", "red")


def test_a_dashboards_port_without_http_is_named_at_once(tmp_path: Path) -> None:
    with web_server("right") as url:
        (check,) = cluster_checks(url.removeprefix("http://"), str(tmp_path), None)
        assert check.level == "red"
        assert url in check.cure


@pytest.mark.usefixtures("ray_session")
def test_a_running_cluster_is_asked_node_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    address = ray.get_runtime_context().gcs_address
    checks = {check.name: check for check in cluster_checks(address, str(tmp_path / "runs"), str(tmp_path / "none"))}
    assert checks["address"].found == f"{address}: 1 node"
    assert checks["dashboard"].level == "amber"  # the session's Ray has none
    assert checks["versions"].level == "green"
    assert checks["shared storage"].level == "green"
    assert checks["data on the nodes"].level == "red"
    assert list((tmp_path / "runs").iterdir()) == []  # no marker is left
