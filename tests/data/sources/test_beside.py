"""Links that lead back, files beside a data set, and parquet files by whatever pattern their parts are numbered."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.sources.reading import PLAIN
from cifake_ray.doctor.machine import _data
from cifake_ray.errors import InputError

from ..conftest import Files, encode, picture

Write = Callable[..., Path]


def refused(source: Path | str) -> str:
    with pytest.raises(InputError) as error:
        load_images(str(source))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("target", [".", "..", "../..", "../../.."])
def test_no_picture_counts_twice_by_a_link_back(target: str, files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    (root / "train" / "FAKE" / "again").symlink_to(target)
    images = load_images(str(root))
    assert len(images.train) == 120
    assert [(one.name, one.reason) for one in images.skipped] == [("train/FAKE/again", "a link to a folder above it")]


def test_links_that_lead_to_each_other_are_followed_once(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    inner = root / "train" / "FAKE" / "inner"
    inner.mkdir()
    (inner / "one.jpg").write_bytes(encode(picture(77)))
    (inner / "back").symlink_to(root / "train" / "FAKE")
    images = load_images(str(root))
    assert (len(images.train), [one.name for one in images.skipped]) == (121, ["train/FAKE/inner/back"])


def test_a_linked_class_folder_is_read(files: Files, write_folder: Write, tmp_path: Path) -> None:
    root = write_folder(files)
    (root / "train" / "FAKE").rename(tmp_path / "elsewhere")
    (root / "train" / "FAKE").symlink_to(tmp_path / "elsewhere")
    assert len(load_images(str(root)).train) == 120


def test_folders_too_deep_to_be_listed_are_named(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    deep = root.joinpath(*"abcdefghi")
    deep.mkdir(parents=True)
    (deep / "1.jpg").write_bytes(encode(picture(7)))
    assert "1 folder too deep to be listed (a/b/c/d/e/f/g/h/i)" in load_images(str(root)).summary()


def test_folders_too_deep_inside_a_class_count_as_unreadable(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    root.joinpath("train", "FAKE", *"abcdefg").mkdir(parents=True)
    (skipped,) = load_images(str(root)).skipped
    assert (skipped.name, skipped.reason) == ("train/FAKE/a/b/c/d/e/f/g", "a folder too deep to be listed")


def test_files_beside_parquet_files_are_named(files: Files, write_parquet: Write, write_folder: Write) -> None:
    folder = write_parquet(files)
    shutil.copytree(write_folder(files), folder / "pictures")
    (folder / ".gitattributes").write_text("")
    assert [(left.reason, left.count) for left in load_images(str(folder)).left] == [
        ("sets of labelled pictures besides the one taken, its tables", 1),
        ("files beside the data set", 160), ("files that systems leave", 1),
    ]  # fmt: skip


@pytest.fixture
def parent(files: Files, write_parquet: Write, write_folder: Write, write_zip: Write, tmp_path: Path) -> Path:
    """A folder of four labelled sets, of which the tables in `tables` are read, and a table of something else."""
    (tmp_path / "parent").mkdir()
    write_parquet(files, "parent/tables")
    write_folder(files, "parent/mine/folders")
    write_zip(files, "parent/kaggle.zip")
    (tmp_path / "parent" / "native" / "real").mkdir(parents=True)
    (tmp_path / "parent" / "native" / "real" / "1.jpg").write_bytes(encode(picture(7)))
    (tmp_path / "parent" / "native" / "manifest.csv").write_text("path,label\nreal/1.jpg,real\n")
    (tmp_path / "parent" / "native" / "prices.csv").write_text("fruit,price\napple,1\n")
    return tmp_path / "parent"


OTHERS = "3 sets of labelled pictures besides the one taken, the tables in tables (kaggle.zip, mine/folders/"


def test_other_labelled_sets_below_a_source_are_named_in_a_line_of_their_own(
    parent: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    assert len(load_images(str(parent)).train) == 120
    _, audit, _ = command("data", "audit", parent)
    (line,) = [line for line in audit.splitlines() if "besides the one taken" in line]
    assert line.startswith(f"not used             {OTHERS}")
    assert line.endswith("native/manifest.csv)")
    _, dry, _ = command("tune", "cnn", "--data", parent, "--dry-run", "--storage", parent / "runs")
    assert any(line.startswith(f"# not used: {OTHERS}") for line in dry.splitlines())
    assert f"; not used: {OTHERS}" in load_labelled(str(parent)).summary()
    check = _data(str(parent), PLAIN)
    assert (check.level, OTHERS in check.found) == ("amber", True)
    noted = [left.as_note() for left in load_images(str(parent)).left]
    assert [(one["count"], str(one["reason"])[:26]) for one in noted] == [
        (3, "sets of labelled pictures "), (164, "files beside the data set"),
    ]  # fmt: skip


def test_other_sets_beside_train_and_test_are_named(files: Files, write_folder: Write, write_parquet: Write) -> None:
    root = write_folder(files)
    shutil.copytree(root / "test", root / "other" / "generator")
    (root / "deep" / "er" / "still").mkdir(parents=True)
    write_parquet(files).rename(root / "deep" / "er" / "still" / "tables")
    assert str(load_images(str(root)).left[0]) == (
        "2 sets of labelled pictures besides the one taken (deep/er/still/tables/*.parquet, other/generator/FAKE)"
    )


def test_tables_of_several_folders_are_taken_together_and_that_is_said(
    files: Files, write_parquet: Write, tmp_path: Path
) -> None:
    (tmp_path / "both").mkdir()
    write_parquet(files, "both/one")
    write_parquet(files, "both/two")
    images = load_images(str(tmp_path / "both"))
    assert (len(images.train), images.said) == (240, ("the tables in 2 folders are taken together: one, two",))


@pytest.mark.parametrize("name", ["manifest.csv", "train.parquet", "train.zip"])
def test_a_pipe_in_the_place_of_a_table_is_not_read(name: str, files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    os.mkfifo(root / name)
    images = load_images(str(root))
    assert [(left.reason, left.examples) for left in images.left] == [
        ("files in no folder that names a class", (name,))
    ]


def test_files_beside_an_archive_are_named(files: Files, write_zip: Write, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    write_zip(files, "fetched/kaggle.zip")
    (tmp_path / "fetched" / "loose.jpg").write_bytes(encode(picture(7)))
    assert "1 file beside the data set (loose.jpg)" in load_images(str(tmp_path / "fetched")).summary()


def test_of_two_archives_one_is_asked_for(files: Files, write_zip: Write, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        write_zip(files, f"two/{name}.zip")
    assert "2 archives (a.zip, b.zip); give one of them" in refused(tmp_path / "two")


@pytest.mark.parametrize("load", [load_images, load_labelled])
def test_what_came_beside_images_of_the_cache_is_named(
    load: Callable[..., object], files: Files, write_folder: Write
) -> None:
    root = write_folder(files)
    path = load(str(root)).path  # type: ignore[attr-defined]
    (root / "notes.txt").write_text("new")
    again = load(str(root))
    assert again.path == path  # type: ignore[attr-defined]
    assert "1 file in no folder that names a class (notes.txt)" in again.summary()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "pattern",
    ["train-{:05d}-of-00002-b43b7b8f3b9e5a6a.parquet", "train_{:05d}_of_00002.parquet", "train-{}-of-2.parquet"],
)
def test_numbered_parquet_files_are_counted_by_any_pattern(pattern: str, files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    for number in (0, 1):
        (folder / f"small-train-{number:05d}-of-00002.parquet").rename(folder / pattern.format(number))
    assert len(load_images(str(folder)).train) == 120
    (folder / pattern.format(1)).unlink()
    assert "the train part is 1 of 2 parquet files, number 1 is missing" in refused(folder)


def test_parquet_files_may_be_numbered_from_one(files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    for number in (1, 0):
        (folder / f"small-train-{number:05d}-of-00002.parquet").rename(folder / f"train-{number + 1}-of-2.parquet")
    assert len(load_images(str(folder)).train) == 120
    (folder / "train-1-of-2.parquet").unlink()
    assert "number 1 is missing" in refused(folder)


@pytest.mark.parametrize("again", ["small-train.parquet", "small-train-00000-of-00002-b43b7b8f3b9e5a6a.parquet"])
def test_a_parquet_file_that_is_there_twice_is_refused(again: str, files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    shutil.copy(folder / "small-train-00000-of-00002.parquet", folder / again)
    assert "mixes files of several splits" in refused(folder)


def test_an_audit_prints_no_control_characters(
    files: Files, write_folder: Write, command: Callable[..., tuple[int, str, str]]
) -> None:
    files["train", "FAKE"]["a\x1b[31mred\nx.jpg"] = b"no picture"
    files["train", "REAL"]["b\x1b[2J.jpg"] = files["train", "REAL"]["0000.jpg"]
    code, out, _ = command("data", "audit", write_folder(files))
    assert code == 0
    assert "\x1b" not in out
    assert r"a\x1b[31mred\nx.jpg (not an image)" in out
    assert r"b\x1b[2J.jpg" in out
    code, out, _ = command("data", "audit", write_folder(files, "again"), "--json")
    assert json.loads(out)["undecodable"]["files"][0]["name"] == "train/FAKE/a\x1b[31mred\nx.jpg"
