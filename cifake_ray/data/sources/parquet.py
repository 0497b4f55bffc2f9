"""Images in parquet files, and in the Arrow files that `datasets.save_to_disk` writes: files by part, and their rows.

Columns have the names of this project's layout (image, label, name) or of copies on the hub (`img`, `image_data`,
`labels`, `generator`, `model`, `Label_B`, …): see columns.py.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from cifake_ray.console import printable
from cifake_ray.data.decoding.cells import Cell, group_sizes, is_parquet, open_table
from cifake_ray.data.labels import ALL, PARTS, VALIDATION
from cifake_ray.data.sources.columns import GROUPS, IMAGE, LABEL, NAME, Rows, Value, column_of
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

# `train-00000-of-00002.parquet`, with the hash that older `datasets` appended, or with underscores.
_SHARD = re.compile(r"^(.*?)[-_.]?(\d+)[-_]of[-_](\d+)(?:[-_][0-9a-f]+)?\.(?:parquet|arrow)$", re.IGNORECASE)
_DEPTHS = ("", "*/", "*/*/")
TABLE_SUFFIXES = (".parquet", ".arrow")


def find_tables(root: Path, reading: Reading) -> tuple[dict[str, list[Path]], list[Path]]:
    """The files of pictures in `root` and the folders in it, by part; and files without pictures, which are no source.

    The part follows from `data.parts`, the file's or a folder's name. Raises InputError: numbered files of which one
    is missing, a damaged file.
    """
    patterns = [f"{depth}*{suffix}" for suffix in TABLE_SUFFIXES for depth in _DEPTHS]
    found = sorted(
        file for pattern in patterns for file in root.glob(pattern)
        if file.is_file()  # reading a pipe may never end
        and not any(step.startswith(".") or step.startswith("cache-") for step in file.relative_to(root).parts)
    )  # fmt: skip
    pictures = [file for file in found if _has_images(file)]
    parts: dict[str, list[Path]] = {}
    for file in pictures:
        parts.setdefault(_part_of(file.relative_to(root), reading), []).append(file)
    for part, files in parts.items():
        for folder in dict.fromkeys(file.parent for file in files):
            _check_shards(root, part, [file for file in files if file.parent == folder])
    order = [part for part in (*PARTS, VALIDATION, ALL) if part in parts]
    return {part: parts[part] for part in order}, [file for file in found if file not in set(pictures)]


def has_pictures(file: Path) -> bool:
    """Whether a file is a readable table with a column of images."""
    try:
        return file.is_file() and _has_images(file)
    except InputError:
        return False


def _has_images(file: Path) -> bool:
    return column_of(IMAGE, _columns(file)) is not None


def table_folders(root: Path, files: Iterable[Path], reading: Reading) -> list[str]:
    """The folders of these files below `root`, without folders that name a part; "." for the root itself."""
    steps = (file.relative_to(root).parts[:-1] for file in files)
    return sorted({"/".join(step for step in of_file if reading.part_in(step) is None) or "." for of_file in steps})


def _part_of(path: Path, reading: Reading) -> str:
    names = [*path.parts[:-1], _stem(path)]
    return next((part for name in reversed(names) if (part := reading.part_in(name)) is not None), ALL)


def _stem(path: PurePath) -> str:
    """`train` for train-00000-of-00002.parquet."""
    return match[1] if (match := _SHARD.match(path.name)) else path.stem


def _check_shards(root: Path, part: str, files: list[Path]) -> None:
    """Raise InputError when names of one folder say `-00000-of-00003` and not each of the three exists once."""
    shards: dict[str, list[tuple[int, int]]] = {}
    for file in files:
        if match := _SHARD.match(file.name):
            shards.setdefault(match[1], []).append((int(match[2]), int(match[3])))
    for split, named in shards.items():
        numbers, total = {number for number, _ in named}, max(of for _, of in named)
        whole = any(file.stem == split for file in files)  # the same split, written as one file too
        if whole or len(numbers) < len(named) or len({of for _, of in named}) > 1:
            names = ", ".join(printable(file.name) for file in files[:4])
            raise InputError(f"{root}: the {part} part mixes files of several splits ({names})", "keep those of one")
        first = 1 if total in numbers else 0  # some count from 1
        if missing := sorted(set(range(first, first + total)) - numbers):
            have = f"{len(numbers)} of {total} {files[0].suffix[1:]} files"
            raise InputError(f"{root}: the {part} part is {have}, number {missing[0]} is missing", "fetch it")


def read_rows(files: Iterable[tuple[str, Path]]) -> list[Rows]:
    """All rows of these (part, file). Rows without file names are named by their number in the part.

    Raises InputError: damaged, images of another type.
    """
    start: dict[str, int] = {}
    tables = []
    for part, file in files:
        rows = _rows(file, part, start.get(part, 0))
        start[part] = start.get(part, 0) + len(rows.items)
        tables.append(rows)
    return tables


def _rows(file: Path, part: str, start: int) -> Rows:
    schema = _schema(file)
    image, label, name = (column_of(wanted, schema.names) for wanted in (IMAGE, LABEL, NAME))
    groups = {group: found for group, wanted in GROUPS.items() if (found := column_of(wanted, schema.names))}
    assert image is not None  # find_tables chose the file by the column
    _check_images(schema.field(image).type, file)
    table = _read(file, list(dict.fromkeys(filter(None, (label, name, *groups.values())))))
    items = _cells(file, image)
    values, named = _values(table, label) if label is not None else (None, False)
    plain = (image, label, name) == ("image", "label", "name") and not _is_struct(schema.field(image).type)
    return Rows(
        file=str(file),
        items=[*items],
        names=_names(file, image, len(items), start) if name is None else _texts(table, name),
        parts=[part] * len(items),
        labels=values,
        named=named,
        own=plain,
        groups={group: _values(table, column)[0] for group, column in groups.items()},
    )


def _columns(file: Path) -> list[str]:
    return [str(name) for name in _schema(file).names]


def _schema(file: Path) -> Any:
    try:
        opened = open_table(file)
        return opened.schema_arrow if is_parquet(file) else opened.schema
    except _faults() as error:
        raise _damaged(file, error) from error


def _cells(file: Path, image: str) -> list[Cell]:
    try:
        sizes = group_sizes(file)
    except _faults() as error:
        raise _damaged(file, error) from error
    return [Cell(str(file), image, group, row) for group, count in enumerate(sizes) for row in range(count)]


def _read(file: Path, columns: list[str]) -> Any:
    """These columns, without the pictures. `image.path` is a field of a struct."""
    try:
        opened = open_table(file)
        if is_parquet(file):
            return opened.read(columns)
        return opened.read_all().select(list(dict.fromkeys(column.partition(".")[0] for column in columns)))
    except _faults() as error:
        raise _damaged(file, error) from error


def _faults() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError)


def _damaged(file: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{file}: cannot be read as {file.suffix[1:]} ({reason})", "fetch it again")


def _is_struct(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind))


def _check_images(kind: Any, file: Path) -> None:
    """Raise InputError for a column of images that holds no encoded pictures."""
    import pyarrow as pa

    if _is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(f"{file}: column image holds {kind}", "expected the bytes of image files")


def _texts(table: Any, column: str) -> list[str]:
    return [str(one or "") for one in table.column(column).to_pylist()]


def _names(file: Path, image: str, count: int, start: int) -> list[str]:
    """The file names in the images' paths, else `row 0000007`."""
    import pyarrow.compute as pc

    kind = _schema(file).field(image).type
    paths: list[str | None] = [None] * count
    if _is_struct(kind) and kind.get_field_index("path") >= 0:
        paths = pc.struct_field(_read(file, [f"{image}.path"]).column(image), "path").to_pylist()
    return [Path(path).name if path else f"row {start + row:07d}" for row, path in enumerate(paths)]


def _values(table: Any, column: str) -> tuple[list[Value], bool]:
    """The column's values, and whether these are names: text, or numbers that the file's own metadata names."""
    import pyarrow as pa

    values = table.column(column).to_pylist()
    kind = table.schema.field(column).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return values, True
    if (names := _class_names(table, column)) is not None:
        known = dict(enumerate(map(str, names)))
        return [known.get(value, value) if isinstance(value, int) else None for value in values], True
    return [int(value) if isinstance(value, int) else value for value in values], False


def _class_names(table: Any, column: str) -> list[str] | None:
    """The names of a column's classes in the metadata that `datasets` writes into a file."""
    try:
        noted = json.loads((table.schema.metadata or {})[b"huggingface"])
        names = noted["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) else None
