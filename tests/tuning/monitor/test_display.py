"""What is shown of a study while it runs."""

import pytest
from rich.console import Console

from cifake_ray.console import read_note
from cifake_ray.tuning.monitor import display as shown
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyEnd
from cifake_ray.tuning.monitor.display import Display, JobDisplay, display_of, recorded_pace
from cifake_ray.tuning.monitor.phases import note_phase

from ..conftest import OpenRecord, epoch_result, experiment_of, record_with


def test_off_a_terminal_every_trial_that_ends_is_one_line(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = open_record()
    display = Display(record)
    record_with(open_record, 0.85, into=record)
    display.step_ended()
    assert capsys.readouterr().err == ""
    record.finish(0, "stopped")
    display.study_ended(StudyEnd("trials", record.best()))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert (
        "trial 0 stopped early after 1 of 3 epochs: val_accuracy 85.00 % (lr 0.001, batch_size 32, head_width 64)"
        in lines[0]
    )
    assert "1/6 · best 85.00 % (trial 0)" in lines[0]


def test_off_a_terminal_a_minute_without_a_line_says_where_the_running_trials_are(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = open_record()
    display = Display(record)
    record_with(open_record, 0.85, into=record)
    display.update(force=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(shown, "_QUIET_SECONDS", 0.0)
    display.update(force=True)
    assert "trial 0 epoch 1/3 val_accuracy 85.00 % · 0/6" in capsys.readouterr().err


def test_a_failed_trial_is_shown_with_its_reason(open_record: OpenRecord, capsys: pytest.CaptureFixture[str]) -> None:
    record = open_record()
    display = Display(record)
    record_with(open_record, None, into=record)
    record.finish(0, "failed", "the training loss is nan")
    display.search_ended(2)
    assert "trial 0 failed after 0 of 3 epochs: the training loss is nan" in capsys.readouterr().err


def test_the_table_on_a_terminal_has_a_row_for_every_trial_and_the_best_in_its_title(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.85)
    table = Display(record).table()
    assert table.row_count == 1
    assert "2/3 search · 0/6 · best 85.00 % (trial 0)" in str(table.title)


def test_a_retraining_that_ends_is_one_line_with_its_rank_an_interrupted_one_none(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Display(open_record())
    display.search_ended(3)
    for seed, (status, reason) in enumerate((("completed", ""), ("failed", "its process died"), ("interrupted", ""))):
        display.trial_ended(RunningTrial(f"tuned-trial3-seed{seed}", None, {}, seed), status, reason)
    display.trial_ended(RunningTrial("4", 4, {}, 4), "completed", "")
    lines = [line.partition("retrained ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["tuned-trial3-seed0 (1/3)", "tuned-trial3-seed1 (2/3): failed, its process died"]
    assert display.title().startswith("3/3 retraining 2/3 · ")
    assert "0/6" not in display.title()


def test_a_resumed_study_says_at_once_where_it_is_and_how_long_it_takes(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = open_record()
    for number in range(3):
        record_with(open_record, 0.85, into=record, number=number)
        record.rows[number].spans = [[1000.0 + 4 * number, 1004.0 + 4 * number]]
        record.finish(number, "completed")
        record.rows[number].spans[-1][1] = 1004.0 + 4 * number
    assert recorded_pace(record) == pytest.approx(4.0)
    display = Display(record)
    display.step_ended()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("resumed at 3/6 · best 85.00 % (trial 0) · ")
    assert "left" in line
    assert "left" in str(display.table().title)


# --- in a job ------------------------------------------------------------------------------------------------------


def test_a_study_in_a_job_notes_its_trials_and_the_whole_for_machines(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    JobDisplay(record).update(force=True)
    trial, whole = (read_note(line) for line in capsys.readouterr().err.splitlines())
    params = {"lr": 1e-3, "batch_size": 32, "head_width": 64}
    about = {"trial_id": 0, "status": "running", "epochs": 1, "best": 0.75, "params": params, "error": ""}
    assert trial == {"trial": about}
    assert whole == {
        "phase": "2/3 search", "experiment": "cnn", "model": "cnn", "total": 6, "finished": 0,
        "trials": {"running": 1, "completed": 0, "stopped": 0, "failed": 0, "interrupted": 0},
        "metric": "val_accuracy", "best": {"value": 0.75, "trial_id": 0}, "seconds_left": None,
    }  # fmt: skip


def test_what_did_not_change_is_not_noted_again_nor_is_anything_too_often(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    display = JobDisplay(record)
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
    display = JobDisplay(record_with(open_record, 0.75))
    display.update(force=True)
    capsys.readouterr()
    monkeypatch.setattr(shown, "_WHOLE_SECONDS", 0.0)
    display.next_whole = 0.0
    display.update(force=True)
    (note,) = map(read_note, capsys.readouterr().err.splitlines())
    assert note is not None
    assert note["total"] == 6


def test_lines_of_trials_that_end_together_are_numbered_by_their_own_rank(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = open_record()
    display = Display(record)
    for number in range(4):
        record_with(open_record, 0.85, into=record, number=number)
        record.finish(number, "completed")
    display.update(force=True)
    ranks = [line.split(" · ")[1] for line in capsys.readouterr().err.splitlines()]
    assert ranks == ["1/6", "2/6", "3/6", "4/6"]


def test_a_line_names_the_best_of_the_trials_up_to_it(
    open_record: OpenRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    record = open_record()
    display = Display(record)
    for number, accuracy in enumerate((0.7, 0.9, 0.8)):
        record_with(open_record, accuracy, into=record, number=number)
        record.finish(number, "completed")
    display.update(force=True)
    best = [line.split(" · ")[2] for line in capsys.readouterr().err.splitlines()]
    assert best == ["best 70.00 % (trial 0)", "best 90.00 % (trial 1)", "best 90.00 % (trial 1)"]


def rendered(display: Display, width: int, height: int) -> list[str]:
    """The live table's lines on a terminal of this size."""
    display.console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with display.console.capture() as capture:
        display.console.print(display.table())
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (80, 12)])
def test_numbers_and_status_are_never_cut_and_the_table_fits_the_terminal(
    open_record: OpenRecord, width: int, height: int
) -> None:
    search = {"trials": 30, "second_objective": "parameters"}
    record = open_record(experiment_of(search=search))
    for number in range(20):
        record_with(open_record, 0.5 + number / 100, into=record, number=number, parameters=123_456.0)
        record.finish(number, "stopped")
    lines = rendered(Display(record), width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    best = next(line for line in lines if " 19 " in line)
    for cell in ("stopped early", "1/3", "69.00 %", "1.23e+05", "lr 0.001 bs 32"):
        assert cell in best


def test_columns_keep_their_places_and_rows_their_order_while_a_study_runs(open_record: OpenRecord) -> None:
    record = record_with(open_record, None)
    display = Display(record)
    first = next(line for line in rendered(display, 80, 24) if "status" in line)
    record.add_epoch(0, epoch_result(1, 0.9))
    record_with(open_record, 0.8, into=record, number=1)
    record.finish(0, "stopped")
    lines = rendered(display, 80, 24)
    assert next(line for line in lines if "status" in line) == first
    rows = [line for line in lines if "lr " in line]
    assert ["stopped early" in rows[0], "running" in rows[1]] == [True, True]


def test_only_a_ray_job_writes_notes(
    open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_with(open_record, 0.75)
    assert type(display_of(record)) is Display
    note_phase("preparing")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert type(display_of(record)) is JobDisplay
    note_phase("preparing")
    assert read_note(capsys.readouterr().err) == {"phase": "preparing"}
