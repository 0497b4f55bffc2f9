"""The images that a winner gets most wrong, and the maps of what it looked at."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from cifake_ray.data import load_images
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector
from cifake_ray.evaluation.errors import SIDE, explain_run, most_wrong, overlay
from cifake_ray.evaluation.saliency import class_activation_maps
from cifake_ray.experiment.families.cnn import CnnModel
from cifake_ray.runs.run import Run

CopyOf = Callable[..., Run]


def test_most_confident_errors_come_first_and_copies_of_train_images_never() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    p_fake = np.array([0.4, 0.1, 0.9, 0.01, 0.6, 0.99, 0.2])
    fresh = np.array([True, True, True, False, True, True, True])
    assert most_wrong(labels, p_fake, fresh).tolist() == [1, 0, 5, 4]
    assert most_wrong(labels, p_fake, fresh, count=1).tolist() == [1, 5]


@pytest.mark.parametrize("kind", ["cnn", "resnet50"])
def test_a_report_finds_pictures_of_the_errors(copy_of: CopyOf, kind: str) -> None:
    run = copy_of(kind, scored=True)
    note = explain_run(run)
    p_fake = load_detector(run).p_fake_of_part(load_images("sample", limit=200).test)
    assert 0 < len(note.images) <= 16
    for entry in note.images:
        assert (entry.p_fake > 0.5) == (entry.label == "REAL")
        assert np.abs(p_fake - entry.p_fake).min() < 1e-5
        for name in (entry.image, entry.overlay):
            assert Image.open(run.explanations / name).size == (SIDE, SIDE)
    assert json.loads((run.explanations / "explain.json").read_text()) == note.as_json()
    explain_run(run)  # again: the old pictures are replaced
    assert len(list(run.explanations.glob("*.png"))) == 2 * len(note.images)


@pytest.mark.parametrize("kind", ["cnn", "resnet50"])
def test_maps_lie_between_0_and_1_and_depend_on_the_answer(copy_of: CopyOf, kind: str) -> None:
    detector = load_detector(copy_of(kind, scored=True))
    images = np.array(load_images("sample", limit=200).test.images[:4])
    fake, real = (class_activation_maps(detector, images, np.full(4, answer)) for answer in (True, False))
    for maps in (fake, real):
        assert maps.min() >= 0
        assert maps.max() <= 1
        assert maps.max() > 0.99
    assert not np.allclose(fake, real)


def test_the_map_of_a_network_that_looks_at_one_corner_lights_that_corner() -> None:
    class Corner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 1, 1, bias=False)
            torch.nn.init.ones_(self.convolution.weight)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.convolution(images)[:, 0, :8, :8].mean((1, 2))

    image = np.full((1, 32, 32, 3), 128, np.uint8)
    image[:, :8, :8] = 255
    maps = class_activation_maps(Detector(CnnModel(), Corner()), image, np.array([False]))[0]
    assert maps[:8, :8].min() == pytest.approx(1.0)
    assert maps[8:, 8:].max() < 0.05


def test_overlay_is_brightest_where_the_map_is() -> None:
    strength = np.zeros((8, 8), np.float32)
    strength[:4] = 1
    mixed = overlay(np.full((128, 128, 3), 128, np.uint8), strength)
    assert mixed[:40].mean() > mixed[-40:].mean() + 30


def test_no_error_gives_no_picture(copy_of: CopyOf) -> None:
    detector = load_detector(copy_of("cnn", scored=True))
    assert len(class_activation_maps(detector, np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, bool))) == 0
