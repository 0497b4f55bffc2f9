"""Images in parquet files: this project's layout (image, label, name), and what Hugging Face `datasets` writes.

Labels of the second are read by name: what the ClassLabel in the file's metadata calls them, or text. Never by number,
because copies of CIFAKE exist with FAKE as 0 and others with FAKE as 1.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from cifake_ray.console import printable
from cifake_ray.data.labels import ALL, PARTS, VALIDATION, WORDS, label_of, part_in
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS

# `train-00000-of-00002.parquet`, with the hash that older `datasets` appended, or with underscores.
_SHARD = re.compile(r"^(.*?)[-_.]?(\d+)[-_]of[-_](\d+)(?:[-_][0-9a-f]+)?\.parquet$", re.IGNORECASE)
Rows = tuple[list[bytes], np.ndarray, np.ndarray]  # encoded images, labels uint8 [n], names unicode [n]


def find_parquet(root: Path) -> dict[str, list[Path]]:
    """The parquet files in `root` and the folders in it, by part: what file or folder name says train or test."""
    found = sorted(
        file for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet") for file in root.glob(pattern)
        if not any(step.startswith(".") for step in file.relative_to(root).parts)
    )  # fmt: skip
    parts: dict[str, list[Path]] = {}
    for file in found:
        parts.setdefault(_part_of(file.relative_to(root)), []).append(file)
    for part, files in parts.items():
        for folder in dict.fromkeys(file.parent for file in files):
            _check_shards(root, part, [file for file in files if file.parent == folder])
    return {part: parts[part] for part in (*PARTS, VALIDATION, ALL) if part in parts}


def _part_of(path: Path) -> str:
    named = (part_in(PurePath(step).stem if step == path.name else step) for step in reversed(path.parts))
    return next((part for part in named if part is not None), ALL)


def _check_shards(root: Path, part: str, files: list[Path]) -> None:
    """Raise InputError when names of one folder say `-00000-of-00003` and not each of the three is there once."""
    shards: dict[str, list[tuple[int, int]]] = {}
    for file in files:
        if match := _SHARD.match(file.name):
            shards.setdefault(match[1], []).append((int(match[2]), int(match[3])))
    for split, named in shards.items():
        numbers, total = {number for number, _ in named}, max(of for _, of in named)
        whole = any(file.stem == split for file in files)  # the same split, written as one file too
        if whole or len(numbers) < len(named) or len({of for _, of in named}) > 1:
            names = ", ".join(printable(file.name) for file in files[:4])
            raise InputError(f"{root}: the {part} part mixes files of several splits ({names}); keep those of one")
        first = 1 if total in numbers else 0  # some count from 1
        if missing := sorted(set(range(first, first + total)) - numbers):
            have = f"{len(numbers)} of {total} parquet files"
            raise InputError(f"{root}: the {part} part is {have}, number {missing[0]} is missing; fetch it")


def read_parquet(files: list[Path]) -> Rows:
    """All rows of the files. Without names of their own, rows are called by their number, and tell no subject.

    Raises InputError: damaged, a column missing or of another type, labels that have no name.
    """
    images: list[bytes] = []
    labels: list[np.ndarray] = []
    names: list[str] = []
    for file in files:
        table = _read_table(file)
        images += _images(table.column("image"), file)
        labels.append(_labels(table, file))
        names += _names(table, len(names))
    return images, np.concatenate(labels), np.array(names, dtype=np.str_)


def _read_table(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            found = opened.schema_arrow.names
            missing = [name for name in ("image", "label") if name not in found]
            if missing:
                raise InputError(
                    f"{file}: no column {missing[0]} (found {', '.join(found)}); expected image, label and perhaps name"
                )
            return opened.read([name for name in ("image", "label", "name") if name in found])
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file}: cannot be read as parquet ({reason}); fetch it again") from error


def _images(column: Any, file: Path) -> list[bytes]:
    """The encoded images: from binary, or from the struct (bytes, path) of `datasets`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [image or b"" for image in column.to_pylist()]
    raise InputError(f"{file}: column image holds {kind}; expected the bytes of image files")


def _names(table: Any, start: int) -> list[str]:
    """The column `name`, else the file names in the images' paths, else `row 0000007`."""
    if "name" in table.column_names:
        return [str(name or "") for name in table.column("name").to_pylist()]
    import pyarrow as pa
    import pyarrow.compute as pc

    images = table.column("image")
    paths = [None] * len(images)
    if pa.types.is_struct(images.type) and images.type.get_field_index("path") >= 0:
        paths = pc.struct_field(images, "path").to_pylist()
    return [Path(path).name if path else f"row {start + row:07d}" for row, path in enumerate(paths)]


def _labels(table: Any, file: Path) -> np.ndarray:
    values = table.column("label").to_pylist()
    meaning = _meaning(table, file)
    labels = [meaning(value) for value in values]
    if None in labels:
        raise InputError(f"{file}: label {values[labels.index(None)]!r}; expected {' or '.join(LABELS)} ({WORDS})")
    return np.array(labels, dtype=np.uint8)


def _meaning(table: Any, file: Path) -> Callable[[Any], int | None]:
    """What the values of the column `label` mean: 0 FAKE, 1 REAL, None unknown."""
    import pyarrow as pa

    kind = table.schema.field("label").type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return lambda value: label_of(value) if isinstance(value, str) else None
    names = _class_names(table)
    if names is not None:
        by_number = [label_of(str(name)) for name in names]
        return lambda value: by_number[value] if isinstance(value, int) and 0 <= value < len(by_number) else None
    if "name" not in table.column_names or pa.types.is_struct(table.schema.field("image").type):
        raise InputError(
            f"{file}: label is a number and nothing says which is FAKE; expected ClassLabel names in the file's "
            "Hugging Face metadata, labels as text, or the columns image, label (0 FAKE, 1 REAL) and name"
        )
    return lambda value: value if value in (0, 1) else None


def _class_names(table: Any) -> list[str] | None:
    """The names of the column `label` in the metadata that `datasets` writes into a parquet file."""
    try:
        noted = json.loads((table.schema.metadata or {})[b"huggingface"])
        names = noted["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) else None
