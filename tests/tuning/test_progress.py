"""What ends a study early, and what is shown of it."""

import os
import signal
from typing import Any

import pytest

from cifake_ray.console import read_note
from cifake_ray.tuning import progress
from cifake_ray.tuning.progress import (
    Display,
    Guard,
    JobDisplay,
    StudyStopped,
    catching_signals,
    display_of,
    note_phase,
)
from cifake_ray.tuning.record import StudyRecord

from .conftest import OpenRecord, epoch_result, experiment_of


def record_with(
    open_record: OpenRecord, accuracy: float | None, into: StudyRecord | None = None, **search: Any
) -> StudyRecord:
    """A record of one running trial that reached this accuracy (validation loss: the rest to 1)."""
    record = into or open_record(experiment_of(search=search))
    record.study.ask()
    record.start(0, {"lr": 1e-3, "batch_size": 32, "head_width": 64})
    if accuracy is not None:
        record.add_epoch(0, epoch_result(1, accuracy))
    return record


@pytest.mark.parametrize(
    ("accuracy", "search", "reason"),
    [
        (0.9, {"target": 0.9}, "target"),
        (0.89, {"target": 0.9}, None),
        (None, {"target": 0.9}, None),
        (0.9, {"target": 0.1, "metric": "val_loss"}, "target"),
        (0.89, {"target": 0.1, "metric": "val_loss"}, None),
        (0.99, {}, None),
        (0.1, {"time_budget_s": 1e-9}, "time budget"),
        (0.1, {"time_budget_s": 1e6}, None),
    ],
)
def test_a_study_ends_at_its_target_or_budget_and_not_before(
    open_record: OpenRecord, accuracy: float | None, search: dict[str, Any], reason: str | None
) -> None:
    record = record_with(open_record, accuracy, **search)
    if search.get("metric") == "val_loss" and reason:
        record.rows[0].best["best_val_loss"] = 0.1  # 1 - 0.9 is a little less in binary
    assert Guard(record.experiment.search).reason(record) == reason


def test_a_signal_comes_before_every_other_reason(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1e-9)
    guard = Guard(record.experiment.search)
    guard.signalled = True
    assert guard.reason(record) == "interrupted"


def test_a_retraining_ends_at_a_signal_only(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.9, target=0.5, time_budget_s=1e-9)
    guard = Guard(record.experiment.search, searching=False)
    assert guard.reason(record) is None
    guard.signalled = True
    assert guard.reason(record) == "interrupted"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_noted_and_the_handlers_are_put_back(
    kind: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(kind)
    guard = Guard(experiment_of().search)
    with catching_signals(guard):
        os.kill(os.getpid(), kind)
        assert guard.signalled
    assert signal.getsignal(kind) is before
    assert "once more to stop now" in capsys.readouterr().err


def test_off_a_terminal_every_trial_that_ends_is_one_line(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = open_record()
    with Display(record, Guard(record.experiment.search)) as display:
        record_with(open_record, 0.85, into=record)
        display.update(force=True)
        assert capsys.readouterr().err == ""
        record.finish(0, "stopped")
        display.update(force=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "trial 0 stopped after 1 epochs: val_accuracy 0.8500 (lr 0.001, batch_size 32, head_width 64)" in lines[0]
    assert "1/6 done · best 0.8500 (trial 0)" in lines[0]


def test_a_failed_trial_is_shown_with_its_reason(open_record: OpenRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record = open_record()
    with Display(record, Guard(record.experiment.search)):
        record_with(open_record, None, into=record)
        record.finish(0, "failed", "the training loss is nan")
    assert "trial 0 failed after 0 epochs: the training loss is nan" in capsys.readouterr().err


def test_the_table_on_a_terminal_has_a_row_for_every_trial_and_the_best_in_its_title(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.85)
    table = Display(record, Guard(record.experiment.search)).table()
    assert table.row_count == 1
    assert "best 0.8500 (trial 0)" in str(table.title)


# --- in a job ------------------------------------------------------------------------------------------------------


def test_a_study_in_a_job_notes_its_trials_and_the_whole_for_machines(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    JobDisplay(record, Guard(record.experiment.search)).update(force=True)
    trial, whole = (read_note(line) for line in capsys.readouterr().err.splitlines())
    params = {"lr": 1e-3, "batch_size": 32, "head_width": 64}
    about = {"trial_id": 0, "status": "running", "epochs": 1, "best": 0.75, "params": params, "error": ""}
    assert trial == {"trial": about}
    assert whole == {
        "phase": "tuning", "experiment": "cnn", "model": "cnn", "total": 6, "finished": 0,
        "trials": {"running": 1, "completed": 0, "stopped": 0, "failed": 0, "interrupted": 0},
        "metric": "val_accuracy", "best": {"value": 0.75, "trial_id": 0}, "seconds_left": None,
    }  # fmt: skip


def test_what_did_not_change_is_not_noted_again_nor_is_anything_too_often(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    display = JobDisplay(record, Guard(record.experiment.search))
    display.update(force=True)
    capsys.readouterr()
    display.update(force=True)
    assert capsys.readouterr().err == ""
    record.finish(0, "completed")
    display.update()
    assert capsys.readouterr().err == ""
    display.update(force=True)
    assert len([line for line in capsys.readouterr().err.splitlines() if read_note(line)]) == 2


def test_the_whole_is_noted_now_and_then_so_that_it_is_near_the_end_of_a_log(
    open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    display = JobDisplay(record := record_with(open_record, 0.75), Guard(record.experiment.search))
    display.update(force=True)
    capsys.readouterr()
    monkeypatch.setattr(progress, "_WHOLE_SECONDS", 0.0)
    display.next_whole = 0.0
    display.update(force=True)
    (note,) = map(read_note, capsys.readouterr().err.splitlines())
    assert note is not None
    assert note["total"] == 6


def test_time_left_is_that_of_the_trials_and_is_not_said_while_winners_are_retrained(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.75)
    display = Display(record, guard := Guard(record.experiment.search))
    record.finish(0, "completed")
    assert display.seconds_left() is not None
    guard.searching = False
    assert display.seconds_left() is None


def test_a_signal_ends_what_comes_before_the_first_trial(open_record: OpenRecord) -> None:
    guard = Guard(open_record().experiment.search)
    guard.check_signal()
    guard.signalled = True
    with pytest.raises(StudyStopped, match="interrupted"):
        guard.check_signal()


def test_only_a_ray_job_writes_notes(
    open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    guard = Guard(record.experiment.search)
    assert type(display_of(record, guard)) is Display
    note_phase("preparing")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert type(display_of(record, guard)) is JobDisplay
    note_phase("preparing")
    assert read_note(capsys.readouterr().err) == {"phase": "preparing"}
