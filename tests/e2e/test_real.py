"""Short studies on real CIFAKE; skipped where CIFAKE_RAY_DATA does not name it."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from tests.e2e.conftest import ROOT, Command

pytestmark = [
    pytest.mark.real,
    pytest.mark.cluster,
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        "CIFAKE_RAY_DATA" not in os.environ,
        reason="the images may not lie in the repository; CIFAKE_RAY_DATA names none",
    ),
]
SHORT = ("--trials", "2", "--set", "search.winner_seeds=0")


def best_accuracy(run: Path) -> float:
    return float(pd.read_csv(run / "trials.csv")["val_accuracy"].max())


def test_a_short_cnn_study_passes_85_percent(cifake_ray: Command, tmp_path: Path) -> None:
    options = ("--set", "data.limit=16000", "--set", "training.epochs=3")
    assert cifake_ray("tune", ROOT / "search_spaces" / "cnn.yaml", "--storage", tmp_path, *SHORT, *options) == 0
    assert best_accuracy(tmp_path / "cnn") > 0.85


@pytest.mark.skipif(
    "CIFAKE_RAY_WEIGHTS" not in os.environ,
    reason="weights may not lie in the repository; CIFAKE_RAY_WEIGHTS names none",
)
def test_a_short_frozen_resnet50_study_passes_95_percent_and_sees_each_image_once(
    cifake_ray: Command, tmp_path: Path
) -> None:
    for name, epochs in (("first", 6), ("second", 1)):
        options = ("--storage", tmp_path, "--name", name, "--set", "data.limit=12000")
        more = ("--set", f"training.epochs={epochs}", "--set", "model.views=[identity, flip]")
        assert cifake_ray("tune", ROOT / "search_spaces" / "resnet50.yaml", *options, *SHORT, *more) == 0
    assert best_accuracy(tmp_path / "first") > 0.95
    environment = json.loads((tmp_path / "second" / "environment.json").read_text())
    assert environment["weights"][0]["name"] == "imagenet-v1"
    assert environment["features"] is None  # nothing was extracted the second time
