"""Sources of images: a folder, an archive, parquet or Arrow files, a manifest, or a built-in sample."""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cifake_ray.console import printable
from cifake_ray.data.datasets import sample, sample_native
from cifake_ray.data.decoding.items import Item
from cifake_ray.data.labels import PARTS
from cifake_ray.data.sources.archives import Unpacked, check_whole, is_archive, tar_folders, unpack_tar, zip_folders
from cifake_ray.data.sources.beside import left_beside, other_sets
from cifake_ray.data.sources.columns import labelled
from cifake_ray.data.sources.folders import File, Walk
from cifake_ray.data.sources.layouts import Found, Listing, by_layout
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.manifest import find_manifests, is_table, read_manifests
from cifake_ray.data.sources.parquet import find_tables, read_rows, table_folders
from cifake_ray.data.sources.parts import EXPECTED, chosen_parts
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES
from cifake_ray.runs.columns import LABELS
from cifake_ray.storage import mirror
from cifake_ray.storage.cache import cache_root, locked

SAMPLE, SAMPLE_NATIVE = SAMPLES
Stat = tuple[str, int, int]  # a file's name, size in bytes, time of change in ns
_SHOWN = 4  # folders of tables that a line names
_RULES = 2  # of reading a source: raise the number when the same files are read as other pictures, parts or labels


@dataclass(frozen=True)
class Encoded:
    """One part before decoding, in canonical order (label, name): what to decode; uint8 [n]; unicode [n].

    groups: column to one value a picture, "" where the source names none. held: keeps the file of the items.
    """

    items: list[Item]
    labels: np.ndarray
    names: np.ndarray
    groups: dict[str, list[str]] = field(default_factory=dict)
    held: Unpacked | None = None


@dataclass(frozen=True)
class Contents:
    """Contents of a source: the encoded pictures of each part, unused files, conclusions from the layout."""

    parts: dict[str, Encoded] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A source. `identity` changes with the files (names, sizes, times) and the reading. `read` lists the pictures.

    `beside`: unused files, where known before `read`; unused files do not change the identity.
    `earlier`: the identity of these files in version 0.1; "" where version 0.1 would not have read the files.
    """

    kind: str  # folder | zip | tar | parquet | manifest | sample | sample-native
    identity: str
    read: Callable[[], Contents]
    beside: tuple[Left, ...] | None = None
    reading: Reading = PLAIN
    earlier: str = ""


def find_source(source: str, *, needed: Collection[str] = PARTS, reading: Reading = PLAIN) -> Source:
    """The source that `source` names: the word `sample` or `sample-native` (`./sample` is a folder of that name), a
    folder, an archive or the archive's folder, a manifest. A source in object storage (`s3://…`) is fetched into the
    cache.

    `needed`: the parts that the source must have; empty: every part found, or one part `all` of images not split.

    Raises InputError: missing, a file of another kind, no train or test part, a class missing, a folder that cannot be
    listed. The parts of an archive are checked by `read`.
    """
    mirror.check_place(source, "--data")
    if source in SAMPLES:
        return _built_in(source, reading)
    path = _fetched(source) if mirror.is_remote(source) else Path(source).expanduser()
    request = _Request(source, path, needed, reading)
    if path.is_file():
        return _manifest_source(request, [path]) if is_table(path) else _archive_source(request, path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{source}: no regular file", f"expected {EXPECTED}, or the word {' or '.join(SAMPLES)}")
    if not path.is_dir():
        raise InputError(f"{source}: no such data folder", f"expected {EXPECTED}, or the word {' or '.join(SAMPLES)}")
    try:
        return _in_folder(request)
    except OSError as error:
        raise InputError(
            f"{source}: cannot be listed ({error.strerror})", "grant yourself the right to read the folder"
        ) from error


def _built_in(source: str, reading: Reading) -> Source:
    """One of the samples. The sample of 32 px has no encoded pictures; `read` draws the one of native sizes: 6 s."""
    if reading.test_fraction is not None:
        raise InputError(f"{source}: data.test_fraction: the source has a test part of its own", "remove the key")
    drawing, read = (sample, Contents) if source == SAMPLE else (sample_native, _native_sample)
    return Source(source, f"{source} {drawing.VERSION}{reading.key}", read, (), reading)


def _native_sample() -> Contents:
    found: Found = {}
    for one in sample_native.build_sample_native():
        name = one.path.split("/", 2)[2]  # without part and class
        file = File(name, one.data, len(one.data), groups=(("generator", one.generator),))
        found.setdefault((one.part, one.label), []).append(file)
    return Contents(encoded_parts(found))


@dataclass(frozen=True)
class _Request:
    """A request: the source as the user typed it, the local path, the needed parts, and how to read the source."""

    source: str
    path: Path
    needed: Collection[str]
    reading: Reading

    def contents(self, listing: Listing, beside: Sequence[Left] = ()) -> Contents:
        """The listing's pictures of the parts needed. Raises InputError when a part or class is missing."""
        found, unused = chosen_parts(self.source, listing, self.needed, self.reading)
        return Contents(encoded_parts(found), (*listing.left, *unused, *beside), listing.said)

    def identity(self, files: Iterable[Stat], place: Path | None = None) -> str:
        """SHA-256 over the path, the rules of reading, and every file."""
        return _digest_of(f"{os.fsencode((place or self.path).resolve())!r} {_RULES} {self.reading.key}\n", files)

    def earlier(self, files: Iterable[Stat], place: Path | None = None) -> str:
        """The identity of version 0.1, which read every source in one way."""
        return "" if self.reading.key else _digest_of(f"{os.fsencode((place or self.path).resolve())!r}", files)


def _digest_of(first: str, files: Iterable[Stat]) -> str:
    digest = hashlib.sha256(first.encode())
    for name, size, changed in files:
        digest.update(f"{name!r} {size} {changed}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _in_folder(request: _Request) -> Source:
    path = request.path
    archives = sorted(file for file in path.iterdir() if file.is_file() and is_archive(file))
    if archives and not any(child.is_dir() and child.name[0] != "." for child in path.iterdir()):
        if len(archives) > 1:
            names = ", ".join(printable(file.name) for file in archives[:4])
            raise InputError(f"{request.source}: {len(archives)} archives ({names})", "give one of them")
        return _archive_source(
            request, archives[0], left_beside(path, archives, request.reading, archives[0].name)
        )  # as `data fetch` leaves it
    if manifests := find_manifests(path, request.reading):
        return _manifest_source(request, manifests)
    return _table_source(request) or _folder_source(request)


def refuse_undivided(source: str, reading: Reading) -> None:
    """Raise InputError, as `find_source` does, for a folder whose own folders name classes and no part.

    Only that folder is listed, so that a study is refused before any output; other sources are not read.
    """
    folder = Path(source).expanduser()
    if source in SAMPLES or mirror.is_remote(source):
        return
    if not folder.exists():
        find_source(source, reading=reading)
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return
    names = [child.name for child in folder.iterdir() if child.is_dir()]
    if any(map(reading.names_class, names)) and not any(map(reading.part, names)):
        find_source(source, reading=reading)


def _fetched(url: str) -> Path:
    """The cache's mirror of a folder, or the folder that holds the mirror of a zip file."""
    folder = mirror.mirror(url, "fetched")  # apart from runs at the same address, as `exactly` removes files
    with locked(folder):
        mirror.fetch(url, folder, exactly=True)
    return folder


def _archive_source(request: _Request, path: Path, beside: Sequence[Left] = ()) -> Source:
    source = request.source
    check_whole(source, path)
    kind = "zip" if zipfile.is_zipfile(path) else "tar" if _is_tar(path) else None
    if kind is None:
        broken = " or not all of one; download it again" if is_archive(path) else ""
        raise InputError(f"{source}: a file that is no zip or tar archive{broken}", f"expected {EXPECTED}")
    status = path.stat()

    def read() -> Contents:
        unpacked = unpack_tar(source, path, cache_root() / "unpacked") if kind == "tar" else None
        plain = unpacked.path if unpacked is not None else path
        folders = zip_folders(source, path) if kind == "zip" else tar_folders(source, plain)
        listing = by_layout(source, path.name.partition(".")[0], folders, request.reading)
        inside = other_sets(None, listing.unused, request.reading, listing.root)
        contents = request.contents(listing, (*inside, *beside))
        parts = {part: replace(encoded, held=unpacked) for part, encoded in contents.parts.items()}
        return replace(contents, parts=parts)

    files = [(path.name, status.st_size, status.st_mtime_ns)]
    earlier = request.earlier(files, path) if kind == "zip" else ""
    return Source(kind, request.identity(files, path), read, reading=request.reading, earlier=earlier)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except OSError:
        return False


def _folder_source(request: _Request) -> Source:
    folders = Walk(request.source, request.reading).folders(request.path)
    listing = by_layout(request.source, request.path.resolve().name, folders, request.reading)
    found, unused = chosen_parts(request.source, listing, request.needed, request.reading)
    beside = other_sets(request.path, listing.unused, request.reading, listing.root)
    contents = Contents(encoded_parts(found), (*beside, *listing.left, *unused), listing.said)
    stats = [(f"{key} {file.name}", file.size, file.changed) for key, files in found.items() for file in files]
    identity, earlier = request.identity(stats), request.earlier(stats)
    return Source("folder", identity, lambda: contents, contents.left, request.reading, earlier)


def _manifest_source(request: _Request, manifests: Sequence[Path]) -> Source:
    """The pictures that manifests list. Other files of a folder are unused; files beside a single manifest are not."""
    tables, left = read_manifests(manifests, request.reading)
    found, unused = chosen_parts(
        request.source, Listing(labelled(tables, request.reading)), request.needed, request.reading
    )
    if request.path.is_dir():
        listed = [Path(file.item) for files in found.values() for file in files if isinstance(file.item, str)]
        taken = " and ".join(printable(file.name) for file in manifests)
        left += left_beside(request.path, [*listed, *manifests], request.reading, taken)
    contents = Contents(encoded_parts(found), (*left, *unused))
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in manifests]
    stats += [(f"{key} {file.name}", file.size, file.changed) for key, files in found.items() for file in files]
    return Source("manifest", request.identity(stats), lambda: contents, contents.left, request.reading)


def _table_source(request: _Request) -> Source | None:
    """The source in parquet or Arrow files of pictures; None without such files."""
    parts, others = find_tables(request.path, request.reading)
    if not parts:
        if others and not any(child.is_dir() for child in request.path.iterdir()):
            raise InputError(
                f"{others[0]}: no column of images, as image, img or image_data",
                "expected image, label and perhaps name",
            )
        return None
    # Labels are read with the rows: a file with one row of each class stands for a part's classes until then.
    there = Listing({(part, label): [File(part, b"")] for part in parts for label in range(len(LABELS))})
    chosen, _ = chosen_parts(request.source, there, request.needed, request.reading)
    taken = {file.name for files in chosen.values() for file in files}
    used = [(part, file) for part, files in parts.items() if part in taken for file in files]
    unused = [file.name for part, files in parts.items() if part not in taken for file in files]
    left = left_for("files of a part that is not used", unused)
    every = [file for files in parts.values() for file in files]
    folders = table_folders(request.path, every, request.reading)
    shown = ", ".join(map(printable, folders[:_SHOWN])) + (", …" if len(folders) > _SHOWN else "")
    together = "its tables" if folders == ["."] else f"the tables in {shown}"
    left += left_beside(request.path, every, request.reading, together)
    said = (f"the tables in {len(folders)} folders are taken together: {shown}",) if len(folders) > 1 else ()
    stats = [(part, str(file.relative_to(request.path)), file.stat()) for part, file in used]
    identity = request.identity((f"{part} {name}", one.st_size, one.st_mtime_ns) for part, name, one in stats)
    earlier = request.earlier((name, one.st_size, one.st_mtime_ns) for _, name, one in stats)

    def read() -> Contents:
        return request.contents(Listing(labelled(read_rows(used), request.reading), said=said), left)

    return Source("parquet", identity, read, tuple(left), request.reading, earlier)


def encoded_parts(found: Found) -> dict[str, Encoded]:
    """The pictures of each part in canonical order, with their groups."""
    columns = sorted({column for files in found.values() for file in files for column, _ in file.groups})
    return {part: _part(found, part, columns) for part in dict.fromkeys(part for part, _ in found)}


def _part(found: Found, part: str, columns: Sequence[str]) -> Encoded:
    files = [(label, file) for label in range(len(LABELS)) for file in found.get((part, label), [])]
    labels = np.array([label for label, _ in files], dtype=np.uint8)
    names = np.array([file.name for _, file in files], dtype=np.str_)
    order = np.lexsort((names, labels)).tolist()
    told = [dict(files[at][1].groups) for at in order] if columns else []
    groups = {column: [one.get(column, "") for one in told] for column in columns}
    return Encoded([files[at][1].item for at in order], labels[order], names[order], groups)
