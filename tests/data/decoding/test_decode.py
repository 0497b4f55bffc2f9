import io
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import Skipped, load_image_file, load_images
from cifake_ray.data.decoding.decode import decode_image
from cifake_ray.data.decoding.workers import decode_all
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError, WorkError

from ..conftest import Files, encode, picture

Write = Callable[..., Path]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG with any header, whatever its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


RGB = Image.fromarray(picture(1))
UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"<html>404</html>", "not an image"),
    "truncated JPEG": (encode(picture(1))[:900], "truncated"),
    "truncated header": (encode(picture(1))[:30], "not an image|truncated"),
    "truncated PNG": (encode(picture(1), "PNG")[:900], "truncated"),
    "animated GIF": (saved(RGB, "GIF", save_all=True, append_images=[Image.fromarray(picture(2))]), "animated"),
    "animated PNG": (saved(RGB, "PNG", save_all=True, append_images=[Image.fromarray(picture(2))]), "animated"),
    "pages": (saved(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(picture(2))]), "several pages"),
    "float": (saved(Image.fromarray(np.zeros((32, 32), np.float32)), "TIFF"), "floating-point"),
    "damaged HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "formats|not an image|damaged"),
    "bomb": (png(12_000, 12_000), "too many pixels"),
    "huge bomb": (png(60_000, 60_000), "too many pixels"),
    "document": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n", "not an image"),
}
CONVERTED = {
    "grey": (encode(picture(1)[..., 0]), ("grey",)),
    "black and white": (saved(RGB.convert("1"), "PNG"), ("grey",)),
    "CMYK": (saved(RGB.convert("CMYK"), "JPEG"), ("CMYK",)),
    "palette": (saved(RGB.convert("P"), "PNG"), ("palette",)),
    "transparency": (saved(RGB.convert("RGBA"), "PNG"), ("transparency laid on white",)),
    "16-bit grey": (
        saved(Image.fromarray(np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)), "PNG"),
        ("16 bits a channel brought to 8", "grey"),
    ),
    "16-bit colour": (png(32, 32, depth=16, rows=bytes((1 + 32 * 6) * 32)), ("16 bits a channel brought to 8",)),
    "EXIF": (saved(RGB, "JPEG", exif=exif(6)), ("turned as its EXIF says",)),
    "size": (saved(RGB.resize((100, 80)), "JPEG"), ("resized from another size (Lanczos)", "squeezed to a square")),
    "grey and size": (saved(RGB.convert("L").resize((16, 16)), "PNG"), ("grey", "resized from another size (Lanczos)")),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_bad_image_in_a_good_set_is_left_out_and_named(kind: str, files: Files, write_folder: Write) -> None:
    data, reason = UNREADABLE[kind]
    files["train", "REAL"]["bad (2).jpg"] = data
    images = load_images(str(write_folder(files)))
    assert len(images.train) == 120
    (skipped,) = images.skipped
    assert skipped.name == "train/REAL/bad (2).jpg"
    assert re.search(reason, skipped.reason)
    assert "1 unreadable left out" in images.summary()


@pytest.mark.parametrize("kind", CONVERTED)
def test_unusual_image_is_converted_and_counted(kind: str, files: Files, write_folder: Write) -> None:
    data, conversions = CONVERTED[kind]
    files["test", "FAKE"]["unusual.jpg"] = data
    images = load_images(str(write_folder(files)))
    assert len(images.test) == 41
    assert images.converted == dict.fromkeys(conversions, 1)
    assert images.skipped == ()


def test_skipped_images_survive_the_cache(files: Files, write_folder: Write) -> None:
    files["train", "REAL"]["bad.jpg"] = b"broken"
    source = str(write_folder(files))
    assert (
        load_images(source).skipped == load_images(source).skipped == (Skipped("train/REAL/bad.jpg", "not an image"),)
    )


def test_jpeg_pixels_are_those_that_pillow_shows() -> None:
    for seed in range(5):
        for options in ({}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}, {"keep_rgb": True}):
            data = encode(picture(seed), "JPEG", **options)
            assert decode_image(data, Transform()).pixels == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def test_decoding_in_processes_equals_decoding_here() -> None:
    pictures = [encode(picture(seed)) for seed in range(50)]
    items = [pictures[i % 50] for i in range(1100)]
    items[7], items[1050] = b"broken", encode(picture(3)[..., 0])
    seen: list[int] = []
    decoded = decode_all(items, lambda done, _: seen.append(done))
    assert decoded.skipped == {7: "not an image"}
    assert decoded.converted == {"grey": 1}
    assert seen[-1] == 1100
    assert all(decoded.images[i].tobytes() == decode_image(items[i], Transform()).pixels for i in range(1100) if i != 7)


def test_decoding_processes_import_little() -> None:
    heavy = ("pyarrow", "pydantic", "yaml", "scipy", "sklearn", "torch", "ray")
    program = f"import sys, cifake_ray.data.decoding.workers; print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_dying_decoding_process_is_a_work_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifake_ray.data.decoding.workers.cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(WorkError, match="a process ended early"):
        decode_all([b"no picture"] * 2000)


def test_a_turned_picture_is_the_picture_as_viewers_show_it() -> None:
    for orientation, turn in ((3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)):
        turned = decode_image(saved(RGB, "PNG", exif=exif(orientation)), Transform())
        assert turned.pixels == RGB.transpose(turn).tobytes()
    wide = decode_image(saved(RGB.resize((64, 32)), "JPEG", exif=exif(8)), Transform())
    assert wide.size == (32, 64)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_lies_under_transparent_pixels_does_not_count(mode: str) -> None:
    alpha = Image.fromarray(np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 32, axis=1))
    cut = RGB.convert("RGBA")
    cut.putalpha(alpha)
    white = Image.new("RGB", RGB.size, "white")
    white.paste(cut, mask=alpha)
    if mode == "RGBA":
        assert (
            decode_image(saved(cut, "PNG"), Transform()).pixels == decode_image(saved(white, "PNG"), Transform()).pixels
        )
    values = np.frombuffer(decode_image(saved(cut.convert(mode), "PNG"), Transform()).pixels, np.uint8)
    assert (values[: 32 * 3] == 255).all()


def test_16_bit_grey_is_its_high_bytes() -> None:
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    for kind in ("PNG", "TIFF"):
        shown = np.frombuffer(decode_image(saved(Image.fromarray(values), kind), Transform()).pixels, np.uint8).reshape(
            32, 32, 3
        )
        assert (shown == (values >> 8)[..., None]).all()


def test_heic_is_read_with_the_extra() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture_of = decode_image(saved(RGB.resize((64, 64)), "HEIF", quality=90), Transform())
    assert (picture_of.format, picture_of.size) == ("HEIF", (64, 64))


def test_own_picture_is_brought_to_32_pixels(tmp_path: Path) -> None:
    RGB.convert("L").resize((640, 480)).save(tmp_path / "mine.png")
    picture = load_image_file(tmp_path / "mine.png", Transform())
    assert picture.squares.pixels.shape == (32, 32, 3)
    assert picture.squares.pixels.dtype == np.uint8
    assert picture.conversions == ("grey", "resized from another size (Lanczos)", "squeezed to a square")


def test_own_picture_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text.png: not an image; expected"):
        load_image_file(tmp_path / "text.png", Transform())
    with pytest.raises(InputError, match=r"none.png: cannot be read \(No such file"):
        load_image_file(tmp_path / "none.png", Transform())
