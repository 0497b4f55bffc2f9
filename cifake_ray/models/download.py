"""One weight file from the network into the cache folder: resumed if begun, checked, put in place whole.

`CIFAKE_RAY_WEIGHTS_URL` replaces the address of the folder that the files lie in (a mirror).
"""

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cifake_ray.cache import cache_root, locked
from cifake_ray.errors import InputError

Progress = Callable[[int, int], None]
_CHUNK = 1 << 20  # bytes
_TIMEOUT = 20  # seconds without a byte


def downloads() -> Path:
    """Where downloaded weight files are kept."""
    return cache_root() / "weights"


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; remembered in this process while path, size and time of change stay."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(256)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download_file(url: str, is_right: Callable[[str], bool], progress: Progress | None = None) -> Path:
    """The file at `url`, or of the same name at the mirror, in the cache folder. `is_right` judges its SHA-256.

    `progress`: bytes done, bytes in all (0 when the server does not say). A second process waits for the first. Raises
    InputError, which names the URL and the folders a file can be put in, when the network or the checksum fails.
    """
    mirror, name = os.environ.get("CIFAKE_RAY_WEIGHTS_URL"), url.rpartition("/")[2]
    url = f"{mirror.rstrip('/')}/{name}" if mirror else url
    target = downloads() / name
    with locked(target):
        if target.is_file() and is_right(file_sha256(target)):
            return target  # another process was faster
        try:
            part = _fetch(url, target.with_name(f"{name}.part"), progress)
            _check(part, is_right)
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if type(error) is URLError else error
            raise InputError(
                f"{url} cannot be downloaded ({reason}); put {name} into {downloads()} or a folder named by "
                "CIFAKE_RAY_WEIGHTS, or set CIFAKE_RAY_WEIGHTS_URL to a mirror"
            ) from error
        os.replace(part, target)
    return target


def _fetch(url: str, part: Path, progress: Progress | None) -> Path:
    """Download into `part`, from where it ends if the server allows. Raises OSError when less came than announced."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={have}-"} if have else {}), timeout=_TIMEOUT)
    except HTTPError:
        part.unlink(missing_ok=True)  # perhaps the server cannot go on from there: begin anew next time
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        have = file.tell()
        total = have + int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            have += file.write(chunk)
            if progress:
                progress(have, total)
    if have < total:
        raise OSError(f"only {have:,} of {total:,} bytes came; the next run goes on from there")
    return part


def _check(part: Path, is_right: Callable[[str], bool]) -> None:
    """Raise OSError, and drop the file, when it is not the right one."""
    sha256 = file_sha256(part)
    if not is_right(sha256):
        part.unlink()
        raise OSError(f"wrong checksum: its SHA-256 begins with {sha256[:8]}")
