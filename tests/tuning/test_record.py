"""The record: whatever happens to the process, the journal knows what was reported, and the tables follow from it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Metric
from cifake_ray.runs.columns import curve_columns
from cifake_ray.tuning import record as record_module
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.space import distributions

from .conftest import OpenRecord, epoch_result, experiment_of


def ask(record: StudyRecord) -> int:
    """A new proposal, started."""
    trial = record.study.ask(distributions(record.experiment))
    record.start(trial.number, trial.params)
    return trial.number


def tables(record: StudyRecord) -> tuple[str, str]:
    record.flush(force=True)
    return record.run.trials_file.read_text(), record.run.curves_file.read_text()


@pytest.fixture
def record(open_record: OpenRecord) -> StudyRecord:
    """Five trials: completed, stopped, failed, interrupted, running."""
    record = open_record()
    for status, epochs in (("completed", 3), ("stopped", 1), ("failed", 2), ("interrupted", 2), ("running", 1)):
        number = ask(record)
        for epoch in range(1, epochs + 1):
            record.add_epoch(number, epoch_result(epoch, 0.7 + 0.01 * number + 0.02 * epoch, trial_id=number))
        if status != "running":
            record.finish(number, status, "the loss is nan" if status == "failed" else "")  # type: ignore[arg-type]
    return record


def test_the_tables_have_the_documented_columns_and_a_row_a_trial_and_epoch(record: StudyRecord) -> None:
    tables(record)
    trials, curves = pd.read_csv(record.run.trials_file), pd.read_csv(record.run.curves_file)
    assert list(trials.columns) == [
        "trial_id", "status", "lr", "batch_size", "head_width", "epochs", "best_epoch", "train_accuracy",
        "val_accuracy", "val_loss", "seconds", "cpu_seconds", "error",
    ]  # fmt: skip
    assert list(curves.columns) == [
        "trial_id", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
        "val_balanced_accuracy", "val_auc",
    ]  # fmt: skip
    assert trials["trial_id"].tolist() == [0, 1, 2, 3, 4]
    assert trials["status"].tolist() == ["completed", "stopped", "failed", "interrupted", "running"]
    assert trials["epochs"].tolist() == [3, 1, 2, 2, 1]
    assert trials["error"].fillna("").tolist() == ["", "", "the loss is nan", "", ""]
    first = trials.iloc[0]
    assert (first["best_epoch"], first["seconds"], first["cpu_seconds"]) == (3, 3.75, 3.0)
    assert first["val_accuracy"] == pytest.approx(0.76)
    assert first["train_accuracy"] == pytest.approx(0.81)
    assert first["val_loss"] == pytest.approx(0.24)
    assert trials["lr"].between(1e-4, 1e-2).all()
    assert len(curves) == 9
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert curves.query("trial_id == 0")["val_accuracy"].tolist() == pytest.approx([0.72, 0.74, 0.76])
    assert curves["learning_rate"].iloc[0] == pytest.approx(1e-3 / 3)


def test_the_journal_is_the_truth_and_the_tables_are_made_from_it_again(
    record: StudyRecord, open_record: OpenRecord
) -> None:
    record.finish(4, "completed")
    before = tables(record)
    record.run.trials_file.unlink()
    record.run.curves_file.write_text("damaged")
    assert tables(open_record()) == before


def test_what_was_running_when_the_process_died_is_interrupted(record: StudyRecord, open_record: OpenRecord) -> None:
    again = open_record()
    assert [row.trial_id for row in again.with_status("interrupted")] == [3, 4]
    assert again.with_status("running") == []
    assert again.rows[4].curve == record.rows[4].curve
    assert again.finished == record.finished == 3


def test_an_epoch_reported_twice_is_noted_once_also_after_reopening(open_record: OpenRecord) -> None:
    record = open_record()
    number = ask(record)
    record.add_epoch(number, epoch_result(1, 0.8))
    record.add_epoch(number, epoch_result(1, 0.1))
    again = open_record()
    again.add_epoch(number, epoch_result(1, 0.2))
    again.add_epoch(number, epoch_result(2, 0.9))
    assert {epoch: row["val_accuracy"] for epoch, row in open_record().rows[number].curve.items()} == {1: 0.8, 2: 0.9}


def test_optuna_knows_values_and_states(record: StudyRecord) -> None:
    trials = record.study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "RUNNING"]
    assert trials[0].value == pytest.approx(0.76)
    assert list(trials[0].intermediate_values) == [1, 2, 3]
    assert record.study.best_trial.number == 0


def test_a_loss_is_minimised(open_record: OpenRecord) -> None:
    record = open_record(experiment_of(search={"metric": "val_loss"}))
    for accuracy in (0.8, 0.9, 0.7):
        number = ask(record)
        record.add_epoch(number, epoch_result(1, accuracy))
        record.finish(number, "completed")
    assert record.study.best_trial.number == 1
    best = record.best()
    assert best is not None
    assert best.trial_id == 1


@pytest.mark.parametrize("metric", [Metric.VAL_AUC, Metric.VAL_WORST_GROUP, Metric.VAL_DEGRADED])
def test_a_later_metric_has_columns_of_its_own_and_chooses(open_record: OpenRecord, metric: Metric) -> None:
    record = open_record(experiment_of(search={"metric": metric}))
    for value in (0.8, 0.9, 0.7):
        number = ask(record)
        record.add_epoch(number, epoch_result(1, 1 - value, **{metric: value, f"best_{metric}": value}))
        record.finish(number, "completed")
    tables(record)
    trials, curves = pd.read_csv(record.run.trials_file), pd.read_csv(record.run.curves_file)
    assert trials[metric].tolist() == curves[metric].tolist() == [0.8, 0.9, 0.7]
    assert record.study.best_trial.number == 1
    best = open_record(record.experiment).best()
    assert best is not None
    assert (best.trial_id, best.value(metric)) == (1, 0.9)


def test_epochs_that_version_0_1_reported_have_empty_cells_for_later_figures(open_record: OpenRecord) -> None:
    record = open_record()
    number = ask(record)
    record.add_epoch(number, epoch_result(1, 0.8))
    record.add_epoch(number, epoch_result(2, 0.9, val_auc=0.95, val_balanced_accuracy=0.85))
    tables(open_record())
    curves = pd.read_csv(record.run.curves_file)
    assert curves["val_auc"].isna().tolist() == [True, False]
    assert curves["val_balanced_accuracy"].iloc[1] == 0.85


def test_a_study_is_not_resumed_by_a_metric_that_it_did_not_measure(open_record: OpenRecord) -> None:
    record = open_record()
    number = ask(record)
    record.add_epoch(number, epoch_result(1, 0.8))
    record.finish(number, "completed")
    changed = record.experiment.search.model_copy(update={"metric": Metric.VAL_DEGRADED})
    with pytest.raises(InputError, match=r"search.metric is val_degraded, which trial 0 was not measured by; set the"):
        open_record(record.experiment.model_copy(update={"search": changed}))


def test_the_best_trial_is_the_earlier_of_equals_and_never_a_failed_one(open_record: OpenRecord) -> None:
    record = open_record()
    assert record.best() is None
    for accuracy, status in ((0.8, "stopped"), (0.9, "completed"), (0.9, "completed"), (0.99, "failed")):
        number = ask(record)
        record.add_epoch(number, epoch_result(1, accuracy))
        record.finish(number, status)  # type: ignore[arg-type]
    best = record.best()
    assert best is not None
    assert best.trial_id == 1


def test_a_journal_cut_off_in_its_last_line_opens(record: StudyRecord, open_record: OpenRecord) -> None:
    lines = record.run.journal.read_bytes().splitlines(keepends=True)
    with record.run.journal.open("ab") as stream:
        stream.write(lines[-1][: len(lines[-1]) // 2])
    again = open_record()
    assert tables(again)[1] == tables(record)[1]
    again.add_epoch(3, epoch_result(3, 0.9))
    assert 3 in open_record().rows[3].curve


def test_a_last_epoch_cut_off_while_it_was_written_is_the_only_thing_lost(
    record: StudyRecord, open_record: OpenRecord
) -> None:
    before = dict(record.rows[4].curve)
    record.add_epoch(4, epoch_result(2, 0.9))
    text = record.run.journal.read_bytes()
    record.run.journal.write_bytes(text[: len(text) - 10])
    again = open_record()
    assert again.rows[4].curve == before
    again.add_epoch(4, epoch_result(2, 0.9))
    assert len(open_record().rows[4].curve) == 2


@pytest.mark.parametrize("symlink", [True, False])
def test_a_stale_lock_of_the_journal_does_not_hang_the_next_study(
    record: StudyRecord, open_record: OpenRecord, symlink: bool
) -> None:
    lock = Path(f"{record.run.journal}.lock")
    if symlink:
        lock.symlink_to(record.run.journal.parent / "gone")
    else:
        lock.write_text("")
    again = open_record()
    again.add_epoch(4, epoch_result(2, 0.9))
    assert not lock.is_symlink()
    assert not lock.exists()


def cut_short(record: StudyRecord) -> int:
    """A proposal of which only one value was written when the process died."""
    trial = record.study.ask()
    trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    return trial.number


def test_a_trial_with_half_a_proposal_is_in_no_table_and_does_not_count(
    record: StudyRecord, open_record: OpenRecord
) -> None:
    number = cut_short(record)
    again = open_record()
    assert number not in again.rows
    assert again.finished == 3
    assert f"\n{number}," not in tables(again)[0]
    assert again.study.trials[number].state.name == "FAIL"
    assert number not in open_record().rows


def test_a_baseline_that_was_cut_short_is_still_trial_0_with_the_baselines_values(open_record: OpenRecord) -> None:
    record = open_record()
    record.study.enqueue_trial(record.experiment.baseline_params())
    assert cut_short(record) == 0
    for again in (open_record(), open_record()):
        assert again.rows[0].status == "interrupted"
        assert again.rows[0].params == record.experiment.baseline_params()


def test_a_discarded_proposal_is_in_no_table(record: StudyRecord, open_record: OpenRecord) -> None:
    trial = record.study.ask(distributions(record.experiment))
    record.discard(trial.number, "duplicate of trial 0")
    assert trial.number not in open_record().rows
    assert open_record().finished == 3


@pytest.mark.parametrize(("status", "state"), [("completed", "COMPLETE"), ("stopped", "PRUNED"), ("failed", "FAIL")])
def test_an_end_that_optuna_was_not_told_of_any_more_is_told_on_resuming(
    record: StudyRecord, open_record: OpenRecord, status: str, state: str
) -> None:
    """Killed between writing the status and telling Optuna: a finished trial is not trained again."""
    trial = record.study.trials[4]
    record.storage.set_trial_user_attr(trial._trial_id, "status", status)
    again = open_record()
    assert (again.rows[4].status, again.study.trials[4].state.name) == (status, state)
    assert again.finished == 4
    before = record.run.journal.read_bytes()
    assert open_record().rows[4].status == status
    assert record.run.journal.read_bytes() == before


def test_tables_are_rewritten_now_and_then_and_at_the_end(
    open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = open_record()
    clock = 1000.0
    monkeypatch.setattr("cifake_ray.tuning.record.time.monotonic", lambda: clock)
    number = ask(record)
    assert record.run.trials_file.exists()
    record.add_epoch(number, epoch_result(1))
    assert len(record.run.curves_file.read_text().splitlines()) == 1
    clock += record_module.FLUSH_SECONDS + 1
    record.add_epoch(number, epoch_result(2))
    assert len(record.run.curves_file.read_text().splitlines()) == 3
    record.add_epoch(number, epoch_result(3))
    assert len(record.run.curves_file.read_text().splitlines()) == 3
    record.flush(force=True)
    assert len(record.run.curves_file.read_text().splitlines()) == 4
    assert record.run.curves_file.read_text().splitlines()[0] == ",".join(curve_columns(Metric.VAL_ACCURACY))


def test_timeline_tells_when_each_trial_was_worked_on_also_after_a_kill(
    open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 5000.0
    monkeypatch.setattr("cifake_ray.tuning.record.time.time", lambda: clock)
    record = open_record()
    first = ask(record)
    clock += 10
    second = ask(record)
    clock += 20
    record.add_epoch(first, epoch_result(1))
    record.finish(first, "completed")
    record.add_epoch(second, epoch_result(1))
    clock += 100  # killed, and resumed by another process
    again = open_record()
    again.start(second, again.rows[second].params)
    clock += 5
    again.finish(second, "stopped")
    again.flush(force=True)
    table = pd.read_csv(again.run.timeline_file)
    assert table.to_numpy().tolist() == [[first, 0, 30], [second, 10, 30], [second, 130, 135]]


def test_a_study_in_a_bucket_that_is_stopped_is_put_there_once_not_once_a_trial(
    record: StudyRecord,
) -> None:
    for _ in range(3):
        ask(record)
    put: list[str] = []
    record.run = replace(record.run, url="s3://bucket/runs/cnn")
    record.save = lambda: put.append(record.run.where)
    record.interrupt()
    assert len(record.with_status("interrupted")) == 5
    assert put == ["s3://bucket/runs/cnn"]
