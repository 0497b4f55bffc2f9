"""Every private name of Ray that the package uses still does what it is used for."""

import inspect
import os
import queue
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

from cifake_ray import ray_private
from cifake_ray.tuning.search.scheduler import SearchTrial


def test_loggers_of_the_job_client_are_modules_of_ray() -> None:
    import importlib

    for name in ray_private.LOGGERS:
        assert importlib.import_module(name).__name__ == name


def test_a_token_turns_authentication_on() -> None:
    """Runs in a child process: reading Ray's settings again would break the connected Ray of the tests."""
    code = (
        "import os; from cifake_ray.ray_private import use_token; use_token(); print(os.environ.get('RAY_AUTH_MODE'))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["RAY_AUTH_TOKEN"] = "a-token-of-more-than-thirty-two-characters"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "token"


@pytest.mark.usefixtures("ray_session")
def test_the_clusters_of_this_host_are_listed() -> None:
    assert ray.get_runtime_context().gcs_address in ray_private.running_clusters()


@pytest.mark.usefixtures("ray_session")
def test_the_dashboards_address_is_what_the_gcs_keeps_under_its_key() -> None:
    found = ray_private.dashboard_address(ray.get_runtime_context().gcs_address)
    assert found is not None
    assert found.rpartition(":")[2].isdigit()


@pytest.mark.usefixtures("ray_session")
def test_the_raylets_socket_is_there() -> None:
    assert Path(ray_private.raylet_socket()).exists()


@pytest.mark.usefixtures("ray_session")
def test_the_logs_of_the_raylet_lie_in_the_folder_of_logs() -> None:
    assert list(Path(ray_private.logs_folder()).glob("raylet.*"))


@pytest.mark.usefixtures("ray_session")
def test_the_node_of_a_trials_actor_is_found() -> None:
    @ray.remote(num_cpus=0)
    class Actor:
        def ready(self) -> bool:
            return True

    actor = Actor.remote()
    assert ray.get(actor.ready.remote())
    trial = SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=actor))
    assert ray_private.node_of_trial(trial) == ray.get_runtime_context().get_node_id()
    ray.kill(actor)


@pytest.mark.usefixtures("ray_session")
def test_a_workers_title_can_be_read_and_set() -> None:
    @ray.remote(num_cpus=0)
    def titles() -> tuple[str, str]:
        before = ray_private.process_title()
        ray_private.set_process_title("ray::changed")
        return before, ray_private.process_title()

    before, after = ray.get(titles.remote())
    assert before.startswith("ray::")
    assert after == "ray::changed"


def test_outside_a_trial_there_is_no_session() -> None:
    assert ray_private.trial_session() is None


def test_a_sessions_reports_are_taken_from_the_queue_that_ray_train_has() -> None:
    from ray.train._internal.session import _TrainSession

    assert callable(_TrainSession._get_or_create_inter_actor_queue)
    waiting: queue.Queue[int] = queue.Queue()
    waiting.put(1)
    session = SimpleNamespace(_get_or_create_inter_actor_queue=lambda: waiting)
    ray_private.take_report(session, 0.01)
    with pytest.raises(queue.Empty):
        ray_private.take_report(session, 0.01)


def test_a_local_start_replaces_names_that_ray_has_and_puts_them_back() -> None:
    from ray._private import ray_constants, services, utils

    def values() -> tuple[object, ...]:
        return utils.set_sigterm_handler, ray_constants.ENABLE_RAY_CLUSTER, services.ConsolePopen

    before = values()
    with ray_private.local_start(dict):
        assert values()[0] is not before[0]
        assert values()[1:] == (False, dict)
    assert values() == before


def test_the_handler_of_sigterm_is_left_alone_for_a_while() -> None:
    from ray._private import utils

    before = utils.set_sigterm_handler
    with ray_private.own_sigterm():
        assert utils.set_sigterm_handler is not before
    assert utils.set_sigterm_handler is before


def test_a_trials_process_gets_no_variables_for_a_while() -> None:
    from ray.tune.execution import class_cache

    before = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    with ray_private.trials_without_variables():
        assert ({}, set()) == (class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE)
    assert before == (class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE)


def test_the_options_of_a_start_are_keywords_that_ray_init_takes() -> None:
    source = inspect.getsource(ray.init.__wrapped__)
    assert all(f'"{name}"' in source for name in ray_private.start_options("127.0.0.1", "folder", {}, "objects"))


def test_a_trial_is_put_into_the_chosen_bracket() -> None:
    scheduler = AsyncHyperBandScheduler("epoch", "accuracy", "max", max_t=9, reduction_factor=3, brackets=2)
    ray_private.put_in_bracket(scheduler, "a", lambda brackets, factor: brackets - 1 if factor == 3 else 0)
    assert scheduler._trial_info["a"] is scheduler._brackets[1]


def test_the_median_rule_keeps_results_by_trial_and_resumes_one_it_would_stop() -> None:
    rule = MedianStoppingRule("epoch", "accuracy", "max", grace_period=0, min_samples_required=1, min_time_slice=9)
    good, bad = (SearchTrial(name, number) for number, name in enumerate(("good", "bad")))
    controller = SimpleNamespace(get_live_trials=list)
    for epoch in (1, 2):
        rule.on_trial_result(controller, good, {"epoch": epoch, "accuracy": 0.9})
    assert [row["epoch"] for row in ray_private.median_results(rule)[good]] == [1, 2]
    rule._stopped_trials.add(bad)
    ray_private.forget_stop(rule, bad)
    assert rule._stopped_trials == set()


def test_rays_processes_are_started_by_a_class_that_can_be_extended() -> None:
    assert issubclass(ray_private.process_class(), subprocess.Popen)
