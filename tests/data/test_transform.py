"""The named transform: its name, what a person reads of it, and the note of it in model.json."""

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data.transform import (
    BILINEAR,
    HAMMING,
    SQUEEZED,
    Transform,
    conversions_under,
    native_transform,
    note_of,
    noted_transform,
    to_squares,
)
from cifake_ray.runs.records import TransformNote

ALL = (
    Transform(),
    Transform("resize", 224, reduced=True),
    Transform("resize", 224, reduced=True, bilinear=True),
    Transform("resize", 320, bilinear=True),
    Transform("crop", 128, room=256),
    Transform("tiles", 64),
    Transform("repeat", 96),
)


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.name)
def test_a_transform_is_found_by_its_name(transform: Transform) -> None:
    assert Transform.named(transform.name) == transform


@pytest.mark.parametrize(
    "name", ["", "crop", "crop-x", "zoom-32", "crop-32-room", "crop-32-reduced-", "resize-32-cubic"]
)
def test_other_texts_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="no transform"):
        Transform.named(name)


def test_words_say_how_a_picture_is_seen() -> None:
    assert Transform("crop", 128).words == "centred crop of 128 x 128 native pixels"
    assert Transform("crop", 128, room=256).words.endswith("drawn anew each epoch within 256 x 256")
    assert Transform("tiles", 64).words == "5 tiles of 64 x 64 native pixels (centre and corners)"


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.name)
def test_the_note_of_a_transform_gives_the_transform_again(transform: Transform) -> None:
    note = note_of(transform, None)
    assert (note.name, note.fit, note.side, note.reduced) == (
        transform.name, transform.fit, transform.side, transform.reduced
    )  # fmt: skip
    assert noted_transform(TransformNote.parse(note.as_json())) == transform


def test_a_note_without_a_name_is_resized_as_it_was_made() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    for reduced, kernel in ((False, Image.Resampling.LANCZOS), (True, Image.Resampling.HAMMING)):
        transform = noted_transform(TransformNote(side=32, reduced=reduced))
        expected = np.asarray(Image.fromarray(pixels).resize((32, 32), kernel))
        assert np.array_equal(to_squares(pixels, transform).pixels, expected)
    assert to_squares(pixels, transform).conversions == (HAMMING, SQUEEZED)


def test_whole_pictures_are_counted_as_they_are_resized() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    squares = to_squares(pixels, native_transform("resize", 32))
    assert squares.conversions == (BILINEAR, SQUEEZED)
    assert conversions_under(native_transform("resize", 32), np.array([[70, 90]])) == {BILINEAR: 1, SQUEEZED: 1}
    assert np.array_equal(to_squares(Image.fromarray(pixels), native_transform("resize", 32)).pixels, squares.pixels)
    assert to_squares(pixels[:32, :32], native_transform("resize", 32)).conversions == ()
