import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import ImageSet, build, load_images, open_images, train_duplicates
from cifake_ray.data.datasets import CARDS, cifake
from cifake_ray.data.sources.find import Source, find_source
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError
from cifake_ray.storage.cache import array_digest, write_entry

from .conftest import Files, encode, picture

Write = Callable[..., Path]


def test_folder_and_parquet_of_the_same_images_are_the_same_set(
    files: Files, write_folder: Write, write_parquet: Write
) -> None:
    folder, parquet = load_images(str(write_folder(files))), load_images(str(write_parquet(files)))
    assert folder.fingerprint == parquet.fingerprint
    assert (folder.kind, parquet.kind) == ("folder", "parquet")
    for part in ("train", "test"):
        assert np.array_equal(getattr(folder, part).images, getattr(parquet, part).images)
        assert np.array_equal(getattr(folder, part).table.names, getattr(parquet, part).table.names)


def test_images_come_in_order_of_label_and_name_as_uint8(files: Files, write_folder: Write) -> None:
    train = load_images(str(write_folder(files))).train
    assert train.images.dtype == np.uint8
    assert train.images.shape == (120, 32, 32, 3)
    assert train.labels.tolist() == [0] * 60 + [1] * 60
    assert train.table.names[:60].tolist() == sorted(files["train", "FAKE"])


def test_fingerprint_depends_on_pixels_and_labels_but_not_on_names(files: Files, write_folder: Write) -> None:
    renamed = {key: {f"a{name}": data for name, data in named.items()} for key, named in files.items()}
    swapped = files | {("test", "FAKE"): files["test", "REAL"], ("test", "REAL"): files["test", "FAKE"]}
    sets = [load_images(str(write_folder(some, str(i)))) for i, some in enumerate((files, renamed, swapped))]
    assert sets[0].fingerprint == sets[1].fingerprint != sets[2].fingerprint
    assert sets[0].train.fingerprint == sets[2].train.fingerprint


def test_class_folders_in_any_case_and_stray_files_are_understood(files: Files, write_folder: Write) -> None:
    plain = load_images(str(write_folder(files)))
    lower = write_folder({(part.title(), label.lower()): named for (part, label), named in files.items()}, "lower")
    for stray in ("Thumbs.db", ".DS_Store", "._0001.jpg", "notes.txt", "desktop.ini"):
        (lower / "Train" / "fake" / stray).write_bytes(b"no picture")
    loaded = load_images(str(lower))
    assert loaded.fingerprint == plain.fingerprint
    assert [skipped.name for skipped in loaded.skipped] == ["train/FAKE/notes.txt"]
    (left,) = loaded.left
    assert (left.reason, left.count) == ("files that systems leave", 4)
    assert "notes.txt: not an image" in loaded.summary()
    assert "4 files that systems leave" in loaded.summary()


def test_second_load_decodes_nothing(files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(write_folder(files))
    first = load_images(source)
    monkeypatch.setattr(build, "decode_all", None)
    assert load_images(source).fingerprint == first.fingerprint


def test_changed_source_is_decoded_again(files: Files, write_folder: Write) -> None:
    folder = write_folder(files)
    first = load_images(str(folder))
    (folder / "train" / "FAKE" / "0000.jpg").write_bytes(encode(picture(99_999)))
    assert load_images(str(folder)).fingerprint != first.fingerprint


def test_damaged_cache_entry_is_rebuilt(files: Files, write_parquet: Write) -> None:
    source = str(write_parquet(files))
    first = load_images(source)
    damaged = bytearray((first.path / "train_images.npy").read_bytes())
    damaged[5000] ^= 1
    (first.path / "train_images.npy").write_bytes(damaged)
    again = load_images(source)
    assert again.fingerprint == first.fingerprint == images_fingerprint(again)
    (again.path / "test_labels.npy").unlink()
    assert load_images(source).fingerprint == first.fingerprint


def images_fingerprint(images: ImageSet) -> str:
    prints = [array_digest(part.images, part.labels) for part in (images.train, images.test)]
    assert prints == [images.train.fingerprint, images.test.fingerprint]
    return hashlib.sha256("".join(prints).encode()).hexdigest()


def test_another_process_opens_the_entry_by_its_path(files: Files, write_folder: Write) -> None:
    loaded = load_images(str(write_folder(files)))
    opened = open_images(loaded.path)
    assert opened.fingerprint == loaded.fingerprint
    assert isinstance(opened.train.images, np.memmap)
    with pytest.raises(InputError, match="start the command again"):
        open_images(loaded.path.with_name("gone"))


def test_two_processes_at_once_decode_once(files: Files, write_folder: Write, tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from cifake_ray.data import build, images\n"
        "decode = build.decode_all\n"
        "def slow(*args):\n"
        "    with open(sys.argv[2], 'a') as log: log.write('decoded\\n')\n"
        "    time.sleep(0.5)\n"
        "    return decode(*args)\n"
        "build.decode_all = slow\n"
        "print(images.load_images(sys.argv[1]).fingerprint)\n"
    )
    command = [sys.executable, "-c", script, str(write_folder(files)), str(tmp_path / "log")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    prints = {process.communicate(timeout=60)[0] for process in started}
    assert len(prints) == 1
    assert (tmp_path / "log").read_text() == "decoded\n"


def test_progress_reaches_the_total(files: Files, write_folder: Write) -> None:
    seen: list[tuple[int, int]] = []
    load_images(str(write_folder(files)), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (160, 160)
    assert seen == sorted(seen)


def test_limit_is_a_stratified_set_of_its_own(files: Files, write_folder: Write) -> None:
    source = str(write_folder(files))
    whole, limited, again = load_images(source), load_images(source, limit=60), load_images(source, limit=60)
    assert (len(limited.train), len(limited.test)) == (60, 20)
    assert np.bincount(limited.train.labels).tolist() == [30, 30]
    assert limited.fingerprint == again.fingerprint != whole.fingerprint
    assert limited.path != whole.path


def test_limit_above_the_size_is_the_whole_set(files: Files, write_folder: Write) -> None:
    source = str(write_folder(files))
    assert load_images(source, limit=1000).fingerprint == load_images(source).fingerprint


def test_limit_that_is_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="20 or more"):
        load_images("sample", limit=5)


def test_summary_is_one_line_with_counts(files: Files, write_folder: Write) -> None:
    summary = load_images(str(write_folder(files))).summary()
    assert "train 60 FAKE + 60 REAL, test 20 FAKE + 20 REAL" in summary
    assert "generated" not in summary
    assert "\n" not in summary


def test_cache_that_cannot_be_written_is_named(
    files: Files, write_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="CIFAKE_RAY_CACHE"):
        load_images(str(write_folder(files)))


@pytest.mark.real
@pytest.mark.skipif(
    not os.environ.get("CIFAKE_RAY_DATA"), reason="the images may not lie in the repository; CIFAKE_RAY_DATA names none"
)
def test_cifake_is_complete_and_378_test_images_are_in_train() -> None:
    images = load_images(os.environ["CIFAKE_RAY_DATA"])
    assert np.bincount(images.train.labels).tolist() == [50_000, 50_000]
    assert np.bincount(images.test.labels).tolist() == [10_000, 10_000]
    assert (images.skipped, images.converted) == ((), {})
    duplicates = train_duplicates(images)
    assert duplicates.sum() == 378
    assert (images.test.labels[duplicates] == 0).all()


def as_version_0_1(images: ImageSet, found: Source) -> Path:
    """The entry that version 0.1 left of a source: names instead of a table, no note of a card."""
    parts = {"train": images.train, "test": images.test}
    arrays = {f"{name}_images": part.images for name, part in parts.items()}
    arrays |= {f"{name}_labels": part.labels for name, part in parts.items()}
    arrays |= {f"{name}_names": part.table.names for name, part in parts.items()}
    notes = {"source": images.source, "kind": found.kind, "skipped": [], "converted": {}}
    prints = {name: part.fingerprint for name, part in parts.items()}
    path = build.entry_path(dataclasses.replace(found, identity=found.earlier), None)
    write_entry(path, arrays, {**notes, "fingerprints": prints})
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
@pytest.mark.parametrize("known", [True, False])
def test_an_entry_of_version_0_1_counts_where_the_pictures_are_a_known_data_set(
    kind: str, known: bool, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    source = str(request.getfixturevalue(f"write_{kind}")(files))
    images = load_images(source)
    path = as_version_0_1(images, find_source(source))
    shutil.rmtree(images.path)
    if known:
        card = dataclasses.replace(cifake.CARD, fingerprints=frozenset({images.fingerprint}))
        monkeypatch.setitem(CARDS, "cifake", card)
        monkeypatch.setattr(build, "decode_all", None)
    again = load_images(source)
    assert (again.path == path, again.card.name) == (known, "cifake" if known else "generic")
    assert again.fingerprint_v2 == images.fingerprint_v2
    labels = Reading(fake=("fake",), real=("real",))
    assert find_source(source, reading=labels).earlier == ""
    assert cache in path.parents


def test_other_pictures_of_a_set_have_another_fingerprint() -> None:
    part = load_images("sample", limit=40).train
    chosen = [part.take(np.array(rows)).fingerprint for rows in ([0, 1], [0, 2], [1, 0], [0, 1])]
    assert len({part.fingerprint, *chosen}) == 4
    assert chosen[0] == chosen[3]
