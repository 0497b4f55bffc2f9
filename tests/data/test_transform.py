"""The named transform: its name, and what a person reads of it."""

import pytest

from cifake_ray.data.transform import Transform

ALL = (
    Transform(),
    Transform("resize", 224, reduced=True),
    Transform("crop", 128, room=256),
    Transform("tiles", 64),
    Transform("repeat", 96),
)


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.name)
def test_a_transform_is_found_by_its_name(transform: Transform) -> None:
    assert Transform.named(transform.name) == transform


@pytest.mark.parametrize("name", ["", "crop", "crop-x", "zoom-32", "crop-32-room", "crop-32-reduced-"])
def test_other_texts_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="no transform"):
        Transform.named(name)


def test_words_say_how_a_picture_is_seen() -> None:
    assert Transform("crop", 128).words == "centred crop of 128 x 128 native pixels"
    assert Transform("crop", 128, room=256).words.endswith("drawn anew each epoch within 256 x 256")
    assert Transform("tiles", 64).words == "5 tiles of 64 x 64 native pixels (centre and corners)"
