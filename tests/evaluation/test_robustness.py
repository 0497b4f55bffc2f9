"""`evaluate --robustness`: what it measures and where it is noted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cifake_ray.data import Part, load_images
from cifake_ray.data.corruptions import corruptions
from cifake_ray.data.datasets.cifake import CARD
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.table import make_table
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector
from cifake_ray.evaluation.delivery import TIERS
from cifake_ray.evaluation.evaluate import note_evaluation
from cifake_ray.evaluation.robustness import _left_out_apart, _predictions, measure_robustness
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.registry import family_of
from cifake_ray.models.weights import resolve_weights
from cifake_ray.reporting.load import load
from cifake_ray.reporting.report import write_report
from cifake_ray.runs.records import Evaluation, Robustness
from cifake_ray.runs.run import Run

CopyOf = Callable[..., Run]


def test_every_degradation_is_scored_and_the_report_reads_it(copy_of: CopyOf) -> None:
    run = copy_of("cnn", scored=True)
    result = measure_robustness(run)
    assert [row.name for row in result.rows] == [
        *("as they are", *(c.name for c in corruptions(32)), *(tier.words for tier in TIERS))
    ]
    assert {row.images for row in result.rows} == {50}
    assert load(run.path).records.robustness == result
    assert json.loads(run.robustness_file.read_text()) == result.as_json()
    images = load_images("sample", limit=200).test
    p_fake = load_detector(run).p_fake(np.array(images.images))
    expected = float(((p_fake > 0.5) == (images.labels == 0)).mean())
    assert result.rows[0].accuracy.value == pytest.approx(expected)


def test_a_held_set_is_degraded_and_judged_in_the_batches_of_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifake_ray.data.streaming._ROWS", 100)
    torch.manual_seed(0)
    model = BackboneModel(weights="random", image_size=32, stages=("stem",), head_width=8)
    detector = Detector(model, family_of(model).build(model), [resolve_weights("resnet50", "random", ["stem"])])
    images = np.random.default_rng(2).integers(0, 256, (150, 32, 32, 3), dtype=np.uint8)
    names = np.array([f"{number}" for number in range(150)])
    table = make_table("test", np.zeros(150, np.uint8), names, facts_of(images))
    found = {kind: logits for kind, logits, _ in _predictions(detector, Part(table, ArrayPixels(images), ""), None)}
    for one in corruptions(32)[-3:]:
        degraded = np.concatenate([one(images[:100]), one(images[100:], 100)])
        np.testing.assert_array_equal(found[one.kind, one.strength, one.name], detector.logits(degraded))


def test_a_limit_takes_a_part_of_the_images(copy_of: CopyOf) -> None:
    assert measure_robustness(copy_of("cnn", scored=True), limit=20).test_images == 20


def test_other_images_are_noted_under_their_name(copy_of: CopyOf, tmp_path: Path) -> None:
    from PIL import Image

    run = copy_of("cnn", scored=True)
    pixels = np.random.default_rng(5).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        place = tmp_path / "other" / ("FAKE", "REAL")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    result = measure_robustness(run, str(tmp_path / "other"))
    noted = json.loads((run.evaluations / "other.json").read_text())
    assert noted["robustness"] == result.as_json()
    assert noted["data"] == str(tmp_path / "other")
    assert not run.robustness_file.exists()
    write_report([run.path], tmp_path / "out")
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "## Other images, degraded" in page
    assert "cnn on other (20 images)" in page


def test_two_folders_of_one_name_are_noted_apart(copy_of: CopyOf) -> None:
    run = copy_of("cnn", scored=True)
    for source in ("/a/test", "/b/test", "/b/test"):
        note_evaluation(run, source, Evaluation(robustness=Robustness(rows=[])))
    noted = [json.loads(file.read_text())["data"] for file in run.evaluations.glob("test*.json")]
    assert sorted(noted) == ["/a/test", "/b/test"]


def test_subjects_left_out_are_scored_apart() -> None:
    names = np.array(["0001.jpg", "0001 (3).jpg", "0002 (3).jpg", "0001 (9).jpg"])
    pixels = np.zeros((4, 32, 32, 3), np.uint8)
    table = make_table("test", np.array([0, 0, 1, 1], np.uint8), names, facts_of(pixels)).with_groups(CARD)
    part = Part(table, ArrayPixels(pixels), "", CARD)
    left_out, seen = _left_out_apart(part, np.array([0.9, 0.1, 0.1, 0.2]), {"subject": ("bird",), "camera": ("x",)})
    assert (left_out.kind, left_out.images, left_out.accuracy.value) == ("left out", 2, 0.5)
    assert (seen.kind, seen.images, seen.accuracy.value) == ("seen", 2, 1.0)
    assert (left_out.name, seen.name) == ("left out of training: bird", "other subjects")
