"""Which studies `--warm-start` may name, and what is read of them: journals, published tables, none without a trial."""

import shutil
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Metric
from cifake_ray.runs.names import create_run
from cifake_ray.runs.records import DataNote, Environment
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.warm_start.parents import read_parents

from ..conftest import epoch_result, experiment_of

ROOT = Path(__file__).parents[3]


def finished(folder: Path, name: str = "old", experiment: Experiment | None = None, **figures: float) -> Run:
    """A run of five trials: completed, completed, stopped, failed, still running; and a discarded proposal."""
    experiment = experiment or experiment_of()
    run = create_run(folder, name, experiment)
    record = StudyRecord(run, experiment)
    for number, status in enumerate(("completed", "completed", "stopped", "failed", None, "discarded")):
        params = {"lr": 1e-3 * (number + 1), "batch_size": 32, "head_width": 64}
        record.study.enqueue_trial(params)
        trial = record.study.ask()
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        trial.suggest_categorical("batch_size", (32, 64))
        trial.suggest_int("head_width", 32, 128)
        if status == "discarded":
            record.discard(number, "duplicate of trial 0")
            continue
        record.start(number, params)
        for epoch in range(1, 2 if status == "stopped" else 4):
            record.add_epoch(number, epoch_result(epoch, 0.7 + number / 100 + epoch / 1000, **figures))
        if status is not None:
            record.finish(number, status)
    record.flush(force=True)
    write_record(run.environment_file, Environment(data=DataNote(fingerprint="1" * 64, fingerprint_v2="2" * 64)))
    return run


def test_trials_with_a_result_are_read_with_the_fingerprints_of_their_images(tmp_path: Path) -> None:
    finished(tmp_path)
    (parent,) = read_parents(["old"], tmp_path, experiment_of())
    assert parent.name == "old"
    assert parent.fingerprints == {"1" * 64, "2" * 64}
    assert [(row.trial_id, row.status) for row in parent.rows] == [(0, "completed"), (1, "completed"), (2, "stopped")]
    assert parent.rows[0].params == {"lr": 1e-3, "batch_size": 32, "head_width": 64}
    assert parent.rows[1].value(Metric.VAL_ACCURACY) == pytest.approx(0.713)
    assert sorted(parent.rows[2].curve) == [1]


def test_a_run_is_found_by_name_folder_and_job_and_counts_once(tmp_path: Path) -> None:
    run = finished(tmp_path)
    found = read_parents(["old", str(run.path), "old-0123ab"], tmp_path, experiment_of())
    assert [parent.name for parent in found] == ["old"]


def test_a_published_run_is_read_from_its_tables_as_from_its_journal(tmp_path: Path) -> None:
    run = finished(tmp_path)
    (by_journal,) = read_parents(["old"], tmp_path, experiment_of())
    run.journal.unlink()
    (by_tables,) = read_parents(["old"], tmp_path, experiment_of())
    assert [row.params for row in by_tables.rows] == [row.params for row in by_journal.rows]
    for table, journal in zip(by_tables.rows, by_journal.rows, strict=True):
        assert table.value(Metric.VAL_ACCURACY) == pytest.approx(journal.value(Metric.VAL_ACCURACY))
        assert table.curve[1] == pytest.approx(journal.curve[1])
        assert type(table.params["batch_size"]) is int


def test_a_published_run_by_a_later_metric_is_read_with_that_metric(tmp_path: Path) -> None:
    experiment = experiment_of(search={"metric": "val_auc"})
    run = finished(tmp_path, experiment=experiment, val_auc=0.9, best_val_auc=0.95)
    (by_journal,) = read_parents(["old"], tmp_path, experiment)
    run.journal.unlink()
    (by_tables,) = read_parents(["old"], tmp_path, experiment)
    for parent in (by_journal, by_tables):
        assert [found.value(Metric.VAL_AUC) for found in parent.rows] == [0.95] * 3
        assert parent.rows[0].curve[1]["val_auc"] == 0.9


def test_committed_studies_can_be_begun_from() -> None:
    cnn = Run(ROOT / "results" / "studies" / "cnn")
    (parent,) = read_parents([str(cnn.path)], ROOT, cnn.experiment())
    assert len(parent.rows) == 10
    assert parent.fingerprints
    assert all(parent.experiment.search_space.keys() == row.params.keys() for row in parent.rows)


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    finished(tmp_path)
    with pytest.raises(InputError, match=r"ol: no such run; runs in .*: old; did you mean old\?"):
        read_parents(["ol"], tmp_path, experiment_of())


def test_a_study_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path, "new", experiment_of())
    with pytest.raises(InputError, match=r"--warm-start .*new: no trial of this study has a result; name a study with"):
        read_parents(["new"], tmp_path, experiment_of())


def test_a_study_that_searched_other_keys_is_refused(tmp_path: Path) -> None:
    finished(tmp_path)
    other = experiment_of({"dropout": {"type": "float", "low": 0.0, "high": 0.5}})
    with pytest.raises(
        InputError, match=r"no common key: that study searched lr, batch_size, head_width, and this one"
    ):
        read_parents(["old"], tmp_path, other)
    with pytest.raises(InputError, match="and this one searches nothing"):
        read_parents(["old"], tmp_path, experiment_of({}))


def test_a_damaged_journal_or_table_is_refused_in_one_line(tmp_path: Path) -> None:
    run = finished(tmp_path)
    shutil.copytree(run.path, tmp_path / "copy")
    lines = run.journal.read_text().splitlines(keepends=True)
    run.journal.write_text("".join([*lines[:3], "nonsense\n", *lines[4:]]))
    with pytest.raises(InputError, match="line 4 is not an entry"):
        read_parents(["old"], tmp_path, experiment_of())
    copied = Run(tmp_path / "copy")
    copied.journal.unlink()
    text = copied.trials_file.read_text()
    for damaged in (text.replace("32", "33"), text.replace("batch_size", "batch")):
        copied.trials_file.write_text(damaged)
        with pytest.raises(InputError, match=r"trials.csv or curves.csv cannot be read"):
            read_parents(["copy"], tmp_path, experiment_of())
