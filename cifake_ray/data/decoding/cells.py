"""Pictures in parquet and Arrow files, read where they lie: a few rows of one row group are in memory at a time.

Importing pyarrow takes 0.2 s, so processes that decode files do not import pyarrow.
"""

import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_HELD = 1 << 22  # bytes of pictures, about, that are in memory at a time
_MOST_ROWS = 1024
_BUFFER = 1 << 20  # bytes of a column that are read at a time, instead of a whole row group


class Cell(NamedTuple):
    """Place of a picture in a parquet or Arrow file: its column, row group (record batch), and row in that group."""

    file: str
    column: str
    group: int
    row: int


def open_table(file: Path) -> Any:
    """A reader with `schema`. Arrow files are streams, as written by `datasets`, or of the random-access format.

    Raises pyarrow.ArrowException and OSError, as every function of this module.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if is_parquet(file):
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
    mapped = pa.memory_map(str(file))
    try:
        return pa.ipc.open_stream(mapped)
    except pa.ArrowInvalid:
        return pa.ipc.open_file(mapped)


def is_parquet(file: Path) -> bool:
    """Whether the file's name ends as a parquet file's does; other files are Arrow files."""
    return file.suffix.lower() == ".parquet"


def group_sizes(file: Path) -> list[int]:
    """Rows of each row group or record batch."""
    if not is_parquet(file):
        return [int(batch.num_rows) for batch in _record_batches(str(file))]
    metadata = open_table(file).metadata
    return [int(metadata.row_group(group).num_rows) for group in range(metadata.num_row_groups)]


def bytes_of(column: Any) -> Any:
    """A column of encoded pictures as binary: as it is, or from the struct (bytes, path) of `datasets`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    of_struct = pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
    return pc.struct_field(column, "bytes") if of_struct else column


def read_cell(cell: Cell) -> bytes:
    """The encoded picture, b"" for a null. Cheap in order of storage: each row group is read once, piece by piece."""
    with _reading:
        cursor = _cursor[0] if _cursor else None
        if cursor is None or not cursor.leads_to(cell):
            _cursor[:] = [cursor := _Cursor(cell)]
        return cursor.read(cell.row)


def read_in_order(cells: Iterable[Cell]) -> Iterator[bytes | str]:
    """The encoded picture of each cell, or why the cell cannot be read.

    CIFAKE's 120,000 take 0.4 s, one by one through `read_cell` 0.8 s.
    """
    cursor: _Cursor | None = None
    for cell in cells:
        try:
            if cursor is None or not cursor.leads_to(cell):
                cursor = _Cursor(cell)
            picture: bytes | str = cursor.read(cell.row)
        except Exception:  # Arrow raises OSError, ValueError, TypeError, NotImplementedError, …
            cursor, picture = None, damaged_in(cell)
        yield picture


def damaged_in(cell: Cell) -> str:
    """The reason of a cell that cannot be read."""
    return f"damaged in {Path(cell.file).name}"


class _Cursor:
    """A place in a row group, from which reading continues."""

    def __init__(self, cell: Cell) -> None:
        self.group = cell[:3]
        self.pieces = _pieces(*self.group)
        self.first, self.piece = 0, next(self.pieces)

    def leads_to(self, cell: Cell) -> bool:
        return cell[:3] == self.group and cell.row >= self.first

    def read(self, row: int) -> bytes:
        while row >= self.first + len(self.piece):
            self.first += len(self.piece)
            self.piece = next(self.pieces)
        return self.piece[row - self.first] or b""


def _pieces(file: str, column: str, group: int) -> Iterator[list[bytes | None]]:
    """A row group's pictures, some rows at a time."""
    if not is_parquet(Path(file)):
        images = bytes_of(_record_batches(file)[group].column(column))
        rows = _rows_of(images.nbytes, len(images))
        yield from (images.slice(start, rows).to_pylist() for start in range(0, len(images), rows))
        return
    opened = open_table(Path(file))
    paths = [f"{column}.bytes"] if "bytes" in _fields(opened.schema_arrow.field(column).type) else [column]
    about = opened.metadata.row_group(group)
    rows = _rows_of(about.total_byte_size, about.num_rows)
    for batch in opened.iter_batches(rows, row_groups=[group], columns=paths, use_threads=False):
        yield bytes_of(batch.column(0)).to_pylist()


def _rows_of(size: int, rows: int) -> int:
    """How many rows to hold of a group of so many bytes and rows."""
    return min(max(_HELD * rows // max(size, 1), 1), _MOST_ROWS)


def _fields(kind: Any) -> list[str]:
    return [kind.field(at).name for at in range(kind.num_fields)]


@lru_cache(maxsize=1)
def _record_batches(file: str) -> list[Any]:
    """The record batches of an Arrow file, mapped: uncompressed ones, as `datasets` writes, take no memory."""
    opened = open_table(Path(file))
    if hasattr(opened, "get_batch"):
        return [opened.get_batch(at) for at in range(opened.num_record_batches)]
    return list(opened)


_cursor: list[_Cursor] = []  # the one place in a file that this process reads from
_reading = threading.Lock()
