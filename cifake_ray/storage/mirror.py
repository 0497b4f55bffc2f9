"""Object storage (`s3://bucket/prefix`, `gs://…`): files put, fetched and listed beside a local mirror of them.

Programs work on the files of a folder. What lies in object storage has its mirror in the cache: a file is fetched when
the mirror lacks it or the stored one is newer, and put when it has changed since it was put. Credentials are found as
the vendors' own tools find them; `AWS_ENDPOINT_URL` names another S3 server.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cifake_ray.errors import InputError, StorageError
from cifake_ray.storage.cache import cache_root

SCHEMES = ("s3://", "gs://")
_LONGEST = 255  # bytes of a name on every usual file system
_EXPECTED = "expected a folder, s3://BUCKET/folder or gs://BUCKET/folder"
_PUT = ".put.json"  # beside mirrored files: size and time of each as it was put or fetched last
_BEHIND = ".behind"  # beside mirrored files: others have written meanwhile, and what changed here is void
_SECONDS = 30.0  # for a server to answer
_AT_ONCE = 16  # files fetched: a set of single images waits for the server's answers, not for their bytes


def is_remote(place: str) -> bool:
    return place.startswith(SCHEMES)


def check_place(place: str, what: str) -> None:
    """Raise InputError when `place` can name neither a folder nor an object storage; `what`: the option it is of.

    That is: empty, of an unknown kind (`http://…`), without a bucket, too long, with a NUL, behind a looping link or a
    folder that may not be entered. Whether anything exists there is not checked.
    """
    if not place.strip():
        raise InputError(f"{what}: empty", f"{_EXPECTED}")
    if scheme := re.match(r"(s3|gs):/|[A-Za-z][A-Za-z0-9+.-]*://", place):
        if not place.startswith(SCHEMES):
            raise InputError(f"{what} {shown_place(place)}: {scheme[0]} is not supported", f"{_EXPECTED}")
        if not re.match(r"[a-z0-9][a-z0-9._-]{2,62}(/|$)", place.split("://", 1)[1]):
            raise InputError(f"{what} {shown_place(place)}: no name of a bucket follows {scheme[0]}", f"{_EXPECTED}")
        return
    try:
        if any(len(os.fsencode(part)) > _LONGEST for part in Path(place).parts):  # also below a folder to be made
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        Path(place).expanduser().stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, RuntimeError) as error:  # too long, a loop, no right; a NUL; ~unknown
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {shown_place(place)}: not usable as a path ({reason})", "name another") from error


def shown_place(place: str) -> str:
    """`place` for a message: short, without control characters."""
    text = "".join(character if character.isprintable() else "�" for character in place)
    return text if len(text) <= 120 else f"{text[:60]}…{text[-40:]}"


def mirror(url: str, kind: str = "mirror") -> Path:
    """The folder in this machine's cache that mirrors `url`; another one for each kind of content."""
    return cache_root() / kind / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


def exists(url: str) -> bool:
    """Whether there is an object at `url`. Raises StorageError when the storage cannot be read."""
    system, path = _open(url)
    with _told(url):
        return bool(system.get_file_info(path).is_file)


def children(url: str) -> list[str]:
    """The names directly under `url`, sorted."""
    system, path = _open(url)
    with _told(url):
        return sorted(info.base_name for info in system.get_file_info(_selector(path, recursive=False)))


def put(url: str, folder: Path, *, leave: Collection[str] = ()) -> None:
    """Put the files under `folder` that have changed since they were put; `leave`: names of sub-folders left out.

    Names that begin with a dot stay local.
    """
    noted = _read_noted(folder)
    changed = {name: stamp for name, stamp in _stamps(folder, leave) if noted.get(name) != stamp}
    system, path = _open(url)
    for name in changed:
        with _told(url), (folder / name).open("rb") as source, system.open_output_stream(f"{path}/{name}") as target:
            shutil.copyfileobj(source, target, 1 << 22)
    if changed:
        (folder / _PUT).write_text(json.dumps(noted | changed))


def fetch(url: str, folder: Path, *, leave: Collection[str] = (), exactly: bool = False) -> None:
    """Fetch into `folder` what it lacks or what is newer at `url`; `leave`: names of sub-folders left out.

    An object at `url` itself is fetched under its own name. `exactly`: what is not there (any more) is removed here.
    """
    _catch_up(folder)
    system, path = _open(url)
    with _told(url), ThreadPoolExecutor(_AT_ONCE) as pool:
        single = system.get_file_info(path)
        above = path.rpartition("/")[0] if single.is_file else path
        found = [single] if single.is_file else system.get_file_info(_selector(path, recursive=True))
        named = {info.path.removeprefix(above).lstrip("/"): info for info in found if info.is_file}
        wanted = {name: i for name, i in named.items() if name.split("/")[0] not in leave and not name.startswith(".")}
        fetched = list(pool.map(lambda name: _fetch_newer(system, wanted[name], folder / name), wanted))
    if not exactly and any(fetched):  # `put` need not send these back
        stamps = {name: _stamp(folder / name) for name, new in zip(wanted, fetched, strict=True) if new}
        (folder / _PUT).write_text(json.dumps(_read_noted(folder) | stamps))
    if exactly:
        for file in [file for file in folder.rglob("*") if file.is_file()]:
            if file.relative_to(folder).as_posix() not in wanted:
                file.unlink()


def mark_behind(folder: Path) -> None:
    """Record that this mirror is behind: the next `fetch` discards what the mirror holds, newer or not."""
    with suppress(OSError):
        (folder / _BEHIND).touch()


def check_writable(url: str) -> None:
    """Put an object under `url` and remove it. Raises StorageError when the storage refuses."""
    system, path = _open(url)
    write_bytes(f"{url.rstrip('/')}/.cifake-ray", b"")
    with _told(url):
        system.delete_file(f"{path}/.cifake-ray")


def remove(url: str) -> None:
    """Remove the object at `url`, or every object under it."""
    system, path = _open(url)
    with _told(url):
        if system.get_file_info(path).is_file:
            system.delete_file(path)
        else:
            system.delete_dir_contents(path, missing_dir_ok=True)


def read_bytes(url: str) -> bytes | None:
    """The object at `url`, None when there is none."""
    system, path = _open(url)
    try:
        with system.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(url, error) from error


def write_bytes(url: str, data: bytes) -> None:
    """Replace the object at `url`, in one step. Raises StorageError when the storage cannot be written."""
    system, path = _open(url)
    with _told(url), system.open_output_stream(path) as stream:
        stream.write(data)


def _catch_up(folder: Path) -> None:
    """Empty a mirror that is behind, but for what stays local."""
    if not (folder / _BEHIND).exists():
        return
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child, ignore_errors=True)
        elif not child.name.startswith("."):
            child.unlink(missing_ok=True)
    for name in (_PUT, _BEHIND):
        (folder / name).unlink(missing_ok=True)


def _fetch_newer(system: Any, info: Any, file: Path) -> bool:
    """Fetch the file where the stored one is newer; return whether it was fetched."""
    before = _stamp(file)
    if before is not None and before[1] >= info.mtime_ns:
        return False
    return _fetch_file(system, info, file, before)


def _fetch_file(system: Any, info: Any, file: Path, before: list[int] | None) -> bool:
    """Fetch the file; return False where its writer here has written it since `before`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}-{os.getpid()}")
    with system.open_input_stream(info.path) as stream, part.open("wb") as target:
        shutil.copyfileobj(stream, target, 1 << 22)
    os.utime(part, ns=(info.mtime_ns, info.mtime_ns))
    if before != _stamp(file):
        part.unlink()
        return False
    part.replace(file)
    return True


def _stamps(folder: Path, leave: Collection[str]) -> Iterator[tuple[str, list[int]]]:
    """Every file under `folder` with its size and time of change."""
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if parts[0] in leave or any(part.startswith(".") for part in parts) or not file.is_file():
            continue
        if (stamp := _stamp(file)) is not None:
            yield "/".join(parts), stamp


def _stamp(file: Path) -> list[int] | None:
    """Size and time of change (ns); None when there is no file."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_noted(folder: Path) -> dict[str, list[int]]:
    try:
        return dict(json.loads((folder / _PUT).read_text()))
    except (OSError, ValueError):
        return {}


def _selector(path: str, *, recursive: bool) -> Any:
    from pyarrow.fs import FileSelector

    return FileSelector(path, recursive=recursive, allow_not_found=True)


def _open(url: str) -> tuple[Any, str]:
    """The file system of `url`, and the path in it."""
    return _system(url.split("://", maxsplit=1)[0]), url.split("://", 1)[1].rstrip("/")


def s3_endpoint() -> str | None:
    """Another S3 server than AWS's, if the environment names one."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def s3_region() -> str | None:
    """The region, if the environment names one."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


@lru_cache
def _system(scheme: str) -> Any:
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_SECONDS))
    return fs.S3FileSystem(
        endpoint_override=s3_endpoint(),
        region=s3_region(),
        connect_timeout=_SECONDS,
        request_timeout=_SECONDS,
        background_writes=False,
    )


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what the storage refuses into one line."""
    try:
        yield
    except (OSError, ValueError) as error:  # Arrow's ArrowInvalid is a ValueError
        raise refused(url, error) from error


def refused(url: str, error: Exception) -> StorageError:
    """The error of a storage's refusal, in one line."""
    reason = " ".join(str(error).split())[:240]
    return StorageError(
        f"{url}: {reason}",
        f"check the bucket, and credentials and AWS_ENDPOINT_URL in the environment of "
        f"{'the nodes, where `ray start` takes them from' if _on_cluster() else 'this shell'}",
    )


def _on_cluster() -> bool:
    """Whether Ray started this process: a job's driver, or a worker."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or "RAY_RAYLET_PID" in os.environ
