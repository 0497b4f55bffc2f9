"""Download one weight file into the cache folder.

`CIFAKE_RAY_WEIGHTS_URL` replaces the address of the folder that the files lie in (a mirror).
"""

import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.storage.cache import cache_root, locked
from cifake_ray.storage.download import fetch_file, file_sha256


def downloads() -> Path:
    """The folder of downloaded weight files."""
    return cache_root() / "weights"


def mirrored() -> bool:
    """Whether files come from the folder that CIFAKE_RAY_WEIGHTS_URL names."""
    return bool(os.environ.get("CIFAKE_RAY_WEIGHTS_URL"))


def download_file(
    url: str,
    is_right: Callable[[str], bool],
    progress: Progress | None = None,
    *,
    name: str = "",
) -> Path:
    """The file at `url`, or of the same name at the mirror, in the cache folder. `is_right` judges its SHA-256.

    name: of the file in the cache and at the mirror, by default the last part of the address. A second process waits
    for the first. Raises InputError, which names the URL and the folders a file can be put in, when the network or the
    checksum fails.
    """
    mirror, name = os.environ.get("CIFAKE_RAY_WEIGHTS_URL"), name or url.rpartition("/")[2]
    url = f"{mirror.rstrip('/')}/{name}" if mirror else url
    target = downloads() / name
    with locked(target):
        try:
            if target.is_file() and is_right(file_sha256(target)):
                return target  # another process was faster
            fetch_file(url, target, is_right, progress)
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if type(error) is URLError else error
            raise InputError(
                f"{url} cannot be downloaded ({reason})",
                f"put {name} into {downloads()} or a folder named by "
                "CIFAKE_RAY_WEIGHTS, or set CIFAKE_RAY_WEIGHTS_URL to a mirror",
            ) from error
    return target
