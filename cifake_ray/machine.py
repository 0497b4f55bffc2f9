"""What this machine has, asked in one place: containers, notebooks and other systems lack some of it."""

import os
import platform
import socket
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

_CLOCK_SECONDS = 2.0  # that the time when a process began may be off
_LONGEST_TEMPORARY = 40  # characters: an AF_UNIX path has 107, of which Ray's session and socket take 65


def cores() -> int:
    """CPU cores that this process may use; all of the machine where the system has no affinity (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory that the machine has."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_memory() -> int:
    """Bytes of memory that new processes can have."""
    import psutil

    return int(psutil.virtual_memory().available)


def process_alive(pid: object, seen: float | None = None) -> bool:
    """Whether the process of this number, if one is given that it had at `seen` (Unix seconds), still runs here.

    A process that began later than `seen` has taken over the number. One that cannot be looked at counts as running.
    """
    import psutil

    if not isinstance(pid, int) or pid < 0:
        return False
    try:
        process = psutil.Process(pid)
        taken_over = seen is not None and process.create_time() > seen + _CLOCK_SECONDS
        return not taken_over and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True


def machine_identity() -> str:
    """This start of this machine, seen from this container: process numbers mean the same wherever it is equal."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{start}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux; where no network card can be read either, no process gets the same number
        return f"{socket.gethostname()}/{uuid.getnode():012x}"


def cpu_model() -> str:
    """The processor's name; "" where the system does not say."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor()


def short_temporary() -> str | None:
    """A folder for Ray's sockets when the temporary folder's path is too long for these; None when it is not."""
    if len(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) <= _LONGEST_TEMPORARY:
        return None
    return next((folder for folder in ("/tmp", "/var/tmp") if os.access(folder, os.W_OK | os.X_OK)), None)


def make_environment_usable() -> None:
    """Repair what a notebook, a container or a pipe leaves behind, before any library meets it."""
    os.environ["MPLBACKEND"] = "agg"  # a notebook's names a module that this process lacks; nothing is shown on screens
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # under `uv run` Ray would build it in every worker
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if not _home_is_usable():
        _replace_home()


def _home_is_usable() -> bool:
    try:
        return Path.home().is_dir()
    except RuntimeError:  # no HOME, and no entry for this user
        return False


def _replace_home() -> None:
    """A home in the temporary folder: Ray and the cache need one."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    home = Path(tempfile.gettempdir()) / f"cifake-ray-home-{user}"
    with suppress(OSError):
        home.mkdir(mode=0o700, exist_ok=True)
        print(f"HOME is no folder: using {home}; set HOME, or CIFAKE_RAY_CACHE for the cache", file=sys.stderr)
        os.environ["HOME"] = str(home)
