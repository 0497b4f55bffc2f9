"""How many trials run at once, and requests that no machine can meet, in words."""

from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.tuning.resources import check_workers, local_capacity, max_concurrent, trial_request

from .conftest import SPACE, experiment_of


def at_once(capacity: dict[str, float], **resources: Any) -> int:
    return max_concurrent(experiment_of(resources=resources), capacity)


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
        ({"cpus_per_trial": 3}, r"one trial asks for 3 CPUs and there are 2; lower cpus_per_trial$"),
        ({"gpus_per_trial": 0.5}, r"one trial asks for 0\.5 GPUs and there are 0; lower gpus_per_trial$"),
        ({"workers_per_trial": 3}, r"asks for 3 CPUs and there are 2; lower cpus_per_trial or workers_per_trial$"),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused_with_what_there_is(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        at_once({"CPU": 2.0}, **resources)


def test_a_trial_asks_for_all_of_its_workers() -> None:
    resources = experiment_of(resources={"workers_per_trial": 3, "cpus_per_trial": 2, "gpus_per_trial": 0.5}).resources
    assert trial_request(resources) == {"CPU": 6.0, "GPU": 1.5}
    assert trial_request(experiment_of().resources) == {"CPU": 1.0, "GPU": 0.0}


def test_this_machine_has_a_cpu() -> None:
    assert local_capacity()["CPU"] >= 1


@pytest.mark.parametrize("dimension", [SPACE["batch_size"], {"type": "int", "low": 32, "high": 64}])
def test_workers_must_be_able_to_share_the_smallest_batch(dimension: dict[str, Any]) -> None:
    space = {"batch_size": dimension}
    check_workers(experiment_of(space, resources={"workers_per_trial": 16}))
    with pytest.raises(InputError, match="17 workers cannot share a batch of 32"):
        check_workers(experiment_of(space, resources={"workers_per_trial": 17}))


def test_workers_must_be_able_to_share_the_batch_that_is_not_searched() -> None:
    with pytest.raises(InputError, match="3 workers cannot share a batch of 4"):
        check_workers(experiment_of(training={"batch_size": 4}, resources={"workers_per_trial": 3}, space={}))
