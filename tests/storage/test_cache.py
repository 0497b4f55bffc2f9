"""The cache folder: entries come back as they were written, or not at all."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.errors import InputError, WorkError
from cifake_ray.storage import cache
from cifake_ray.storage.cache import (
    array_digest,
    cache_root,
    clear_entries,
    list_entries,
    list_sourced,
    locked,
    read_entry,
    summarise_cache,
    write_entry,
)

ARRAY = np.arange(6000, dtype=np.float32).reshape(30, 200)


def entry_path(kind: str = "features", key: str = "key") -> Path:
    return cache_root() / kind / key


def test_an_entry_comes_back_with_its_arrays_and_notes() -> None:
    write_entry(entry_path(), {"values": ARRAY, "labels": ARRAY[0] > 3}, {"count": 30})
    entry = read_entry(entry_path())
    assert entry is not None
    assert np.array_equal(entry.arrays["values"], ARRAY)
    assert entry.arrays["labels"].dtype == bool
    assert entry.meta == {"count": 30}


def test_writing_to_a_read_entry_never_reaches_the_file() -> None:
    entry = write_entry(entry_path(), {"values": ARRAY}, {})
    entry.arrays["values"][:] = -1
    again = read_entry(entry_path())
    assert again is not None
    assert np.array_equal(again.arrays["values"], ARRAY)


def test_one_flipped_bit_makes_the_entry_missing() -> None:
    write_entry(entry_path(), {"values": ARRAY}, {})
    file = entry_path() / "values.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert read_entry(entry_path()) is None
    assert read_entry(entry_path(), verify=False) is not None


@pytest.mark.parametrize("name", ["values.npy", "entry.json"])
@pytest.mark.parametrize("left", [0, 20])
def test_a_cut_off_file_makes_the_entry_missing(name: str, left: int) -> None:
    write_entry(entry_path(), {"values": ARRAY}, {})
    file = entry_path() / name
    file.write_bytes(file.read_bytes()[:left])
    assert read_entry(entry_path()) is None


def test_a_damaged_entry_is_replaced() -> None:
    write_entry(entry_path(), {"values": ARRAY, "old": ARRAY}, {})
    (entry_path() / "values.npy").write_bytes(b"")
    write_entry(entry_path(), {"values": ARRAY}, {})
    entry = read_entry(entry_path())
    assert entry is not None
    assert set(entry.arrays) == {"values"}


def test_an_entry_that_cannot_be_finished_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_entry(entry_path(), {"values": ARRAY}, {})
    assert list(entry_path().parent.iterdir()) == []


def test_entries_are_listed_with_kind_and_size_and_cleared_by_kind() -> None:
    write_entry(entry_path("images"), {"values": ARRAY}, {})
    write_entry(entry_path("features", "a"), {"values": ARRAY}, {})
    write_entry(entry_path("features", "b"), {"values": ARRAY}, {})
    listed = list(list_entries())
    assert [(kind, path.name) for kind, path, _ in listed] == [("features", "a"), ("features", "b"), ("images", "key")]
    sizes = {path: size for _, path, size in listed}
    assert all(size > ARRAY.nbytes for size in sizes.values())
    assert clear_entries("features") == sum(size for path, size in sizes.items() if path.parent.name == "features")
    assert [kind for kind, _, _ in list_entries()] == ["images"]
    assert clear_entries() == sizes[entry_path("images")]
    assert list(list_entries()) == []
    assert clear_entries() == 0


def test_a_cleared_entry_stays_readable_where_it_is_open() -> None:
    entry = write_entry(entry_path(), {"values": ARRAY}, {})
    clear_entries()
    assert np.array_equal(entry.arrays["values"], ARRAY)


def test_the_digest_is_of_values_dtype_and_shape() -> None:
    assert array_digest(ARRAY) == array_digest(ARRAY.copy())
    assert array_digest(ARRAY) == array_digest(np.asfortranarray(ARRAY))
    others = [ARRAY.reshape(200, 30), ARRAY.view(np.int32), ARRAY + np.eye(30, 200, dtype=np.float32), ARRAY[:29]]
    assert len({array_digest(ARRAY), *map(array_digest, others)}) == 5
    assert array_digest(ARRAY, ARRAY[0]) != array_digest(ARRAY[0], ARRAY)
    assert array_digest(ARRAY[:0]) != array_digest(ARRAY[:0].astype(np.uint8))


def test_the_digest_does_not_depend_on_how_many_threads_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_CHUNK", 1000)
    several = array_digest(ARRAY)
    monkeypatch.setattr(cache, "ThreadPoolExecutor", lambda: ThreadPoolExecutor(1))
    assert array_digest(ARRAY) == several
    changed = ARRAY.copy()
    changed[-1, -1] += 1  # in the last chunk only
    assert array_digest(changed) != several


def test_the_cache_folder_is_the_one_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"


def test_a_cache_folder_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written .*; set CIFAKE_RAY_CACHE"), locked(entry_path()):
        pytest.fail("locked")


def test_waiting_for_another_process_is_said_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "_SILENT_SECONDS", 0.05)
    monkeypatch.setattr(cache, "_WAIT_SECONDS", 0.05)
    with ThreadPoolExecutor(1) as other, locked(entry_path()), pytest.raises(WorkError, match="another process still"):
        other.submit(lambda: locked(entry_path()).__enter__()).result()
    assert "waiting for another process that builds" in capsys.readouterr().err


def test_what_was_not_used_for_some_days_is_cleared_alone() -> None:
    for key in ("old", "new"):
        write_entry(entry_path(key=key), {"values": ARRAY}, {})
    for key in ("old", "new"):
        os.utime(entry_path(key=key), (0, 0))
    assert read_entry(entry_path(key="new")) is not None  # a use
    assert clear_entries(unused_days=30) > 0
    assert read_entry(entry_path(key="old")) is None
    assert read_entry(entry_path(key="new")) is not None


def test_the_summary_has_a_row_for_each_source_and_set_of_weights() -> None:
    write_entry(entry_path("images", "i"), {"a": ARRAY}, {"source": "/data/mine", "fingerprints": {"train": "f"}})
    for view in ("identity", "flip"):
        for feature in ("stem.mean", "stem.std"):
            meta = {"images": "f", "weights": "imagenet-v1", "view": view, "image_size": 64, "feature": feature}
            write_entry(entry_path("features", f"{view}-{feature}"), {"values": ARRAY}, meta)
    write_entry(entry_path("features", "other"), {"values": ARRAY}, {"images": "gone", "weights": "imagenet-v1"})
    rows = summarise_cache()
    assert [(row["kind"], row["source"], row["weights"], row["entries"]) for row in rows] == [
        ("features", "/data/mine", "imagenet-v1", 4), ("features", "unknown", "imagenet-v1", 1),
        ("images", "/data/mine", "", 1),
    ]  # fmt: skip
    assert (rows[0]["views"], rows[0]["px"]) == ("flip, identity", "64")
    assert all(row["days_unused"] == 0 for row in rows)


def test_squares_are_listed_and_cleared_by_the_source_of_their_images() -> None:
    for source in ("one", "two"):
        write_entry(cache_root() / "images" / source, {}, {"source": source, "fingerprints": {"train": source * 3}})
        squares = {"squares": np.zeros((2, 8, 8, 3), np.uint8)}
        write_entry(cache_root() / "squares" / source, squares, {"images": source * 3, "transform": "crop-8"})
    rows = {(row["kind"], row["source"]): row["px"] for row in summarise_cache()}
    assert rows == {("images", "one"): "", ("images", "two"): "", ("squares", "one"): "crop-8",
                    ("squares", "two"): "crop-8"}  # fmt: skip
    assert clear_entries("squares", source="one") > 0
    assert {(kind, source) for kind, source, *_ in list_sourced()} == {*rows} - {("squares", "one")}
    clear_entries(source="two")
    assert [source for _, source, *_ in list_sourced()] == ["one"]
