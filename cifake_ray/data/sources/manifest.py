"""A manifest: a CSV, TSV or JSONL file that lists pictures with their labels, beside folders or instead of them.

Columns: `path` (of a picture, from the manifest's folder), `label`, and perhaps `part`, `generator`, `source`. A column
that is missing follows from the folders in the path, or from the name of the manifest (`train.csv`).
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cifake_ray.data.decoding.items import Item, Refused
from cifake_ray.data.labels import ALL
from cifake_ray.data.sources.columns import GROUPS, LABEL, PART, PATH, Rows, Value, column_of
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
# Names of manifests in a folder of pictures, besides names of parts; other tables are no manifests.
_NAMES = {"manifest", "metadata", "labels", "index", "annotations", "images", "dataset"}
_NUMBER = re.compile(r"-?\d+")
_HEAD = 1 << 16  # characters that are read to find the columns


def is_table(path: Path) -> bool:
    """Whether the file's name ends as a manifest's does."""
    return path.suffix.lower() in SUFFIXES


def find_manifests(root: Path, reading: Reading) -> list[Path]:
    """The manifests in a folder: tables by name (`manifest.csv`, `train.tsv`) with columns of paths and labels."""
    return [file for file in sorted(root.iterdir()) if is_manifest(file, reading)]


def is_manifest(file: Path, reading: Reading) -> bool:
    """Whether this is a manifest by its name and columns; a pipe, whose reading may never end, is none."""
    return is_table(file) and _is_named(file, reading) and file.is_file() and _lists(file)


def _is_named(file: Path, reading: Reading) -> bool:
    words = set(re.split(r"[^a-z]+", file.stem.casefold()))
    return bool(words & _NAMES) or reading.part_in(file.stem) is not None


def _lists(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            columns = _records(file, stream.read(_HEAD), some=True)
    except (OSError, ValueError):
        return False
    there = [key for record in columns for key in record]
    return all(column_of(wanted, there) is not None for wanted in (PATH, LABEL))


def read_manifests(files: Sequence[Path], reading: Reading) -> tuple[list[Rows], list[Left]]:
    """The rows of these manifests, and the rows that name no picture. Raises InputError: damaged, no such column."""
    tables, left = [], []
    for file in files:
        rows, nameless = _rows(file, reading)
        tables.append(rows)
        left += left_for("rows of a manifest without a path", [f"{file.name} row {row}" for row in nameless])
    return tables, left


def _rows(file: Path, reading: Reading) -> tuple[Rows, list[int]]:
    records = _read(file)
    columns = list(dict.fromkeys(key for record in records for key in record))
    path, label, part = (column_of(wanted, columns) for wanted in (PATH, LABEL, PART))
    if path is None:
        raise InputError(f"{file}: no column path (found {', '.join(columns) or 'none'})", "expected path,label,part")
    nameless = [row for row, record in enumerate(records, 1) if not record.get(path)]
    records = [record for record in records if record.get(path)]
    paths = [str(record[path]).replace("\\", "/") for record in records]
    found = [_locate(file.parent, one) for one in paths]
    groups = {group: column for group, wanted in GROUPS.items() if (column := column_of(wanted, columns)) is not None}
    labels = None if label is None else [_value(record.get(label)) for record in records]
    rows = Rows(
        file=str(file),
        items=[item for item, _ in found],
        names=paths,
        parts=[_part(file, one, record.get(part or ""), reading) for one, record in zip(paths, records, strict=True)],
        labels=labels,
        named=labels is not None and any(isinstance(value, str) for value in labels),
        groups={group: [_value(record.get(column)) for record in records] for group, column in groups.items()},
        sizes=[size for _, size in found],
        told=[reading.label(PurePosixPath(one).parts[:-1], str(file)) for one in paths] if label is None else None,
    )
    return rows, nameless


def _part(file: Path, path: str, told: Any, reading: Reading) -> str:
    """The part by the row itself, else by the folders in its path, else by the manifest's name."""
    if told not in (None, ""):
        part = reading.part(str(told))
        if part is None:
            raise InputError(
                f"{file}: part {told!r} of {path}",
                f"expected train, validation or test, or map the name by data.parts: {{{told}: train}}",
            )
        return part
    steps = (reading.part(step) for step in PurePosixPath(path).parts[:-1])
    return next((part for part in steps if part is not None), None) or reading.part_in(file.stem) or ALL


def _locate(folder: Path, path: str) -> tuple[Item, tuple[int, int]]:
    """The place of a picture; its size in bytes and time of change in ns."""
    place = folder / path
    try:
        status = place.stat()
    except OSError as error:
        return Refused(f"cannot be read ({error.strerror})"), (0, 0)
    except ValueError as error:  # a null character
        return Refused(f"cannot be read ({error})"), (0, 0)
    if not place.is_file():
        return Refused("no regular file"), (0, 0)
    return str(place), (status.st_size, status.st_mtime_ns)


def _value(value: Any) -> Value:
    """A cell: text, or a number where the text is one; booleans and nested values count as text."""
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    return int(text) if _NUMBER.fullmatch(text) else text


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        return _records(file, file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text", "save it as UTF-8") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as a manifest ({error})", "expected path,label,part") from error


def _records(file: Path, text: str, *, some: bool = False) -> list[dict[str, Any]]:
    """The rows by column; with `some` the first row alone, from the beginning of a file."""
    if file.suffix.lower() in (".jsonl", ".ndjson"):
        lines = [line for line in text.split("\n") if line.strip()][: 1 if some else None]
        records = [json.loads(line) for line in lines]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("a line is no object")
        return records
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    if some:
        return [dict.fromkeys(reader.fieldnames or ())]
    return [{key: value for key, value in row.items() if key is not None} for row in reader]
