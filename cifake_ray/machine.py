"""What this machine has, asked in one place: containers, notebooks and other systems lack some of it."""

import os
import platform
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

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


def process_alive(pid: object) -> bool:
    """Whether a process of this number runs on this machine."""
    import psutil

    return isinstance(pid, int) and bool(psutil.pid_exists(pid))


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
