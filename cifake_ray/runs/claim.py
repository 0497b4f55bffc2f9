"""One writer at a time on all machines, in object storage: an object names the writer. On one machine: `runs.lock`."""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, Self

from cifake_ray.errors import InputError
from cifake_ray.machine import machine_identity, process_alive
from cifake_ray.storage.conditional_writes import Changed, read_tagged, write_tagged

NAME = ".writer.json"
EXPIRES = 60.0  # seconds after which a claim that was not renewed can be taken over
_RENEWALS = 4  # in that time
_ATTEMPTS = 3


class Claim:
    """This process as the only writer at `url`, renewed while the process lives.

    Every write is conditional on what was read before, so that one of two starters gets the claim. A renewal fails
    where another process has taken the run over while this one slept: `lost` is called then, and must end the process.
    """

    def __init__(self, url: str, taken: InputError, lost: Callable[[], NoReturn]) -> None:
        """Take the claim. Raises `taken` when another process is the writer."""
        self._address, self._owner, self._lost = f"{url}/{NAME}", uuid.uuid4().hex, lost
        self._writing, self._ended = threading.Lock(), threading.Event()
        claim, tag = _read(self._address)
        if not _is_free(claim):
            raise InputError(taken.what, f"{taken.cure} (the claim of a killed writer expires after {EXPIRES:.0f} s)")
        self._renewed = time.time()
        with suppress(Changed):  # by another starter, or by this one: the answer to a first attempt was lost
            write_tagged(self._address, self._note(), tag)
        claim, self._tag = _read(self._address)
        if claim.get("owner") != self._owner:
            raise taken
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(Changed):
            write_tagged(self._address, b"{}", self._tag)

    def check(self) -> None:
        """Renew a claim that may have expired while this process slept; called before anything is put."""
        if time.time() - self._renewed > EXPIRES / 2:
            self._renew()

    def _keep(self) -> None:
        while not self._ended.wait(EXPIRES / _RENEWALS):
            with suppress(InputError):  # the storage is away for a moment
                self._renew()

    def _renew(self) -> None:
        with self._writing:
            for _ in range(_ATTEMPTS):
                now = time.time()
                try:
                    self._tag = write_tagged(self._address, self._note(now), self._tag)
                    self._renewed = now
                    return
                except Changed:
                    claim, self._tag = _read(self._address)
                if claim.get("owner") != self._owner:
                    self._lost()

    def _note(self, now: float | None = None) -> bytes:
        claim = {"owner": self._owner, "host": machine_identity(), "pid": os.getpid(), "time": now or time.time()}
        return json.dumps(claim).encode()


def _is_free(claim: dict[str, Any]) -> bool:
    """Whether nobody is the writer: no claim, one that was not renewed, or one of an ended process of this machine."""
    renewed = claim.get("time", 0.0)
    here = claim.get("host") == machine_identity()
    return time.time() - renewed >= EXPIRES or (here and not process_alive(claim.get("pid"), renewed))


def _read(address: str) -> tuple[dict[str, Any], str | None]:
    """The claim and its tag; {} for no claim, and for an object that is none."""
    data, tag = read_tagged(address)
    try:
        claim = json.loads(data or b"{}")
    except ValueError:
        return {}, tag
    valid = isinstance(claim, dict) and isinstance(claim.get("time", 0), int | float)
    return (claim if valid else {}), tag
