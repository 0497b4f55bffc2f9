"""How a cluster is found, and what is said when it is not, or not ours."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs import probe_nodes
from cifake_ray.jobs.client import connect

VERSION = '{"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""}'
Serve = Callable[[int, str], str]


@pytest.fixture(autouse=True)
def _own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster in the environment, before and after; no token is sent."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(status, body): HOST:PORT of a server that answers every request so."""
    servers: list[HTTPServer] = []

    def start(status: int, body: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(status, body)

            def do_POST(self) -> None:
                self.answer(500, "Traceback\nNo available agent to submit job, please try again later.")

            def answer(self, status: int, body: str) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(address: str | None) -> str:
    with pytest.raises(InputError) as refused:
        connect(address)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_no_address_is_refused_with_the_ways_to_give_one() -> None:
    assert refusal(None).startswith("no cluster was named; give its dashboard as --address http://HOST:8265, or set")


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_cluster_that_is_gone_is_refused(form: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "no Ray cluster answers there; start it" in refusal(form.format(port))


@pytest.mark.parametrize("address", ["ray://head:10001", "auto", "127.0.0.1", "127.0.0.1:dashboard", "127.0.0.1:99999"])
def test_what_is_no_address_of_a_dashboard_is_refused(address: str) -> None:
    assert refusal(address).startswith(f"{address}: ")
    assert "--address http://HOST:8265" in refusal(address)


@pytest.mark.parametrize(("status", "body"), [(404, "not here"), (200, "<html>"), (200, "{}"), (500, "broken")])
def test_another_server_is_told_from_a_dashboard(serve: Serve, status: int, body: str) -> None:
    assert "what answers there is no Ray dashboard" in refusal(serve(status, body))


@pytest.mark.parametrize(
    ("status", "words"), [(401, "it wants a token and none was sent"), (403, "it refused the token")]
)
def test_a_refused_token_is_one_line_with_the_places_for_the_right_one(serve: Serve, status: int, words: str) -> None:
    line = refusal(f"http://{serve(status, 'Unauthorized')}")
    assert words in line
    assert "~/.ray/auth_token" in line


def test_a_token_file_that_is_not_there_is_one_line() -> None:
    program = "from cifake_ray.jobs.client import connect; connect('http://127.0.0.1:9')"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    for mode in ({}, {"RAY_AUTH_MODE": "token"}):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env=environment | {"RAY_AUTH_TOKEN_PATH": "/no/such/token"} | mode,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "TokenError: http://127.0.0.1:9: it wants a token and none was sent" in ended.stderr


def test_the_option_beats_the_environment_and_a_dashboard_needs_no_scheme(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = serve(200, VERSION), serve(200, VERSION)
    monkeypatch.setenv("RAY_ADDRESS", f"http://{first}")
    assert connect(None).url == f"http://{first}"
    assert connect(second).url == f"http://{second}"


def test_nodes_whose_port_another_ray_has_are_waited_for_then_named_with_the_cure(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_nodes, "_AGENT_SECONDS", 0.5)
    with pytest.raises(
        WorkError, match=r"no node of the cluster takes jobs.* --dashboard-agent-listen-port of its own"
    ):
        probe_nodes.ask_by_job(connect(serve(200, VERSION)), [])
