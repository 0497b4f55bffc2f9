"""What a user may rely on when a run directory is read, whole or half-finished."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.reporting.load import ROLES, load, state_of, summarise_runs

from .conftest import MakeRun


def fail_all(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row.update(status="failed", train_accuracy=None, val_accuracy=None, val_loss=None, error="loss is NaN")


def test_complete_run_gives_every_part(make_run: MakeRun) -> None:
    study = load(make_run("cnn", trials=6))
    assert study.name == "cnn"
    assert len(study.trials) == 6
    assert study.finished() == 6
    assert set(study.curves["trial_id"]) == set(range(6))
    baseline = study.outcome("baseline")
    assert baseline is not None
    assert baseline.trial_id == 0
    assert state_of(study) == "tested"


def test_categorical_values_stay_as_the_choices_are_written(make_run: MakeRun) -> None:
    study = load(make_run("r", "resnet50"))
    assert set(study.trials["stages"]) <= {"stem+layer1+layer2", "layer1", "layer2"}
    assert study.trials["dropout"].dtype == float


def test_run_without_any_result_file_is_empty_not_an_error(make_run: MakeRun) -> None:
    study = load(make_run(parts=""))
    assert study.trials.empty
    assert study.curves.empty
    assert study.trial("tuned") == {}
    assert state_of(study) == "empty"


@pytest.mark.parametrize("file", ["trials.csv", "curves.csv"])
def test_empty_file_reads_as_no_rows(make_run: MakeRun, file: str) -> None:
    run = make_run()
    (run / file).write_text("")
    study = load(run)
    assert (study.trials if file == "trials.csv" else study.curves).empty


def test_best_trial_is_the_highest_accuracy_that_did_not_fail(make_run: MakeRun) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for row, accuracy in zip(rows, (0.90, 0.97, 0.95, 0.96), strict=True):
            row["val_accuracy"] = accuracy
        rows[1]["status"] = "failed"

    assert load(make_run(trials=4, change=change, parts="trials")).trial("tuned")["trial_id"] == 3


def test_path_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path / "nothing")
    assert "not a run directory" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("file", "text"), [("test.json", "{"), ("environment.json", "{,}"), ("trials.csv", 'a,b\n"1')])
def test_damaged_file_is_named_in_one_line(make_run: MakeRun, file: str, text: str) -> None:
    run = make_run()
    (run / file).write_text(text)
    with pytest.raises(InputError, match=file) as caught:
        load(run)
    assert "\n" not in str(caught.value)


def test_winners_that_are_not_tested_yet_are_read(make_run: MakeRun) -> None:
    run = make_run()
    winners = json.loads((run / "test.json").read_text())
    for winner in winners["winners"]:
        del winner["mean"]["test"], winner["mean"]["test_dedup"]
    (run / "test.json").unlink()
    (run / "winners.json").write_text(json.dumps(winners))
    study = load(run)
    assert study.mean("tuned").val_accuracy == pytest.approx(0.95)
    assert state_of(study) == "searched"


def test_runs_are_summarised_with_counts_and_state(make_run: MakeRun, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[-1]["status"] = "running"

    make_run("a-tested")
    make_run("b-running", change=change, parts="trials")
    make_run("c-failed", change=fail_all, parts="trials")
    make_run("d-damaged")
    (tmp_path / "runs" / "d-damaged" / "test.json").write_text("[")
    table = summarise_runs(tmp_path / "runs").set_index("name")
    assert list(table["state"])[:3] == ["tested", "running", "failed"]
    assert table.loc["d-damaged", "state"].startswith("damaged: ")  # type: ignore[union-attr]
    assert table.loc["b-running", "running"] == 1
    assert table.loc["b-running", "trials"] == 11
    assert table.loc["c-failed", "failed"] == 12
    assert summarise_runs(tmp_path / "none").empty


def test_a_baseline_that_won_serves_both_roles(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    test["winners"] = [test["winners"][1] | {"role": "tuned"}]
    (run / "test.json").write_text(json.dumps(test))
    (run / "test_predictions.npz").unlink()
    study = load(run)
    outcomes = [study.outcome(role) for role in ROLES]
    assert [(one.role, one.trial_id) for one in outcomes if one] == [("tuned", 0), ("baseline", 0)]
    assert all(map(study.tested, ROLES))
    assert study.mean("baseline") == study.mean("tuned")


def test_before_the_retraining_there_is_no_outcome(make_run: MakeRun) -> None:
    study = load(make_run(parts="trials"))
    assert [study.outcome(role) for role in ROLES] == [None, None]
    assert study.records.test.empty
    assert not any(map(study.tested, ROLES))
    assert math.isnan(study.mean("tuned").test.accuracy.value)
