"""Pictures in parquet and Arrow files: read where they lie, each row group once, with flat memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.decoding import cells
from cifake_ray.data.decoding.cells import Cell, group_sizes, read_cell
from cifake_ray.data.decoding.decode import decode_image
from cifake_ray.data.decoding.items import read_item
from cifake_ray.data.decoding.workers import decode_all, in_batches
from cifake_ray.data.packing import pack
from cifake_ray.data.transform import Transform

from ..conftest import encode, picture

PICTURES = [encode(picture(seed), "PNG") for seed in range(30)]
_SIDE = 320  # 307 kB as BMP, which no compression makes smaller
_COUNT = 1000


def table_of(images: list[bytes | None], *, struct: bool) -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": one, "path": "a.png"} for one in images] if struct else images
    return pa.table({"image": pa.array(rows, kind if struct else pa.binary()), "label": [0] * len(images)})


def write(file: Path, table: pa.Table, rows: int) -> Path:
    if file.suffix == ".parquet":
        pq.write_table(table, file, row_group_size=rows)
        return file
    with pa.OSFile(str(file), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return file


def cells_of(file: Path) -> list[Cell]:
    return [Cell(str(file), "image", group, row) for group, n in enumerate(group_sizes(file)) for row in range(n)]


@pytest.mark.parametrize("struct", [False, True])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_cell_is_the_picture_in_any_order(suffix: str, struct: bool, tmp_path: Path) -> None:
    images: list[bytes | None] = [*PICTURES]
    images[3] = None
    file = write(tmp_path / f"a.{suffix}", table_of(images, struct=struct), 7)
    assert group_sizes(file) == [7, 7, 7, 7, 2]
    places = cells_of(file)
    for at in np.random.default_rng(0).permutation(30).tolist():
        assert read_item(places[at]) == (images[at] or b"")


def test_results_stand_at_their_rows_whatever_the_order_of_storage(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", table_of([*PICTURES], struct=True), 7)
    order = np.random.default_rng(1).permutation(30).tolist()
    items = [cells_of(file)[at] for at in order]
    decoded = decode_all(items)
    for row, at in enumerate(order):
        assert decoded.images[row].tobytes() == decode_image(PICTURES[at], Transform()).pixels
    packed = pack(items, tmp_path, None)
    whole = packed.staged.path.read_bytes()
    assert [whole[start : start + size] for start, size in packed.places.tolist()] == [PICTURES[at] for at in order]


def test_each_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.parquet", table_of([*PICTURES], struct=True), 7)
    opened = []
    pieces = cells._pieces

    def counted(*group: Any) -> Any:
        opened.append(group[2])
        return pieces(*group)

    monkeypatch.setattr(cells, "_pieces", counted)
    items = [cells_of(file)[at] for at in np.random.default_rng(2).permutation(30).tolist()]
    done = [rows for rows, _ in in_batches(len, items, 4)]
    assert sorted(np.concatenate(done).tolist()) == list(range(30))
    assert opened == [0, 1, 2, 3, 4]


def test_a_file_that_was_damaged_since_is_said_of_its_pictures(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", table_of([*PICTURES], struct=True), 7)
    items = cells_of(file)
    file.write_bytes(file.read_bytes()[:2000] + bytes(2000) + file.read_bytes()[4000:])
    skipped = decode_all([*items]).skipped
    assert skipped
    assert all(one.startswith(("damaged in a.parquet", "cannot be read")) for one in skipped.values())


_CHILD = """
import resource, sys
from pathlib import Path
from cifake_ray.data.build import decode_parts
from cifake_ray.data.sources.find import find_source
import pyarrow.parquet, pyarrow.compute
from cifake_ray.data.decoding import workers
workers.cores = lambda: 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = decode_parts(find_source(sys.argv[1], needed=()).read().parts, None)
assert not found.skipped and len(found.facts.formats) == int(sys.argv[2]), found.skipped
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_packing_300_mb_of_parquet_in_one_row_group_takes_little_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, _SIDE, _SIDE, 3), dtype=np.uint8)
    some = [encode(one, "BMP") for one in noise]
    images = pa.array([some[at % 8] for at in range(_COUNT)], pa.binary())
    labels = pa.array([("fake", "real")[at % 2] for at in range(_COUNT)])
    table = pa.table({"image": images, "label": labels})
    file = tmp_path / "set" / "all.parquet"
    file.parent.mkdir()
    with pq.ParquetWriter(file, table.schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(table, row_group_size=_COUNT)
    assert file.stat().st_size > 300e6
    del table, images
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(file.parent), str(_COUNT)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 120  # MiB


def test_a_set_in_row_groups_is_the_set_of_the_folder(files: Any, write_folder: Any, write_parquet: Any) -> None:
    folder = write_parquet(files)
    for file in folder.iterdir():
        pq.write_table(pq.read_table(file), file, row_group_size=9)
    assert load_images(str(folder)).fingerprint == load_images(str(write_folder(files))).fingerprint
    assert read_cell(Cell(str(file), "image", 1, 3))
