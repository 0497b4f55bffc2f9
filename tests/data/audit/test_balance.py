"""Warnings of parts in which accuracy alone misleads."""

from cifake_ray.data.audit.balance import few_images, unbalanced


def test_a_part_is_unbalanced_above_60_percent_of_one_label() -> None:
    assert unbalanced("train", {"FAKE": 60, "REAL": 40}) is None
    said = unbalanced("train", {"FAKE": 610, "REAL": 390}) or ""
    assert said.startswith("61.0 % of the 1,000 train images are FAKE")


def test_parts_with_fewer_than_100_images_of_a_class_are_named() -> None:
    assert few_images({"test": {"FAKE": 100, "REAL": 100}}) is None
    said = few_images({"test": {"FAKE": 50, "REAL": 50}, "validation": {"FAKE": 500, "REAL": 500}}) or ""
    assert said.startswith("test has 50 FAKE + 50 REAL images, which give an accuracy to within 10 points")
    assert "validation" not in said
