"""The command that resumes a run."""

import os
import shlex
from pathlib import Path

DEFAULT_STORAGE = "results/runs"
Storage = str | Path  # a folder, or the address of object storage: s3://bucket/prefix


def in_job() -> bool:
    """Whether this process was started as a Ray job, by Ray itself."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def resume_command(name: str, storage: Storage) -> str:
    """The command that resumes a run, to be typed by its owner: as a job again, if this process is a job's."""
    place = [] if str(storage) == str(DEFAULT_STORAGE) else ["--storage", str(storage)]
    return shlex.join(["cifake-ray", "submit" if in_job() else "tune", "--resume", name, *place])
