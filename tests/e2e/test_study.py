"""Whole studies on the session's Ray: what is recorded, stopped, resumed, repeated."""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray import cloudpickle
from ray._private import state
from ray._private.internal_api import get_memory_info_reply
from ray.util import placement_group_table

from cifake_ray.evaluation.testing import results_fault
from cifake_ray.experiment import Metric
from cifake_ray.runs.columns import curve_columns, trial_columns
from cifake_ray.runs.run import Run
from tests.e2e.conftest import Command

pytestmark = pytest.mark.usefixtures("ray_session")


def tables(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(run / "trials.csv"), pd.read_csv(run / "curves.csv")


def wait_until(true: Callable[[], bool]) -> None:
    """Ray learns of the end of a process a moment after it."""
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert true()


def test_a_study_leaves_every_file_of_a_run_and_resuming_it_adds_trials_only(
    cifake_ray: Command, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "small"
    assert cifake_ray("tune", small, "--storage", tmp_path / "runs") == 0
    assert "synthetic sample" in capsys.readouterr().out
    trials, curves = tables(run)
    assert list(trials.columns) == trial_columns(["lr", "batch_size", "head_width"])
    assert list(curves.columns) == curve_columns(Metric.VAL_ACCURACY)
    assert trials["trial_id"].tolist() == list(range(6))
    assert set(trials["status"]) == {"completed", "stopped"}  # ASHA stopped some
    assert trials.loc[0, ["lr", "batch_size", "head_width"]].tolist() == [1e-3, 32, 8]  # the baseline
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert (curves.groupby("trial_id").size() == trials.set_index("trial_id")["epochs"]).all()
    assert (trials.loc[trials["status"] == "completed", "epochs"] == 3).all()
    best = curves.groupby("trial_id")["val_accuracy"].max()
    assert np.allclose(best, trials.set_index("trial_id")["val_accuracy"])
    assert (trials["cpu_seconds"] > 0).all()

    storage = JournalStorage(JournalFileBackend(str(run / "study.journal")))
    study = optuna.load_study(study_name="small", storage=storage)  # as optuna-dashboard reads it
    assert [len(trial.intermediate_values) for trial in study.trials] == trials["epochs"].tolist()
    first = curves.query("trial_id == 0").set_index("epoch")["val_accuracy"]
    assert study.trials[0].intermediate_values == pytest.approx(first.to_dict())

    test = json.loads((run / "test.json").read_text())
    assert {winner["role"] for winner in test["winners"]} <= {"tuned", "baseline"}
    assert all([seed["seed"] for seed in winner["seeds"]] == [1, 2] for winner in test["winners"])
    assert {len(seed["curve"]) for winner in test["winners"] for seed in winner["seeds"]} == {3}  # ASHA let them be
    predictions = np.load(run / "test_predictions.npz")
    assert set(predictions["labels"]) == {0, 1}
    environment = json.loads((run / "environment.json").read_text())
    assert environment["data"]["generated"] is True
    assert environment["ended"] == "trials"
    assert (run / "best" / "model.safetensors").stat().st_size > 0
    kept = {path.name for path in (run / "trials").iterdir()}
    assert kept == {str(trials.loc[trials["val_accuracy"].idxmax(), "trial_id"])}
    assert not (run / "winners").exists()

    assert cifake_ray("tune", "--resume", "small", "--storage", tmp_path / "runs", "--trials", "8") == 0
    more_trials, more_curves = tables(run)
    assert more_trials["trial_id"].tolist() == list(range(8))
    pd.testing.assert_frame_equal(more_trials.iloc[:6], trials)
    pd.testing.assert_frame_equal(more_curves[more_curves["trial_id"] < 6].reset_index(drop=True), curves)
    assert len(more_trials[["lr", "batch_size", "head_width"]].drop_duplicates()) == 8

    before = (run / "study.journal").read_bytes()
    capsys.readouterr()
    assert cifake_ray("tune", "--resume", "small", "--storage", tmp_path / "runs") == 0  # nothing is left to do
    assert "nothing left to do; --trials N extends the study" in capsys.readouterr().err
    assert (run / "study.journal").read_bytes() == before


@pytest.mark.cluster
def test_the_same_seed_gives_the_same_study_one_trial_at_a_time(
    cifake_ray: Command, small: Path, tmp_path: Path
) -> None:
    options = ("--trials", "3", "--set", "resources.max_concurrent=1", "--set", "search.winner_seeds=0")
    for name in "ab":
        assert cifake_ray("tune", small, "--storage", tmp_path, "--name", name, "--seed", "5", *options) == 0
    first, second = (
        [table.drop(columns=["seconds", "cpu_seconds"], errors="ignore") for table in tables(tmp_path / name)]
        for name in "ab"
    )
    pd.testing.assert_frame_equal(first[0], second[0])
    pd.testing.assert_frame_equal(first[1], second[1])


def test_a_study_keeps_its_processes_sends_no_image_and_leaves_nothing_on_ray(
    cifake_ray: Command, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, sent, put = set(state.actors()), [], ray.put
    monkeypatch.setattr(ray, "put", lambda value: sent.append(len(cloudpickle.dumps(value))) or put(value))
    assert cifake_ray("tune", small, "--storage", tmp_path, "--set", "search.winner_seeds=0") == 0
    assert 0 < sum(sent) < 20_000  # paths and row numbers; the images have 700,000 bytes
    started = [actor for actor in state.actors() if actor not in before]
    # Two slots. On a busy machine a trial ends before the other slot's process is up; Tune then gives the free one to
    # the trial that waits for that one, ends it, and asks for a third.
    assert len(started) in (2, 3)
    wait_until(lambda: {state.actors(actor)["State"] for actor in started} == {"DEAD"})
    wait_until(lambda: {group["state"] for group in placement_group_table().values()} == {"REMOVED"})
    assert get_memory_info_reply(state.state).store_stats.spilled_objects_total == 0


def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_study_goes_on(
    cifake_ray: Command, small: Path, tmp_path: Path
) -> None:
    text = small.read_text().replace(
        "lr: {type: float, low: 1e-5, high: 3e-2, log: true}", "lr: {type: categorical, choices: [1e-3, 10.0]}"
    )
    text = text.replace(
        "batch_size: {type: categorical, choices: [16, 32]}", "weight_decay: {type: categorical, choices: [0.0, 10.0]}"
    )
    small.write_text(text.replace("  head_width: {type: int, low: 4, high: 32, log: true}\n", ""))
    # weight decay 10 at lr 10 multiplies every weight by -99 a step: overflow within the first epoch
    options = (
        "--set",
        "training.lr_schedule=constant",
        "--set",
        "search.scheduler=none",
        "--set",
        "search.winner_seeds=1",
    )
    assert cifake_ray("tune", small, "--storage", tmp_path, *options) == 0
    trials, _ = tables(tmp_path / "small")
    failed = trials[trials["status"] == "failed"]
    assert len(trials) == 4  # the whole space of 2 x 2; then the study ends, although 6 were asked for
    assert len(failed) == 1
    assert "loss is" in failed["error"].item()
    assert json.loads((tmp_path / "small" / "environment.json").read_text())["ended"] == "space exhausted"


def test_a_study_whose_trials_all_fail_ends_with_code_1_and_one_line(
    cifake_ray: Command, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small.read_text().replace(
        "lr: {type: float, low: 1e-5, high: 3e-2, log: true}", "lr: {type: float, low: 9, high: 10}"
    )
    small.write_text(text.replace("lr: 1e-3", "lr: 10, weight_decay: 10, lr_schedule: constant"))
    assert cifake_ray("tune", small, "--storage", tmp_path, "--trials", "2") == 1
    assert "all trials failed: the training loss is" in capsys.readouterr().err.splitlines()[-1]
    assert set(tables(tmp_path / "small")[0]["status"]) == {"failed"}


@pytest.mark.parametrize(
    ("setting", "reason"), [("search.target=0.3", "target"), ("search.time_budget_s=1", "time budget")]
)
def test_a_budget_ends_the_study_and_what_ran_can_go_on(
    cifake_ray: Command, small: Path, tmp_path: Path, setting: str, reason: str
) -> None:
    options = ("--trials", "200", "--set", "search.winner_seeds=0", "--set", setting, "--set", "training.epochs=30")
    code = cifake_ray("tune", small, "--storage", tmp_path, *options)
    environment = json.loads((tmp_path / "small" / "environment.json").read_text())
    assert environment["ended"] == reason
    trials, _ = tables(tmp_path / "small")
    assert "interrupted" in set(trials["status"])
    assert "running" not in set(trials["status"])
    assert code == (0 if trials["epochs"].max() > 0 else 1)
    wait_until(lambda: ray.available_resources().get("CPU") == 2)  # a trial about to start holds no place either


def kill_when(journal: Path, epochs: int, title: str) -> None:
    """SIGKILL the process with this title once the journal holds so many epochs."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and journal.read_text().count('"epoch:') >= epochs:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if process.read_bytes().decode().startswith(title):
                        os.kill(int(process.parent.name), signal.SIGKILL)
                        return
        time.sleep(0.02)


@pytest.mark.cluster
def test_a_trial_whose_process_is_killed_goes_on_from_its_last_epoch(
    cifake_ray: Command, small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "small" / "study.journal"
    killer = threading.Thread(target=kill_when, args=(journal, 12, "ray::CnnTrial trial 1"))
    killer.start()
    options = ("--set", "training.epochs=40", "--set", "search.scheduler=none", "--set", "search.winner_seeds=0")
    assert cifake_ray("tune", small, "--storage", tmp_path, "--trials", "2", *options) == 0
    killer.join()
    assert "trials/1: its process died; the trial resumes from its last epoch" in capfd.readouterr().err
    trials, curves = tables(tmp_path / "small")
    assert trials["status"].tolist() == ["completed", "completed"]
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert len(curves) == 80


@pytest.mark.cluster
def test_a_study_that_finds_no_slot_gives_up_after_its_limit_and_goes_on_later(
    cifake_ray: Command, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @ray.remote(num_cpus=2)
    class Other:
        def here(self) -> bool:
            return True

    other = Other.remote()
    assert ray.get(other.here.remote())
    options = ("--trials", "1", "--set", "resources.wait_s=3", "--set", "search.winner_seeds=0")
    assert cifake_ray("tune", small, "--storage", tmp_path, *options) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "for a trial to start, which requests 1 CPU, of 2 CPUs and 0 GPUs in the cluster 0 and 0 are free" in last
    assert last.endswith(f"resume with: cifake-ray tune --resume small --storage {tmp_path}")
    ray.kill(other)
    experiment = tmp_path / "small" / "experiment.yaml"
    experiment.write_text(experiment.read_text().replace("wait_s: 3.0", "wait_s: 300.0"))
    assert cifake_ray("tune", "--resume", "small", "--storage", tmp_path) == 0
    assert tables(tmp_path / "small")[0]["status"].tolist() == ["completed"]


def test_train_runs_one_configuration_and_the_best_of_a_run(cifake_ray: Command, small: Path, tmp_path: Path) -> None:
    assert cifake_ray("train", small, "--storage", tmp_path, "--name", "one", "--set", "training.lr=2e-3") == 0
    trials, curves = tables(tmp_path / "one")
    assert len(trials) == 1
    assert len(curves) == 3
    assert cifake_ray("train", tmp_path / "one", "--storage", tmp_path, "--name", "again", "--seed", "9") == 0
    again = Run(tmp_path / "again").experiment()
    assert again.training.lr == 2e-3
    assert again.training.seed == 9
    one = Run(tmp_path / "one")
    for lost in (one.best, one.trials):
        shutil.rmtree(lost)
    assert cifake_ray("tune", "--resume", "one", "--storage", tmp_path) == 0  # its only trial is trained again
    assert results_fault(one) is None
    assert tables(one.path)[0].equals(trials)


COPIES = """
name: copies
model: {kind: resnet18, weights: random, image_size: 32, stages: [stem], head_width: 8, copies: 2}
training: {epochs: 1, batch_size: 16, augment: [resize, blur, jpeg], jpeg_rounds: 3}
search_space: {copies: {type: categorical, choices: [0, 2]}, lr: {type: categorical, choices: [1.0e-3, 2.0e-3]}}
search: {trials: 4, winner_seeds: 1, scheduler: none, sampler: grid}
data: {source: sample, limit: 120}
"""


@pytest.mark.cluster
def test_a_frozen_backbone_trains_on_augmented_copies_that_are_extracted_once(
    cifake_ray: Command, tmp_path: Path
) -> None:
    file = tmp_path / "copies.yaml"
    file.write_text(COPIES)
    extracted = []
    for name, setting in (("a", "training.epochs=1"), ("b", "training.lr=2.0e-3"), ("c", "training.jpeg_quality=30")):
        assert cifake_ray("tune", file, "--name", name, "--storage", tmp_path, "--set", setting) == 0
        noted = json.loads((tmp_path / name / "environment.json").read_text())
        assert noted["data"]["split"] == {"train": 96, "validation": 24}
        extracted.append((noted["features"] or {"extracted": 0})["extracted"])
    assert extracted == [120 + 2 * 96, 0, 2 * 96]  # the copies are of the pictures that train alone
    trials = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert set(trials["status"]) == {"completed"}
    assert sorted(trials["copies"]) == [0, 0, 2, 2]
