"""`--dry-run` refuses what the study would refuse before its first trial, and says what it did not look at."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.dry_run import rehearse
from cifake_ray.tuning.request import StudyRequest


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four pictures a class and part."""
    for part in ("train", "test"):
        for label in ("FAKE", "REAL"):
            folder = tmp_path / "images" / part / label
            folder.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32), (number, 90, 120)).save(folder / f"{number}.png")
    return tmp_path / "images"


def request_of(source: Path | str, model: dict[str, Any] | None = None, address: str | None = None) -> StudyRequest:
    tree = {"name": "x", "model": model or {"kind": "cnn"}, "data": {"source": str(source)}}
    return StudyRequest(Experiment.model_validate(tree), "runs", "x", address=address)


def test_a_good_set_is_counted_and_what_was_not_looked_at_is_said(images: Path) -> None:
    slots, lines = rehearse(request_of(images))
    assert slots >= 1
    assert lines[:2] == ["train: 4 FAKE + 4 REAL", "test: 4 FAKE + 4 REAL"]
    assert lines[-1].startswith("not checked: images but one of each class")


def test_a_class_without_a_readable_image_is_refused(images: Path) -> None:
    for file in (images / "test" / "FAKE").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"none of the first 4 files in test/FAKE can be read \(not an image\)"):
        rehearse(request_of(images))
    shutil.rmtree(images / "test" / "FAKE")
    (images / "test" / "FAKE").mkdir()
    with pytest.raises(InputError, match="no image in test/FAKE"):
        rehearse(request_of(images))


def test_an_archive_of_two_sets_is_refused(images: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    for name in ("a", "b"):
        shutil.copytree(images, both / name)
    archive = shutil.make_archive(str(tmp_path / "two"), "zip", both)
    with pytest.raises(InputError, match="several data sets in one"):
        rehearse(request_of(archive))


def test_files_that_need_not_be_opened_count_as_unreadable(images: Path) -> None:
    (images / "train" / "FAKE" / "gone.png").symlink_to(images / "nowhere")
    with pytest.raises(
        InputError, match=r"1 of 17 files cannot be read as images, more than 1 % \(train/FAKE/gone.png"
    ):
        rehearse(request_of(images))


def test_subjects_cannot_be_left_out_of_a_set_smaller_than_cifake(images: Path) -> None:
    for source in (str(images), "sample"):
        tree = {"name": "x", "model": {"kind": "cnn"}, "data": {"source": source, "leave_out": ["bird"]}}
        with pytest.raises(InputError, match="the subjects of these images are not known"):
            rehearse(StudyRequest(Experiment.model_validate(tree), "runs", "x"))


def test_weights_are_opened(images: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    model = {"kind": "resnet18", "weights": str(file), "image_size": 32, "stages": ["stem"]}
    with pytest.raises(InputError, match="of resnet18 up to stem are missing"):
        rehearse(request_of(images, model))
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="a Git LFS pointer"):
        rehearse(request_of(images, model))


def test_weights_that_would_be_downloaded_are_named(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAKE_RAY_WEIGHTS", raising=False)
    model = {"kind": "resnet18", "weights": "imagenet-v1", "image_size": 32, "stages": ["stem"]}
    assert (
        "not checked: weights imagenet-v1 are not here and would be downloaded first"
        in rehearse(request_of(images, model))[1]
    )


@pytest.mark.parametrize("address", ["é", "nowhere", "127.0.0.1:1"])
def test_an_address_that_is_none_or_does_not_answer_is_refused(images: Path, address: str) -> None:
    with pytest.raises(InputError, match="--address"):
        rehearse(request_of(images, address=address))
