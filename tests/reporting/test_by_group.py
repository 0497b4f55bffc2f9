"""What a study reached on groups of its test images, and what part each group had in the training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.errors import InputError
from cifake_ray.reporting.by_group import by_generator, leave_one_out, left_out, of_class, part_of, pooled, summarised
from cifake_ray.reporting.load import load

from .conftest import MakeRun, store_predictions

GENERATORS = ("", "adam", "bertha", "carl")
COUNTS = {"adam": 80, "bertha": 60, "carl": 15}


def with_generators(run: Path, wrong: dict[str, int], **data: Any) -> Path:
    """Predictions of 155 FAKE images by three generators and 100 REAL ones, of which so many are judged wrongly.

    data: keys of experiment.yaml's data section; `unseen` of environment.json's.
    """
    names = [name for name, count in COUNTS.items() for _ in range(count)] + [""] * 100
    labels = np.array([0 if name else 1 for name in names], np.uint8)
    right = np.ones(len(names), bool)
    for name in (*COUNTS, ""):
        right[np.flatnonzero(np.array(names) == name)[: wrong.get(name, 0)]] = False
    sure = np.linspace(0.7, 0.95, len(names))
    p_fake = np.where((labels == 0) == right, sure, 1 - sure).astype(np.float32)
    arrays = {
        "labels": labels, "names": np.array([f"{at}.png" for at in range(len(names))]),
        "duplicate": np.zeros(len(names), bool),
        "generator": np.array([GENERATORS.index(name) + 1 for name in names], np.uint8),
        "generator_values": np.array(GENERATORS),
        **{f"{role}_{seed}": p_fake for role in ("tuned", "baseline") for seed in range(1, 4)},
    }  # fmt: skip
    store_predictions(run, arrays)
    unseen = data.pop("unseen", [])
    text = (run / "experiment.yaml").read_text()
    for key, value in data.items():
        text = text.replace(f"{key}: {{}}", f"{key}: {json.dumps(value)}")
    (run / "experiment.yaml").write_text(text)
    environment = json.loads((run / "environment.json").read_text())
    taken = [{"part": "train", "class": "FAKE", "images": 300, "groups": {"generator": {"adam": 200, "bertha": 100}}}]
    environment["data"] |= {"taken": taken, "unseen": unseen}
    (run / "environment.json").write_text(json.dumps(environment))
    return run


def test_each_generator_is_judged_against_all_real_images(make_run: MakeRun) -> None:
    study = load(with_generators(make_run(), {"adam": 8, "bertha": 30, "": 10}))
    adam, bertha, carl = by_generator(study)
    assert (adam.row.value, adam.row.images, adam.row.right.value) == ("adam", 80, pytest.approx(0.9))
    assert adam.row.balanced_accuracy.value == pytest.approx(0.9)
    assert bertha.row.balanced_accuracy.value == pytest.approx(0.7)
    assert not carl.row.large
    assert carl.row.auc is None
    real = of_class(study, 1)
    assert real is not None
    assert real.right.value == pytest.approx(0.9)
    assert pooled([adam, bertha]).value == pytest.approx((72 + 30) / 140)


def test_mean_spread_and_minimum_are_over_generators_of_twenty_images_or_more(make_run: MakeRun) -> None:
    study = load(with_generators(make_run(), {"adam": 8, "bertha": 30, "carl": 15}))
    over, lowest = summarised(by_generator(study))["FAKE right %"]
    assert (over.mean, over.minimum, lowest) == (pytest.approx(0.7), 0.5, "bertha")
    assert over.spread == pytest.approx(np.std([0.9, 0.5], ddof=1))
    assert summarised([]) == {}


def test_the_part_of_a_generator_in_the_training_is_told(make_run: MakeRun) -> None:
    study = load(with_generators(make_run(), {}, leave_out={"generator": ["adam"]}, unseen=["bertha"]))
    assert [one.part for one in by_generator(study)] == ["left out", "validated", "not in train"]
    plain = load(make_run("plain"))
    assert part_of(plain, "generator", "adam") == "trained"  # runs that do not say what was taken
    assert by_generator(plain) == []


def test_groups_left_out_are_scored_apart_whatever_their_column(make_run: MakeRun) -> None:
    run = make_run("birds")
    text = (run / "experiment.yaml").read_text().replace("leave_out: {}", "leave_out: [bird]")
    (run / "experiment.yaml").write_text(text)
    (bird,) = left_out(load(run))
    assert (bird.row.column, bird.row.value, bird.row.label, bird.row.images) == ("subject", "bird", "", 196)
    assert bird.row.right.value == 1.0  # every tenth image is wrong, and those are airplanes


def test_several_studies_give_one_record_over_the_groups_that_they_left_out(make_run: MakeRun) -> None:
    studies = [
        load(with_generators(make_run(f"without-{name}"), {name: wrong}, leave_out={"generator": [name]}))
        for name, wrong in (("adam", 8), ("bertha", 30), ("carl", 3))
    ]
    found = leave_one_out(studies, "generator")
    assert [(one.study, one.value, one.right.value) for one in found.studies] == [
        ("without-adam", "adam", pytest.approx(0.9)), ("without-bertha", "bertha", 0.5),
        ("without-carl", "carl", pytest.approx(0.8)),
    ]  # fmt: skip
    assert (found.figures["right"].mean, found.figures["right"].lowest) == (pytest.approx(0.7), "bertha")
    json.dumps(found.as_json(), allow_nan=False)
    assert leave_one_out(studies, "subject").studies == []


def test_a_group_that_has_no_name_is_a_damaged_file(make_run: MakeRun) -> None:
    run = with_generators(make_run(), {})
    with np.load(run / "test_predictions.npz") as stored:
        arrays = dict(stored)
    for change in ({"generator": arrays["generator"] + 3}, {"generator": arrays["generator"][:7]}):
        np.savez_compressed(run / "test_predictions.npz", **arrays | change)
        with pytest.raises(InputError, match="damaged"):
            _ = load(run).predictions
