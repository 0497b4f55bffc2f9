"""Where images come from: a folder as Kaggle lays it out, parquet files, or the built-in sample."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.data import sample
from cifake_ray.data.decode import FORMATS
from cifake_ray.errors import InputError

# As run.LABELS; a test holds the two together. Importing it would bring pydantic into every decoding process, 0.6 s.
LABELS = ("FAKE", "REAL")
PARTS = ("train", "test")
SAMPLE = "sample"
EXPECTED = "a folder with train/FAKE, train/REAL, test/FAKE and test/REAL, or with *train*.parquet and *test*.parquet"


@dataclass(frozen=True)
class Encoded:
    """One part before decoding, in canonical order (label, name): bytes or file paths; uint8 [n]; unicode [n]."""

    items: list[bytes] | list[str]
    labels: np.ndarray
    names: np.ndarray


@dataclass(frozen=True)
class Source:
    """`identity` changes when the files do (their names, sizes and times). `read` lists or reads them per part."""

    kind: str  # folder | parquet | sample
    identity: str
    read: Callable[[], dict[str, Encoded]]


def find_source(source: str) -> Source:
    """What `source` names: the word `sample` (say `./sample` for a folder of that name) or a folder.

    Raises InputError: missing, a single file, no train or test part, a class missing, a folder that cannot be listed.
    """
    if source == SAMPLE:
        return Source(SAMPLE, f"{SAMPLE} {sample.VERSION}", dict)
    path = Path(source).expanduser()
    if path.is_file():
        raise InputError(f"{source}: a single file; expected {EXPECTED}{_unpack(path)}")
    if not path.is_dir():
        raise InputError(f"{source}: no such data folder; expected {EXPECTED}, or the word sample")
    files = sorted(file for file in _list(path) if file.name.endswith(".parquet"))
    return _parquet_source(source, path, files) if files else _folder_source(source, path)


def _unpack(path: Path) -> str:
    return "; unpack it first" if path.suffix.lower() in (".zip", ".tar", ".gz") else ""


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); give yourself the right to read it"
        ) from error


def _identity(path: Path, files: Iterable[tuple[str, int, int]]) -> str:
    """SHA-256 over the place and every file's (name, size, time of change in ns)."""
    digest = hashlib.sha256(f"{os.fsencode(path.resolve())!r}".encode())
    for name, size, changed in files:
        digest.update(f"{name!r} {size} {changed}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _ordered(items: list[bytes] | list[str], labels: np.ndarray, names: np.ndarray) -> Encoded:
    order = np.lexsort((names, labels))
    return Encoded([items[i] for i in order], labels[order], names[order])


# --- parquet -----------------------------------------------------------------------------------------------------


def _parquet_source(source: str, path: Path, files: list[Path]) -> Source:
    train = [file for file in files if "train" in file.name]
    parts = {"train": train, "test": [file for file in files if "test" in file.name and file not in train]}
    for part, found in parts.items():
        if not found:
            raise InputError(f"{source}: no *{part}*.parquet among {len(files)} parquet files; expected {EXPECTED}")
    stats = [(file.name, file.stat()) for found in parts.values() for file in found]
    identity = _identity(path, ((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))
    return Source("parquet", identity, lambda: {part: _read_parquet(found) for part, found in parts.items()})


def _read_parquet(files: list[Path]) -> Encoded:
    tables = [_read_table(file) for file in files]
    items = [image or b"" for table in tables for image in table["image"]]
    labels = np.concatenate([_labels(table["label"], file) for table, file in zip(tables, files, strict=True)])
    names = np.array([str(name or "") for table in tables for name in table["name"]], dtype=np.str_)
    return _ordered(items, labels, names)


def _read_table(file: Path) -> Mapping[str, list[Any]]:
    """The columns image, label and name as lists. Raises InputError when one is missing or the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["image", "label", "name"]
    try:
        with pq.ParquetFile(file) as opened:
            found = opened.schema_arrow.names
            missing = [name for name in columns if name not in found]
            if missing:
                raise InputError(
                    f"{file}: no column {missing[0]} (found {', '.join(found)}); expected image, label, name"
                )
            table = opened.read(columns)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: cannot be read as parquet ({_first_line(error)}); fetch it again") from error
    if not (pa.types.is_binary(table.schema.field("image").type) or pa.types.is_large_binary(table["image"].type)):
        raise InputError(f"{file}: column image holds {table['image'].type}; expected the bytes of image files")
    return {name: table[name].to_pylist() for name in columns}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _labels(labels: list[Any], file: Path) -> np.ndarray:
    wrong = next((label for label in labels if label not in (0, 1)), None)
    if wrong is not None or None in labels:
        raise InputError(f"{file}: label {wrong!r}; expected 0 (FAKE) or 1 (REAL)")
    return np.array(labels, dtype=np.uint8)


# --- folder ------------------------------------------------------------------------------------------------------


def _folder_source(source: str, path: Path) -> Source:
    listing = {
        (part, label): _class_files(source, path, part, name) for part in PARTS for label, name in enumerate(LABELS)
    }
    stats = ((f"{key} {name}", size, changed) for key, files in listing.items() for name, _, size, changed in files)
    return Source("folder", _identity(path, stats), lambda: {part: _listed(listing, part) for part in PARTS})


Files = list[tuple[str, str, int, int]]  # name, path, bytes, time of change in ns


def _class_files(source: str, path: Path, part: str, label: str) -> Files:
    """The image files of one class, by name. Hidden files and those that no suffix calls an image are left aside."""
    folder = path
    for step in (part, label):
        found = [child for child in _list(folder) if child.name.lower() == step.lower() and child.is_dir()]
        if not found:
            raise InputError(f"{source}: no folder {part}/{label}; expected {EXPECTED}")
        folder = found[0]
    try:
        with os.scandir(folder) as entries:
            files = [
                (entry.name, entry.path, entry.stat().st_size, entry.stat().st_mtime_ns)
                for entry in entries
                if _is_image(entry)
            ]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); give yourself the right to read it"
        ) from error
    return sorted(files)


def _is_image(entry: os.DirEntry[str]) -> bool:
    suffix = "." + entry.name.rpartition(".")[2].lower()
    return suffix in FORMATS and not entry.name.startswith(".") and entry.is_file()


def _listed(listing: dict[tuple[str, int], Files], part: str) -> Encoded:
    files = [(label, file) for label in range(len(LABELS)) for file in listing[part, label]]
    names = [os.fsencode(name).decode("utf-8", "backslashreplace") for _, (name, *_) in files]
    labels = np.array([label for label, _ in files], dtype=np.uint8)
    return _ordered([file[1] for _, file in files], labels, np.array(names, dtype=np.str_))
