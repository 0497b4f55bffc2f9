"""Decode an encoded picture to squares of RGB, or report why not."""

import contextlib
import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from simplejpeg import decode_jpeg

from cifake_ray.data.decoding.items import UnreadableError, read_item
from cifake_ray.data.facts import pixel_digest
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.transform import Squares, Transform, to_squares
from cifake_ray.errors import InputError

MAX_SOURCE_PIXELS = 1 << 27  # 134 megapixels, 400 MB as RGB: telephones make 50; more is likely a decompression bomb
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
_DEEP = re.compile(r"^I|;16")  # modes and raw modes of more than 8 bits a channel


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
