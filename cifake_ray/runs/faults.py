"""Full or vanished storage: what a study could not write interrupts the study, and never fails a trial."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cifake_ray.console import counted
from cifake_ray.errors import Interrupted, StorageError
from cifake_ray.runs.resume import resume_command
from cifake_ray.runs.run import Run

# Whatever file is meant, the disk is full (or the user's share of it), broken, read-only now, or no longer there.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN,
                   errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.ETIMEDOUT})  # fmt: skip
# Of a file of the run: its folder was removed, or may not be written any more.
_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})


def storage_fault(error: BaseException, run: Run) -> str | None:
    """`PATH: reason` when the error is one of the run's storage, else None."""
    if isinstance(error, StorageError):
        return str(error)
    if not isinstance(error, OSError):
        return None
    folder = run.path.absolute()
    file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    if error.errno in _DISK or (error.errno in _FOLDER and file.absolute().is_relative_to(folder)):
        return f"{_place(run, file)}: {error.strerror or error}"
    return None


def check_folder(run: Run) -> None:
    """Raise FileNotFoundError when the run's folder was removed: the next write would make another folder."""
    if run.url is None and not run.path.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run.path))


def interrupted_line(run: Run, done: int, trials: int) -> str:
    """The last line of an interrupted command: how many of its trials are done, where the run is, how to resume."""
    count = f"{done:,} of {counted(trials, 'trial')} done"
    return f"interrupted with {count}; everything is in {run.where}; resume with: {_resume(run)}"


def storage_interrupted(run: Run, fault: str) -> Interrupted:
    """The end of a study whose storage is full or gone: reason, and how to resume."""
    return Interrupted(
        f"interrupted, the storage cannot be written: {fault}; what was written is kept; make room there, or bring it "
        f"back, and resume with: {_resume(run)}"
    )


@contextmanager
def storage_faults_interrupt(run: Run) -> Iterator[None]:
    """Turn an error of the run's storage into Interrupted; every other error passes."""
    try:
        yield
    except (OSError, StorageError) as error:
        if (fault := storage_fault(error, run)) is None:
            raise
        raise storage_interrupted(run, fault) from error


def _resume(run: Run) -> str:
    return resume_command(run.name, run.storage)


def _place(run: Run, file: Path) -> str:
    """The file, or the run where the file is a temporary one."""
    return run.where if run.url is not None or file.name.startswith(".") else str(file)
