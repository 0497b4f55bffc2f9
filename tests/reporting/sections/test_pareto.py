"""The Pareto front: which trials are on it, and that the report shows it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cifake_ray.experiment import Experiment, save_experiment
from cifake_ray.reporting.load import load
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.sections.pareto import front_sentence, front_table, pareto, pareto_front
from cifake_ray.runs.columns import trial_columns

from ..conftest import MakeRun

SPACE = {
    "head_width": {"type": "int", "low": 4, "high": 512},
    "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}},
}
TRIALS = [  # accuracy, parameters, status; those on the front in capitals
    (0.90, 5_000, "completed"),
    (0.80, 100, "STOPPED"),
    (0.92, 9_000, "completed"),
    (0.93, 4_000, "COMPLETED"),
    (0.93, 4_000, "completed"),
    (0.99, 50, "failed"),
    (0.95, 80_000, "COMPLETED"),
    (0.79, 100, "stopped"),
    (0.91, 4_000, "completed"),
]


def write_run(folder: Path, *, metric: str = "val_accuracy", second: str = "parameters") -> Path:
    run = folder / "runs" / f"two-{metric}-{second}"
    run.mkdir(parents=True)
    experiment = Experiment.model_validate(
        {"name": "two", "model": {"kind": "cnn"}, "search_space": SPACE,
         "search": {"metric": metric, "second_objective": second}}
    )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"trial_id": number, "status": status.lower(), "head_width": 8 * number + 8, "optimizer": "adam",
         second: cost, "epochs": 3, "best_epoch": 3, "train_accuracy": 0.95, "val_accuracy": accuracy,
         "val_loss": 1 - accuracy, "seconds": 10.0, "cpu_seconds": 9.0, "error": "NaN" if status == "failed" else ""}
        for number, (accuracy, cost, status) in enumerate(TRIALS)
    ]  # fmt: skip
    rows[6] |= {"optimizer": "adamw", "weight_decay": 0.05}
    pd.DataFrame(rows, columns=trial_columns(experiment.trial_fields())).to_csv(run / "trials.csv", index=False)
    (run / "experiment.yaml").write_text(save_experiment(experiment))
    return run


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_no_trial_of_the_front_is_beaten_in_both_objectives(tmp_path: Path, metric: str) -> None:
    front = pareto_front(load(write_run(tmp_path, metric=metric)))
    assert front["trial_id"].tolist() == [1, 3, 6]  # cheapest first; of equals the earlier; a failed one never
    assert front["parameters"].tolist() == [100, 4_000, 80_000]


def test_a_study_with_one_objective_or_without_results_has_no_front(make_run: MakeRun) -> None:
    for study in (load(make_run()), load(make_run("empty", parts=""))):
        assert pareto_front(study).empty
        assert front_sentence(study) == ""
        assert pareto(study) is None


def test_the_table_has_what_is_searched_and_no_column_that_the_front_lacks(tmp_path: Path) -> None:
    table = front_table(load(write_run(tmp_path)))
    assert list(table.columns) == [
        "trial_id", "status", "parameters", "val_accuracy", "head_width", "optimizer", "weight_decay",
    ]  # fmt: skip
    assert table["weight_decay"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("second", "label"), [("parameters", "trained parameters"), ("inference_ms", "inference time (ms per image")]
)
def test_the_plot_names_its_axes_with_units(tmp_path: Path, second: str, label: str) -> None:
    figure = pareto(load(write_run(tmp_path, second=second)))
    assert figure is not None
    assert label in figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel() == "validation accuracy (%)"
    assert figure.axes[0].get_xscale() == "log"  # 100 to 80,000
    figure.canvas.draw()
    assert "10k" in [label.get_text() for label in figure.axes[0].get_xticklabels()]


def test_the_report_shows_the_front_and_says_which_trial_won(tmp_path: Path) -> None:
    written = {path.name: path for path in write_report([write_run(tmp_path)], tmp_path / "report")}
    assert "two-val_accuracy-parameters-pareto.svg" in written
    for name in ("comparison.md", "report.html"):
        text = written[name].read_text()
        assert "3 of 8 trials are not beaten" in text
        assert "The winner is the one with the best val_accuracy" in text
    page = written["report.html"].read_text()
    assert "TPE proposed configurations for val_accuracy and parameters" in page
    assert "0 to 0.1, when optimizer is adamw" in page
    assert "| 80000" in written["comparison.md"].read_text()
