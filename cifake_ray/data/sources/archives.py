"""The members of a zip or tar archive by folder. A picture is read where it lies; a compressed tar is unpacked once."""

import bz2
import glob
import gzip
import lzma
import os
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from cifake_ray.data.decoding.items import Item, Member, Refused, Span
from cifake_ray.data.sources.folders import File, Folder, Steps, is_system
from cifake_ray.errors import InputError

_COMPRESSED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open,
}  # fmt: skip
_LONGEST_START = 6
_PIECE = 1 << 20  # bytes that are unpacked at a time
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def is_archive(path: Path) -> bool:
    """Whether the file's name ends as a readable archive's does."""
    return path.suffix.lower() == ".zip" or path.name.lower().endswith(TAR_SUFFIXES)


def zip_folders(source: str, path: Path) -> list[Folder]:
    """The members of the zip archive at `path`. Takes 1 to 2 s for all of CIFAKE.

    Of members with one name the last counts, as for Python and unzip. Raises InputError: no zip archive, a truncated
    one, one piece of a split one.
    """
    check_whole(source, path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read as a zip archive ({error})", "download it again") from error
    folders: dict[Steps, Folder] = {}
    for info in members.values():
        name = info.filename if "/" in info.filename else info.filename.replace("\\", "/")  # of tools on Windows
        method = -1 if info.flag_bits & 1 else info.compress_type  # flag 1: encrypted
        _add(folders, name, Member(str(path), info.header_offset, info.compress_size, method, info.CRC), info.file_size)
    return list(folders.values())


def check_whole(source: str, path: Path) -> None:
    """Raise InputError for a piece of a zip archive that was split into several files."""
    pieces = sorted(path.parent.glob(f"{glob.escape(path.stem)}.z[0-9][0-9]*"))
    if pieces and path.suffix.lower() == ".zip":
        raise InputError(
            f"{source}: split into {len(pieces) + 1} pieces ({pieces[0].name}, …, {path.name})",
            f"join these with `zip -s 0 {path.name} --out whole.zip` and give whole.zip",
        )


class Unpacked:
    """An uncompressed copy of a compressed tar archive, removed with this object."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".unpacked-", suffix=".tar", dir=folder)
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


def unpack_tar(source: str, path: Path, folder: Path) -> Unpacked | None:
    """The compressed tar archive, unpacked into `folder`; None for an uncompressed archive.

    Raises InputError: a damaged or truncated archive, no room for the copy.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_START)
    opened = next((way for first, way in _COMPRESSED.items() if start.startswith(first)), None)
    if opened is None:
        return None
    try:
        unpacked = Unpacked(folder)
        with opened(path, "rb") as packed, unpacked.path.open("wb") as copy:
            while data := _piece(source, packed):
                copy.write(data)
    except OSError as error:
        raise InputError(
            f"{source}: cannot be unpacked into the cache folder {folder} ({error.strerror or error})",
            "free some space, or set CIFAKE_RAY_CACHE to another folder",
        ) from error
    return unpacked


def _piece(source: str, packed: IO[bytes]) -> bytes:
    try:
        return packed.read(_PIECE)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise _no_tar(source, error) from error


def tar_folders(source: str, path: Path) -> list[Folder]:
    """The members of the uncompressed tar archive at `path`.

    Of members with one name the last counts, as for tar. Raises InputError: no tar archive, or a truncated one.
    """
    folders: dict[Steps, Folder] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for info in {info.name: info for info in archive}.values():
                _add(folders, info.name + "/" * info.isdir(), _tar_item(info, path), info.size)
            _check_end(archive)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise _no_tar(source, error) from error
    return list(folders.values())


def _no_tar(source: str, error: Exception) -> InputError:
    return InputError(f"{source}: cannot be read as a tar archive ({error})", "download it again")


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise ReadError when the members end at a damaged header, where tarfile stops without an error."""
    stream = archive.fileobj
    assert stream is not None
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {archive.offset:,}")


def _tar_item(info: tarfile.TarInfo, path: Path) -> Item:
    if info.isdir():
        return b""
    if not info.isreg() or info.issparse():
        return Refused("a link or device in the archive")
    return Span(str(path), info.offset_data, info.size)


def _add(folders: dict[Steps, Folder], path: str, item: Item, size: int) -> None:
    """Add one member to the folder of its path; a path that ends in a slash is a folder."""
    *parents, name = path.split("/")
    steps = () if "__MACOSX" in parents else tuple(step for step in parents if step not in ("", "."))
    folder = folders.setdefault(steps, Folder(steps))
    if name and (is_system(name) or "__MACOSX" in parents):
        folder.system.append(path)
    elif name:
        folder.files.append(File(name, item, size))
