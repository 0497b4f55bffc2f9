from collections.abc import Callable
from pathlib import Path

from cifake_ray.data.audit.balance import few_images
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.study_inputs import gather_inputs, small_parts

from ..conftest import Files

Write = Callable[..., Path]


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
