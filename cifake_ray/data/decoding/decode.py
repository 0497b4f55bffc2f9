"""Decode an encoded picture to squares of RGB, or report why not; and batches of pictures for decoding processes."""

import bz2
import contextlib
import io
import os
import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from simplejpeg import decode_jpeg

from cifake_ray.data.decoding.cells import Cell, damaged_in, read_cell
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.table import pixel_digest
from cifake_ray.data.transform import Squares, Transform, to_squares
from cifake_ray.errors import InputError

MAX_SOURCE_PIXELS = 1 << 27  # 134 megapixels, 400 MB as RGB: telephones make 50; more is likely a decompression bomb
MAX_SOURCE_BYTES = 1 << 28
# Named, because Pillow would otherwise also try formats that start other programs (EPS) or are no photographs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands in the file's first box
_CONVERTED = {"1": "grey", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette"}
TRANSPARENT = "transparency laid on white"
DEEP = "16 bits a channel brought to 8"
TURNED = "turned as its EXIF says"
_MOST_16 = 65_535
_BOX = 40  # bytes in which an ISO file names its brands
NOTHING = Squares(np.zeros((0, 0, 3), np.uint8), (0, 0, 0, 0))  # of a picture that has no transform
_METHODS = {0: "stored", 8: "deflate", 12: "bzip2"}  # APPNOTE 4.4.5
_ZIP_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: signature, …, length of the name, of the extra field
_DEEP = re.compile(r"^I|;16")  # modes and raw modes of more than 8 bits a channel


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


Valid = tuple[int, int, int, int]  # as `Squares.valid`
# An encoded picture, the path of one, or its place in an archive or table.
Item = bytes | str | Member | Span | Cell | Refused


class UnreadableError(Exception):
    """Why a picture is left out, in a few words."""


class Picture(NamedTuple):
    """One decoded picture. `digest`: `pixel_digest` in its own size; zeros where not computed."""

    squares: Squares
    digest: bytes
    size: tuple[int, int]  # width and height as delivered
    format: str
    conversions: tuple[str, ...] = ()

    @property
    def pixels(self) -> bytes:
        """Bytes of the picture's squares: uint8 [s, s, 3]."""
        return self.squares.pixels.tobytes()


@dataclass(frozen=True)
class Batch:
    """Decoded pictures in the order given, zeros for a skipped one. Joined, because 512 tuples pickle more slowly.

    `pixels`: uint8 bytes [n, *shape of the transform]; without a transform the encoded pictures, joined, of `lengths`
    bytes each. `digests`: bytes [n, 32]. `sizes`: (width, height) as delivered.
    """

    pixels: bytes
    lengths: list[int]
    digests: bytes
    sizes: list[tuple[int, int]]
    formats: list[str]
    skipped: dict[int, str]  # position -> reason
    converted: Counter[str]


def decode_batch(items: Sequence[Item], transform: Transform, *, digest: bool = False) -> Batch:
    """The squares of encoded pictures; `digest`: with that of each. Never raises for a bad picture."""
    empty = np.zeros(transform.shape, np.uint8).tobytes()

    def decoded(data: bytes) -> tuple[bytes, Picture]:
        picture = decode_image(data, transform, digest=digest)
        return picture.pixels, picture._replace(squares=NOTHING)  # a crop holds the whole picture in memory

    return _batch(items, decoded, empty)


def pack_batch(items: Sequence[Item], neutral: NeutralEncoding | None = None) -> Batch:
    """The encoded pictures, as delivered or in the neutral encoding; and the facts of each in its own size.

    Never raises for a bad picture.
    """

    def packed(data: bytes) -> tuple[bytes, Picture]:
        return (data, decode_image(data, None)) if neutral is None else neutralised(data, neutral)

    return _batch(items, packed, b"")


class Place(NamedTuple):
    """An encoded picture, and the row of its squares in a file."""

    row: int
    item: Item


def square_batch(places: Sequence[Place], transform: Transform, file: str, start: int) -> list[Valid | None]:
    """Write the squares of pictures into rows of `file`, whose first row begins at byte `start`.

    Returns `Squares.valid` of each, None for a picture that cannot be read. Raises OSError when the disk is full.
    """
    valid: list[Valid | None] = []
    handle = os.open(file, os.O_WRONLY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row, item in places:
                try:
                    squares = decode_image(read_item(item), transform, digest=False).squares
                except UnreadableError:
                    valid.append(None)
                    continue
                write_at(handle, squares.pixels, start + row * squares.pixels.nbytes)
                valid.append(squares.valid)
    finally:
        os.close(handle)
    return valid


def write_at(handle: int, values: np.ndarray, at: int) -> None:
    """Write an array at byte `at` of an open file, all of it. Raises OSError when the disk is full."""
    left = np.ascontiguousarray(values).data.cast("B")
    while left:
        written = os.pwrite(handle, left, at)
        left, at = left[written:], at + written


def _batch(items: Sequence[Item], work: Callable[[bytes], tuple[bytes, Picture]], empty: bytes) -> Batch:
    made: list[tuple[bytes, Picture]] = []
    skipped: dict[int, str] = {}
    left_out = Picture(NOTHING, bytes(32), (0, 0), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is counted here
        for position, item in enumerate(items):
            try:
                made.append(work(read_item(item)))
            except UnreadableError as error:
                made.append((empty, left_out))
                skipped[position] = str(error)
    pictures = [picture for _, picture in made]
    return Batch(
        pixels=b"".join(data for data, _ in made),
        lengths=[len(data) for data, _ in made],
        digests=b"".join(picture.digest for picture in pictures),
        sizes=[picture.size for picture in pictures],
        formats=[picture.format for picture in pictures],
        skipped=skipped,
        converted=Counter(what for picture in pictures for what in picture.conversions),
    )


class Shown(NamedTuple):
    """A picture as viewers show it: RGB, uint8 [h, w, 3]; (width, height) as delivered. reduced: a scale below 1."""

    pixels: np.ndarray
    size: tuple[int, int]
    format: str
    conversions: tuple[str, ...] = ()
    reduced: bool = False


def decode_image(data: bytes, transform: Transform | None, *, digest: bool = True) -> Picture:
    """The picture in `data`, its squares (none without a transform), and the conversions that were needed.

    `digest`: compute it, where the picture is not decoded at a reduced scale. Raises UnreadableError as `as_delivered`.
    """
    if transform is not None and transform.neutral is not None:
        encoded, found = neutralised(data, transform.neutral)
        squares = decode_image(encoded, replace(transform, neutral=None), digest=False).squares
        return found._replace(squares=squares, conversions=(*found.conversions, *squares.conversions))
    shown = as_delivered(data, transform.side if transform is not None and transform.reduced else None)
    squares = NOTHING if transform is None else to_squares(shown.pixels, transform)
    known = pixel_digest(shown.pixels) if digest and not shown.reduced else bytes(32)
    return Picture(squares, known, shown.size, shown.format, (*shown.conversions, *squares.conversions))


def decode_squares(data: bytes, transforms: Sequence[Transform]) -> list[Squares]:
    """The squares of one picture under each transform; transforms that need one scale share a decoding.

    Raises UnreadableError as `as_delivered` does.
    """
    shown: dict[int, Shown] = {}
    found = []
    size = _plain_jpeg_size(data)
    for transform in transforms:
        at_least = transform.side if transform.reduced else None
        scale = _scale(size, at_least) if size is not None else at_least or 0
        if scale not in shown:
            shown[scale] = as_delivered(data, at_least)
        found.append(to_squares(shown[scale].pixels, transform))
    return found


def native_pixels(data: bytes) -> np.ndarray:
    """The RGB pixels of a picture in its own size: uint8 [h, w, 3]. Raises UnreadableError."""
    return as_delivered(data).pixels


def neutralised(data: bytes, neutral: NeutralEncoding) -> tuple[bytes, Picture]:
    """The picture in the neutral encoding, and the facts of the delivered picture. Raises UnreadableError."""
    shown = as_delivered(data)
    digest = pixel_digest(shown.pixels)
    try:
        encoded = neutral.encoded(Image.fromarray(shown.pixels), digest)
    except OSError as error:  # a side above 65,500 pixels
        raise UnreadableError("too wide or too high for a JPEG, which data.neutral makes of it") from error
    return encoded, Picture(NOTHING, digest, shown.size, shown.format, (*shown.conversions, neutral.said))


def as_delivered(data: bytes, at_least: int | None = None) -> Shown:
    """The decoded picture. `at_least`: decode a JPEG at a reduced scale, at least so many pixels high and wide.

    Raises UnreadableError: no picture, truncated, several frames, floating-point pixels, too many pixels.
    """
    if not data:
        raise UnreadableError("empty")
    if (size := _plain_jpeg_size(data)) is not None:
        # A quarter of Pillow's time at 32 px, two thirds at 512, the same pixels. Pillow decodes the pictures of which
        # simplejpeg warns.
        with contextlib.suppress(ValueError):
            return _shown_jpeg(data, size, _scale(size, at_least))
    try:
        with Image.open(io.BytesIO(data), formats=_formats_for(data)) as image:
            _refuse(image)
            return _shown(image, at_least)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableError("too many pixels") from error
    except MemoryError as error:
        raise UnreadableError("too many pixels for this machine's memory") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, …
        raise UnreadableError("truncated or damaged") from error


def picture_size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels by the header of an encoded picture; None without a readable header."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_formats_for(data)) as image:
            return _upright_size(image)
    except Exception:  # decoding reports what is wrong with the picture
        return None


def load_image_file(path: str | os.PathLike[str], transform: Transform) -> Picture:
    """A picture file, decoded and transformed. Raises InputError when it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode_image(read_item(os.fspath(path)), transform)
    except UnreadableError as error:
        kinds = ", ".join(_FORMATS)
        raise InputError(f"{path}: {error}", f"expected one still picture ({kinds})") from error


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


def _plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a baseline JPEG of three channels of 8 bits, as all of CIFAKE; None of other bytes.

    None too for a file with EXIF (APP1), which may turn the picture, or with another colour space (APP14).
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xE1, 0xEE):
        if data[at + 1] == 0xC0:  # the frame header: length, then bits, height, width, channels
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            plain = data[at + 4] == 8 and data[at + 9] == 3 and 0 < height * width <= MAX_SOURCE_PIXELS
            return (width, height) if plain else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _scale(size: tuple[int, int], at_least: int | None) -> int:
    """The divisor of the size at which a JPEG may be decoded: 8, 4, 2 or 1, by the rule of Pillow's `draft`."""
    times = 1 if at_least is None else min(size) // at_least
    return next(scale for scale in (8, 4, 2, 1) if times >= scale or scale == 1)


def _shown_jpeg(data: bytes, size: tuple[int, int], scale: int) -> Shown:
    """The JPEG decoded at this scale. Raises ValueError where libjpeg-turbo warns."""
    if scale == 1:
        return Shown(decode_jpeg(data), size, "JPEG")
    width, height = (-(-length // scale) for length in size)
    return Shown(decode_jpeg(data, min_height=height, min_width=width), size, "JPEG", reduced=True)


def _refuse(image: Image.Image) -> None:
    """Raise UnreadableError for what must not be converted; reads the header only, decodes nothing."""
    width, height = image.size
    if width * height > MAX_SOURCE_PIXELS:
        raise UnreadableError(f"too many pixels ({width}x{height})")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # an MPO is a photo with a preview behind it
        raise UnreadableError("animated or of several pages")
    if image.mode == "F":
        raise UnreadableError("floating-point pixels, whose range nothing tells")


def _is_deep(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel: Pillow reads colour as 8-bit "RGB"; the raw mode shows the depth."""
    raw_modes = [image.mode, *(str(part) for tile in getattr(image, "tile", ()) for part in _arguments(tile))]
    return any(_DEEP.search(mode) for mode in raw_modes)


def _arguments(tile: tuple[object, ...]) -> tuple[object, ...]:
    arguments = tile[3] if len(tile) > 3 else ()
    return arguments if isinstance(arguments, tuple) else (arguments,)


def as_shown(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture as viewers show it: upright, RGB, 8 bits, transparency on white; and the conversions."""
    deep = _is_deep(image)  # before anything is decoded, after which the raw mode is gone
    mode = image.mode
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    upright = ImageOps.exif_transpose(image) if orientation in range(2, 9) else image
    rgb, converted = _as_rgb(_in_8_bits(upright), mode)
    turned = (TURNED,) if upright is not image else ()
    return rgb, (*turned, *((DEEP,) if deep else ()), *converted)


def _in_8_bits(image: Image.Image) -> Image.Image:
    """The image in 8 bits; 16-bit grey by its high bytes. Raises UnreadableError for values of more than 16 bits."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.size and not 0 <= values.min() <= values.max() <= _MOST_16:
        raise UnreadableError("more than 16 bits a channel")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _as_rgb(image: Image.Image, mode: str) -> tuple[Image.Image, tuple[str, ...]]:
    """The image as RGB, transparent pixels on white as viewers show the image; the conversions. `mode`: of the file."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image, ()
    grey = () if mode in ("RGB", "RGBA") else ("grey" if mode.startswith("I") else _CONVERTED.get(mode, mode),)
    if not image.has_transparency_data:
        return image.convert("RGB"), grey
    layer = image.convert("RGBA")
    flat = Image.new("RGB", layer.size, "white")
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat, (*grey, TRANSPARENT)


def _formats_for(data: bytes) -> tuple[str, ...]:
    """The formats to try: HEIC only for a HEIC file and with the extra installed. Raises UnreadableError."""
    if data[4:8] != b"ftyp" or not any(brand in data[8:_BOX] for brand in _HEIC) or b"avif" in data[8:_BOX]:
        return _FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnreadableError("HEIC; install cifake-ray[formats] to read it") from error
    register_heif_opener()
    return (*_FORMATS, "HEIF")


def _shown(image: Image.Image, at_least: int | None) -> Shown:
    if at_least is None or image.format != "JPEG":
        rgb, conversions = as_shown(image)  # first of all: reading EXIF decodes a PNG
        return Shown(np.asarray(rgb), rgb.size, image.format or "", conversions)
    size, whole = _upright_size(image), image.size
    image.draft(None, (at_least, at_least))
    rgb, conversions = as_shown(image)
    return Shown(np.asarray(rgb), size, image.format, conversions, reduced=image.size != whole)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) as viewers show the picture: EXIF's orientations 5 to 8 exchange the two."""
    width, height = image.size
    return (height, width) if image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9) else (width, height)
