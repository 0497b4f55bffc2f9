"""Formats and sizes that tell the class, and parts too small, are said before the first trial."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cifake_ray.data import load_images
from cifake_ray.data.audit.balance import few_images
from cifake_ray.data.audit.giveaways import giveaway
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.study_inputs import gather_inputs, small_parts, warnings_of

from ..conftest import Files, encode, picture

Write = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


def test_a_format_that_separates_the_classes_is_said(files: Files, write_folder: Write, command: Command) -> None:
    for part, seed in (("train", 7000), ("test", 8000)):
        names = files[part, "FAKE"]
        files[part, "FAKE"] = {
            Path(name).stem + ".PNG": encode(picture(seed + at), "PNG") for at, name in enumerate(names)
        }
    source = write_folder(files)
    said = "the format of a file alone tells FAKE from REAL for 100 % of the images"
    (warning,) = warnings_of(load_images(str(source)))
    assert f"warning: {said} (FAKE mostly PNG, REAL mostly JPEG)" in warning
    _, out, _ = command("data", "audit", source)
    assert [line for line in out.splitlines() if line.startswith("warning")] == [
        f"warning              {said} (FAKE mostly PNG, REAL mostly JPEG): a model may learn the format instead of "
        "what is generated; give both classes the same"
    ]


def test_a_size_that_separates_the_classes_is_said(files: Files, write_folder: Write, command: Command) -> None:
    random = np.random.default_rng(0)
    for (part, label), pictures in files.items():
        for name in pictures:
            size = (64, 64) if label == "FAKE" else tuple(random.integers(40, 300, 2).tolist())
            stream = io.BytesIO()
            Image.effect_noise(size, 80 + random.integers(40)).convert("RGB").save(stream, "JPEG")
            files[part, label][name] = stream.getvalue()
    source = write_folder(files)
    images = load_images(str(source))
    assert (images.train.table.sizes != 32).any()
    assert images.train.table.sizes[0].tolist() == [64, 64]
    said = (
        "the size of a file alone tells FAKE from REAL for 100 % of the images (FAKE mostly 64x64, REAL mostly various)"
    )
    assert [said in line for line in warnings_of(images)].count(True) == 1
    assert said in command("data", "audit", source)[1]


def test_sets_alike_and_rare_values_give_no_warning(files: Files, write_folder: Write) -> None:
    assert warnings_of(load_images(str(write_folder(files)))) == []
    each_its_own = {label: {f"{label}{at}": 1 for at in range(200)} for label in ("FAKE", "REAL")}
    assert giveaway("size", each_its_own) is None
    one_prevails = {"FAKE": {"PNG": 3, "JPEG": 3}, "REAL": {"JPEG": 994}}
    assert giveaway("format", one_prevails) is None
    assert giveaway("format", {"FAKE": {"PNG": 96, "JPEG": 4}, "REAL": {"JPEG": 100}}) is not None
    assert giveaway("format", {"FAKE": {"PNG": 88, "JPEG": 12}, "REAL": {"JPEG": 100}}) is None
    assert giveaway("format", {"FAKE": {"PNG": 9}, "REAL": {}}) is None


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
