"""Studies on clusters of several nodes: raylets of their own, some of which do not see the driver's folders."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from ray.cluster_utils import Cluster

from cifake_ray.runs.names import find_run
from cifake_ray.runs.run import run_at
from tests.e2e.conftest import start

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]
WAIT = 300  # seconds
needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="mount namespaces need root",
)

EXPERIMENT = """
name: study
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 40, lr: 1e-3, batch_size: 32, precision: fp32}
search_space: {lr: {type: float, low: 1e-4, high: 1e-2, log: true}, head_width: {type: int, low: 4, high: 64}}
search: {trials: 4, scheduler: none, winner_seeds: 1}
data: {source: sample, limit: 400}
"""


@dataclass
class Nodes:
    """A head without CPUs, where the driver runs, and workers of one CPU; every node has a cache of its own."""

    cluster: Cluster
    folder: Path
    workers: list[Any]
    apart: list["subprocess.Popen[str]"]

    def add(self, cpus: int = 1, gpus: int = 0) -> Any:
        cache = {"CIFAKE_RAY_CACHE": str(self.folder / f"cache-{len(self.workers)}")}
        self.workers.append(self.cluster.add_node(num_cpus=cpus, num_gpus=gpus, env_vars=cache))
        return self.workers[-1]

    def alive(self) -> set[str]:
        """The ids of all nodes that Ray counts on."""
        return {node["NodeID"] for node in self.cluster.global_state.node_table() if node["Alive"]}

    def add_apart(self, *hidden: Path) -> str:
        """A node in a mount namespace of its own, which sees empty folders where the driver has these; its id."""
        for folder in hidden:
            folder.mkdir(exist_ok=True)
        before = self.alive()
        mounts = " && ".join(f"mount -t tmpfs tmpfs '{folder}'" for folder in hidden)
        ray = f"'{sys.executable}' -m ray.scripts.scripts start --block --num-cpus 1 --address {self.cluster.address}"
        environment = os.environ | {"CIFAKE_RAY_CACHE": str(self.folder / "cache-apart")}
        command = ["unshare", "-m", "sh", "-c", f"{mounts} && exec {ray} --disable-usage-stats"]
        self.apart.append(subprocess.Popen(command, env=environment, text=True, stdout=subprocess.DEVNULL))
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            if new := self.alive() - before:
                return str(new.pop())
            time.sleep(0.2)
        raise TimeoutError


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    found = Nodes(cluster, tmp_path, [], [])
    yield found
    for process in found.apart:
        process.terminate()
        process.wait()
    cluster.shutdown()


def wait_for(what: str, condition: Any, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def epochs(run: Path) -> int:
    journal = run / "study.journal"
    return journal.read_text().count('"epoch:') if journal.exists() else 0


@needs_namespaces
def test_a_study_in_object_storage_survives_a_lost_node_and_a_killed_driver(
    nodes: Nodes, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = nodes.add()
    nodes.add_apart(tmp_path / "cache")
    (tmp_path / "study.yaml").write_text(EXPERIMENT.replace("epochs: 40", "epochs: 200"))
    options = ("--storage", bucket, "--address", nodes.cluster.address)
    process = start("tune", tmp_path / "study.yaml", *options)
    mirror = run_at(bucket, "study").path
    wait_for("both nodes train", lambda: epochs(mirror) >= 20, process)
    nodes.cluster.remove_node(lost, allow_graceful=False)
    reached = epochs(mirror)
    wait_for("Ray gives the node up", lambda: lost.node_id not in nodes.alive(), process)
    time.sleep(3)  # the study looks every second
    wait_for("the other node goes on", lambda: epochs(mirror) >= reached + 25, process)
    process.send_signal(signal.SIGKILL)
    assert f"node {lost.node_id[:8]} was lost with it, so it costs no retry" in process.communicate()[1]
    nodes.add()  # the resumed study finds a place for a second trial again
    resumed = start("tune", "--resume", "study", *options)
    error = resumed.communicate(timeout=WAIT)[1]
    assert resumed.returncode == 0, error

    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "a reader's"))
    run = find_run(f"{bucket}/study")
    trials, curves = pd.read_csv(run.trials_file), pd.read_csv(run.curves_file)
    assert trials["trial_id"].tolist() == [0, 1, 2, 3]
    assert set(trials["status"]) == {"completed"}
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert len(curves) == 4 * 200
    assert run.test_file.exists()
    assert (run.best / "model.safetensors").exists()
    assert list((tmp_path / "cache-apart" / "images").glob("*/entry.json"))  # copied from the driver's cache
    report = start("report", f"{bucket}/study", "--out", tmp_path / "report")
    assert report.wait(timeout=WAIT) == 0
    assert (tmp_path / "report" / "comparison.csv").exists()


@needs_namespaces
def test_a_node_that_does_not_share_the_folder_is_refused_by_name_even_joining_late(
    nodes: Nodes, tmp_path: Path
) -> None:
    nodes.add()
    (tmp_path / "study.yaml").write_text(EXPERIMENT)
    options = ("--storage", tmp_path / "runs", "--address", nodes.cluster.address)
    process = start("tune", tmp_path / "study.yaml", "--set=training.epochs=4000", *options)
    wait_for("the first epochs", lambda: epochs(tmp_path / "runs" / "study") >= 3, process)
    node = nodes.add_apart(tmp_path / "runs")
    for attempt in (process, None):
        attempt = attempt or start("tune", "--resume", "study", *options)
        error = attempt.communicate(timeout=WAIT)[1]
        assert attempt.returncode == 2, error
        assert f"node {node[:8]}" in error.splitlines()[-1]
        assert "does not share the storage" in error.splitlines()[-1]
        trials = pd.read_csv(tmp_path / "runs" / "study" / "trials.csv")
        assert set(trials["status"]) == {"interrupted"}
        assert trials["epochs"].max() >= 3


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="it is about a node whose GPU torch does not see, and here torch sees one"
)
def test_trials_on_gpu_slices_go_to_the_gpus_node_and_are_told_if_torch_sees_none(nodes: Nodes, tmp_path: Path) -> None:
    nodes.add(cpus=4)
    node = nodes.add(cpus=2, gpus=1)
    (tmp_path / "study.yaml").write_text(EXPERIMENT)
    options = ("--storage", tmp_path / "runs", "--address", nodes.cluster.address, "--set=resources.gpus_per_trial=0.5")
    process = start("tune", tmp_path / "study.yaml", *options)
    error = process.communicate(timeout=WAIT)[1]
    assert process.returncode == 1, error
    trials = pd.read_csv(tmp_path / "runs" / "study" / "trials.csv")
    assert set(trials["error"]) == {
        f"node {node.node_id[:8]} has a GPU for Ray and torch sees none there; install a CUDA torch and driver"
    }
