"""One writer at a time: a locked file, and in object storage, where no file can be locked, a claim."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from cifake_ray.errors import InputError
from cifake_ray.machine import process_alive
from cifake_ray.storage import mirror

_NAME, _SECONDS = ".writer.json", 60.0


@contextmanager
def locked(folder: Path, where: str, taken: str) -> Iterator[None]:
    """Hold the lock of the run in `folder`; freed when the process dies. `where`: the run for people.

    Raises InputError with the text `taken` when another process holds it.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(taken) from error
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror}); make it writable first") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claimed(url: str, taken: str) -> Iterator[None]:
    """Be the only writer at `url`: an object there says who, and is written again while this process lives.

    Raises InputError with the text `taken` when another process is the writer.
    """
    address, owner = f"{url}/{_NAME}", uuid.uuid4().hex
    claim = _read(address)
    gone = claim.get("host") == socket.gethostname() and not process_alive(claim.get("pid"))
    if not gone and time.time() - claim.get("time", 0) < _SECONDS:
        raise InputError(f"{taken} (a killed writer is forgotten after {_SECONDS:.0f} s)")
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_SECONDS / 4):
            with suppress(InputError):  # the storage is away for a moment; what matters is written by others
                write()

    def write() -> None:
        claim = {"owner": owner, "host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        mirror.write_bytes(address, json.dumps(claim).encode())

    write()
    if _read(address).get("owner") != owner:
        raise InputError(taken)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        mirror.write_bytes(address, b"{}")


def _read(address: str) -> dict[str, Any]:
    """The claim; {} for none, and for what is none."""
    try:
        claim = json.loads(mirror.read_bytes(address) or b"{}")
    except ValueError:
        return {}
    return claim if isinstance(claim, dict) and isinstance(claim.get("time", 0), int | float) else {}
