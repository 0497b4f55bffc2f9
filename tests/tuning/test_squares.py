"""Which squares a study needs before its trials, and their arrays in the cache."""

from pathlib import Path
from typing import Any

import pytest

from cifake_ray.data import load_images
from cifake_ray.data.squares import open_squares
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.squares import check_squares, hold_squares, study_transforms

from ..native import write_native

SIZES = {"type": "categorical", "choices": [48, 32]}


def study(model: dict[str, Any], augment: tuple[str, ...] = (), space: dict[str, Any] | None = None) -> Experiment:
    tree = {"name": "x", "model": {"kind": "cnn"} | model, "training": {"augment": list(augment)}}
    return Experiment.model_validate(tree | {"search_space": space or {}})


def test_every_fit_and_size_that_a_trial_may_request_is_made() -> None:
    space = {"image_size": SIZES, "fit": {"type": "categorical", "choices": ["crop", "resize"]}}
    found = study_transforms(study({"fit": "crop", "image_size": 48}, space=space), None)
    assert [one.name for one in found] == [
        "crop-48",
        "resize-48-reduced-bilinear",
        "crop-32",
        "resize-32-reduced-bilinear",
    ]
    assert study_transforms(study({"fit": "crop", "image_size": 24}), 32) == [Transform("resize", 32)]


def test_only_combinations_that_can_occur_are_made() -> None:
    large = SIZES | {"when": {"fit": "crop"}}
    space = {"image_size": large, "fit": {"type": "categorical", "choices": ["crop", "resize"]}}
    found = study_transforms(study({"fit": "crop", "image_size": 48}, space=space), None)
    assert [one.name for one in found] == ["crop-48", "crop-32", "resize-48-reduced-bilinear"]


def test_window_holds_native_pixels_up_to_twice_the_largest_size() -> None:
    augment = {"type": "categorical", "choices": ["", "window"]}
    found = study_transforms(
        study({"fit": "crop", "image_size": 32}, (), {"image_size": SIZES, "augment": augment}), None
    )
    assert [one.name for one in found] == ["crop-32-room96", "crop-48-room96"]
    assert study_transforms(study({"fit": "crop", "image_size": 24}, ("window",)), 32) == [Transform("resize", 32)]


def test_squares_are_made_once_with_progress_and_a_phase(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = load_images(write_native(tmp_path / "native")).train
    experiment = study({"fit": "crop", "image_size": 32}, ("window",), {"image_size": SIZES})
    found = hold_squares(experiment, part, lambda: None)
    said = capsys.readouterr().err
    assert "1/3 images, pictures as squares, crop-32-room96 (1 of 2)" in said
    assert "48 of 48 pictures" in said
    assert [open_squares(path).array.shape for path in found.values()] == [(48, 96, 96, 3)] * 2
    assert hold_squares(experiment, part, lambda: None) == found
    assert "48 of 48" not in capsys.readouterr().err


def test_making_squares_ends_when_the_study_is_stopped(tmp_path: Path) -> None:
    part = load_images(write_native(tmp_path / "native")).train

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold_squares(study({"fit": "crop", "image_size": 32}), part, stop)
    assert not list((tmp_path / "cache" / "squares").glob(".staged*"))


def test_nothing_is_made_of_held_images_or_for_frozen_backbones(tmp_path: Path) -> None:
    assert hold_squares(study({"fit": "crop", "image_size": 24}), load_images("sample", limit=40).train, str) == {}
    part = load_images(write_native(tmp_path / "native")).train
    assert hold_squares(study({"kind": "resnet18", "fit": "crop"}), part, str) == {}


def test_a_range_without_a_step_is_refused() -> None:
    wide = study({"fit": "crop", "image_size": 64}, space={"image_size": {"type": "int", "low": 32, "high": 128}})
    with pytest.raises(InputError, match="97 arrays of all pictures"):
        check_squares(wide, None)
    check_squares(wide, 32)


def test_window_on_images_without_room_is_refused() -> None:
    with pytest.raises(InputError, match="32 x 32 pixels, and image_size is 32; set model"):
        check_squares(study({"fit": "crop"}, ("window",)), 32)
    check_squares(study({"fit": "crop", "image_size": 24}, ("window",)), 32)
