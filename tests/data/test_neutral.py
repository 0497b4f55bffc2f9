"""Both classes in one encoding: deterministic, apart in the cache, the same pictures by their second fingerprint."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.audit.encoding import read_headers
from cifake_ray.data.decoding.decode import decode_image, neutralised
from cifake_ray.data.decoding.items import read_item
from cifake_ray.data.neutral import NeutralEncoding, neutral_encoding
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.sources.reading import Reading, reading_from
from cifake_ray.data.transform import Transform, noted_transform
from cifake_ray.experiment import Neutral
from cifake_ray.runs.records import TransformNote

from .conftest import Files, encode

Write = Callable[..., Path]
ENCODING = NeutralEncoding(80, 95, 64)


def scene(seed: int, width: int = 100, height: int = 80) -> np.ndarray:
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def native(count: int = 6) -> Files:
    """FAKE as PNG, REAL as JPEG of quality 70: a bias that re-encoding removes."""
    kinds = {"FAKE": ("PNG", {}), "REAL": ("JPEG", {"quality": 70})}
    return {
        (part, label): {
            f"{at}.{kind.lower()}": encode(
                scene(1000 * (part == "test") + 100 * (label == "REAL") + at), kind, **options
            )
            for at in range(count)
        }
        for part in ("train", "test")
        for label, (kind, options) in kinds.items()
    }


def test_quality_is_drawn_from_pixels_and_seed_within_the_range() -> None:
    digests = [bytes([at]) * 32 for at in range(200)]
    drawn = [ENCODING.quality(digest) for digest in digests]
    assert (min(drawn), max(drawn)) == (80, 95)
    assert drawn == [ENCODING.quality(digest) for digest in digests]
    assert drawn != [ENCODING._replace(seed=1).quality(digest) for digest in digests]
    assert ENCODING.middle() == NeutralEncoding(87, 87, 64)


def test_larger_pictures_are_reduced_and_smaller_ones_keep_their_size() -> None:
    for width, height, expected in ((100, 80, (64, 51)), (60, 40, (60, 40)), (1000, 3, (64, 1))):
        encoded, found = neutralised(encode(scene(1, width, height), "PNG"), ENCODING)
        with Image.open(io.BytesIO(encoded)) as image:
            assert (image.format, image.size) == ("JPEG", expected)
        assert found.size == (width, height)
        assert found.conversions[-1] == "re-encoded as JPEG of quality 80 to 95, at most 64 px"


def test_packed_bytes_are_the_neutral_ones_and_fingerprint_v2_is_of_the_source(write_folder: Write) -> None:
    source = str(write_folder(native()))
    plain, neutral = load_images(source), load_images(source, reading=Reading(neutral=ENCODING))
    assert plain.fingerprint_v2 == neutral.fingerprint_v2
    assert plain.fingerprint != neutral.fingerprint
    assert plain.path != neutral.path
    assert isinstance(neutral.train.pixels, EncodedPixels)
    headers = read_headers(neutral.train.pixels.items(slice(None)))
    formats = {(header.format, max(header.size)) for header in headers.different if header is not None}
    assert formats == {("JPEG", 64)}
    assert neutral.converted == {ENCODING.said: 24}
    again = load_images(source, reading=Reading(neutral=ENCODING._replace(seed=3)))
    assert again.train.fingerprint != neutral.train.fingerprint


def test_held_pictures_are_decoded_encoded_and_decoded(files: Files, write_folder: Write) -> None:
    source = str(write_folder(files))
    plain, neutral = load_images(source), load_images(source, reading=Reading(neutral=ENCODING))
    assert neutral.side == 32
    assert plain.fingerprint_v2 == neutral.fingerprint_v2
    encoded, _ = neutralised(next(iter(files["train", "FAKE"].values())), ENCODING)
    assert np.array_equal(neutral.train.images[0], np.asarray(Image.open(io.BytesIO(encoded))))
    assert not np.array_equal(neutral.train.images[0], plain.train.images[0])
    assert load_labelled(source, reading=Reading(neutral=ENCODING.middle())).converted == {ENCODING.middle().said: 40}


def test_limited_set_keeps_its_encoding(write_folder: Write) -> None:
    source = str(write_folder(native(20)))
    limited = load_images(source, limit=20, reading=Reading(neutral=ENCODING))
    assert limited.neutral == ENCODING.name
    assert limited.train.fingerprint != load_images(source, limit=20).train.fingerprint


def test_trained_model_judges_pictures_of_the_middle_quality() -> None:
    note = TransformNote(fit="crop", side=32, neutral=Neutral(quality=(80, 95), size=64))
    transform = noted_transform(TransformNote.parse(note.as_json()))
    assert transform.name == "crop-32-jpeg87-87-max64"
    data = encode(scene(5), "PNG")
    encoded, _ = neutralised(data, ENCODING.middle())
    picture = decode_image(data, transform)
    assert np.array_equal(picture.squares.pixels, decode_image(encoded, Transform("crop", 32)).squares.pixels)
    assert (picture.size, picture.conversions) == ((100, 80), (ENCODING.middle().said,))
    assert noted_transform(TransformNote()).name == "resize-32"


def test_settings_of_an_experiment_are_read_with_the_split_seed() -> None:
    reading = reading_from(["data.neutral={quality: [80, 95], size: 64}", "data.split_seed=4"])
    assert reading.neutral == ENCODING._replace(seed=4)
    assert reading.key == ""
    assert neutral_encoding(None, 0) is None


def test_audit_shows_the_bias_before_and_after(write_folder: Write, command: Callable[..., Any]) -> None:
    code, out, _ = command("data", "audit", write_folder(native(20)), "--set", "data.neutral={quality: [80, 95]}")
    before, after = (line for line in out.splitlines() if line.startswith("bias "))
    assert code == 0
    assert "format alone 100.0 %" in before
    assert "format" not in after
    assert "jpeg80-95-seed0" in out


def test_every_picture_is_read_as_it_was_packed(write_folder: Write) -> None:
    images = load_images(str(write_folder(native())), reading=Reading(neutral=ENCODING))
    assert isinstance(images.test.pixels, EncodedPixels)
    data = [read_item(item) for item in images.test.pixels.items(slice(None))]
    wanted = [neutralised(one, ENCODING)[0] for part in ("FAKE", "REAL") for one in native()["test", part].values()]
    assert data == wanted
