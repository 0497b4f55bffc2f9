"""Addresses of Ray's heads: whether anything answers there, and how `ray.init` has to be told of them."""

import socket

CONNECT_SECONDS = 5.0


def answers(place: str) -> bool:
    """Whether something takes a connection at HOST:PORT within five seconds."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def driver_address(place: str) -> str:
    """HOST:PORT of a head for `ray.init`.

    Ray replaces 127.0.0.1 by this machine's outward address. A head that keeps to 127.0.0.1 does not listen there, and
    Ray waits two minutes for it; LOCALHOST is a spelling that it leaves alone.
    """
    host, _, port = place.rpartition(":")
    if host.lower() not in ("127.0.0.1", "localhost"):
        return place
    import ray

    return place if answers(f"{ray.util.get_node_ip_address()}:{port}") else f"LOCALHOST:{port}"
