"""Preflight checks of this machine, one line each, with the cure where something is wrong."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from cifake_ray.cache import cache_root, locked
from cifake_ray.errors import InputError

Level = Literal["green", "amber", "red"]
_DISK_GIB = 5.0  # decoded images 0.4, features of ResNet50 up to layer2 0.4 a size, checkpoints, Ray's own logs
_SHM_GIB = 0.5  # Ray's object store; materials and one shard of features at a time pass through it


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, and (amber, red) how to mend it."""

    name: str
    level: Level
    found: str
    cure: str = ""


def run_checks(storage: Path, source: str | None) -> list[Check]:
    """Every check of this machine; `source`: the images that a study would use, None to leave them out."""
    checks = [_python(), *_packages(), _cores(), _threads(), _memory(), _cache(), _disk(storage)]
    return checks + ([_data(source)] if source else [])


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 15)
    return Check("python", "green" if good else "red", found, "use Python 3.11 to 3.14: make PYTHON=python3.13")


def _packages() -> Iterator[Check]:
    """The declared dependencies that are missing or outside their range; one green line when there are none."""
    wrong = []
    for line in requires("cifake-ray") or []:
        requirement = Requirement(line)
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
    return Check("hardware", "green", f"{len(os.sched_getaffinity(0))} cores, {gpus} GPUs, `precision: auto` is {bf16}")


def _threads() -> Check:
    """Trials set their own threads; a number forced on every process makes them wait for each other."""
    forced = os.environ.get("OMP_NUM_THREADS")
    if forced is None or forced == "1":
        return Check("threads", "green", f"OMP_NUM_THREADS is {forced or 'not set'}")
    return Check(
        "threads", "amber", f"OMP_NUM_THREADS is {forced}", "unset it: several processes would share the cores"
    )


def _memory() -> Check:
    shm = Path("/dev/shm")
    free = shutil.disk_usage(shm).free / 2**30 if shm.is_dir() else 0.0
    level: Level = "green" if free >= _SHM_GIB else "amber"
    return Check("/dev/shm", level, f"{free:.1f} GiB free", "Ray falls back to slow files; enlarge it (--shm-size)")


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
    free = shutil.disk_usage(existing).free / 2**30
    level: Level = "green" if free >= _DISK_GIB else "amber"
    return Check("storage", level, f"{free:.0f} GiB free at {existing}", f"make room: {_DISK_GIB:.0f} GiB are safe")


def _data(source: str) -> Check:
    from cifake_ray.data.sources import find_source

    try:
        find_source(source)
    except InputError as error:
        return Check("data", "red", str(error), "give another --data")
    return Check("data", "green", source)
