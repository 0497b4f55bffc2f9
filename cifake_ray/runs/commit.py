"""The commit that a run was made with."""

import os
import subprocess
from pathlib import Path

COMMIT_VARIABLE = "CIFAKE_RAY_COMMIT"  # commit of the checkout from which a job was submitted


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, or was submitted from; None for an installed one."""
    if (submitted := os.environ.get(COMMIT_VARIABLE)) is not None:
        return submitted or None
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
