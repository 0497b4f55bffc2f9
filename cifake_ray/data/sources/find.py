"""Where images come from: a folder or zip as Kaggle lays them out, parquet files, or the built-in sample."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cifake_ray.console import printable
from cifake_ray.data.datasets import sample
from cifake_ray.data.decoding.decode import Item
from cifake_ray.data.labels import ALL, LABELS, PARTS, VALIDATION, label_of, part_of
from cifake_ray.data.sources.folders import File, Found, Listing, files_beside, list_folder, list_zip, split_parts
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.parquet import find_parquet, read_parquet
from cifake_ray.errors import InputError
from cifake_ray.storage import mirror
from cifake_ray.storage.cache import locked

SAMPLE = "sample"
EXPECTED = (
    "a folder or zip file with train/FAKE, train/REAL, test/FAKE and test/REAL, or a folder with *train*.parquet and "
    "*test*.parquet"
)


@dataclass(frozen=True)
class Encoded:
    """One part before decoding, in canonical order (label, name): what to decode; uint8 [n]; unicode [n]."""

    items: list[Item]
    labels: np.ndarray
    names: np.ndarray


@dataclass(frozen=True)
class Contents:
    """What a source holds: the encoded pictures of each part, and what is not used of it."""

    parts: dict[str, Encoded] = field(default_factory=dict)
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class Source:
    """`identity` changes when the files do (their names, sizes and times). `read` lists or reads them.

    `beside`: what is not used, where that is known before `read`; files that are not used do not change the identity.
    """

    kind: str  # folder | zip | parquet | sample
    identity: str
    read: Callable[[], Contents]
    beside: tuple[Left, ...] | None = None


def find_source(source: str, *, needed: Collection[str] = PARTS) -> Source:
    """What `source` names: the word `sample` (say `./sample` for a folder of that name), a folder, a zip file
    or the folder that holds it; of these also one in object storage (`s3://…`), which is fetched into the cache.

    `needed`: the parts it must have. None needed: whatever is there, under the name `all` if nobody has split it.

    Raises InputError: missing, a file of another kind, no train or test part, a class missing, a folder that cannot be
    listed. A zip file's parts are looked at by `read`.
    """
    mirror.check_place(source, "--data")
    if source == SAMPLE:
        return Source(SAMPLE, f"{SAMPLE} {sample.VERSION}", Contents)
    path = _fetched(source) if mirror.is_remote(source) else Path(source).expanduser()
    if path.is_file():
        return _zip_source(source, path, needed)
    if path.exists() and not path.is_dir():
        raise InputError(f"{source}: no regular file; expected {EXPECTED}, or the word sample")
    if not path.is_dir():
        raise InputError(f"{source}: no such data folder; expected {EXPECTED}, or the word sample")
    zips = sorted(path.glob("*.zip"))
    if zips and not any(child.is_dir() and child.name[0] != "." for child in path.iterdir()):
        if len(zips) > 1:
            names = ", ".join(printable(file.name) for file in zips[:4])
            raise InputError(f"{source}: {len(zips)} zip files ({names}); give one of them")
        return _zip_source(source, zips[0], needed, files_beside(path, zips))  # as `data fetch` leaves it
    return _parquet_source(source, path, needed) or _folder_source(source, path, needed)


def refuse_undivided(source: str) -> None:
    """Raise InputError, as `find_source` does, for a folder whose own folders name classes and no part.

    Lists that folder alone, so that a study may be refused before anything is said of it; other sources are not read.
    """
    folder = Path(source).expanduser()
    if source == SAMPLE or mirror.is_remote(source) or not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return
    names = [child.name for child in folder.iterdir() if child.is_dir()]
    if any(label_of(name) is not None for name in names) and not any(part_of(name) for name in names):
        find_source(source)


def _fetched(url: str) -> Path:
    """The cache's mirror of a folder, or the folder that holds the mirror of a zip file."""
    folder = mirror.mirror(url, "fetched")  # apart from runs at the same address: what is not there is removed
    with locked(folder):
        mirror.fetch(url, folder, exactly=True)
    return folder


def _identity(path: Path, files: Iterable[tuple[str, int, int]]) -> str:
    """SHA-256 over the place and every file's (name, size, time of change in ns)."""
    digest = hashlib.sha256(f"{os.fsencode(path.resolve())!r}".encode())
    for name, size, changed in files:
        digest.update(f"{name!r} {size} {changed}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _zip_source(source: str, path: Path, needed: Collection[str], beside: Sequence[Left] = ()) -> Source:
    if not zipfile.is_zipfile(path):
        broken = " or not all of one; download it again" if path.suffix.lower() == ".zip" else ""
        raise InputError(f"{source}: a file that is no zip archive{broken}; expected {EXPECTED}")
    status = path.stat()
    identity = _identity(path, [(path.name, status.st_size, status.st_mtime_ns)])
    return Source("zip", identity, lambda: _contents(source, list_zip(source, path), needed, beside))


def _folder_source(source: str, path: Path, needed: Collection[str]) -> Source:
    contents = _checked(source, list_folder(source, path), needed)
    files = ((key, file) for key, of_part in contents.found.items() for file in of_part)
    stats = ((f"{key} {name}", size, changed) for key, (name, _, size, changed) in files)
    left = tuple(contents.left)
    return Source("folder", _identity(path, stats), lambda: Contents(_parts(contents.found), left), left)


def _no_part(source: str, lacking: str, listing: Listing) -> InputError:
    """The refusal of a source that lacks the folder `lacking`, such as `test/FAKE`."""
    if {part for part, _ in listing.found} == {ALL}:
        return InputError(
            f"{source}: its FAKE and REAL images are not divided into train and test; move every fifth of each class "
            f"below test/, the others below train/; expected {EXPECTED}"
        )
    there = ", ".join(dict.fromkeys(f"{part}/{LABELS[label]}" for part, label in listing.found)) or "none"
    return InputError(f"{source}: no folder {lacking} (class folders found: {there}); expected {EXPECTED}")


def _contents(source: str, listing: Listing, needed: Collection[str], beside: Sequence[Left]) -> Contents:
    checked = _checked(source, listing, needed)
    return Contents(_parts(checked.found), (*checked.left, *beside))


def _checked(source: str, listing: Listing, needed: Collection[str]) -> Listing:
    """What was found of the parts that are needed; a validation part beside them is not used."""
    found, unused = split_parts(listing.found) if needed else (listing.found, [])
    for part in needed:
        for label, name in enumerate(LABELS):
            if (part, label) not in found:
                raise _no_part(source, f"{part}/{name}", listing)
    if not found:
        raise InputError(f"{source}: no folder FAKE or REAL; expected one of images of each, or {EXPECTED}")
    parts = [part for part in (*PARTS, VALIDATION, ALL) if not needed or part in needed]
    keys = [(part, label) for part in parts for label in range(len(LABELS))]
    return Listing({key: sorted(found[key], key=_by_name) for key in keys if key in found}, [*listing.left, *unused])


def _by_name(file: File) -> str:
    return file[0]


def _parts(found: Found) -> dict[str, Encoded]:
    parts: dict[str, Encoded] = {}
    for part in dict.fromkeys(part for part, _ in found):
        files = [(label, file) for label in range(len(LABELS)) for file in found.get((part, label), [])]
        labels = np.array([label for label, _ in files], dtype=np.uint8)
        names = np.array([name for _, (name, *_) in files], dtype=np.str_)
        parts[part] = _ordered([file[1] for _, file in files], labels, names)
    return parts


def _parquet_source(source: str, path: Path, needed: Collection[str]) -> Source | None:
    """None when there are no parquet files."""
    try:
        parts = find_parquet(path)
    except OSError as error:
        raise InputError(
            f"{source}: cannot be listed ({error.strerror}); give yourself the right to read it"
        ) from error
    if not parts:
        return None
    for part in needed:
        if part not in parts:
            count = sum(map(len, parts.values()))
            raise InputError(
                f"{source}: no *{part}*.parquet among {count} parquet files; a study needs a train part, and a test "
                "part that nothing was chosen by"
            )
    unused = {part: files for part, files in parts.items() if needed and part not in needed}
    left = left_for(
        "parquet files of a part that is not used", (file.name for files in unused.values() for file in files)
    )
    left += files_beside(path, [file for files in parts.values() for file in files])
    parts = {part: files for part, files in parts.items() if part not in unused}
    stats = [(str(file.relative_to(path)), file.stat()) for found in parts.values() for file in found]
    identity = _identity(path, ((name, status.st_size, status.st_mtime_ns) for name, status in stats))

    def read(files: list[Path]) -> Encoded:
        images, labels, names = read_parquet(files)
        return _ordered([*images], labels, names)

    beside = tuple(left)
    return Source(
        "parquet", identity, lambda: Contents({part: read(files) for part, files in parts.items()}, beside), beside
    )


def _ordered(items: list[Item], labels: np.ndarray, names: np.ndarray) -> Encoded:
    order = np.lexsort((names, labels))
    return Encoded([items[i] for i in order], labels[order], names[order])
