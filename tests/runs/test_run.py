"""The run directory: what a crash, a second writer or a wrong name does to it."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import trial_columns
from cifake_ray.runs.commit import git_commit
from cifake_ray.runs.files import write_bytes, write_json, write_text
from cifake_ray.runs.names import create_run, find_run, free_name, list_runs, open_run
from cifake_ray.runs.records.store import read_records
from cifake_ray.runs.resume import DEFAULT_STORAGE, resume_command
from cifake_ray.runs.run import Run

EXPERIMENT = Experiment.model_validate({"name": "cnn", "model": {"kind": "cnn"}})
_HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_writer(run: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run's lock."""
    command = [sys.executable, "-c", _HOLD, str(run.path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_created_run_holds_its_experiment(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "first", EXPERIMENT)
    assert run.experiment() == EXPERIMENT
    assert open_run(tmp_path / "runs", "first") == run


def test_a_taken_name_is_refused_with_the_way_to_go_on(tmp_path: Path) -> None:
    create_run(tmp_path, "first", EXPERIMENT)
    with pytest.raises(InputError, match=f"tune --resume first --storage {tmp_path}`, or choose another --name"):
        create_run(tmp_path, "first", EXPERIMENT)


def test_a_storage_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .* choose another --storage"):
        create_run(tmp_path / "runs", "first", EXPERIMENT)


def test_free_name_counts_on_from_the_names_that_are_taken(tmp_path: Path) -> None:
    assert free_name(tmp_path, "cnn") == "cnn"
    create_run(tmp_path, "cnn", EXPERIMENT)
    create_run(tmp_path, "cnn-2", EXPERIMENT)
    assert free_name(tmp_path, "cnn") == "cnn-3"


def test_an_unknown_run_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such run; .*: none"):
        open_run(tmp_path, "ccn")
    for name in ("cnn", "resnet50"):
        create_run(tmp_path, name, EXPERIMENT)
    (tmp_path / "no-run").mkdir()
    with pytest.raises(InputError, match=r"no such run; .*: cnn, resnet50; did you mean cnn"):
        open_run(tmp_path, "ccn")
    assert [run.name for run in list_runs(tmp_path)] == ["cnn", "resnet50"]


def test_a_run_is_also_found_by_its_path(tmp_path: Path) -> None:
    run = create_run(tmp_path / "elsewhere", "cnn", EXPERIMENT)
    assert open_run(tmp_path / "runs", str(run.path)) == run


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        Run(tmp_path).experiment()


RECORD_DAMAGES = [
    ("test.json", b'{"schema": '),
    ("test.json", b"null"),
    ("test.json", b"[]"),
    ("test.json", b"7"),
    ("test.json", b""),
    ("test.json", b"\xff\xfe\x00"),
    ("test.json", b"[" * 100_000),
    ("test.json", b'{"winners": 5}'),
    ("winners.json", b'{"winners": [null]}'),
    ("winners.json", b'{"winners": [{"role": "tuned", "trial_id": "x"}]}'),
    ("winners.json", b'{"winners": [{"role": "tuned", "trial_id": 1, "seeds": {}}]}'),
    ("environment.json", b'"text"'),
    ("environment.json", b'{"data": []}'),
    ("environment.json", b'{"seconds": "long"}'),
    ("environment.json", b'{"weights": [1]}'),
    ("robustness.json", b"[]"),
]


@pytest.mark.parametrize(("name", "content"), RECORD_DAMAGES)
def test_a_damaged_record_is_one_line_that_names_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    run = Run(tmp_path)
    records = read_records(run)
    assert (records.environment.empty, records.test.empty, records.robustness.empty) == (True, True, True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path / name}: damaged \(.*\); put it back .*--resume") as refused:
        read_records(run)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"name: caf\xe9\n", b"\xff\xfen\x00", b"", b"null", b"- a", b"text", b"{", None])
def test_a_damaged_experiment_is_one_line_that_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    run = create_run(tmp_path, "cnn", EXPERIMENT)
    if content is None:
        run.experiment_file.unlink()
        run.experiment_file.mkdir()
    else:
        run.experiment_file.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{run.experiment_file}[:,]") as refused:
        run.experiment()
    assert "\n" not in str(refused.value)


def test_only_one_process_writes_a_run_and_a_dead_one_no_longer_counts(tmp_path: Path) -> None:
    run = create_run(tmp_path, "cnn", EXPERIMENT)
    with another_writer(run) as other:
        with pytest.raises(InputError, match="another process is writing this run"), run.update():
            pytest.fail("two writers")
        other.kill()
        other.wait()
        with run.update():
            pass
    with run.update():
        pass


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "trials.csv"
    write_text(file, "old")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, step, disk_full)
        with pytest.raises(OSError, match="No space left"):
            write_text(file, "new and longer")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_a_written_file_can_be_read_by_everybody(tmp_path: Path) -> None:
    write_bytes(tmp_path / "model", b"\x00\x01")
    assert (tmp_path / "model").read_bytes() == b"\x00\x01"
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o644


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "test.json", {"auc": math.nan})
    write_json(tmp_path / "test.json", {"auc": 0.5})
    assert json.loads((tmp_path / "test.json").read_text()) == {"auc": 0.5}


def test_the_columns_of_trials_csv_are_as_documented() -> None:
    assert ",".join(trial_columns(["lr", "batch_size"])) == (
        "trial_id,status,lr,batch_size,epochs,best_epoch,train_accuracy,val_accuracy,val_loss,seconds,cpu_seconds,error"
    )


def test_the_command_that_resumes_is_the_one_that_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resume_command("cnn", DEFAULT_STORAGE) == "cifake-ray tune --resume cnn"
    assert resume_command("cnn", Path("/my runs")) == "cifake-ray tune --resume cnn --storage '/my runs'"
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert resume_command("cnn", "s3://bucket/runs") == "cifake-ray submit --resume cnn --storage s3://bucket/runs"


@pytest.mark.parametrize(("given", "noted"), [("0123abcd", "0123abcd"), ("", None)])
def test_a_job_notes_the_commit_that_it_was_submitted_from(
    monkeypatch: pytest.MonkeyPatch, given: str, noted: str | None
) -> None:
    monkeypatch.setenv("CIFAKE_RAY_COMMIT", given)
    assert git_commit() == noted


def test_a_run_is_named_by_name_path_or_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = create_run("results/runs", "cnn", EXPERIMENT)
    for name in ("cnn", "results/runs/cnn", "results/runs/cnn/", str(run.path.absolute()), "cnn-0a1b2c"):
        assert find_run(name).path.absolute() == run.path.absolute()
        assert open_run("results/runs", name).path.absolute() == run.path.absolute()
    assert find_run("cnn", str(tmp_path / "results" / "runs")).name == "cnn"


def test_a_run_that_is_not_there_is_one_line_with_the_ones_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    create_run("results/runs", "cnn-deep", EXPERIMENT)
    with pytest.raises(
        InputError, match=rf"cnn-deap: no such run; runs in {tmp_path}/results/runs: cnn-deep; did you mean"
    ):
        find_run("cnn-deap")
    with pytest.raises(InputError, match="the shell found none of this pattern"):
        find_run("results/runs/none*")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="not a run directory"):
        find_run("folder")
