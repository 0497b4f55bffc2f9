"""`data fetch`: a published copy of CIFAKE, resumed, checked file by file and by its content, recorded in a JSON file.

huggingface_hub is not used: 2.4 deletes the bytes of an interrupted download, and compares sizes, not checksums. Two
requests to the hub are enough, both below: one for a file's SHA-256 at a revision, one for the file's bytes.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import filelock

from cifake_ray.console import Progress
from cifake_ray.data.datasets import CARDS
from cifake_ray.data.datasets.card import Download, RemoteFile
from cifake_ray.data.images import ImageSet, load_images
from cifake_ray.data.labels import PARTS
from cifake_ray.data.table import content_digest
from cifake_ray.errors import InputError, Interrupted, WorkError, nearest
from cifake_ray.storage.download import fetch_file, file_sha256, hub_file

Shown = Callable[[str, str], AbstractContextManager[Progress]]  # as console.progress: label, unit


@dataclass(frozen=True)
class Fetched:
    """A fetched copy. `files`: name, bytes, sha256, what the checksum was compared with. `source`: value of --data."""

    name: str
    source: str
    files: list[dict[str, Any]]
    images: ImageSet
    note: Path


def fetch_copy(name: str, folder: Path, show: Shown) -> Fetched:
    """Fetch the copy of that name into `folder`, or resume the download; files with the right checksum are skipped.

    Raises InputError: no such copy, a folder that cannot be written. WorkError: network, disk, checksum, another
    content than the data set's. Interrupted: Ctrl-C. Every error keeps what is downloaded, and a second call resumes.
    """
    published = {one: (card, copy) for card in CARDS.values() for one, copy in card.downloads.items()}
    if name not in published:
        raise InputError(f"data fetch {name}: no such copy", nearest(name, list(published)))
    (card, copy), note = published[name], folder / f"fetched-{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".fetch.lock"):
            files = [_fetch(copy, file, folder, _noted(note, copy, file), show) for file in copy.files]
            _write(note, copy, files, {})
    except Interrupted as error:
        raise Interrupted("interrupted; the same command resumes the download") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})", "give another --to") from error
    source = str(folder / copy.source)
    with show("decoding images", "images") as update:
        images = load_images(source, progress=update)
    content = {part: content_digest(getattr(images, part).table) for part in PARTS}
    _write(note, copy, files, {"content": content, "fingerprint": images.fingerprint, "card": images.card.name})
    if not card.is_whole(content):
        raise WorkError(
            f"{source}: its images or labels are not those of {card.title} (content of train {content['train'][:8]}, "
            f"of test {content['test'][:8]}); the copy is kept; `cifake-ray data audit {source}` describes it"
        )
    return Fetched(name, source, files, images, note)


def _noted(note: Path, copy: Download, file: RemoteFile) -> dict[str, Any]:
    """The file's entry in the note of an earlier fetch of the same revision; {} without one."""
    try:
        noted = json.loads(note.read_text())
        entries = noted["files"] if noted["revision"] == copy.revision else []
        return next((dict(entry) for entry in entries if entry["name"] == file.name), {})
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(note: Path, copy: Download, files: list[dict[str, Any]], more: dict[str, Any]) -> None:
    text = json.dumps(
        {"copy": copy.name, "place": copy.repository, "revision": copy.revision, "files": files}
        | {"fetched": datetime.now(UTC).isoformat(timespec="seconds")} | more, indent=1,
    )  # fmt: skip
    part = note.with_suffix(".part")
    part.write_text(text + "\n")
    os.replace(part, note)


def _fetch(copy: Download, file: RemoteFile, folder: Path, noted: dict[str, Any], show: Shown) -> dict[str, Any]:
    """Fetch one file into its place; return the file's entry for the note."""
    target, url = folder / file.name, copy.url(file)
    try:
        if noted and target.is_file() and file_sha256(target) == noted.get("sha256"):
            return noted
        sha256, size, judge = file.sha256, file.size, "known"
        if copy.host == "huggingface":
            found = hub_file(url)
            if found.revision != copy.revision:
                raise OSError(f"the server answers with revision {found.revision or 'none'}, not {copy.revision}")
            sha256, size = found.sha256, found.size
            judge = "the hub's" if sha256 else "nothing: the hub has none"
        if not target.is_file() or file_sha256(target) != sha256:
            target.parent.mkdir(parents=True, exist_ok=True)
            _check_space(target, size)
            with show(f"fetching {file.name}", "bytes") as update:
                fetch_file(url, target, lambda got: sha256 in (None, got), update)
        return _entry(target, file, judge)
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if type(error) is URLError else error
        raise WorkError(
            f"{url} cannot be fetched ({reason}); run the command again to resume, or {copy.by_hand}"
        ) from error


def _entry(target: Path, file: RemoteFile, judge: str) -> dict[str, Any]:
    size = target.stat().st_size
    return {"name": file.name, "bytes": size, "sha256": file_sha256(target), "checked_against": judge}


def _check_space(target: Path, size: int | None) -> None:
    part = target.with_name(f"{target.name}.part")
    missing = (size or 0) - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(target.parent).free
    if missing > free:
        raise OSError(f"{missing / 1e6:,.0f} MB to come and {free / 1e6:,.0f} MB free; make room")
