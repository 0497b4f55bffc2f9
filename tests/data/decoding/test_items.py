"""An encoded picture is read from wherever it lies; what cannot be read says why."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.data.decoding.items import Item, Member, Refused, Span, UnreadableError, item_bytes, read_item

DATA = b"an encoded picture" * 100
METHODS = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}


@pytest.fixture
def member(tmp_path: Path) -> Callable[[int], Member]:
    """Write a zip archive by a method, and return the place of its picture."""

    def write(method: int) -> Member:
        path = tmp_path / f"{method}.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("before.txt", "text")
            archive.writestr("picture.jpg", DATA)
            info = archive.getinfo("picture.jpg")
        return Member(str(path), info.header_offset, info.compress_size, info.compress_type, info.CRC)

    return write


def test_bytes_files_and_parts_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(DATA)
    (tmp_path / "tar").write_bytes(b"head" + DATA + b"tail")
    items: list[Item] = [DATA, str(tmp_path / "whole"), Span(str(tmp_path / "tar"), 4, len(DATA))]
    assert [read_item(item) for item in items] == [DATA] * 3
    assert [item_bytes(item) for item in items] == [len(DATA)] * 3


@pytest.mark.parametrize("method", METHODS)
def test_members_of_zip_archives_are_read(method: str, member: Callable[[int], Member]) -> None:
    one = member(METHODS[method])
    assert read_item(one) == DATA
    assert item_bytes(one) == one.stored <= len(DATA)


def test_what_cannot_be_read_says_why_and_has_no_bytes(tmp_path: Path, member: Callable[[int], Member]) -> None:
    one = member(zipfile.ZIP_STORED)
    refused: dict[Item, str] = {
        Refused("a pipe"): "a pipe",
        str(tmp_path / "none"): "No such file",
        one._replace(crc=0): "damaged in the zip archive",
        one._replace(offset=3): "damaged in the zip archive",
        one._replace(method=-1): "encrypted",
        one._replace(method=93): "method 93 of zip",
    }
    for item, reason in refused.items():
        with pytest.raises(UnreadableError, match=reason):
            read_item(item)
    assert [item_bytes(item) for item in refused][:2] == [0, 0]
