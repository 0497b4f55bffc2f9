"""How many trials run at once, and requests that no machine can meet, in words."""

from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.tuning.ray_cluster import capacity
from cifake_ray.tuning.ray_cluster.capacity import DRIVER_CPUS, Capacity, Slots, local_node

from ..conftest import SPACE, experiment_of


def at_once(capacity: dict[str, float], **resources: Any) -> int:
    return Capacity(experiment_of(resources=resources), [capacity]).trials


@pytest.mark.parametrize(
    ("resources", "capacity", "expected"),
    [
        ({}, {"CPU": 2.0}, 2),
        ({"cpus_per_trial": 3}, {"CPU": 8.0}, 2),
        ({"gpus_per_trial": 0.25}, {"CPU": 16.0, "GPU": 2.0}, 8),
        ({"gpus_per_trial": 0.1}, {"CPU": 16.0, "GPU": 0.3}, 3),
        ({"gpus_per_trial": 1}, {"CPU": 2.0, "GPU": 4.0}, 2),
        ({"workers_per_trial": 2, "cpus_per_trial": 2}, {"CPU": 9.0}, 2),
        ({"workers_per_trial": 4, "gpus_per_trial": 0.5}, {"CPU": 64.0, "GPU": 6.0}, 3),
        ({"workers_per_trial": 1}, {"CPU": 3.0}, 3),
    ],
)
def test_as_many_trials_run_as_fit_by_cpus_and_gpus(
    resources: dict[str, Any], capacity: dict[str, float], expected: int
) -> None:
    assert at_once(capacity, **resources) == expected


def test_an_explicit_number_is_kept_if_it_fits_and_refused_if_not() -> None:
    assert at_once({"CPU": 4.0}, max_concurrent=3) == 3
    with pytest.raises(InputError, match=r"max_concurrent: 5 trials at once do not fit, 4 do; set auto or less"):
        at_once({"CPU": 4.0}, max_concurrent=5)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cpus_per_trial": 3}, r"one trial requests 3 CPUs and there are 2; lower cpus_per_trial$"),
        ({"gpus_per_trial": 0.5}, r"one trial requests 0\.5 GPUs and there are 0; lower gpus_per_trial$"),
        ({"workers_per_trial": 3}, r"requests 3 CPUs and there are 2; lower cpus_per_trial or workers_per_trial$"),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused_with_what_there_is(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        at_once({"CPU": 2.0}, **resources)


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        ({"cpus_per_trial": 2}, [3, 3, 1], 2),  # 7 CPUs, but a trial cannot be spread over nodes
        ({"gpus_per_trial": 0.4}, [(8, 1), (8, 1)], 4),  # not 2 / 0.4
        ({"gpus_per_trial": 0.25}, [(8, 0), (2, 1)], 2),  # the GPU's node has 2 CPUs
        ({"workers_per_trial": 2}, [2, 2, 2], 2),  # six workers fit, less a place for each waiting process
        ({"workers_per_trial": 2}, [2, 2], 1),
        ({"workers_per_trial": 2, "cpus_per_trial": 2}, [5, 5], 2),  # the waiting ones take what is over
    ],
)
def test_on_a_cluster_each_trial_needs_one_node_that_has_room_for_it(
    resources: dict[str, Any], nodes: list[Any], expected: int
) -> None:
    found = [dict(zip(("CPU", "GPU"), node if isinstance(node, tuple) else (node, 0), strict=True)) for node in nodes]
    assert Capacity(experiment_of(resources=resources), found, own=False).trials == expected


@pytest.mark.parametrize(
    ("resources", "nodes", "words"),
    [
        ({"cpus_per_trial": 4}, [(2, 0), (3, 0)], "requests 4 CPUs and no node has more than 3; lower cpus_per_trial$"),
        ({"cpus_per_trial": 4, "gpus_per_trial": 1}, [(8, 0), (2, 1)],
         "one trial requests 4 CPUs and 1 GPUs on one node, which the nodes do not have; lower cpus_per_trial$"),
        ({"workers_per_trial": 4}, [(2, 0)], "requests 4 CPUs and there are 2; lower cpus_per_trial or workers_per_tr"),
    ],
)  # fmt: skip
def test_a_trial_that_no_node_can_hold_is_refused_and_does_not_wait_for_ever(
    resources: dict[str, Any], nodes: list[Any], words: str
) -> None:
    found = [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in nodes]
    with pytest.raises(InputError, match=words):
        Capacity(experiment_of(resources=resources), found, own=False)


@pytest.mark.parametrize(
    ("resources", "bundle", "request_"),
    [
        ({"cpus_per_trial": 2}, {"CPU": 2.0}, {"CPU": 2.0}),
        ({"gpus_per_trial": 0.5}, {"CPU": 1.0, "GPU": 0.5}, {"CPU": 1.0, "GPU": 0.5}),
        ({"workers_per_trial": 2, "gpus_per_trial": 1}, {"CPU": DRIVER_CPUS}, {"CPU": 2.0, "GPU": 2.0}),
    ],
)
def test_a_trials_own_process_takes_its_bundle_and_with_workers_only_waits_for_them(
    resources: dict[str, Any], bundle: dict[str, float], request_: dict[str, float]
) -> None:
    capacity = Capacity(experiment_of(resources=resources))
    assert (capacity.bundle, capacity.request) == (bundle, request_)


def test_this_machine_has_a_cpu() -> None:
    assert local_node()["CPU"] >= 1
    assert Capacity.here(experiment_of()).trials >= 1


@pytest.mark.parametrize("dimension", [SPACE["batch_size"], {"type": "int", "low": 32, "high": 64}])
def test_workers_must_be_able_to_share_the_smallest_batch(dimension: dict[str, Any]) -> None:
    space = {"batch_size": dimension}
    Capacity(experiment_of(space, resources={"workers_per_trial": 16}))
    with pytest.raises(InputError, match="17 workers cannot share a batch of 32"):
        Capacity(experiment_of(space, resources={"workers_per_trial": 17}))


def test_workers_must_be_able_to_share_the_batch_that_is_not_searched() -> None:
    with pytest.raises(InputError, match="3 workers cannot share a batch of 4"):
        Capacity(experiment_of(training={"batch_size": 4}, resources={"workers_per_trial": 3}, space={}))


def test_trials_at_once_follow_nodes_that_join_and_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"CPU": 1.0, "GPU": 0.0}]
    monkeypatch.setattr(capacity, "cluster_nodes", lambda: nodes)
    monkeypatch.setattr(capacity, "_LOOK_SECONDS", 0.0)
    follows, fixed = (Slots(experiment_of(resources={"max_concurrent": asked}), own=False) for asked in ("auto", 1))
    found = [follows()]
    for count in (2, 3, 1, 0):  # none: those that run wait for one, so the number stays
        nodes[:] = [{"CPU": 1.0, "GPU": 0.0}] * count
        found.append(follows())
    assert found == [1, 2, 3, 1, 1]
    assert fixed() == 1
