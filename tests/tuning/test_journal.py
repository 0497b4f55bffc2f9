"""A resumed study never trains a finished trial again because its journal is damaged, another one, or not there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.runs.files import write_json
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.space import distributions

from .conftest import OpenRecord, epoch_result, experiment_of


def searched(record: StudyRecord) -> StudyRecord:
    """Three completed trials of three epochs, and one that was interrupted after one."""
    for epochs in (3, 3, 3, 1):
        trial = record.study.ask(distributions(record.experiment))
        record.start(trial.number, trial.params)
        for epoch in range(1, epochs + 1):
            record.add_epoch(trial.number, epoch_result(epoch, 0.7 + trial.number / 100))
        record.finish(trial.number, "completed" if epochs == 3 else "interrupted")
    record.flush(force=True)
    return record


@pytest.fixture
def run(open_record: OpenRecord) -> Run:
    return searched(open_record()).run


def snapshot(run: Run) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file()}


def lines_with(run: Run, *words: str) -> list[int]:
    """Which lines of the journal, from 0, hold all these words."""
    lines = run.journal.read_text().splitlines()
    return [number for number, line in enumerate(lines) if all(word in line for word in words)]


def without(run: Run, *numbers: int) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(line for number, line in enumerate(lines) if number not in numbers))


def in_middle(run: Run, change: Callable[[bytes], bytes]) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[6] = change(lines[6])
    run.journal.write_bytes(b"".join(lines))


def append_another_study(run: Run) -> None:
    line = {"op_code": 0, "worker_id": "w", "study_name": "second", "directions": [2]}
    run.journal.write_bytes(run.journal.read_bytes() + json.dumps(line).encode() + b"\n")


def null_epoch(run: Run) -> None:
    line = {"op_code": 8, "worker_id": "w", "trial_id": 3, "user_attr": {"epoch:2": None}}
    run.journal.write_bytes(run.journal.read_bytes() + json.dumps(line).encode() + b"\n")


DAMAGES: dict[str, tuple[Callable[[Run], object], str]] = {
    "missing": (lambda run: run.journal.unlink(), "trials.csv knows trial 0"),
    "empty": (lambda run: run.journal.write_bytes(b""), "trials.csv knows trial 0"),
    "first line gone": (lambda run: without(run, 0), "line 1: no study begins"),
    "two studies": (append_another_study, "a second study begins"),
    "cut line": (lambda run: in_middle(run, lambda line: line[:40] + b"\n"), "line 7 is not an entry"),
    "two lines joined": (lambda run: in_middle(run, lambda line: line[:-1]), "line 7 is not an entry"),
    "garbage": (lambda run: in_middle(run, lambda _: b"\x00\xff\xfegarbage\n"), "line 7 is not an entry"),
    "null": (lambda run: in_middle(run, lambda _: b"null\n"), "line 7 is not an entry"),
    "a number": (lambda run: in_middle(run, lambda _: b"7\n"), "line 7 is not an entry"),
    "an empty object": (lambda run: in_middle(run, lambda _: b"{}\n"), "line 7 is not an entry"),
    "an entry without content": (lambda run: in_middle(run, lambda _: b'{"op_code": 5}\n'), "cannot be replayed"),
    "unknown entry": (lambda run: in_middle(run, lambda _: b'{"op_code": 99}\n'), "cannot be replayed"),
    "an epoch that is null": (null_epoch, "epoch:2 of trial 3 is not what was written there"),
    "no JSON at the end": (lambda run: run.journal.open("ab").write(b"garbage\n"), "is not an entry"),
    "a trial's beginning gone": (lambda run: without(run, *lines_with(run, '"op_code":4')[1:2]), "was not begun"),
    "a parameter gone": (
        lambda run: without(run, *lines_with(run, '"param_name":"lr"', '"trial_id":1,')),
        "the settings of trial 1",
    ),
    "an epoch gone": (lambda run: without(run, *lines_with(run, '"epoch:2"', '"trial_id":1,')), "an epoch of trial 1"),
    "a status gone": (
        lambda run: without(run, *lines_with(run, '"status":"completed"', '"trial_id":1,')),
        "how trial 1 ended is missing",
    ),
    "second half gone": (
        lambda run: without(run, *range(lines_with(run, '"op_code":4')[2], 1000)),
        "trials.csv knows trial 2",
    ),
    "the end of a trial gone": (
        lambda run: without(run, *range(lines_with(run, '"epoch:3"', '"trial_id":2,')[0], 1000)),
        "trials.csv knows trial 2 to its end",
    ),
    "a folder": (lambda run: (run.journal.unlink(), run.journal.mkdir()), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_refused_and_nothing_is_written(run: Run, open_record: OpenRecord, damage: str) -> None:
    spoil, words = DAMAGES[damage]
    spoil(run)
    before = snapshot(run)
    with pytest.raises(InputError, match=r"study.journal: ") as refused:
        open_record()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert snapshot(run) == before


def test_the_journal_of_another_experiment_is_refused(run: Run, tmp_path: Path) -> None:
    space = {"weight_decay": {"type": "float", "low": 0.0, "high": 0.1}}
    experiment = experiment_of(space)
    other = Run(tmp_path / "other")
    other.path.mkdir()
    shutil.copy(run.journal, other.journal)
    with pytest.raises(InputError, match=r"the settings of trial 0 are not those of experiment.yaml"):
        StudyRecord(other, experiment)


def test_the_journal_of_another_run_of_the_experiment_is_refused(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other")
    shutil.copytree(run.path, other.path)
    other.journal.unlink()
    other.trials_file.unlink()
    searched(StudyRecord(other, experiment_of()))
    shutil.copy(other.journal, run.journal)
    with pytest.raises(InputError, match=r"trials.csv has other settings of trial 0"):
        StudyRecord(run, experiment_of())


@pytest.mark.parametrize("name", ["test.json", "winners.json"])
def test_a_tested_trial_that_the_journal_does_not_know_is_refused(run: Run, open_record: OpenRecord, name: str) -> None:
    params = open_record().rows[1].params
    write_json(run.path / name, {"winners": [{"role": "tuned", "trial_id": 1, "params": params}]})
    open_record()
    run.trials_file.unlink()
    run.journal.unlink()
    with pytest.raises(InputError, match=f"{name} knows trial 1, and the journal does not"):
        open_record()


@pytest.mark.parametrize("text", ["", "no table", "trial_id,status\nx,completed\n", "\x00", None])
def test_an_unreadable_table_is_written_anew_from_the_journal(
    run: Run, open_record: OpenRecord, text: str | None
) -> None:
    before = run.trials_file.read_bytes()
    if text is None:
        run.trials_file.write_bytes(b"\xff\xfe\x00")
    else:
        run.trials_file.write_text(text)
    open_record().flush(force=True)
    assert run.trials_file.read_bytes() == before


@pytest.mark.parametrize("way", ["renamed", "copied"])
def test_a_renamed_or_copied_run_knows_its_trials(run: Run, tmp_path: Path, way: str) -> None:
    before = run.journal.read_bytes()
    other = Run(tmp_path / "elsewhere" / "another name")
    other.path.parent.mkdir()
    (shutil.move if way == "renamed" else shutil.copytree)(run.path, other.path)
    record = StudyRecord(other, experiment_of())
    assert [row.status for row in record.rows.values()] == ["completed"] * 3 + ["interrupted"]
    assert other.journal.read_bytes() == before


def test_a_last_line_that_lacks_its_end_only_is_kept(run: Run, open_record: OpenRecord) -> None:
    whole = run.journal.read_bytes()
    run.journal.write_bytes(whole[:-1])
    open_record()
    assert run.journal.read_bytes() == whole
