"""The folders below a source, and the files in them. What a file is follows from folder names alone: see layouts.py.

Every file in a folder that names a class is a picture to be decoded, whatever its name ends in: its content decides.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cifake_ray.data.decoding.items import Item, Refused
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

Steps = tuple[str, ...]  # folder names from the root
Places = frozenset[tuple[int, int]]  # (device, inode) of folders
_UNLABELLED = 3  # folders deep without a class name, from which on folders are counted
_MOST_UNLABELLED = 5_000  # of those that are listed, so that a wrong path does not walk a whole disk
_DEEPEST = 8
_SYSTEM = {"thumbs.db", "desktop.ini", "icon\r"}  # files that systems create in folders of pictures, beside hidden ones
TOO_DEEP = "a folder too deep to be listed"


class File(NamedTuple):
    """A picture to be decoded. `groups`: (column, value) pairs; size in bytes, time of change in ns."""

    name: str
    item: Item
    size: int = 0
    changed: int = 0
    groups: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Folder:
    """One folder: its files, and the names of hidden system files and of folders too deep to be listed."""

    steps: Steps
    files: list[File] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    deeper: list[str] = field(default_factory=list)


class Walk:
    """A walk over every folder below a root that may hold pictures, each once."""

    def __init__(self, source: str, reading: Reading) -> None:
        self.source, self.reading = source, reading
        self.unlabelled = 0  # folders listed deep without a class name

    def folders(self, root: Path) -> Iterator[Folder]:
        """The folders below `root`. Raises InputError: a folder that cannot be listed, contradicting names."""
        above = frozenset(_place(folder.stat()) for folder in root.resolve().parents)
        yield from self._below(root, (), above)

    def _below(self, folder: Path, steps: Steps, above: Places) -> Iterator[Folder]:
        """The folder and those below. `above`: the folders walked through; a link back to one of these is no folder."""
        labelled = self.reading.label(steps, self.source) is not None
        listed = self._is_listed(len(steps), labelled)
        try:
            above |= {_place(folder.stat())}
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
                folders = [one.name for one in entries if not one.name.startswith(".") and _is_folder(one, above)]
                yield _folder(steps, entries, set(folders), [] if listed else folders, labelled)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be listed ({error.strerror})", "grant yourself the right to read the folder"
            ) from error
        for name in folders if listed else ():
            yield from self._below(folder / name, (*steps, name), above)

    def _is_listed(self, depth: int, labelled: bool) -> bool:
        if not labelled and depth >= _UNLABELLED:
            self.unlabelled += 1
        return depth < _DEEPEST and self.unlabelled <= _MOST_UNLABELLED


def _folder(
    steps: Steps, entries: list[os.DirEntry[str]], folders: set[str], deeper: list[str], inside: bool
) -> Folder:
    """The folder. `inside` a class, a folder too deep to be listed counts as a picture that cannot be read."""
    others = [entry for entry in entries if entry.name not in folders]
    system = ["/".join((*steps, entry.name)) for entry in others if is_system(entry.name)]
    files = [_file(entry) for entry in others if not is_system(entry.name)]
    if inside:
        return Folder(steps, files + [File(name, Refused(TOO_DEEP)) for name in deeper], system)
    return Folder(steps, files, system, ["/".join((*steps, name)) for name in deeper])


def _is_folder(entry: os.DirEntry[str], above: Places) -> bool:
    """Whether this is a folder to be listed: a link to a folder above would count the same pictures repeatedly."""
    try:
        return entry.is_dir() and not (entry.is_symlink() and _place(entry.stat()) in above)
    except OSError:  # a link that leads to itself
        return False


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _file(entry: os.DirEntry[str]) -> File:
    """A file to be decoded; an unreadable or unsafe file has the reason instead."""
    name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
    try:
        status = entry.stat()
    except OSError as error:
        return File(name, Refused(f"cannot be read ({error.strerror})"))
    if stat.S_ISDIR(status.st_mode):
        return File(name, Refused("a link to a folder above it"))
    if not stat.S_ISREG(status.st_mode):
        return File(name, Refused("no regular file"))
    return File(name, entry.path, status.st_size, status.st_mtime_ns)


def is_system(name: str) -> bool:
    """Whether systems create files of this name: `.DS_Store`, `Thumbs.db`. Such files are counted, never refused."""
    return name.startswith(".") or name.lower() in _SYSTEM
