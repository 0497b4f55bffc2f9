"""Warnings of parts in which accuracy alone misleads."""

from collections.abc import Callable
from pathlib import Path

from cifake_ray.data.audit.balance import few_images, unbalanced
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.study_inputs import gather_inputs, small_parts

from ..conftest import Files

Write = Callable[..., Path]


def test_a_part_is_unbalanced_above_60_percent_of_one_label() -> None:
    assert unbalanced("train", {"FAKE": 60, "REAL": 40}) is None
    said = unbalanced("train", {"FAKE": 610, "REAL": 390}) or ""
    assert said.startswith("61.0 % of the 1,000 train images are FAKE")


def test_parts_with_fewer_than_100_images_of_a_class_are_named() -> None:
    assert few_images({"test": {"FAKE": 100, "REAL": 100}}) is None
    said = few_images({"test": {"FAKE": 50, "REAL": 50}, "validation": {"FAKE": 500, "REAL": 500}}) or ""
    assert said.startswith("test has 50 FAKE + 50 REAL images, which give an accuracy to within 10 points")
    assert "validation" not in said


def test_few_validation_or_test_images_are_one_line_with_the_half_width(files: Files, write_folder: Write) -> None:
    data = {"source": str(write_folder(files))}
    inputs = gather_inputs(Experiment.model_validate({"name": "x", "model": {"kind": "cnn"}, "data": data}))
    (warning,) = small_parts(inputs)
    assert "validation has 12 FAKE + 12 REAL images, which give an accuracy to within 19 points" in warning
    assert "test has 20 FAKE + 20 REAL images, which give an accuracy to within 15 points" in warning
    enough = {"FAKE": 100, "REAL": 100}
    assert few_images({"validation": enough, "test": enough}) is None
    said = few_images({"validation": enough, "test": {"FAKE": 2, "REAL": 2}})
    assert said is not None
    assert said.startswith(
        "test has 2 FAKE + 2 REAL images, which give an accuracy to within 35 points (95 % interval)"
    )
