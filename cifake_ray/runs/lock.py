"""One writer at a time on one machine: a locked file in the run's folder. On all machines: `runs.claim`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from cifake_ray.errors import InputError


@contextmanager
def locked(folder: Path, where: str, taken: InputError) -> Iterator[None]:
    """Hold the lock of the run in `folder`; freed when the process dies. `where`: the run for people.

    Raises `taken` when another process holds the lock.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise taken from error
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror})", "make it writable first") from error
    try:
        yield
    finally:
        lock.release()
