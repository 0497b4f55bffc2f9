"""The image table: one row a picture. Splits, strata, copies, audits and reports read nothing else of the pictures.

Columns (Arrow): part, label (0 FAKE, 1 REAL), name, digest (`pixel_digest` of the decoded pixels in the picture's own
size), width and height (pixels, as delivered), format (`JPEG`; null for pictures that a program drew), and one column
for each group (`generator`, `source`) of the source or the card. "" in a group column: unknown for this picture. A
cache entry holds the table as an Arrow stream, memory-mapped. Importing pyarrow takes 0.2 s, so processes that only
decode do not import pyarrow.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cifake_ray.data.datasets.card import Card, Codes
from cifake_ray.data.facts import DIGEST, Facts

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN_PARTS = ("train", "validation")  # a validation part as given stands behind the train part
COLUMNS = ("part", "label", "name", "digest", "width", "height", "format")


@dataclass(frozen=True, eq=False)
class ImageTable:
    """One row a picture in the Arrow table `columns`. NumPy views of the columns are made once."""

    columns: "pa.Table"

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """uint8 [n]; 0 FAKE, 1 REAL."""
        return np.asarray(self.columns["label"])

    @functools.cached_property
    def names(self) -> np.ndarray:
        """unicode [n], unique only within one part and label."""
        return np.array(self.columns["name"].to_pylist(), dtype=np.str_)

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """bytes [n], `S32`: equal for equal pixels."""
        column = self.columns["digest"].combine_chunks()
        data = np.frombuffer(column.buffers()[1] or b"", f"S{DIGEST}")
        return data[column.offset : column.offset + len(column)]

    @functools.cached_property
    def groups(self) -> dict[str, Codes]:
        """Group columns: name to codes, int64 [n]."""
        names = [name for name in self.columns.column_names if name not in COLUMNS]
        return {name: np.asarray(self._group(name).indices, np.int64) for name in names}

    def group_values(self, name: str) -> tuple[str, ...]:
        """The values that the codes 0, 1, … of a group column stand for; "" is an unknown group."""
        return tuple(self._group(name).dictionary.to_pylist())

    def _group(self, name: str) -> Any:
        return self.columns[name].combine_chunks()

    @functools.cached_property
    def given_validation(self) -> np.ndarray:
        """Which pictures belong to the source's own validation part: bool [n]."""
        return self.is_of("validation")

    def is_of(self, part: str) -> np.ndarray:
        """Which pictures are of this part: bool [n]."""
        import pyarrow.compute as pc

        return np.asarray(pc.equal(self.columns["part"], part))

    @property
    def sizes(self) -> np.ndarray:
        """Width and height as delivered, in pixels: int32 [n, 2]."""
        return np.stack([np.asarray(self.columns[side]) for side in ("width", "height")], axis=1)

    @property
    def formats(self) -> list[str]:
        """Format of each file, such as JPEG; "" where there was no file."""
        return [name or "" for name in self.columns["format"].to_pylist()]

    @property
    def parts(self) -> list[str]:
        """The parts that have a picture, in order of the table."""
        return [str(part) for part in self.columns["part"].unique().to_pylist()]

    def of_part(self, *parts: str) -> "ImageTable":
        """The rows of these parts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        chosen = pc.is_in(self.columns["part"], pa.array(parts, pa.string()))
        return ImageTable(self.columns.filter(chosen).combine_chunks())

    def with_part(self, part: str) -> "ImageTable":
        """The same pictures, all assigned to this part."""
        import pyarrow as pa

        return ImageTable(self.columns.set_column(0, "part", pa.array([part] * len(self), pa.string())))

    def take(self, rows: np.ndarray) -> "ImageTable":
        """The rows at these positions, int64 [m], in this order."""
        return ImageTable(self.columns.take(rows).combine_chunks())

    def with_groups(self, card: Card) -> "ImageTable":
        """The table with a column for each group that the card reads from the names and the source does not name."""
        import pyarrow as pa

        columns = self.columns
        for name, codes in (card.codes(self.names) if card.groups else {}).items():
            if name in columns.column_names:
                continue
            column = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int16()), pa.array(card.groups[name].values))
            columns = columns.append_column(name, column)
        return ImageTable(columns)

    def packed(self) -> np.ndarray:
        """The table as an Arrow stream: uint8 [bytes]."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.columns.schema) as writer:
            writer.write_table(self.columns)
        return np.frombuffer(sink.getvalue(), np.uint8)


Told = Mapping[str, Sequence[str]]  # group column -> one value a picture


def make_table(
    part: str, labels: np.ndarray, names: np.ndarray, facts: Facts, groups: Told | None = None
) -> ImageTable:
    """The rows of one part. labels: uint8 [n]; names: unicode [n]; groups: column to one value a picture."""
    import pyarrow as pa

    digests = pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST), len(labels), [None, pa.py_buffer(facts.digests)])
    sizes = np.ascontiguousarray(facts.sizes)
    columns = {
        "part": pa.array([part] * len(labels), pa.string()),
        "label": pa.array(labels, pa.uint8()),
        "name": pa.array(names.tolist(), pa.string()),
        "digest": digests,
        "width": pa.array(sizes[:, 0], pa.int32()),
        "height": pa.array(sizes[:, 1], pa.int32()),
        "format": pa.array([one or None for one in facts.formats.tolist()], pa.string()),
    }
    told = {name: _coded(pa.array(list(texts), pa.string()), set(texts)) for name, texts in (groups or {}).items()}
    return ImageTable(pa.table({**columns, **told}))


def joined(tables: Sequence[ImageTable]) -> ImageTable:
    """The rows of these tables one after another; "" where a table lacks a group column of another table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = pa.concat_tables([table.columns for table in tables], promote_options="default")
    for at, name in enumerate(columns.column_names):
        values = {table.group_values(name) if name in table.columns.column_names else ("",) for table in tables
                  if name not in COLUMNS}  # fmt: skip
        if len(values) > 1:
            texts = pc.fill_null(columns[name].cast(pa.string()), "").combine_chunks()
            columns = columns.set_column(at, name, _coded(texts, set().union(*values)))
    return ImageTable(columns.combine_chunks())


def _coded(texts: Any, values: set[str]) -> Any:
    """A string column as a dictionary of these values, sorted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(sorted(values), pa.string())
    return pa.DictionaryArray.from_arrays(pc.index_in(texts, known).cast(pa.int32()), known)


def unpacked(stream: np.ndarray) -> ImageTable:
    """The table in an Arrow stream, uint8 [bytes], without copying the stream."""
    import pyarrow as pa

    return ImageTable(pa.ipc.open_stream(pa.py_buffer(stream)).read_all())


def fingerprint_v2(table: ImageTable) -> str:
    """SHA-256 (hex) over part, label and pixel digest of each picture, sorted: order, names and groups do not count."""
    total = hashlib.sha256()
    for part in sorted(table.parts):
        of_part = table.is_of(part)
        for label in np.unique(table.labels[of_part]).tolist():
            digests = np.sort(table.digests[of_part & (table.labels == label)])
            prefix = np.frombuffer(part.encode() + bytes([0, label]), np.uint8)
            rows = np.concatenate(
                [np.tile(prefix, (len(digests), 1)), digests.view(np.uint8).reshape(-1, DIGEST)], axis=1
            )
            total.update(np.ascontiguousarray(rows).data)
    return total.hexdigest()


def content_digest(table: ImageTable) -> str:
    """SHA-256 (hex) over label and pixel digest of each picture, sorted: order and names do not matter."""
    rows = zip(table.labels.tolist(), table.columns["digest"].to_pylist(), strict=True)
    return hashlib.sha256(b"".join(sorted(bytes([label]) + digest for label, digest in rows))).hexdigest()
