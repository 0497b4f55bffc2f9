"""`val_degraded`: what a trial measures is what the trained detector makes of the degraded pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.corruptions import light_corruptions
from cifake_ray.data.streaming import squares_of
from cifake_ray.data.transform import model_transform
from cifake_ray.detector.load import detector_from_checkpoint
from cifake_ray.experiment import Experiment
from cifake_ray.features import ensure_features, local_shards
from cifake_ray.models.registry import family_of
from cifake_ray.runs.names import create_run
from cifake_ray.training.checkpoint import BEST
from cifake_ray.tuning.degraded import degraded_inputs
from cifake_ray.tuning.squares import hold_squares
from cifake_ray.tuning.study_inputs import gather_inputs
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial

from ..native import write_native

CNN: dict[str, Any] = {"kind": "cnn", "channels": 4, "head_width": 8}
RESNET: dict[str, Any] = {"kind": "resnet18", "weights": "random", "stages": ["stem"], "head_width": 8}


def study_of(
    model: dict[str, Any], source: str, metric: str = "val_degraded", augment: tuple[str, ...] = ()
) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "degraded",
            "model": model,
            "training": {"epochs": 2, "batch_size": 8, "precision": "fp32", "augment": list(augment)},
            "search": {"metric": metric},
            "data": {"source": source, "val_fraction": 0.25, "limit": 100 if source == "sample" else None},
        }
    )


@pytest.mark.parametrize(
    ("model", "native", "augment"),
    [
        (CNN, False, ()),
        (CNN | {"fit": "crop", "image_size": 24}, False, ("flip",)),
        (CNN | {"fit": "crop", "image_size": 32}, True, ("window",)),
        (CNN | {"fit": "tiles", "image_size": 32, "views": ["identity", "flip"]}, True, ()),
        (RESNET | {"image_size": 32}, False, ()),
        (RESNET | {"image_size": [48, 32], "views": ["identity", "flip"]}, True, ()),
        (RESNET | {"fit": "tiles", "image_size": 32}, True, ()),
    ],
)  # fmt: skip
def test_a_trial_measures_what_its_detector_answers_to_degraded_pictures(
    tmp_path: Path, model: dict[str, Any], native: bool, augment: tuple[str, ...]
) -> None:
    experiment = study_of(model, write_native(tmp_path / "native") if native else "sample", augment=augment)
    run, inputs = create_run(tmp_path / "runs", "degraded", experiment), gather_inputs(experiment)
    train, rows = inputs.images.train, inputs.split.validation
    features = {one.spec.key: one for one in ensure_features(train, inputs.specs)}
    degraded, _ = degraded_inputs(experiment, train, rows, inputs.specs, local_shards, lambda: None)
    squares = hold_squares(experiment, train, lambda: None)
    context = TrialContext(
        experiment, run, inputs.images.path, inputs.split, features, squares=squares, degraded=degraded
    )
    reported: list[dict[str, Any]] = []
    run_trial(context, {"params": {}, "seed": 1, "folder": "trials/0", "trial_id": 0}, reported.append)
    assert [row.get("failed") for row in reported] == [None, None]

    transform = model_transform(experiment.model, train.side)
    detector = detector_from_checkpoint(run.path / "trials/0" / BEST, experiment, transform)
    plain, fake = squares_of(train, rows, transform), train.labels[rows] == 0
    shares = [((detector.p_fake(one(plain)) > 0.5) == fake).mean() for one in light_corruptions(transform.side)]
    assert reported[-1]["best_val_degraded"] == pytest.approx(np.mean(shares), abs=0.51 / len(rows))


def test_features_of_degraded_pictures_are_extracted_once(tmp_path: Path) -> None:
    experiment = study_of(RESNET | {"image_size": 32}, write_native(tmp_path / "native"))
    train = load_images(experiment.data.source).train
    specs, rows = family_of(experiment.model).passes(experiment), np.arange(5, 15)
    first = degraded_inputs(experiment, train, rows, specs, local_shards, lambda: None)
    again = degraded_inputs(experiment, train, rows, specs, local_shards, lambda: None)
    assert [one.extracted for one in first[1]] == [30]
    assert [one.extracted for one in again[1]] == [0]


def test_other_metrics_degrade_nothing(tmp_path: Path) -> None:
    experiment = study_of(CNN, "sample", metric="val_auc")
    train = load_images("sample", limit=100).train
    assert degraded_inputs(experiment, train, np.arange(5), [], local_shards, lambda: None) == (None, [])
    assert not list(tmp_path.rglob("squares"))


def test_degrading_ends_when_the_study_is_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    experiment = study_of(CNN | {"fit": "crop", "image_size": 32}, write_native(tmp_path / "native"))
    train = load_images(experiment.data.source).train
    with pytest.raises(KeyboardInterrupt):
        degraded_inputs(experiment, train, np.arange(5), [], local_shards, stop)
    assert not list((tmp_path / "cache" / "squares").glob("*/entry.json"))
