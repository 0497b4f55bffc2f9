"""Reach Ray's heads: whether anything answers at an address, the address as `ray.init` takes it, the token."""

import os
import socket
from pathlib import Path

from cifake_ray.errors import InputError

CONNECT_SECONDS = 5.0


def check_address(address: str | None) -> None:
    """Raise InputError when nothing answers at an address that was given."""
    if address not in (None, "auto") and not answers(address):
        raise no_cluster(address)


def no_cluster(address: str | None) -> InputError:
    """The error of an address where no cluster answers."""
    return InputError(f"--address {address}: no Ray cluster answers there", "check it, or leave --address out")


def answers(address: str) -> bool:
    """Whether something takes a connection at HOST:PORT within five seconds."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def driver_address(address: str) -> str:
    """HOST:PORT of a head for `ray.init`.

    Ray replaces 127.0.0.1 by this machine's outward address. A head that keeps to 127.0.0.1 does not listen there, and
    Ray waits two minutes for it; LOCALHOST is a spelling that it leaves alone.
    """
    host, _, port = address.rpartition(":")
    if host.lower() not in ("127.0.0.1", "localhost"):
        return address
    import ray

    return address if answers(f"{ray.util.get_node_ip_address()}:{port}") else f"LOCALHOST:{port}"


def wants_token(address: str) -> bool:
    """Whether the head at HOST:PORT refuses a request without a token; sends such a request, in Ray's own protocol.

    A driver must do as its cluster does: a driver with a token refuses the answers of workers that have none, and no
    actor starts; a driver without a token waits 20 s for the refusal.
    """
    import grpc

    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", timeout=CONNECT_SECONDS)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def token_file() -> Path:
    """The file from which Ray takes the token, unless RAY_AUTH_TOKEN holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
