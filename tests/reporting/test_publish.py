"""A report to be committed: nothing private or pictured in it, and figures that follow from the files beside it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cifake_ray.reporting.publish import disagreements
from cifake_ray.reporting.report import write_report

from .conftest import make_run_in, robustness_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with its runs; test.json made to agree with the predictions."""
    folder = tmp_path_factory.mktemp("made")
    run = make_run_in(folder)(trials=4)
    test = json.loads((run / "test.json").read_text())
    with np.load(run / "test_predictions.npz") as arrays:
        for winner in test["winners"]:
            for seed in winner["seeds"]:
                right = (arrays[f"{winner['role']}_{seed['seed']}"] > 0.5) == (arrays["labels"] == 0)
                seed["test"]["accuracy"]["value"] = float(right.mean())
                seed["test_dedup"]["accuracy"]["value"] = float(right[~arrays["duplicate"]].mean())
            for key in ("test", "test_dedup"):
                mean = float(np.mean([seed[key]["accuracy"]["value"] for seed in winner["seeds"]]))
                winner["mean"][key]["accuracy"]["value"] = mean
                for metric in ("auc", "f1_fake", "ece"):
                    value = float(np.mean([seed[key][metric]["value"] for seed in winner["seeds"]]))
                    winner["mean"][key][metric]["value"] = value
    (run / "test.json").write_text(json.dumps(test))
    environment = json.loads((run / "environment.json").read_text())
    environment["data"]["source"] = str(folder / "private" / "cifake")
    environment["command"] = f"cifake-ray tune cnn --data {folder / 'private' / 'cifake'} --storage {run.parent}"
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "explain").mkdir()
    (run / "explain" / "00-image.png").write_bytes(b"picture")
    (run / "robustness.json").write_text(json.dumps(robustness_of({"as they are": 0.9})))
    write_report([run], folder / "results", with_runs=True)
    return folder / "results"


@pytest.fixture
def published(made: Path, tmp_path: Path) -> Path:
    """A test's own copy."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def test_figures_follow_from_the_files_beside_them(published: Path) -> None:
    assert disagreements(published) == []
    kept = {file.name for file in (published / "studies" / "cnn").iterdir()}
    assert kept == {"experiment.yaml", "environment.json", "trials.csv", "curves.csv", "timeline.csv", "test.json",
                    "test_predictions.npz", "robustness.json"}  # fmt: skip


def test_no_picture_and_no_folder_of_this_machine_is_published(made: Path, published: Path) -> None:
    assert not list(published.glob("studies/**/*.png"))
    for file in published.rglob("*"):
        if file.suffix in (".json", ".yaml", ".csv", ".md", ".html"):
            assert str(made.parent) not in file.read_text()
    assert "--data cifake --storage runs" in (published / "studies" / "cnn" / "environment.json").read_text()


def test_a_changed_cell_is_found(published: Path) -> None:
    frame = pd.read_csv(published / "comparison.csv")
    frame.loc[0, "test_accuracy"] += 0.0001
    frame.to_csv(published / "comparison.csv", index=False)
    assert ["comparison.csv" in line and "test_accuracy" in line for line in disagreements(published)] == [True]


@pytest.mark.parametrize("key", ["test", "test_dedup"])
def test_a_score_that_the_predictions_do_not_give_is_found(published: Path, key: str) -> None:
    file = published / "studies" / "cnn" / "test.json"
    test = json.loads(file.read_text())
    test["winners"][0]["seeds"][1][key]["accuracy"]["value"] += 0.01
    file.write_text(json.dumps(test))
    found = disagreements(published)
    assert [("seed 2" in line, f"{key}.accuracy" in line, "predictions give" in line) for line in found] == [
        (True,) * 3
    ]


def test_missing_predictions_are_found(published: Path) -> None:
    (published / "studies" / "cnn" / "test_predictions.npz").unlink()
    assert any("test_predictions.npz is missing" in line for line in disagreements(published))
