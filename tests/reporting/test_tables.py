"""The comparison table: its columns, what each number is, and what half-finished runs give."""

import json
import math
from typing import Any

import pandas as pd
import pytest

from cifake_ray.reporting.load import load
from cifake_ray.reporting.tables import COLUMNS, comparison_table
from cifake_ray.reporting.text import markdown, missing, terminal_table

from .conftest import MakeRun

ISSUE_COLUMNS = (
    "study,model,role,weights,trials,stopped,failed,epochs,params_trained,params_total,train_accuracy,val_accuracy,gap,"
    "test_accuracy,test_accuracy_dedup,test_low,test_high,auc,f1_fake,ece,core_seconds,seeds,data,source"
)


def row(frame: pd.DataFrame, role: str) -> dict[str, Any]:
    return frame[frame["role"] == role].iloc[0].to_dict()


def test_table_begins_with_the_agreed_columns(make_run: MakeRun) -> None:
    frame = comparison_table([load(make_run())])
    assert ",".join(COLUMNS) == ISSUE_COLUMNS
    assert ",".join(frame.columns).startswith(ISSUE_COLUMNS)
    assert list(frame["role"]) == ["tuned", "baseline", "reference", "reference", "reference"]


def test_headline_interval_and_scores_belong_to_the_images_without_duplicates(make_run: MakeRun) -> None:
    tuned = row(comparison_table([load(make_run())]), "tuned")
    assert tuned["test_accuracy"] == pytest.approx(0.951)
    assert tuned["test_accuracy_dedup"] == pytest.approx(0.95)
    assert (tuned["test_low"], tuned["test_high"]) == pytest.approx((0.947, 0.953))
    assert (tuned["auc"], tuned["f1_fake"], tuned["ece"]) == pytest.approx((0.99, 0.949, 0.012))
    assert tuned["seeds"] == 3
    assert tuned["gap"] == pytest.approx(0.018)
    assert tuned["verdict"] == "neither"


def test_core_seconds_are_all_trials_for_tuned_and_its_own_for_the_baseline(make_run: MakeRun) -> None:
    frame = comparison_table([load(make_run(trials=12))])
    assert row(frame, "tuned")["core_seconds"] == 120
    assert row(frame, "baseline")["core_seconds"] == 10
    assert (row(frame, "tuned")["trials"], row(frame, "tuned")["stopped"]) == (12, 8)


def test_without_test_json_rows_are_the_best_trial_and_trial_0(make_run: MakeRun) -> None:
    study = load(make_run(parts="environment trials curves"))
    frame = comparison_table([study])
    tuned, baseline = row(frame, "tuned"), row(frame, "baseline")
    assert tuned["val_accuracy"] == study.trials["val_accuracy"].max()
    assert tuned["trial_id"] == study.trials["val_accuracy"].idxmax()
    assert baseline["val_accuracy"] == pytest.approx(0.93)
    assert math.isnan(tuned["test_accuracy"])
    assert "not tested; accuracies of one trial" in tuned["note"]
    assert any("not been retrained" in sentence for sentence in missing(study))


def test_train_interval_uses_at_most_ten_thousand_images(make_run: MakeRun) -> None:
    tuned = row(comparison_table([load(make_run())]), "tuned")
    # Wilson, p = 0.968, n = 10,000
    assert (tuned["train_low"], tuned["train_high"]) == pytest.approx((0.964367, 0.971274), abs=1e-6)
    assert tuned["val_low"] == pytest.approx(0.946892, abs=1e-6)  # p = 0.95, n = 20,000


@pytest.mark.parametrize("parts", ["", "environment", "trials", "curves", "trials curves", "test"])
def test_half_finished_run_gives_rows_and_says_what_is_missing(make_run: MakeRun, parts: str) -> None:
    study = load(make_run(parts=parts))
    frame = comparison_table([study])
    assert len(frame) == 5
    assert missing(study)
    assert markdown([study], frame)


def test_all_trials_failed_is_said_in_words(make_run: MakeRun) -> None:
    def fail(rows: list[dict[str, Any]]) -> None:
        for each in rows:
            each.update(status="failed", train_accuracy=None, val_accuracy=None, val_loss=None, error="boom")

    study = load(make_run(trials=3, change=fail, parts="environment trials"))
    assert any("All 3 trials failed" in sentence for sentence in missing(study))
    assert row(comparison_table([study]), "tuned")["failed"] == 3


def test_winner_without_test_scores_keeps_its_accuracies(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    for winner in test["winners"]:
        winner["mean"] = {"train_accuracy": 0.97, "val_accuracy": 0.95}
    (run / "test.json").write_text(json.dumps(test))
    tuned = row(comparison_table([load(run)]), "tuned")
    assert tuned["val_accuracy"] == 0.95
    assert math.isnan(tuned["test_accuracy"])


def test_retrained_winner_before_its_test_is_the_mean_of_its_seeds(make_run: MakeRun) -> None:
    run = make_run()
    noted = json.loads((run / "test.json").read_text())
    for winner in noted["winners"]:
        del winner["mean"]
    (run / "winners.json").write_text(json.dumps({"schema": 1, "winners": noted["winners"]}))
    (run / "test.json").unlink()
    study = load(run)
    tuned = row(comparison_table([study]), "tuned")
    assert tuned["val_accuracy"] == pytest.approx(0.95)  # 0.948, 0.950, 0.952
    assert tuned["seeds"] == 3
    assert any("tested yet" in sentence for sentence in missing(study))


def test_baseline_that_won_fills_both_rows(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    test["winners"] = [test["winners"][0] | {"trial_id": 0}]
    (run / "test.json").write_text(json.dumps(test))
    study = load(run)
    frame = comparison_table([study])
    assert row(frame, "tuned")["test_low"] == row(frame, "baseline")["test_low"] == pytest.approx(0.947)
    assert "the baseline was the best configuration" in row(frame, "tuned")["note"]
    assert "no configuration did better than the hand-picked baseline" in markdown([study], frame)
    assert missing(study) == []


def test_newer_retraining_without_test_is_said(make_run: MakeRun) -> None:
    run = make_run()
    (run / "winners.json").write_text((run / "test.json").read_text())
    assert any("newer retraining" in sentence for sentence in missing(load(run)))


def test_references_are_marked_as_claims(make_run: MakeRun) -> None:
    study = load(make_run())
    frame = comparison_table([study])
    claims = frame[frame["role"] == "reference"]
    assert list(claims["train_accuracy"])[:2] == [0.92, 0.98]
    assert list(claims["val_accuracy"])[:2] == [0.88, 0.96]
    assert list(claims["test_accuracy"])[2] == 0.9298
    assert claims["note"].str.contains("claim of others").all()
    assert "arXiv 2303.14126" in markdown([study], frame)


def test_generated_sample_and_random_weights_are_marked(make_run: MakeRun) -> None:
    study = load(make_run("r", "resnet50", generated=True, weights="random"))
    frame = comparison_table([study])
    assert row(frame, "tuned")["note"] == "generated sample, no measure of CIFAKE; random weights (untrained backbone)"
    text = markdown([study], frame)
    assert "the sample is no measure of CIFAKE" in text
    assert "The CIFAKE paper claims" not in text.split("## Accuracy")[0]


def test_markdown_table_lines_up_and_shows_intervals(make_run: MakeRun) -> None:
    study = load(make_run())
    text = markdown([study], comparison_table([study]))
    assert "95.00 [94.70, 95.30]" in text
    table = [line for line in text.split("## Accuracy")[1].split("## Cost")[0].splitlines() if line]
    assert len({len(line) for line in table}) == 1
    assert "Overfitting: training accuracy is more than 2 points" in text


def test_terminal_table_has_a_cell_for_every_column(make_run: MakeRun) -> None:
    columns, rows = terminal_table(comparison_table([load(make_run())]))
    assert {len(cells) for cells in rows} == {len(columns)}
    assert all(isinstance(cell, str) for cells in rows for cell in cells)
