"""The image table: what it was made of is read back, from a stream too."""

import hashlib

import numpy as np

from cifake_ray.data.facts import facts_of, pixel_digest
from cifake_ray.data.table import ImageTable, content_digest, joined, make_table, unpacked


def table(part: str = "train", *, turned: bool = False) -> ImageTable:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), np.uint8)
    labels, names = np.array([0, 1, 0, 1], np.uint8), np.array(["a", "b", "ü", "d"])
    order = np.arange(4)[::-1] if turned else np.arange(4)
    return make_table(part, labels[order], names, facts_of(images[order]))


def test_columns_are_read_back_from_a_packed_table() -> None:
    made = table()
    read = unpacked(made.packed())
    assert read.labels.tolist() == [0, 1, 0, 1]
    assert read.names.tolist() == ["a", "b", "ü", "d"]
    assert (read.digests == made.digests).all()
    assert read.sizes.tolist() == [[6, 8]] * 4
    assert read.formats == [""] * 4


def test_parts_of_a_joined_table_are_the_tables_that_were_joined() -> None:
    both = joined([table("train"), table("test", turned=True)])
    assert both.parts == ["train", "test"]
    assert (both.of_part("test").digests == table("test", turned=True).digests).all()
    assert both.take(np.array([7, 0])).names.tolist() == ["d", "a"]


def test_the_content_is_the_same_in_another_order_and_another_with_another_label() -> None:
    made = table()
    assert content_digest(made) == content_digest(table(turned=True))
    assert content_digest(made) != content_digest(made.take(np.array([0, 1, 2])))


def test_pictures_of_equal_bytes_differ_by_shape_and_squares_keep_their_digest() -> None:
    high, wide, square = (np.full(shape, 255, np.uint8) for shape in ((80, 40, 3), (40, 80, 3), (8, 8, 3)))
    assert pixel_digest(high) != pixel_digest(wide)
    assert pixel_digest(square) == hashlib.sha256(square.tobytes()).digest()
    assert facts_of(high[None]).digests[0] == np.frombuffer(pixel_digest(high), "S32")[0]
