"""Which augmentations an experiment refuses, and what it says instead."""

from typing import Any

import pytest

from cifake_ray.experiment import Experiment

QUALITY = {"type": "int", "low": 50, "high": 70}
FIT = {"type": "categorical", "choices": ["crop", "tiles"]}
AUGMENT = {"type": "categorical", "choices": ["", "window+flip"]}


def experiment(model: dict[str, Any], augment: list[str], space: dict[str, Any], **data: Any) -> Experiment:
    tree = {"name": "x", "model": {"kind": "cnn"} | model, "training": {"augment": augment}, "search_space": space}
    return Experiment.model_validate(tree | {"data": data})


@pytest.mark.parametrize("fit", ["crop", "repeat"])
def test_window_works_with_native_squares(fit: str) -> None:
    experiment({"fit": fit}, ["window"], {})
    conditional = AUGMENT | {"when": {"fit": ["crop"]}}
    experiment({"fit": "crop"}, [], {"fit": FIT, "augment": conditional})


@pytest.mark.parametrize(
    ("model", "augment", "space", "said"),
    [
        ({"fit": "resize"}, ["window"], {}, "training.augment: .*whole picture; set model.fit to crop or repeat"),
        ({"fit": "tiles"}, ["window"], {}, "training.augment: .*corners; set model.fit to crop or repeat"),
        ({"fit": "crop"}, ["window"], {"fit": FIT}, "search_space: .*with fit tiles.*when: {fit: .crop.}"),
        ({}, [], {"augment": AUGMENT}, "search_space: .*with fit resize"),
        ({"fit": "crop"}, [], {"fit": FIT, "augment": AUGMENT}, "search_space: .*with fit tiles"),
        ({"kind": "resnet18"}, [], {"augment": AUGMENT}, "search_space.augment: a frozen backbone"),
        ({"kind": "resnet18", "fit": "crop"}, ["window"], {}, "training.augment: a frozen backbone"),
        ({"kind": "resnet18"}, ["jpeg"], {}, "training.augment: a frozen backbone.*set model.copies"),
        ({"kind": "resnet18", "copies": 2}, [], {}, "model.copies: name how they are augmented, as training.augment"),
        ({"kind": "resnet18", "copies": 2}, ["jpeg", "flip"], {}, "training.augment: flip is not for the copies"),
        ({"kind": "resnet18", "copies": 2}, ["jpeg"], {"jpeg_quality": QUALITY}, "search_space.jpeg_quality: the cop"),
        ({"kind": "resnet18", "trainable": "all", "copies": 1}, ["jpeg"], {}, "copies: of the pictures of a frozen"),
    ],
)
def test_what_cannot_augment_is_refused_with_a_way_out(
    model: dict[str, Any], augment: list[str], space: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        experiment(model, augment, space)


def test_store_side_must_hold_the_largest_square() -> None:
    sizes = {"image_size": {"type": "categorical", "choices": [64, 128]}}
    crop = {"fit": "crop", "image_size": 64}
    with pytest.raises(ValueError, match="image_size 128 from 100 native pixels; give 256"):
        experiment(crop, ["window"], sizes, store_side=100)
    experiment(crop, ["window"], sizes, store_side=128)
    experiment(crop, [], sizes, store_side=100)


def test_copies_may_be_augmented_and_their_number_searched() -> None:
    copies = {"copies": {"type": "int", "low": 0, "high": 3}}
    found = experiment({"kind": "resnet18", "copies": 2}, ["screenshot", "resize", "blur", "noise", "jpeg"], copies)
    assert found.model.copy_looks == ("copy1/identity", "copy2/identity")
    without = found.with_params({"copies": 0})
    assert (without.model.copy_looks, without.training.augment) == ((), ())
    several = experiment({"kind": "resnet18", "copies": 3, "views": ["identity", "flip"]}, ["jpeg"], {})
    assert several.model.copy_looks == (
        "copy1/flip",
        "copy2/identity",
        "copy3/flip",
    )  # three passes, whatever the views
    assert several.model.looks == ("identity", "flip")
