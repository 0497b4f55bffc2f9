"""The cache folder: checksummed array entries, built under a lock and put in place whole. Safe for several processes.

An entry is a folder `<root>/<kind>/<key>/` of `.npy` files and an `entry.json` with their digests. An entry is written
beside its folder and renamed, so that a reader sees the whole entry or none.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import platformdirs

from cifake_ray.console import warn
from cifake_ray.errors import InputError, WorkError

_CHUNK = 1 << 24  # bytes hashed at a time: large enough for sha256 to run outside the interpreter lock in every thread
META = "entry.json"
KINDS = ("images", "squares", "features", "bias", "spectrum", "weights", "fetched")  # folders of the cache
_STAGED = ".staged-"
_HEADER = 192  # bytes of a staged file before its values: longer than the header of any shape
_RESERVE = 1 << 28  # bytes that stay free
_SILENT_SECONDS = 2.0  # of waiting for a lock before a line is printed
_WAIT_SECONDS = 4 * 3600.0


@dataclass(frozen=True)
class Entry:
    """Arrays of one entry, memory-mapped copy-on-write (writes never reach the file), and what was noted with them."""

    path: Path
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


@dataclass
class Staged:
    """An array on its way into an entry, written piece by piece as a `.npy` file: it may be larger than memory.

    Written with `write`, not through a memory map, whose dirty pages would count as the process's own memory.
    """

    path: Path
    dtype: str = "|u1"

    @classmethod
    @contextmanager
    def bytes_in(cls, folder: Path) -> Iterator["Staged"]:
        """A file of bytes whose number is known at the end; append to `path`. Removed when the caller fails."""
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_STAGED, suffix=".npy", dir=folder)
        os.close(handle)
        staged = cls(Path(name))
        try:
            staged.path.write_bytes(bytes(_HEADER))
            yield staged
            staged.close((staged.path.stat().st_size - _HEADER,))
        except BaseException:
            staged.path.unlink(missing_ok=True)
            raise

    def close(self, shape: tuple[int, ...]) -> None:
        """Write the header of an array of this shape, whose values stand behind the header."""
        header = io.BytesIO()
        note = {"descr": self.dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, note)
        text = header.getvalue().rstrip(b"\n ")
        whole = text[:8] + (_HEADER - 10).to_bytes(2, "little") + text[10:].ljust(_HEADER - 11) + b"\n"
        with self.path.open("r+b") as file:
            file.write(whole)

    def open(self) -> np.ndarray:
        """The array, memory-mapped."""
        array: np.ndarray = np.load(self.path, mmap_mode="r")
        return array


def cache_root() -> Path:
    """`CIFAKE_RAY_CACHE`, or the platform's cache folder for this program."""
    return Path(os.environ.get("CIFAKE_RAY_CACHE") or platformdirs.user_cache_dir("cifake-ray")).expanduser().absolute()


def array_digest(*arrays: np.ndarray) -> str:
    """SHA-256 (hex) over dtype, shape and the SHA-256 of every 16 MiB of the arrays; the same for any thread count."""
    total = hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        for array in arrays:
            data = np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")
            total.update(f"{array.dtype.str}{array.shape}".encode())
            chunks = (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
            for digest in pool.map(lambda chunk: hashlib.sha256(chunk).digest(), chunks):
                total.update(digest)
    return total.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the entry's lock, which is freed when the process dies. A second process waits, then finds the entry built.

    Raises InputError when the cache folder cannot be written, WorkError when another process holds the lock for hours.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(path.name + ".lock"))
        _acquire(lock, path)
    except filelock.Timeout as error:
        raise WorkError(f"{path}: another process still builds this entry; look at that process, or wait") from error
    except OSError as error:
        raise InputError(
            f"cache folder {cache_root()} cannot be written ({error.strerror or error})", "set CIFAKE_RAY_CACHE"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(what: str = "") -> Iterator[None]:
    """Context of writing into the cache. Raises InputError where that fails, as on a full disk.

    what: what was to be written, such as `12.6 GB of squares`.
    """
    try:
        yield
    except OSError as error:
        failed = f"cannot hold {what}" if what else "cannot be written"
        raise InputError(
            f"cache folder {cache_root()} {failed} ({error.strerror or error})",
            "free some space, or set CIFAKE_RAY_CACHE to another folder",
        ) from error


def free_bytes() -> int:
    """Free bytes of the disk of the cache folder."""
    root = cache_root()
    return shutil.disk_usage(next(folder for folder in (root, *root.parents) if folder.is_dir())).free


def check_room(needed: int, what: str) -> None:
    """Raise InputError when the disk of the cache folder has no room for so many bytes of `what`."""
    root, free = cache_root(), free_bytes()
    if needed and needed + _RESERVE > free:
        raise InputError(
            f"{what} need {needed / 1e9:,.1f} GB and the disk of the cache folder {root} has {free / 1e9:,.1f} GB free",
            "free some space, or set CIFAKE_RAY_CACHE to a folder on another disk",
        )


def _acquire(lock: filelock.BaseFileLock, path: Path) -> None:
    """Raises filelock.Timeout."""
    try:
        lock.acquire(timeout=_SILENT_SECONDS)
    except filelock.Timeout:
        warn(f"waiting for another process that builds {path}")
        lock.acquire(timeout=_WAIT_SECONDS)


def write_entry(path: Path, arrays: Mapping[str, np.ndarray | Staged], meta: Mapping[str, Any]) -> Entry:
    """Write `arrays` and `meta` as the entry at `path`, replacing a damaged one; return the entry memory-mapped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        for name, array in arrays.items():
            if isinstance(array, Staged):
                os.replace(array.path, staging / f"{name}.npy")
            else:
                np.save(staging / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        digests = {name: array_digest(np.load(staging / f"{name}.npy", mmap_mode="r")) for name in arrays}
        (staging / META).write_text(json.dumps({"digests": digests, "meta": dict(meta)}))
        shutil.rmtree(path, ignore_errors=True)
        staging.rename(path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    entry = read_entry(path, verify=False)
    if entry is None:
        raise OSError(f"{path}: the entry just written cannot be read back")
    return entry


def add_array(entry: Entry, name: str, array: np.ndarray) -> Entry:
    """The entry with one more array, written into its folder; only in memory where the cache cannot be written."""
    added = replace(entry, arrays={**entry.arrays, name: array})
    with suppress(OSError, InputError), locked(entry.path):
        note = json.loads((entry.path / META).read_text())
        note["digests"][name] = array_digest(array)
        staged, staged_note = entry.path / f".{name}.npy", entry.path / f".{META}"
        np.save(staged, array, allow_pickle=False)
        staged_note.write_text(json.dumps(note))
        os.replace(staged, entry.path / f"{name}.npy")
        os.replace(staged_note, entry.path / META)
    return added


def read_entry(path: Path, *, verify: bool = True) -> Entry | None:
    """The entry at `path`, or None when it is missing, half-written or (with `verify`) its digests do not match."""
    try:
        note = json.loads((path / META).read_text())
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="c") for name in note["digests"]}
        if verify and any(array_digest(arrays[name]) != digest for name, digest in note["digests"].items()):
            return None
        with suppress(OSError):
            os.utime(path)  # when it was last used
        return Entry(path, arrays, note["meta"])
    except (OSError, ValueError, KeyError, EOFError):
        return None


def list_entries() -> Iterator[tuple[str, Path, int]]:
    """(kind, path, bytes) of every finished entry under the cache root."""
    for note in sorted(cache_root().rglob(META)):
        size = sum(file.stat().st_size for file in note.parent.iterdir() if file.is_file())
        yield note.relative_to(cache_root()).parts[0], note.parent, size


def clear_entries(kind: str | None = None, *, unused_days: float = 0.0, source: str | None = None) -> int:
    """Remove all entries, or those of one kind, of one source, or not used for so many days; return the bytes freed.

    Open memory maps stay readable. Files that a killed process left half-written go after a day.
    """
    before = time.time() - 86400 * unused_days
    notes = [(found, path, size, _meta(path)) for found, path, size in list_entries()]
    sources = _sources(notes)
    chosen = [(path, size) for found, path, size, meta in notes
              if kind in (None, found) and path.stat().st_mtime <= before
              and source in (None, _source(meta, sources))]  # fmt: skip
    for path, _ in chosen:
        shutil.rmtree(path, ignore_errors=True)
    if not unused_days and source is None:
        for folder in cache_root().glob(kind or "*"):  # locks, shards of an interrupted extraction, fetched files
            shutil.rmtree(folder, ignore_errors=True)
    return sum(size for _, size in chosen) + _clear_staged(kind)


def _clear_staged(kind: str | None) -> int:
    freed = 0
    for file in cache_root().glob(f"{kind or '*'}/{_STAGED}*"):
        with suppress(OSError):
            if file.stat().st_mtime < time.time() - 86400:
                freed += file.stat().st_size
                file.unlink()
    return freed


def list_sourced() -> Iterator[tuple[str, str, Path, int]]:
    """(kind, source, path, bytes) of every finished entry."""
    notes = [(kind, path, size, _meta(path)) for kind, path, size in list_entries()]
    sources = _sources(notes)
    return ((kind, _source(meta, sources), path, size) for kind, path, size, meta in notes)


def summarise_cache() -> list[dict[str, Any]]:
    """One row for each kind, source and set of weights: views, sizes, entries, megabytes, days since the last use.

    Sources are those of the cached images; features of images that are gone from the cache have no source.
    """
    notes = [(kind, path, size, _meta(path)) for kind, path, size in list_entries()]
    sources = _sources(notes)
    groups: dict[tuple[str, str, str], list[tuple[Path, int, dict[str, Any]]]] = {}
    for kind, path, size, meta in notes:
        groups.setdefault((kind, _source(meta, sources), str(meta.get("weights", ""))), []).append((path, size, meta))
    return [_summary(*key, members) for key, members in sorted(groups.items())]


_Note = tuple[str, Path, int, dict[str, Any]]  # kind, path, bytes and note of an entry


def _sources(notes: Sequence[_Note]) -> dict[str, str]:
    """Fingerprint of each part of the cached images to their source."""
    return {
        fingerprint: str(meta.get("source", ""))
        for kind, _, _, meta in notes
        if kind == "images"
        for fingerprint in meta.get("fingerprints", {}).values()
    }


def _source(meta: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    images = str(meta.get("images")).partition("-")[0]  # of a part of the images the fingerprint is extended
    return str(meta.get("source") or sources.get(images, "unknown"))


def _summary(kind: str, source: str, weights: str, members: list[tuple[Path, int, dict[str, Any]]]) -> dict[str, Any]:
    def values(key: str) -> str:
        return ", ".join(sorted({str(meta[key]) for _, _, meta in members if key in meta}))

    used = max(path.stat().st_mtime for path, _, _ in members)
    return {
        "kind": kind, "source": source, "weights": weights, "views": values("view"),
        "px": values("image_size") or values("transform"),
        "entries": len(members), "MB": round(sum(size for _, size, _ in members) / 1e6, 1),
        "days_unused": round(max(time.time() - used, 0.0) / 86400, 1),
    }  # fmt: skip


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads((path / META).read_text())["meta"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return meta if isinstance(meta, dict) else {}
