"""A file from the network to a place on disk: resumed if begun, checked by its SHA-256, put in place whole."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

from cifake_ray.console import Progress

_CHUNK = 1 << 20  # bytes
TIMEOUT = 20  # seconds without a byte
USER_AGENT = "cifake-ray"  # some servers turn Python's own away
_SHA256 = 64  # hex digits


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; remembered in this process while path, size and time of change stay."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(256)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(url: str, target: Path, is_right: Callable[[str], bool], progress: Progress | None = None) -> None:
    """Download to `target` by way of `target.part`, which a later call resumes. `is_right`: whether a SHA-256 is right.

    Raises OSError, HTTPException or ValueError when the network, the disk or the checksum fails.
    """
    part = target.with_name(f"{target.name}.part")
    _download(url, part, progress)
    sha256 = file_sha256(part)
    if not is_right(sha256):
        part.unlink()
        raise OSError(f"wrong checksum: its SHA-256 begins with {sha256[:8]}")
    os.replace(part, target)


def _download(url: str, part: Path, progress: Progress | None) -> None:
    """Download into `part`, resumed if the server allows. Raises OSError when less came than announced."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": USER_AGENT} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # no bytes after those here: whole, or of another file; the checksum decides
            return
        raise
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise OSError("a web page came instead of the file")
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        have = file.tell()
        total = have + int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            have += file.write(chunk)
            if progress:
                progress(have, total)
    if have < total:
        raise OSError(f"only {have:,} of {total:,} bytes came; the next run resumes there")


@dataclass(frozen=True)
class HubFile:
    """What the hub says of a large file: SHA-256 (hex), bytes, and the commit; None where it says nothing."""

    sha256: str | None
    size: int | None
    revision: str | None


def hub_file(url: str) -> HubFile:
    """Facts of the file at this address of the hub, by the headers of the redirect to its storage. Raises OSError."""
    request = Request(url, headers={"User-Agent": USER_AGENT}, method="HEAD")
    try:
        with build_opener(_StopAtFile).open(request, timeout=TIMEOUT) as response:
            headers = response.headers
    except HTTPError as answer:
        if answer.headers.get("X-Linked-Etag") is None:
            raise
        headers = answer.headers
    etag = (headers.get("X-Linked-Etag") or "").strip('W/"')
    size = int(headers.get("X-Linked-Size") or 0) or None
    return HubFile(etag if len(etag) == _SHA256 else None, size, headers.get("X-Repo-Commit"))


class _StopAtFile(HTTPRedirectHandler):
    """Follow the redirect of a moved repository, not the redirect to the file, whose answer lacks the hub's headers."""

    def redirect_request(
        self, req: Request, _fp: Any, _code: int, _msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if headers.get("X-Linked-Etag"):
            return None
        return Request(newurl, headers=dict(req.header_items()), method=req.get_method())
