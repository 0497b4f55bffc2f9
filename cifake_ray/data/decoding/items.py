"""Items: an encoded picture, or its place in a folder, archive or table; and reading its bytes."""

import bz2
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from cifake_ray.data.decoding.cells import Cell, damaged_in, read_cell

MAX_SOURCE_BYTES = 1 << 28
_METHODS = {0: "stored", 8: "deflate", 12: "bzip2"}  # APPNOTE 4.4.5
_ZIP_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: signature, …, length of the name, of the extra field


class Member(NamedTuple):
    """Place of a picture in a zip archive. `method`: as _METHODS; -1 encrypted; others cannot be read."""

    archive: str
    offset: int  # of its header, in bytes
    stored: int  # bytes in the archive
    method: int
    crc: int


class Span(NamedTuple):
    """Place of an uncompressed picture in a file, such as a tar archive: position and length in bytes."""

    file: str
    offset: int
    size: int


class Refused(NamedTuple):
    """A file that cannot be read, or must not be: a link to nothing, a pipe."""

    reason: str


# An encoded picture, the path of one, or its place in an archive or table.
Item = bytes | str | Member | Span | Cell | Refused


class UnreadableError(Exception):
    """Why a picture is left out, in a few words."""


def item_bytes(item: Item) -> int:
    """Bytes of the encoded picture, without reading the picture; 0 for an unreadable one and in a table."""
    if isinstance(item, bytes):
        return len(item)
    if isinstance(item, Member):
        return item.stored
    if isinstance(item, Span):
        return item.size
    try:
        return 0 if isinstance(item, Refused | Cell) else os.stat(item).st_size  # noqa: PTH116 (as in read_item)
    except (OSError, ValueError):
        return 0


def read_item(item: Item) -> bytes:
    """The encoded picture. Raises UnreadableError."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, Refused):
        raise UnreadableError(item.reason)
    if isinstance(item, Cell):
        return _read_cell(item)
    try:
        if isinstance(item, Member):
            return _read_member(item)
        if isinstance(item, Span):
            return _read_span(item)
        with open(item, "rb", buffering=0) as file:  # noqa: PTH123 (a buffer and a Path cost 6 us, a decode 11)
            size = os.fstat(file.fileno()).st_size  # read(n) allocates n bytes: 25 us for MAX_SOURCE_BYTES
            return file.read(min(size, MAX_SOURCE_BYTES))
    except zlib.error as error:
        raise UnreadableError("damaged in the zip archive") from error
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _read_member(member: Member) -> bytes:
    """One member, by its offset. zipfile would read the archive's directory: 1 to 2 s in every decoding process."""
    if member.method not in _METHODS:
        known = ", ".join(_METHODS.values())
        other = f"compressed by method {member.method} of zip (read are: {known}); pack the archive anew"
        raise UnreadableError("encrypted" if member.method < 0 else other)
    with Path(member.archive).open("rb") as file:
        file.seek(member.offset)
        header = file.read(_ZIP_HEADER.size)
        if len(header) < _ZIP_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise zlib.error("no member here")
        *_, name_length, extra_length = _ZIP_HEADER.unpack(header)
        file.seek(name_length + extra_length, os.SEEK_CUR)
        data = file.read(member.stored)
    if member.method == 8:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_SOURCE_BYTES)
    elif member.method == 12:
        data = bz2.BZ2Decompressor().decompress(data, MAX_SOURCE_BYTES)
    if zlib.crc32(data) != member.crc:
        raise zlib.error("wrong checksum")
    return data


def _read_span(span: Span) -> bytes:
    with open(span.file, "rb", buffering=0) as file:  # noqa: PTH123 (as in read_item)
        file.seek(span.offset)
        return file.read(min(span.size, MAX_SOURCE_BYTES))


def _read_cell(cell: Cell) -> bytes:
    try:
        return read_cell(cell)
    except Exception as error:  # Arrow raises OSError, ValueError, TypeError, NotImplementedError, …
        raise UnreadableError(damaged_in(cell)) from error
