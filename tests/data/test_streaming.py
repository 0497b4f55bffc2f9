"""The squares of a whole part, batch by batch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import Part, load_images
from cifake_ray.data.streaming import seen_conversions, squares_of, stream_squares
from cifake_ray.data.transform import ENLARGED, RESIZED, SQUEEZED, Transform, to_squares

from ..native import write_native


@pytest.fixture
def packed(tmp_path: Path) -> Part:
    return load_images(write_native(tmp_path / "native")).train


@pytest.mark.parametrize("transform", [Transform("crop", 48), Transform("tiles", 32), Transform("resize", 32)])
def test_every_picture_comes_once_as_its_row_says(packed: Part, transform: Transform) -> None:
    seen = np.zeros(len(packed), int)
    for rows, squares in stream_squares(packed, transform):
        seen[rows] += 1
        assert np.array_equal(squares, packed.under(transform).pixels.batch(rows))
    assert seen.tolist() == [1] * len(packed)
    chosen = np.array([7, 2, 40])
    assert np.array_equal(squares_of(packed, chosen, transform), packed.under(transform).pixels.batch(chosen))


def test_held_images_are_slices_or_made_as_from_a_file() -> None:
    part = load_images("sample", limit=40).train
    ((rows, same),) = stream_squares(part, Transform("resize", 32))
    assert rows == slice(0, 40)
    assert np.shares_memory(same, part.images)
    ((_, larger),) = stream_squares(part, Transform("crop", 48))
    assert np.array_equal(larger[3], to_squares(Image.fromarray(part.images[3]), Transform("crop", 48)).pixels)


def test_what_the_transform_converts_is_counted(packed: Part) -> None:
    small = int((packed.table.sizes.min(axis=1) < 48).sum())
    assert seen_conversions(packed, Transform("crop", 48)) == {ENLARGED: small}
    squeezed = seen_conversions(packed, Transform("resize", 32))
    assert squeezed[RESIZED] >= squeezed[SQUEEZED] > 0
    assert seen_conversions(load_images("sample", limit=40).train, Transform("resize", 32)) == {}
