"""Which deaths of trials' processes cost a retry."""

from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.tuning.monitor import failures
from cifake_ray.tuning.monitor.callback import RunningTrial
from cifake_ray.tuning.monitor.failures import ProcessFailures

from ..conftest import OpenRecord, experiment_of

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


@pytest.mark.parametrize(("workers", "lost", "failures"), [(0, HEAD, 0), (0, WORKER, 1), (1, WORKER, 0), (1, None, 1)])
def test_a_lost_node_costs_no_retry_also_when_only_a_worker_ran_there(
    workers: int, lost: str | None, failures: int, nodes: dict[str, bool], open_record: OpenRecord
) -> None:
    record = open_record(experiment_of(resources={"workers_per_trial": workers}))
    found = ProcessFailures(record)
    trial = RunningTrial("0", 0, {}, 0, trial_that_died_once())
    found.trial_started(trial)
    found.process_died(trial)
    assert record.deaths == {"0": "its process died again and again: no reason was given"}
    if lost:
        nodes[lost] = False
    found.step_ended()
    assert trial.handle.run_metadata.num_failures == failures
