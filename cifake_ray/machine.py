"""What this machine has, looked up in one place: containers, notebooks and other systems lack some of it."""

import ctypes
import logging
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

_CLOCK_SECONDS = 2.0  # by which the noted start of a process may be wrong
LONGEST_TEMPORARY = 40  # characters: an AF_UNIX path has 107, of which Ray's session and socket take 65
_SHARED_MEMORY = "/dev/shm"
_PR_SET_PDEATHSIG = 1  # prctl(2)


def cores() -> int:
    """CPU cores that this process may use; all of the machine where the system has no affinity (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    import psutil

    with suppress(AttributeError, psutil.Error, OSError):  # no such method on macOS
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory that the machine has."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_memory() -> int:
    """Bytes of memory that new processes can have."""
    import psutil

    return int(psutil.virtual_memory().available)


def shared_memory() -> int | None:
    """Bytes free in /dev/shm; None where the folder is missing or cannot be written (macOS, some containers)."""
    if not os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        return None
    with suppress(OSError):
        return shutil.disk_usage(_SHARED_MEMORY).free
    return None


def forget_peak_memory() -> None:
    """Begin `peak_memory` anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc


def peak_memory() -> int:
    """Bytes that this process has held at most, since `forget_peak_memory` where the system can forget (Linux)."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forks_safely() -> bool:
    """Whether a forked copy of this process works: the frameworks of macOS break in one, Windows has none."""
    return sys.platform == "linux"


def end_with_parent() -> None:
    """Let the kernel kill this forked process when its parent ends (Linux: prctl(2)); nothing elsewhere."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_children() -> None:
    """Kill every descendant of this process: Ray's agents outlive a killed parent by a minute."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()


def process_alive(pid: object, seen: float | None = None) -> bool:
    """Whether the process `pid` runs on this machine, and is the one that had this number at `seen` (Unix seconds).

    A process that began later than `seen` has taken over the number. A process that cannot be looked at counts as
    running.
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
    """Name of this start of this machine, seen from this container: where equal, process numbers mean the same."""
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


def ray_temporary() -> str:
    """The folder in which Ray keeps sockets, logs and spilled objects by default."""
    return os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()


def short_temporary() -> str | None:
    """A folder for Ray's sockets when the temporary folder's path is too long for these; None when it is not."""
    if len(ray_temporary()) <= LONGEST_TEMPORARY:
        return None
    return next((folder for folder in ("/tmp", "/var/tmp") if os.access(folder, os.W_OK | os.X_OK)), None)


def make_environment_usable() -> None:
    """Repair what a notebook, a container or a pipe leaves behind, before a library uses it."""
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
        message = "HOME is no folder: using %s; set HOME, or CIFAKE_RAY_CACHE for the cache"
        logging.getLogger("cifake_ray").warning(message, home)
        os.environ["HOME"] = str(home)
