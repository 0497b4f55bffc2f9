"""The zip file as Kaggle serves it, read in place."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.data import Skipped, load_images
from cifake_ray.errors import InputError

from ..conftest import Files, encode, picture

Write = Callable[..., Path]


@pytest.mark.parametrize("top", ["", "cifake/"])
def test_zip_is_the_same_set_as_the_folder(top: str, files: Files, write_folder: Write, write_zip: Write) -> None:
    folder, zipped = load_images(str(write_folder(files))), load_images(str(write_zip(files, top=top)))
    assert zipped.kind == "zip"
    assert zipped.fingerprint == folder.fingerprint
    assert np.array_equal(zipped.train.table.names, folder.train.table.names)


def test_nothing_is_unpacked_and_other_members_are_left_aside(files: Files, write_zip: Write, tmp_path: Path) -> None:
    path = write_zip(files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/REAL/.DS_Store", b"x")
        archive.writestr("__MACOSX/train/REAL/._0000.jpg", b"x")
        archive.writestr("readme.jpg", b"x")
    assert (len(load_images(str(path)).train), load_images(str(path)).skipped) == (120, ())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "kaggle.zip"]


def test_damaged_members_are_counted_and_named(files: Files, write_zip: Write) -> None:
    files["train", "REAL"] |= {f"more {number}.jpg": encode(picture(500 + number)) for number in range(80)}
    path = write_zip(files)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("train/REAL/more 7.jpg").header_offset
    damaged = bytearray(path.read_bytes())
    damaged[offset + 200] ^= 255
    path.write_bytes(damaged)
    loaded = load_images(str(path))
    assert loaded.skipped == (Skipped("train/REAL/more 7.jpg", "damaged in the zip archive"),)
    assert len(loaded.train) == 199


def test_stored_members_are_read_and_encrypted_ones_are_named(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "stored.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for (part, label), pictures in files.items():
            for name, data in pictures.items():
                archive.writestr(f"{part}/{label}/{name}", data)
    assert len(load_images(str(path)).train) == 120
    data = bytearray(path.read_bytes())
    for at in [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"]:
        data[at + 8] |= 1  # the flag for encryption, in the directory
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        load_images(str(path))


def test_zip_that_was_streamed_with_sizes_behind_the_data_is_read(
    files: Files, write_folder: Write, tmp_path: Path
) -> None:
    class Pipe(io.RawIOBase):
        """Takes bytes and cannot go back, as the network."""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return file.write(data)

    with (tmp_path / "streamed.zip").open("wb") as file, zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
        for (part, label), pictures in files.items():
            for name, data in pictures.items():
                with archive.open(f"{part}/{label}/{name}", "w", force_zip64=True) as member:
                    member.write(data)
    with zipfile.ZipFile(tmp_path / "streamed.zip") as archive:
        assert archive.infolist()[0].flag_bits & 8
    loaded = load_images(str(tmp_path / "streamed.zip"))
    assert loaded.fingerprint == load_images(str(write_folder(files))).fingerprint


def test_cut_zip_and_wrong_contents_are_one_line(files: Files, write_zip: Write) -> None:
    path = write_zip(files)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="not all of one; download it again"):
        load_images(str(path))
    only_train = write_zip({key: named for key, named in files.items() if key[0] == "train"}, "train.zip")
    with pytest.raises(InputError, match="no test part"):
        load_images(str(only_train))
    two = write_zip(files, "two.zip")
    with zipfile.ZipFile(two, "a") as archive:
        archive.writestr("copy/train/REAL/a.jpg", b"x")
    with pytest.raises(InputError, match="several data sets in one"):
        load_images(str(two))


def test_changed_zip_is_decoded_again(files: Files, write_zip: Write) -> None:
    first = load_images(str(write_zip(files)))
    files["test", "FAKE"]["0000.jpg"] = encode(picture(77_777))
    path = write_zip(files)
    os.utime(path, ns=(1, 1))
    assert load_images(str(path)).fingerprint != first.fingerprint
