"""Full or vanished storage interrupts a study: no trial fails by it, no half line is left, all resumes later."""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cifake_ray.data import load_images, split_train
from cifake_ray.errors import Interrupted, StorageError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.faults import storage_fault, storage_faults_interrupt
from cifake_ray.runs.files import write_text
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.space import distributions
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial
from tests.e2e import conftest as e2e

from .conftest import OpenRecord, epoch_result

command, small = e2e.cifake_ray, e2e.small  # fixtures


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a real failure of write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def started(record: StudyRecord) -> int:
    trial = record.study.ask(distributions(record.experiment))
    record.start(trial.number, trial.params)
    return trial.number


def test_what_a_full_disk_does_not_take_waits_and_leaves_no_half_line(open_record: OpenRecord) -> None:
    record = open_record()
    number = started(record)
    record.add_epoch(number, epoch_result(1))
    before = record.run.journal.read_bytes()
    with largest_file(len(before) + 40):
        record.add_epoch(number, epoch_result(2))
        record.finish(number, "completed")
        second = started(record)
        assert record.run.journal.read_bytes() == before
    assert record.fault == f"{record.run.path}: File too large"
    assert [trial.state.name for trial in record.study.trials] == ["COMPLETE", "RUNNING"]
    assert open_record().rows.keys() == {number}
    record.flush(force=True)  # there is room again
    again = open_record()
    assert (again.rows[number].status, len(again.rows[number].curve)) == ("completed", 2)
    assert again.rows[second].status == "interrupted"


def test_a_removed_run_is_not_begun_again(open_record: OpenRecord) -> None:
    record = open_record()
    number = started(record)
    shutil.rmtree(record.run.path)
    record.add_epoch(number, epoch_result(1))
    record.interrupt()
    assert record.fault == f"{record.run.journal}: No such file or directory"
    assert not record.run.path.exists()


@pytest.mark.parametrize(
    ("code", "file", "found"),
    [
        (errno.ENOSPC, None, True), (errno.EDQUOT, None, True), (errno.EIO, "/elsewhere", True),
        (errno.EROFS, "cnn/trials.csv", True), (errno.ENOENT, "cnn/trials/3", True), (errno.EACCES, "cnn", True),
        (errno.ENOENT, "other/images.npy", False), (errno.EACCES, "/elsewhere", False), (errno.EINVAL, "cnn", False),
    ],
)  # fmt: skip
def test_an_error_is_one_of_the_storage_by_its_kind_and_file(
    tmp_path: Path, code: int, file: str | None, found: bool
) -> None:
    run = Run(tmp_path / "cnn")
    error = OSError(code, os.strerror(code), None if file is None else str(tmp_path / file))
    fault = storage_fault(error, run)
    assert (fault is not None) == found
    if fault:
        assert fault.endswith(os.strerror(code))
        assert str(tmp_path) in fault or "/elsewhere" in fault


def test_a_storage_fault_says_where_why_and_how_to_resume(tmp_path: Path) -> None:
    run = Run(tmp_path / "cnn")
    with pytest.raises(Interrupted) as end, storage_faults_interrupt(run):
        write_text(run.trials_file, "")
    text = str(end.value)
    assert f"{run.path}: No such file or directory" in text
    assert text.endswith(f"resume with: cifake-ray tune --resume cnn --storage {tmp_path}")
    with pytest.raises(Interrupted, match="bucket"), storage_faults_interrupt(run):
        raise StorageError("s3://bucket: gone")
    with pytest.raises(ValueError, match="other"), storage_faults_interrupt(run):
        raise ValueError("other")


@pytest.fixture
def trial(tmp_path: Path) -> TrialContext:
    """A trial of three short epochs."""
    experiment = Experiment.model_validate(
        {"name": "t", "model": {"kind": "cnn", "channels": 4, "head_width": 8}, "data": {"limit": 100},
         "training": {"epochs": 3, "precision": "fp32"}}
    )  # fmt: skip
    images = load_images("sample", limit=100)
    run = create_run(tmp_path / "runs", "t", experiment)
    return TrialContext(experiment, run, images.path, split_train(images.train, 0.2, 0), {})


CONFIG = {"trial_id": 0, "params": {}, "seed": 0, "folder": "trials/0"}


def test_a_trial_reports_a_full_disk_as_such_and_then_ends_as_if_nothing_was(trial: TrialContext) -> None:
    reported: list[dict[str, Any]] = []
    with largest_file(2000):
        run_trial(trial, CONFIG, reported.append)
    assert [set(report) for report in reported] == [{"storage"}]
    assert "File too large" in reported[0]["storage"]
    assert list((trial.run.path / "trials" / "0").iterdir()) == []
    run_trial(trial, CONFIG, reported.append)
    assert [report["epoch"] for report in reported[1:]] == [1, 2, 3]


def test_a_trial_whose_run_is_removed_makes_no_other_folder(trial: TrialContext) -> None:
    reported: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        reported.append(row)
        if trial.run.path.exists():
            shutil.rmtree(trial.run.path)

    run_trial(trial, CONFIG, report)
    assert [report.get("epoch") for report in reported] == [1, None]
    assert "No such file" in reported[1]["storage"]
    run_trial(trial, CONFIG, report)
    assert "No such file" in reported[2]["storage"]
    assert not trial.run.path.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], check=False).returncode:
        pytest.skip("no right to mount a file system here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.usefixtures("ray_session")
def test_a_study_on_a_full_disk_is_interrupted_and_later_ends_with_every_trial_once(
    command: e2e.Command, small: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * (2 * 2**20 - 130_000))
    settings = ("--set", "search.scheduler=none", "--set", "search.winner_seeds=0")
    code = command("tune", small, "--storage", small_disk / "runs", *settings)
    assert code == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{small_disk / 'runs' / 'small'}" in last
    assert "No space left on device" in last
    assert last.endswith(f"cifake-ray tune --resume small --storage {small_disk / 'runs'}")
    filler.unlink()
    assert command("tune", "--resume", "small", "--storage", small_disk / "runs") == 0
    trials = pd.read_csv(small_disk / "runs" / "small" / "trials.csv")
    curves = pd.read_csv(small_disk / "runs" / "small" / "curves.csv")
    assert trials["status"].tolist() == ["completed"] * 6
    assert len(curves) == len(curves.drop_duplicates(["trial_id", "epoch"])) == 18
