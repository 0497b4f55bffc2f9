"""Heads of Ray that answer, and how Ray has to be told of them."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
import ray

from cifake_ray.address import answers, driver_address, wants_token


@contextmanager
def listening(host: str) -> Iterator[int]:
    with socket.socket() as server:
        server.bind((host, 0))
        server.listen()
        yield server.getsockname()[1]


def test_only_a_port_where_something_listens_answers() -> None:
    with listening("127.0.0.1") as port:
        assert answers(f"127.0.0.1:{port}")
    assert not answers(f"127.0.0.1:{port}")
    assert not any(map(answers, ("127.0.0.1", "auto", "127.0.0.1:dashboard", "127.0.0.1:99999", "http://nowhere")))


def test_a_head_that_keeps_to_this_machine_is_named_so_that_ray_looks_nowhere_else() -> None:
    outward = ray.util.get_node_ip_address()
    with listening("127.0.0.1") as port:
        expected = f"127.0.0.1:{port}" if outward == "127.0.0.1" else f"LOCALHOST:{port}"
        assert driver_address(f"127.0.0.1:{port}") == expected
    with listening("") as port:
        assert driver_address(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"
    assert driver_address("10.0.0.7:6379") == "10.0.0.7:6379"


@pytest.mark.usefixtures("ray_session")
def test_a_head_is_asked_whether_it_wants_a_token() -> None:
    """That of these tests wants none unless this machine's Ray does."""
    assert wants_token(ray.get_runtime_context().gcs_address) is (os.environ.get("RAY_AUTH_MODE") == "token")


def test_a_head_that_refuses_who_has_no_token_wants_one() -> None:
    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        raise AssertionError

    server = grpc.server(ThreadPoolExecutor(1))
    method = grpc.unary_unary_rpc_method_handler(refuse)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", {"GetClusterId": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert wants_token(f"127.0.0.1:{port}")
    server.stop(None)
