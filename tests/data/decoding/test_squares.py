"""Squares of one picture under several transforms: those of each alone, from as few decodings as possible."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from simplejpeg import decode_jpeg

from cifake_ray.data.decoding import decode
from cifake_ray.data.decoding.decode import decode_image, decode_squares
from cifake_ray.data.decoding.items import UnreadableError
from cifake_ray.data.transform import Transform, native_transform

from .test_decode import exif, saved

NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
WIDE = Image.fromarray(NOISE).resize((300, 200), Image.Resampling.BICUBIC)
PICTURES = {
    "JPEG": saved(WIDE, "JPEG", quality=90),
    "turned JPEG": saved(WIDE, "JPEG", exif=exif(6)),
    "square JPEG": saved(WIDE.resize((64, 64)), "JPEG"),
    "grey JPEG": saved(WIDE.convert("L"), "JPEG"),
    "palette PNG": saved(WIDE.convert("P"), "PNG"),
    "transparent PNG": saved(WIDE.convert("RGBA"), "PNG"),
}
TRANSFORMS = [
    native_transform("crop", 64),
    native_transform("resize", 32),
    native_transform("tiles", 64),
    native_transform("resize", 64),
    native_transform("repeat", 250),
    Transform("crop", 64, room=128),
    native_transform("crop", 400),
]


@pytest.mark.parametrize("kind", PICTURES)
def test_squares_under_several_transforms_are_those_of_each_alone(kind: str) -> None:
    for transform, squares in zip(TRANSFORMS, decode_squares(PICTURES[kind], TRANSFORMS), strict=True):
        alone = decode_image(PICTURES[kind], transform).squares
        np.testing.assert_array_equal(squares.pixels, alone.pixels)
        assert squares.valid == alone.valid
        assert squares.pixels.shape == transform.shape


def test_a_picture_is_decoded_once_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []

    def counted(*arguments: Any, **options: Any) -> np.ndarray:
        pixels: np.ndarray = decode_jpeg(*arguments, **options)
        shapes.append(pixels.shape[:2])
        return pixels

    monkeypatch.setattr(decode, "decode_jpeg", counted)
    decode_squares(PICTURES["JPEG"], TRANSFORMS)
    assert sorted(shapes) == [(50, 75), (100, 150), (200, 300)]  # 32 px are resized from a quarter, 64 px from half
    shapes.clear()
    native = [transform for transform in TRANSFORMS if transform.fit != "resize"]
    decode_squares(PICTURES["JPEG"], native)
    assert shapes == [(200, 300)]


def test_a_picture_that_cannot_be_read_has_no_squares() -> None:
    for data in (b"", b"none", PICTURES["JPEG"][:500]):
        with pytest.raises(UnreadableError):
            decode_squares(data, TRANSFORMS)
