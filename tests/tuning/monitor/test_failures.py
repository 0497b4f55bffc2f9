"""Which deaths of trials' processes cost a retry."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.runs.run import Run
from cifake_ray.tuning.monitor import failures
from cifake_ray.tuning.monitor.failures import ProcessFailures

HEAD, WORKER = "a" * 56, "b" * 56


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The cluster's nodes and whether they are alive; trials' own processes run on the head."""
    alive = {HEAD: True, WORKER: True}
    monkeypatch.setattr(failures.ray, "nodes", lambda: [{"NodeID": node, "Alive": up} for node, up in alive.items()])
    monkeypatch.setattr(failures, "node_of_trial", lambda _: HEAD)
    monkeypatch.setattr(failures, "_LOOK_SECONDS", 0.0)
    return alive


def trial_that_died_once(failures: int = 1) -> Any:
    actor = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: "actor"))
    return SimpleNamespace(
        trial_id="t", config={"folder": "trials/0"}, error_file=None, max_failures=3,
        temporary_state=SimpleNamespace(ray_actor=actor), run_metadata=SimpleNamespace(num_failures=failures),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("workers", "lost", "failures"), [(False, HEAD, 0), (False, WORKER, 1), (True, WORKER, 0), (True, None, 1)]
)
def test_a_lost_node_costs_no_retry_also_when_only_a_worker_ran_there(
    workers: bool, lost: str | None, failures: int, nodes: dict[str, bool], tmp_path: Path
) -> None:
    found = ProcessFailures(Run(tmp_path), {}, workers=workers)
    found.started(trial := trial_that_died_once())
    found.died(trial)
    if lost:
        nodes[lost] = False
    found.look()
    assert trial.run_metadata.num_failures == failures
