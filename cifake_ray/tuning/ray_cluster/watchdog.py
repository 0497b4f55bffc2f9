"""Notice a Ray that is gone: its own calls wait a minute for it, then end this process with a line of C++."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from cifake_ray.ray_private import raylet_socket

_EVERY_SECONDS = 2.0
_RAYLET_STRIKES = 2  # a raylet never comes back
_GCS_STRIKES = {True: 2, False: 6}  # of a local Ray; of a cluster, whose GCS may be started again
_CONNECT_SECONDS = 5.0


@contextmanager
def watching_ray(lost: Callable[[str], None], *, own: bool) -> Iterator[None]:
    """Call `lost("GCS")` or `lost("raylet")` in a thread, once, when the connected Ray's process is gone for good.

    `own`: a Ray that this process has started. Noticed within 4 s, on a cluster within 12 s for its GCS.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(lost, ended, own), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _watch(lost: Callable[[str], None], ended: threading.Event, own: bool) -> None:
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    raylet = raylet_socket()
    missed = {"GCS": 0, "raylet": 0}
    limits = {"GCS": _GCS_STRIKES[own], "raylet": _RAYLET_STRIKES}
    while not ended.wait(_EVERY_SECONDS):
        answers = {
            "GCS": _answers(socket.AF_INET6 if ":" in host else socket.AF_INET, (host.strip("[]"), int(port))),
            "raylet": _answers(socket.AF_UNIX, raylet),
        }
        missed = {name: 0 if there else missed[name] + 1 for name, there in answers.items()}
        if (gone := next((name for name in missed if missed[name] >= limits[name]), None)) and not ended.is_set():
            lost(gone)
            return


def _answers(family: socket.AddressFamily, address: object) -> bool:
    """Whether a process listens there; a busy one's connection is made by the kernel."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(address)  # type: ignore[arg-type]
        except (ConnectionError, FileNotFoundError):
            return False
        except OSError:  # out of handles, interrupted: nothing about the other side
            return True
    return True
