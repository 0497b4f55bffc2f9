"""The program as processes of its own: workers, signals, kills, two at once."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import ray

from tests.e2e.conftest import Command, family, listening_addresses, process_names, start

pytestmark = pytest.mark.timeout(500)
WAIT = 400  # seconds; a process that imports torch and starts Ray takes about 15 on two quiet cores


def finish(process: "subprocess.Popen[str]", seconds: float) -> str:
    """Wait for the process; returns what it wrote to stderr. One that takes too long is killed and shown."""
    try:
        return process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"still there after {seconds:g} s; it wrote:\n{process.communicate()[1]}")


WORKERS = """
name: workers
model: {kind: cnn, head_width: 32, channels: 8}
training: {epochs: 4, lr: 3e-3, batch_size: 16, precision: fp32}
search_space: {lr: {type: categorical, choices: [3e-3, 1e-9, 1e-3]}}
search: {trials: 3, winner_seeds: 0, reduction_factor: 2}
resources: {workers_per_trial: 2}
data: {source: sample, limit: 600}
"""


@pytest.mark.cluster
def test_trials_with_two_workers_are_stopped_by_asha_and_leave_their_slots(tmp_path: Path) -> None:
    """A rate of 1e-9 learns nothing, so that trial is stopped; the one after it needs the slots of its workers."""
    (tmp_path / "workers.yaml").write_text(WORKERS)
    process = start("tune", tmp_path / "workers.yaml", "--storage", tmp_path)
    error = finish(process, WAIT)
    assert process.returncode == 0, error
    trials, curves = (pd.read_csv(tmp_path / "workers" / name) for name in ("trials.csv", "curves.csv"))
    assert trials["trial_id"].tolist() == [0, 1, 2]
    assert trials.set_index("lr")["status"][1e-9] == "stopped"
    assert trials["status"][0] == "completed"
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert (tmp_path / "workers" / "test.json").exists()


FROZEN = """
name: frozen
model: {kind: resnet18, weights: random, image_size: 64, stages: [stem, layer1], head_width: 8}
training: {epochs: 40, batch_size: 16}
search_space: {lr: {type: float, low: 3e-4, high: 1e-2, log: true}}
search: {trials: 2, winner_seeds: 3, scheduler: none}
data: {source: sample}
"""


def gone(processes: list[Any], seconds: float) -> bool:
    """Whether all of these have ended within so many seconds."""
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def epochs_recorded(run: Path) -> int:
    """How many epochs the journal of a running study holds."""
    journal = run / "study.journal"
    return journal.read_text().count('"epoch:') if journal.exists() else 0


@pytest.mark.usefixtures("ray_session")
def test_a_killed_study_resumes_without_losing_or_repeating_a_trial(
    cifake_ray: Command, small: Path, tmp_path: Path
) -> None:
    settings = ("--set=training.epochs=12", "--set=search.scheduler=none", "--set=search.winner_seeds=0")
    process = start("tune", small, "--storage", tmp_path, *settings)
    run = tmp_path / "small"
    deadline = time.monotonic() + WAIT
    while epochs_recorded(run) < 30 and time.monotonic() < deadline:  # two trials are done, two are under way
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = epochs_recorded(run)
    assert 30 <= reached < 72
    before = pd.read_json((run / "study.journal").open(), lines=True)
    assert cifake_ray("tune", "--resume", "small", "--storage", tmp_path) == 0
    trials, curves = (pd.read_csv(run / name) for name in ("trials.csv", "curves.csv"))
    assert trials["trial_id"].tolist() == list(range(6))
    assert set(trials["status"]) == {"completed"}
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert len(curves) == 72
    assert len(trials[["lr", "batch_size", "head_width"]].drop_duplicates()) == 6
    journal = (run / "study.journal").read_text()
    assert journal.count('"epoch:') == 72  # no epoch was recorded a second time
    assert len(before) >= reached


def test_one_ctrl_c_saves_and_says_how_to_resume(small: Path, tmp_path: Path) -> None:
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=400", "--set=search.scheduler=none")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = finish(process, 90)
    assert process.returncode == 130, error
    assert "resume with: cifake-ray tune --resume small" in error.splitlines()[-1]
    trials = pd.read_csv(tmp_path / "small" / "trials.csv")
    assert set(trials["status"]) == {"interrupted"}
    assert (trials["epochs"] >= 1).any()


PHASES = {"imports": 0.4, "Ray's start": 4.0, "features": "extracting", "retraining": "retrained"}


@pytest.mark.cluster
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_to_the_whole_group_ends_every_phase_in_order(
    phase: str, kind: signal.Signals, tmp_path: Path
) -> None:
    """As a terminal's Ctrl-C, `timeout`, Slurm and systemd send it: to this process, Ray's and its workers at once."""
    (tmp_path / "frozen.yaml").write_text(FROZEN)
    process, seen = start("tune", tmp_path / "frozen.yaml", "--storage", tmp_path, group=True), ""
    assert process.stderr is not None
    when = PHASES[phase]
    if isinstance(when, float):
        time.sleep(when)
    else:
        while when not in seen and process.poll() is None:
            seen += process.stderr.readline()
    children = family([process.pid])
    sent = time.monotonic()
    os.killpg(process.pid, kind)
    error = seen + finish(process, 60)
    assert process.returncode == 130, error
    assert time.monotonic() - sent < 20  # 10 on a quiet machine
    assert error.splitlines()[-1].startswith("cifake-ray: interrupted")
    assert ("--resume frozen" in error.splitlines()[-1]) == (tmp_path / "frozen").exists()
    assert gone(children, 30)


@pytest.mark.cluster
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_study_whose_ray_is_gone_ends_with_its_own_line_and_resumes(part: str, small: Path, tmp_path: Path) -> None:
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=400", "--set=search.scheduler=none")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = family([process.pid])
    next(child for child in children if child.name() == part).kill()
    error = finish(process, 60)
    assert process.returncode == 1, error
    name = "raylet" if part == "raylet" else "GCS"
    assert re.fullmatch(
        rf"cifake-ray: Ray's {name} is gone, so the study was interrupted with \d of 6 trials done; everything is in "
        rf"{tmp_path}/small; resume with: cifake-ray tune --resume small --storage {tmp_path}",
        error.splitlines()[-1],
    )
    assert set(pd.read_csv(tmp_path / "small" / "trials.csv")["status"]) == {"interrupted"}
    assert gone(children, 30)


@pytest.mark.cluster
def test_a_signal_to_every_process_saves_and_says_how_to_resume(small: Path, tmp_path: Path) -> None:
    """As systemd and Slurm send it: also Ray's own processes get it, whose end would end this one unsaved."""
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=400", "--set=search.scheduler=none")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = family([process.pid])
    for each in reversed(processes):
        each.terminate()
    error = finish(process, 60)
    assert process.returncode == 130, error
    assert "resume with: cifake-ray tune --resume small" in error.splitlines()[-1]
    assert set(pd.read_csv(tmp_path / "small" / "trials.csv")["status"]) == {"interrupted"}
    assert gone(processes, 30)


@pytest.mark.cluster
def test_a_killed_study_leaves_no_process_behind(small: Path, tmp_path: Path) -> None:
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=400", "--set=search.scheduler=none")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = family([process.pid])
    process.kill()
    process.wait()
    assert gone(children, 90)  # Ray's agents notice within a minute


@pytest.mark.cluster
def test_a_trial_that_its_node_ends_for_want_of_memory_is_not_tried_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that counts as full from 1 % on ends every process of a trial."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    process = start("tune", small, "--storage", tmp_path, "--trials", "1")
    error = finish(process, WAIT)
    assert process.returncode == 1
    assert "all trials failed: out of memory: its node ended the process; lower batch_size" in error.splitlines()[-1]
    trials = pd.read_csv(tmp_path / "small" / "trials.csv")
    assert trials[["status", "epochs"]].to_numpy().tolist() == [["failed", 0]]


@pytest.mark.cluster
def test_a_ray_of_the_programs_own_listens_on_this_machine_only(small: Path, tmp_path: Path) -> None:
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=4000")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    addresses = listening_addresses([process.pid])
    process.kill()
    process.wait()
    assert len(addresses) > 5
    assert set(addresses) == {"127.0.0.1"}


@pytest.mark.cluster
def test_trials_run_in_the_processes_that_ray_starts_with_its_node(small: Path, tmp_path: Path) -> None:
    """Another one for each trial would load torch and Ray once more, 4 s of a core, before the first epoch."""
    process = start("tune", small, "--storage", tmp_path, "--set=training.epochs=4000", "--set=search.scheduler=none")
    deadline = time.monotonic() + WAIT
    while epochs_recorded(tmp_path / "small") < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [name for name in process_names(process.pid) if name.startswith(("ray::CnnTrial", "ray::IDLE"))]
    process.kill()
    process.wait()
    assert len(workers) == len(os.sched_getaffinity(0))
    assert all(name.startswith("ray::CnnTrial") for name in workers)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_two_studies_at_once_on_one_cluster_extract_their_features_once(tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    experiment = tmp_path / "frozen.yaml"
    experiment.write_text(
        """
name: frozen
model: {kind: resnet50, weights: random, image_size: 32, stages: [stem], head_width: 4}
training: {epochs: 1, batch_size: 32}
search_space: {head_width: {type: int, low: 2, high: 8}}
search: {trials: 1, winner_seeds: 0}
data: {source: sample, limit: 240}
"""
    )
    options = ("--storage", tmp_path, "--address", address)
    both = [start("tune", experiment, *options, "--name", name) for name in ("a", "b")]
    for process in both:
        error = finish(process, WAIT)
        assert process.returncode == 0, error
    noted = [json.loads((tmp_path / name / "environment.json").read_text())["features"] for name in ("a", "b")]
    assert sorted(spent["extracted"] if spent else 0 for spent in noted) == [0, 240]
