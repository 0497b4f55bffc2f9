"""Checks of this machine."""

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from cifake_ray.address import token_file
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.doctor.check import Check, judged
from cifake_ray.doctor.nodes import DISK_FULL, DISK_GIB, GIB, SHM_GIB
from cifake_ray.doctor.ports import ports_check
from cifake_ray.errors import InputError
from cifake_ray.machine import LONGEST_TEMPORARY, cores, ray_temporary, shared_memory
from cifake_ray.ray_private import running_clusters
from cifake_ray.storage.cache import cache_root, locked


def machine_checks(storage: str, source: str | None, address: str | None, reading: Reading = PLAIN) -> list[Check]:
    """Every check of this machine; `source`: None leaves the data out; `address`: the cluster that is meant, if any."""
    checks = [_python(), *_packages(), _cores(), _threads(), _memory(), _cache(), _temporary(), _clusters(address)]
    checks += [ports_check(), *_token()]
    if address is not None and "://" in address:
        return checks  # jobs run there, with the storage and data of that cluster
    checks += [] if "://" in storage else [_disk(Path(storage))]
    return checks + ([_data(source, reading)] if source else [])


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 15)
    return Check("python", "green" if good else "red", found, "use Python 3.11 to 3.14: make PYTHON=python3.13")


def _packages() -> Iterator[Check]:
    """The declared dependencies that are missing or outside their range; one green line when there are none."""
    wrong = []
    for line in requires("cifake-ray") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "missing"
        if found == "missing" or not requirement.specifier.contains(found, prereleases=True):
            wrong.append(Check(requirement.name, "red", f"{found}, {requirement.specifier} is needed", "make install"))
    yield from wrong
    if not wrong:
        shown = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "optuna"))
        yield Check("packages", "green", shown)


def _cores() -> Check:
    import torch

    from cifake_ray.training.precision import autocast_dtype

    gpus = torch.cuda.device_count()
    bf16 = "bf16" if autocast_dtype(torch.device("cuda" if gpus else "cpu"), "auto") else "float32"
    return Check("hardware", "green", f"{cores()} cores, {gpus} GPUs, `precision: auto` is {bf16}")


def _threads() -> Check:
    """Check of OMP_NUM_THREADS: trials set their own threads, and a number forced on all makes them wait."""
    forced = os.environ.get("OMP_NUM_THREADS")
    if forced is None or forced == "1":
        return Check("threads", "green", f"OMP_NUM_THREADS is {forced or 'not set'}")
    return Check(
        "threads",
        "amber",
        f"OMP_NUM_THREADS is {forced}",
        "unset it: each trial sets its own threads",
    )


def _memory() -> Check:
    free = shared_memory() or 0
    cure = "Ray falls back to slow files; enlarge it (--shm-size)"
    return judged("/dev/shm", f"{free / GIB:.1f} GiB free", cure, amber=free < SHM_GIB * GIB)


def _temporary() -> Check:
    """Check of the temporary folder, where Ray's sockets, logs and spilled objects lie."""
    folder = ray_temporary()
    disk = shutil.disk_usage(folder) if Path(folder).is_dir() else None
    if disk is None or len(folder) > LONGEST_TEMPORARY:
        why = f"longer than {LONGEST_TEMPORARY} characters, too long for Ray's sockets" if disk else "no such folder"
        return Check("temporary folder", "red", f"{folder}: {why}", "set RAY_TMPDIR to a short folder that exists")
    used = disk.used / disk.total
    found = f"{disk.free / GIB:.0f} GiB free at {folder}"
    return judged("temporary folder", found, "make room: Ray stops when 95 % are used", red=used > DISK_FULL)


def _clusters(address: str | None) -> Check:
    """Ray clusters on this host that a bare `ray.init()` or `ray` command could take for the one that is meant."""
    running = sorted({_numeric(found) for found in running_clusters()})
    wanted = os.environ.get("RAY_ADDRESS")
    cure = "`tune` joins a cluster only with --address; give one to Ray's own commands too, and unset RAY_ADDRESS"
    if wanted:
        return Check("clusters", "amber", f"RAY_ADDRESS is {wanted}: Ray's own commands go there", cure)
    named = ", ".join(running) or "none"
    many = f"{named} on this host: Ray's own commands may take {'any of them' if running[1:] else 'it'}"
    confusing = len(running) > (1 if address else 0)
    return judged("clusters", many if confusing else f"{named} on this host", cure, amber=confusing)


def _numeric(address: str) -> str:
    """A cluster's address with a number for its host, as nodes may have joined by several names."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, UnicodeError):
        host = socket.gethostbyname(host)
    return f"{host}:{port}"


def _token() -> Iterator[Check]:
    """Check of the token file, whose readers can run code on every cluster with this token; Ray writes it for all."""
    if (file := token_file()).exists():
        yield judged(
            "token file", str(file), f"others can read it: chmod 600 {file}", amber=file.stat().st_mode & 0o077
        )


def _cache() -> Check:
    try:
        with locked(cache_root() / "doctor"):
            pass
    except InputError as error:
        return Check("cache", "red", str(error), "set CIFAKE_RAY_CACHE to a folder that can be written")
    (cache_root() / "doctor.lock").unlink(missing_ok=True)
    return Check("cache", "green", f"{cache_root()} can be written")


def _disk(storage: Path) -> Check:
    existing = next(path for path in (storage.absolute(), *storage.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Check("storage", "red", f"{existing} cannot be written", "choose another --storage")
    free = shutil.disk_usage(existing).free / GIB
    cure = f"make room: {DISK_GIB:.0f} GiB are safe"
    return judged("storage", f"{free:.0f} GiB free at {existing}", cure, amber=free < DISK_GIB)


def _data(source: str, reading: Reading) -> Check:
    """The source as a study would read it, listed and not decoded: pictures of each part and class."""
    from cifake_ray.data.images import counts
    from cifake_ray.data.refusals import check_refused
    from cifake_ray.data.sources.beside import OTHER_SETS
    from cifake_ray.data.sources.find import find_source

    try:
        contents = find_source(source, reading=reading).read()
        parts = contents.parts
        if parts:  # the sample has no files
            check_refused(source, parts)
    except InputError as error:
        return Check("data", "red", error.what, error.cure or "give another --data")
    told = [f"{part} {counts(encoded.labels)}" for part, encoded in parts.items()]
    drawn = [] if reading.test_fraction is None else [f"test: {100 * reading.test_fraction:.0f} % of train, drawn"]
    others = "".join(f"; not used: {left}" for left in contents.left if left.reason.startswith(OTHER_SETS))
    found = f"{source}: {', '.join([*told, *drawn])}{others}" if told else source
    return judged("data", found, "name the set that is meant as --data", amber=bool(others))
