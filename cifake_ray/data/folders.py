"""The image files below a folder, or in a zip archive, by part and label; both are told by folder names alone."""

import os
import zipfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from cifake_ray.data.decode import FORMATS, Member
from cifake_ray.data.labels import ALL, PARTS, label_of, label_of_path
from cifake_ray.errors import InputError

File = tuple[str, str | Member, int, int]  # name, where to read it, bytes, time of change in ns
Found = dict[tuple[str, int], list[File]]  # (part, label) -> files; empty for a folder without images
Steps = tuple[str, ...]  # folder names from the root
_UNLABELLED = 3  # folders deep without a class name, so that a wrong path does not walk a whole disk
_DEEPEST = 8


def list_folder(source: str, root: Path) -> Found:
    """What lies below `root` in folders that name a class. Hidden files and those no suffix calls an image are left.

    Raises InputError: a folder that cannot be listed, names that contradict each other, several data sets in one.
    """
    return _by_place(source, _walk(source, root, ()))


def list_zip(source: str, path: Path) -> Found:
    """The members of the archive at `path`, nothing unpacked; as `list_folder`. Takes 1 to 2 s for all of CIFAKE.

    Raises InputError: no zip archive or not all of one, names that contradict each other, several data sets in one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read as a zip archive ({error}); download it again") from error
    folders: dict[Steps, list[File]] = {}
    for info in members:
        *steps, name = info.filename.split("/")
        if name and _is_image_name(name) and "__MACOSX" not in steps:
            method = -1 if info.flag_bits & 1 else info.compress_type  # flag 1: encrypted
            member = Member(str(path), info.header_offset, info.compress_size, method, info.CRC)
            folders.setdefault(tuple(steps), []).append((name, member, info.file_size, 0))
    return _by_place(source, folders.items())


def _walk(source: str, folder: Path, steps: Steps) -> Iterator[tuple[Steps, list[File]]]:
    """Every folder that may matter, and the image files in those that name a class."""
    labelled = label_of_path(steps, source) is not None
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            folders = sorted(entry.name for entry in visible if entry.is_dir())
            images = [entry for entry in visible if labelled and _is_image_name(entry.name) and entry.is_file()]
            files = [_file(entry) for entry in images]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); give yourself the right to read it"
        ) from error
    yield steps, files
    if len(steps) < (_DEEPEST if labelled else _UNLABELLED):
        for name in folders:
            yield from _walk(source, folder / name, (*steps, name))


def _file(entry: os.DirEntry[str]) -> File:
    status = entry.stat()
    return os.fsencode(entry.name).decode("utf-8", "backslashreplace"), entry.path, status.st_size, status.st_mtime_ns


def _is_image_name(name: str) -> bool:
    return "." + name.rpartition(".")[2].lower() in FORMATS and not name.startswith(".")


def _by_place(source: str, folders: Iterable[tuple[Steps, list[File]]]) -> Found:
    """Files by part and label. Without a train or test folder everything is one part, `all`."""
    listed = [(steps, files) for steps, files in folders if label_of_path(steps, source) is not None]
    parted = [(steps, files) for steps, files in listed if _part_at(steps) is not None]
    roots = {steps[: _part_at(steps)] for steps, _ in parted}
    if len(roots) > 1:
        named = ", ".join("/".join(root) or "." for root in sorted(roots))
        raise InputError(f"{source}: several data sets in one ({named}); give one of them")
    found: Found = {}
    for steps, files in parted or listed:
        at = _part_at(steps)
        part, inner = (ALL, steps) if at is None else (steps[at].lower(), steps[at + 1 :])
        label = label_of_path(steps, source)
        assert label is not None
        prefix = "".join(f"{step}/" for step in inner if label_of(step) is None)
        found.setdefault((part, label), []).extend(
            (prefix + name, item, size, changed) for name, item, size, changed in files
        )
    return found


@lru_cache
def _part_at(steps: Steps) -> int | None:
    return next((at for at, step in enumerate(steps) if step.lower() in PARTS), None)
