"""Sources that are no data set are refused in one line, before or after decoding."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.data import load_images
from cifake_ray.data.refusals import check_refused
from cifake_ray.data.sources.find import find_source
from cifake_ray.errors import InputError

from .conftest import Files

Write = Callable[..., Path]


def test_more_than_one_percent_unreadable_is_an_error(files: Files, write_parquet: Write) -> None:
    files["train", "REAL"] |= {"x.jpg": b"", "y.jpg": b"no image"}
    with pytest.raises(
        InputError, match=r"2 of 162 files .* 1 % \(train/REAL/x.jpg: empty; .*y.jpg: not an im.*\); mend"
    ):
        load_images(str(write_parquet(files)))


def test_no_readable_image_is_an_error(files: Files, write_folder: Write) -> None:
    broken = {key: dict.fromkeys(named, b"broken") for key, named in files.items()}
    with pytest.raises(InputError, match="no readable image among 160"):
        load_images(str(write_folder(broken)))


def test_empty_class_folder_is_only_one_class(files: Files, write_folder: Write) -> None:
    with pytest.raises(InputError, match="no image labelled FAKE in test; a detector needs both"):
        load_images(str(write_folder(files | {("test", "FAKE"): {}})))


def test_class_without_a_readable_image_is_only_one_class(files: Files, write_folder: Write) -> None:
    files["test", "FAKE"] = {"bad.jpg": b"broken"}
    with pytest.raises(InputError, match="no readable image labelled FAKE in test"):
        load_images(str(write_folder(files)))


def test_links_to_nothing_are_refused_before_anything_is_decoded(files: Files, write_folder: Write) -> None:
    folder = write_folder(files)
    for number in range(4):
        (folder / "train" / "REAL" / f"link{number}.jpg").symlink_to(folder / "nothing")
    parts = find_source(str(folder)).read().parts
    with pytest.raises(InputError, match=r"4 of 164 files .* \(train/REAL/link0.jpg: .*; and 1 more\); mend or remove"):
        check_refused(str(folder), parts)
