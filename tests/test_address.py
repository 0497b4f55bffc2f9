"""Heads of Ray that answer, and how Ray has to be told of them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from cifake_ray.address import answers, driver_address


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


def test_a_head_that_keeps_to_this_machine_is_named_so_that_ray_does_not_look_for_it_elsewhere() -> None:
    outward = ray.util.get_node_ip_address()
    with listening("127.0.0.1") as port:
        expected = f"127.0.0.1:{port}" if outward == "127.0.0.1" else f"LOCALHOST:{port}"
        assert driver_address(f"127.0.0.1:{port}") == expected
    with listening("") as port:
        assert driver_address(f"127.0.0.1:{port}") == f"127.0.0.1:{port}"
    assert driver_address("10.0.0.7:6379") == "10.0.0.7:6379"
