"""The files below a folder, or in a zip archive, by part and label; folder names alone tell both.

Every file in a folder that names a class is a picture to be decoded, whatever its name ends in: its content decides.
"""

import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cifake_ray.data.decoding.decode import Member, Refused
from cifake_ray.data.labels import ALL, PARTS, label_of, label_of_path, part_of
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.errors import InputError

File = tuple[str, str | Member | Refused, int, int]  # name, where to read it, bytes, time of change in ns
Found = dict[tuple[str, int], list[File]]  # (part, label) -> files; empty for a folder without images
Steps = tuple[str, ...]  # folder names from the root
Places = frozenset[tuple[int, int]]  # (device, inode) of folders
_UNLABELLED = 3  # folders deep without a class name, so that a wrong path does not walk a whole disk
_DEEPEST = 8
_SYSTEM = {"thumbs.db", "desktop.ini", "icon\r"}  # files that systems leave in folders of pictures, beside hidden ones


@dataclass
class Listing:
    """What lies below a source. `left`: what is not used, and why."""

    found: Found = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True)
class _Folder:
    """One folder: its files, the names of hidden ones that systems leave, and of folders too deep to be listed."""

    steps: Steps
    files: list[File]
    system: list[str]
    deeper: list[str] = field(default_factory=list)


def list_folder(source: str, root: Path) -> Listing:
    """What lies below `root`, files of folders that name a class by part and label.

    Raises InputError: a folder that cannot be listed, names that contradict each other, several data sets in one.
    """
    above = frozenset(_place(folder.stat()) for folder in root.resolve().parents)
    return _by_place(source, _walk(source, root, (), above))


def list_zip(source: str, path: Path) -> Listing:
    """The members of the archive at `path`, nothing unpacked; as `list_folder`. Takes 1 to 2 s for all of CIFAKE.

    Of members with one name the last counts, as for Python and unzip. Raises InputError: no zip archive or not all of
    one, names that contradict each other, several data sets in one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read as a zip archive ({error}); download it again") from error
    folders: dict[Steps, _Folder] = {}
    for info in members.values():
        *parents, name = info.filename.split("/")
        steps = () if "__MACOSX" in parents else tuple(step for step in parents if step not in ("", "."))
        folder = folders.setdefault(steps, _Folder(steps, [], []))
        if name and (_is_system(name) or "__MACOSX" in parents):
            folder.system.append(info.filename)
        elif name:
            method = -1 if info.flag_bits & 1 else info.compress_type  # flag 1: encrypted
            member = Member(str(path), info.header_offset, info.compress_size, method, info.CRC)
            folder.files.append((name, member, info.file_size, 0))
    return _by_place(source, folders.values())


def _walk(source: str, folder: Path, steps: Steps, above: Places) -> Iterator[_Folder]:
    """Every folder that may matter. `above`: the folders walked through; a link back to one of them is no folder."""
    labelled = label_of_path(steps, source) is not None
    listed = len(steps) < (_DEEPEST if labelled else _UNLABELLED)
    try:
        above |= {_place(folder.stat())}
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
            folders = [entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry, above)]
            files = [entry for entry in entries if entry.name not in folders]
            system = ["/".join((*steps, entry.name)) for entry in files if _is_system(entry.name)]
            deeper = [] if listed else ["/".join((*steps, name)) for name in folders]
            yield _Folder(steps, [_file(entry) for entry in files if not _is_system(entry.name)], system, deeper)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); give yourself the right to read it"
        ) from error
    if listed:
        for name in folders:
            yield from _walk(source, folder / name, (*steps, name), above)


def _is_folder(entry: os.DirEntry[str], above: Places) -> bool:
    """Whether this is a folder to be listed: pictures below a link to a folder above it would count again and again."""
    try:
        return entry.is_dir() and not (entry.is_symlink() and _place(entry.stat()) in above)
    except OSError:  # a link that leads to itself
        return False


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _file(entry: os.DirEntry[str]) -> File:
    """A file to be decoded; one that cannot be read without harm, or at all, with the reason."""
    name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
    try:
        status = entry.stat()
    except OSError as error:
        return name, Refused(f"cannot be read ({error.strerror})"), 0, 0
    if stat.S_ISDIR(status.st_mode):
        return name, Refused("a link to a folder above it"), 0, 0
    if not stat.S_ISREG(status.st_mode):
        return name, Refused("no regular file"), 0, 0
    return name, entry.path, status.st_size, status.st_mtime_ns


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _by_place(source: str, folders: Iterable[_Folder]) -> Listing:
    """Files by part and label, and what is left. Without a train or test folder everything is one part, `all`."""
    listed = [folder for folder in folders if folder.files or folder.system or folder.steps]
    classes = [folder for folder in listed if label_of_path(folder.steps, source) is not None]
    parted = [folder for folder in classes if _part_at(folder.steps) is not None]
    roots = {folder.steps[: _part_at(folder.steps)] for folder in parted}
    if len(roots) > 1:
        named = ", ".join("/".join(root) or "." for root in sorted(roots))
        raise InputError(f"{source}: several data sets in one ({named}); give one of them")
    listing = Listing()
    for folder in parted or classes:
        _add(listing.found, folder, source)
    used = {folder.steps for folder in parted or classes}
    others = [f"{'/'.join(folder.steps)}/{name}" for folder in classes if folder.steps not in used
              for name, *_ in folder.files]  # fmt: skip
    foreign = ["/".join((*folder.steps, name)) for folder in listed if folder not in classes
               for name, *_ in folder.files]  # fmt: skip
    listing.left += left_for("files of class folders outside train and test", others)
    listing.left += left_for("files in no folder that names a class", foreign)
    listing.left += left_for("files that systems leave", (name for folder in listed for name in folder.system))
    listing.left += left_for("folders too deep to be listed", (name for folder in listed for name in folder.deeper))
    return listing


def files_beside(root: Path, used: Iterable[Path]) -> list[Left]:
    """The files below `root` that are not among `used`, for sources that are no folders of classes."""
    others = set(root.rglob("*")) - set(used)
    names = {str(path.relative_to(root)): path for path in others if path.is_symlink() or not path.is_dir()}
    system = {name for name, path in names.items() if any(map(_is_system, path.relative_to(root).parts))}
    beside = left_for("files beside the data set", names.keys() - system)
    return [*beside, *left_for("files that systems leave", system)]


def _add(found: Found, folder: _Folder, source: str) -> None:
    at = _part_at(folder.steps)
    part, inner = (ALL, folder.steps) if at is None else (str(part_of(folder.steps[at])), folder.steps[at + 1 :])
    label = label_of_path(folder.steps, source)
    assert label is not None
    prefix = "".join(f"{step}/" for step in inner if label_of(step) is None)
    files = [(prefix + name, item, size, changed) for name, item, size, changed in folder.files]
    found.setdefault((part, label), []).extend(files)


@lru_cache
def _part_at(steps: Steps) -> int | None:
    return next((at for at, step in enumerate(steps) if part_of(step) is not None), None)


def split_parts(found: Found) -> tuple[Found, list[Left]]:
    """The train and test parts, and a validation part beside a test part as left: nothing is chosen by it yet."""
    if not any(part in PARTS for part, _ in found):
        return found, []
    used = {key: files for key, files in found.items() if key[0] in PARTS}
    rest = [f"{part}/{name}" for (part, _), files in found.items() if part not in PARTS for name, *_ in files]
    return used, left_for("images of a validation part", rest)
